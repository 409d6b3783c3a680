import type { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from '../../core/connection/transport.ts'

/** What a client's certificate says, for those who decide who it is. */
export function peerCertificateOf(certificate: X509Certificate, verified: boolean): PeerCertificate {
  const { issuer, serialNumber, validFrom, validTo } = certificate
  return {
    subject: subjectOf(certificate),
    commonName: commonNameOf(certificate),
    issuer: inOneLine(issuer),
    serialNumber,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    validFrom: Date.parse(validFrom),
    validTo: Date.parse(validTo),
    verified,
  }
}

/** The subject in one line, most particular part first, as RFC 4514 writes it. */
export function subjectOf({ subject }: X509Certificate): string {
  return inOneLine(subject)
}

// Node writes a distinguished name a line for each part, in the order of the certificate, with what is special escaped already.
function inOneLine(name: string | undefined): string {
  return (name ?? '')
    .split('\n')
    .filter(part => part !== '')
    .reverse()
    .join(',')
}

function commonNameOf(certificate: X509Certificate): string | undefined {
  // Without the escapes that the line needs.
  const { CN } = certificate.toLegacyObject().subject as unknown as { CN?: string | string[] }
  const name = Array.isArray(CN) ? CN.at(-1) : CN
  // A CA that signs such a name is not to be followed: MQTT has no user name with a NUL, and logs no lines with a line feed.
  return name === undefined || /[\u0000-\u001f\u007f-\u009f]/.test(name) ? undefined : name
}
