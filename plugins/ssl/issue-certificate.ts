import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { bits, boolean, integer, octets, oid, plainTagged, sequence, set, tagged, text, time } from './der.ts'

/** What a certificate is to say. */
export interface CertificateWish {
  readonly commonName: string
  readonly organization?: string
  /** `ca` signs others; `server` and `client` show who they are. */
  readonly use: 'ca' | 'server' | 'client'
  /** Host names and addresses of a server. */
  readonly names?: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly validFrom: number
  readonly validTo: number
  /** Who signs; a certificate without an issuer signs itself. */
  readonly issuer?: IssuedCertificate
}

/** A certificate and its key, both in PEM. */
export interface IssuedCertificate {
  readonly cert: string
  readonly key: string
  /** For what it issues itself. */
  readonly signing: { readonly privateKey: KeyObject; readonly subject: Buffer; readonly keyId: Buffer }
}

/**
 * Makes an X.509 certificate with a new key on the curve P-256: what `init --tls` and the tests need, in the hundred lines that
 * it takes. The libraries for it bring a whole ASN.1 (node-forge 1.6 MB, @peculiar/x509 some twenty packages), for a command that
 * runs once.
 */
export function issueCertificate(wish: CertificateWish): IssuedCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const publicInfo = publicKey.export({ type: 'spki', format: 'der' })
  const keyId = createHash('sha1').update(publicInfo).digest()
  const subject = distinguishedName(wish)
  const signing = { privateKey, subject, keyId }
  const issuer = wish.issuer?.signing ?? signing
  // A first bit of 0 keeps the number positive, a second of 1 its length.
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const body = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(serial),
    ecdsaWithSha256,
    issuer.subject,
    sequence(time(wish.validFrom), time(wish.validTo)),
    subject,
    publicInfo,
    tagged(3, sequence(...extensions(wish, keyId, issuer.keyId))),
  )
  const certificate = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, issuer.privateKey)))
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert: pem(certificate), key, signing }
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))

function distinguishedName({ organization, commonName }: CertificateWish): Buffer {
  const parts = [set(sequence(oid('2.5.4.3'), text(commonName)))]
  if (organization !== undefined) parts.unshift(set(sequence(oid('2.5.4.10'), text(organization))))
  return sequence(...parts)
}

function extensions({ use, names = [] }: CertificateWish, keyId: Buffer, issuerKeyId: Buffer): Buffer[] {
  const isCa = use === 'ca'
  const list = [
    // Basic constraints, and what the key is for: signing certificates and revocation lists, or signatures.
    extension('2.5.29.19', true, isCa ? sequence(boolean(true)) : sequence()),
    extension('2.5.29.15', true, isCa ? bits(Buffer.from([0x06]), 1) : bits(Buffer.from([0x80]), 7)),
    extension('2.5.29.14', false, octets(keyId)),
    extension('2.5.29.35', false, sequence(plainTagged(0, issuerKeyId))),
  ]
  if (!isCa) list.push(extension('2.5.29.37', false, sequence(oid(use === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2'))))
  if (names.length > 0) list.push(extension('2.5.29.17', false, sequence(...names.map(alternativeName))))
  return list
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value))
}

function alternativeName(name: string): Buffer {
  const family = isIP(name)
  if (family === 0) return plainTagged(2, Buffer.from(name, 'latin1'))
  return plainTagged(7, Buffer.from(family === 4 ? name.split('.').map(Number) : groupsOf(name)))
}

function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const groups = (half: string) => (half === '' ? [] : half.split(':').map(group => Number.parseInt(group, 16)))
  const front = groups(head)
  const back = tail === undefined ? [] : groups(tail)
  const zeros = Array<number>(Math.max(0, 8 - front.length - back.length)).fill(0)
  return [...front, ...zeros, ...back].flatMap(group => [group >>> 8, group & 0xff])
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
