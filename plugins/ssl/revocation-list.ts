import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'
import { readDer } from './der.ts'

// Longer chains than this nobody has.
const depthMax = 10
const sequenceTag = 0x30
const integerTag = 0x02

/** The certificates that a file of revocation lists names, each by its issuer and serial number. */
export type RevokedCertificates = ReadonlySet<string>

/** Reads a file of certificate revocation lists in PEM, one for each CA. It is trusted as the file of CAs is. Throws an `OperatorError` where any of it is none. */
export function readRevocationLists(text: string, option: string, path: string): RevokedCertificates {
  const broken = (why: string, cause?: unknown): OperatorError => {
    const cure = 'name a file of X509 CRLs in PEM: openssl ca -gencrl -out FILE'
    return new OperatorError('ERR_TLS_CRL', `${option}: ${path} ${why}; ${cure}`, { cause })
  }
  const lists = text.match(/-----BEGIN X509 CRL-----[\s\S]+?-----END X509 CRL-----/g) ?? []
  if (lists.length === 0 || lists.length !== text.split('-----BEGIN ').length - 1) throw broken('holds no whole revocation list')
  const revoked = new Set<string>()
  for (const pem of lists) {
    try {
      // OpenSSL knows best what is one.
      createSecureContext({ crl: pem })
      readList(Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64'), revoked)
    } catch (error) {
      throw broken('holds a revocation list that cannot be read', error)
    }
  }
  return revoked
}

/** What a certificate and those above it may be revoked by, as far as the client has shown them. */
export function revocationKeys(certificate: X509Certificate): string[] {
  const keys: string[] = []
  let link: X509Certificate | undefined = certificate
  for (let depth = 0; link !== undefined && depth < depthMax; depth++) {
    const { content } = readDer(readDer(link.raw).content)
    // The version stands in front, but for certificates of version 1.
    const version = readDer(content)
    const serialAt = version.tag === integerTag ? 0 : version.end
    const serial = readDer(content, serialAt)
    const issuerAt = readDer(content, serial.end).end
    keys.push(keyOf(content.subarray(issuerAt, readDer(content, issuerAt).end), serial.content))
    link = link.issuerCertificate === link ? undefined : link.issuerCertificate
  }
  return keys
}

// CertificateList, RFC 5280 5.1: the signed part is [version], algorithm, issuer, this update, [next update], [revoked certificates], [extensions].
function readList(list: Buffer, revoked: Set<string>): void {
  const { content } = readDer(readDer(list).content)
  const first = readDer(content)
  const algorithmAt = first.tag === integerTag ? first.end : 0
  const issuerAt = readDer(content, algorithmAt).end
  const issuerEnd = readDer(content, issuerAt).end
  const issuer = content.subarray(issuerAt, issuerEnd)
  let at = readDer(content, issuerEnd).end
  while (at < content.length) {
    const part = readDer(content, at)
    at = part.end
    if (part.tag !== sequenceTag) continue
    for (let entry = 0; entry < part.content.length; ) {
      const one = readDer(part.content, entry)
      revoked.add(keyOf(issuer, readDer(one.content).content))
      entry = one.end
    }
  }
}

function keyOf(issuer: Buffer, serial: Buffer): string {
  return `${issuer.toString('base64')} ${serial.toString('hex')}`
}
