import type { X509Certificate } from 'node:crypto'
import { OperatorError } from '../../core/errors.ts'
import { readDer } from './der.ts'
import { subjectOf } from './peer-certificate.ts'

const dayMs = 86_400_000
// Those who renew by themselves (Let's Encrypt) do so 30 days before; what has less than this left was forgotten.
const soonMs = 14 * dayMs

/** Refuses a certificate that clients would refuse, in one line with the cure. `option` names where it comes from. */
export function checkCertificate(certificate: X509Certificate, option: string, path: string): void {
  const what = `${option}: the certificate in ${path} (${subjectOf(certificate)})`
  const now = Date.now()
  if (Date.parse(certificate.validTo) < now) {
    throw new OperatorError('ERR_TLS_EXPIRED', `${what} expired on ${certificate.validTo}; renew it, or name the renewed file`)
  }
  if (Date.parse(certificate.validFrom) > now) {
    const cure = "wait until then, or set this machine's clock right"
    throw new OperatorError('ERR_TLS_NOT_YET_VALID', `${what} is valid from ${certificate.validFrom} only; ${cure}`)
  }
  const weakness = weaknessOf(certificate)
  if (weakness !== undefined) {
    throw new OperatorError(
      'ERR_TLS_WEAK',
      `${what} is weak: ${weakness}; have it issued anew, with an EC P-256 or RSA 2048 key and SHA-256`,
    )
  }
}

/** A certificate that is about to expire, in words for the log; `undefined` where there is time. */
export function expiresSoon(certificate: X509Certificate): string | undefined {
  const leftMs = Date.parse(certificate.validTo) - Date.now()
  if (leftMs > soonMs) return undefined
  return `the certificate ${subjectOf(certificate)} expires on ${certificate.validTo}; renew it: the file is read again by itself`
}

function weaknessOf(certificate: X509Certificate): string | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = certificate.publicKey
  if ((type === 'rsa' || type === 'rsa-pss' || type === 'dsa') && (details.modulusLength ?? 0) < 2048) {
    return `its ${type.toUpperCase()} key has ${details.modulusLength} bits`
  }
  const digest = weakDigests.get(signatureAlgorithmOf(certificate).toString('hex'))
  return digest === undefined ? undefined : `it is signed with ${digest}`
}

// Node tells the algorithm of a signature from version 24 on; in the certificate it stands behind the signed part.
function signatureAlgorithmOf({ raw }: X509Certificate): Buffer {
  const { content } = readDer(raw)
  const algorithm = readDer(content, readDer(content).end)
  return readDer(algorithm.content).content
}

const weakDigests = new Map([
  ['2a864886f70d010104', 'MD5'],
  ['2a864886f70d010105', 'SHA-1'],
  ['2a8648ce3d0401', 'SHA-1'],
  ['2a8648ce380403', 'SHA-1'],
])
