import type { X509Certificate } from 'node:crypto'
import { OperatorError } from '../../core/errors.ts'
import type { NamedFile } from '../kit/named-file.ts'
import { checkCertificate } from './check-certificate.ts'
import { parseCertificate } from './identity.ts'
import { certificatesIn } from './pem-files.ts'

// Longer chains than this nobody has.
const depthMax = 10

/** The CAs of a PEM file, of which at least one must be good. */
export function readCas(file: NamedFile): X509Certificate[] {
  const cas = certificatesIn(file.bytes).map(pem => parseCertificate(pem, file.option, file.path))
  if (cas.length === 0) {
    throw new OperatorError('ERR_TLS_FILE', `${file.option}: ${file.path} holds no certificate in PEM; name the CA's certificate`)
  }
  // Of a bundle some may have run out; where all have, nobody could connect.
  const problems = cas.map(certificate => {
    try {
      checkCertificate(certificate, file.option, file.path)
      return null
    } catch (error) {
      return error
    }
  })
  if (!problems.includes(null)) throw problems[0]
  return cas
}

/**
 * Whether one of the CAs stands behind a certificate that OpenSSL has found good. OpenSSL trusts the CAs in a keystore too, and
 * among them is the one that issued the broker's own certificate: a public one perhaps, whose other customers must not come in.
 */
export function isIssuedBy(certificate: X509Certificate, cas: readonly X509Certificate[]): boolean {
  let link: X509Certificate | undefined = certificate
  for (let depth = 0; link !== undefined && depth < depthMax; depth++) {
    const below: X509Certificate = link
    if (cas.some(ca => signed(ca, below))) return true
    link = below.issuerCertificate
    if (link !== undefined && !signed(link, below)) return false
  }
  return false
}

function signed(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}
