import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { isRecord } from '../kit/options/plain-data.ts'

/** A key that signatures are checked with. */
export interface VerificationKey {
  readonly key: KeyObject
  /** The name that the issuer gives it; `undefined`: none, so it may be meant by any. */
  readonly id: string | undefined
  /** The algorithms that go with it. A public key never goes with one of those for secrets. */
  readonly algorithms: readonly string[]
}

/** What a token says of the key that it was signed with. */
export interface KeyWish {
  readonly algorithm: string
  readonly id: string | undefined
  /** Keys that it was not signed with. */
  readonly tried: readonly VerificationKey[]
}

/** Algorithms with a public key, and those with a secret. */
export const publicAlgorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]
export const secretAlgorithms = ['HS256', 'HS384', 'HS512']

const rsaBitsMin = 2048
/** Issuers have two or three. */
const keysMax = 100
// Of one name there is one key; without names each has to be tried.
const triedMax = 8

/** The keys that a token may have been signed with, but for those that were tried. */
export function candidates(keys: readonly VerificationKey[], { algorithm, id, tried }: KeyWish): readonly VerificationKey[] {
  const fitting = keys.filter(
    key => key.algorithms.includes(algorithm) && (id === undefined || key.id === undefined || key.id === id) && !tried.includes(key),
  )
  // The one of that name first.
  return fitting.sort((a, b) => Number(b.id === id) - Number(a.id === id)).slice(0, triedMax)
}

/** The keys of a JWKS, or of a single JWK. Throws an error that says what is wrong; `unusable` counts those that are for something else, or too weak. */
export function keysOfJson(text: string): { keys: VerificationKey[]; unusable: number } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // What JSON.parse quotes may be anybody's.
    throw new Error('it is no JSON')
  }
  const list = isRecord(value) && 'kty' in value ? [value] : isRecord(value) ? value.keys : undefined
  if (!Array.isArray(list)) throw new Error('it is no key set (JWKS): { "keys": [ … ] } is expected')
  if (list.length > keysMax) throw new Error(`it has ${list.length} keys, and ${keysMax} are read at most`)
  const keys = list.flatMap(jwk => keyOfJwk(jwk) ?? [])
  return { keys, unusable: list.length - keys.length }
}

function keyOfJwk(jwk: unknown): VerificationKey | null {
  // A secret that is published is none.
  if (!isRecord(jwk) || jwk.kty === 'oct') return null
  if (jwk.use !== undefined && jwk.use !== 'sig') return null
  if (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes('verify')) return null
  const { kty, crv, x, y, n, e } = jwk
  try {
    // The public part alone, whatever else the issuer has let out.
    const part = Object.fromEntries(Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined))
    const key = createPublicKey({ key: part as JsonWebKey, format: 'jwk' })
    const algorithms = algorithmsOf(key).filter(algorithm => jwk.alg === undefined || jwk.alg === algorithm)
    return algorithms.length === 0 ? null : { key, id: typeof jwk.kid === 'string' ? jwk.kid : undefined, algorithms }
  } catch {
    return null
  }
}

const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g

/** The keys of a file: PEM, JWK or JWKS. Throws an error that says what is wrong. */
export function keysOfFile(text: string): VerificationKey[] {
  if (text.trimStart().startsWith('{')) {
    if (/"d"\s*:/.test(text)) throw new Error('it holds a private key: give the broker the public one alone')
    const { keys, unusable } = keysOfJson(text)
    if (unusable > 0 || keys.length === 0)
      throw new Error(
        `${keys.length === 0 ? 'none' : 'not each'} of its keys can be used: RSA of 2048 bits or more, EC P-256, P-384 or P-521, Ed25519, for signatures`,
      )
    return keys
  }
  const blocks = [...text.matchAll(pemBlock)]
  if (blocks.length === 0) throw new Error('there is no key in it: PEM, or a JWK or JWKS in JSON, is expected')
  if (blocks.length > keysMax) throw new Error(`it has ${blocks.length} keys, and ${keysMax} are read at most`)
  return blocks.map(([block, kind]) => {
    if (kind!.includes('PRIVATE')) throw new Error('it holds a private key: give the broker the public one alone (openssl pkey -pubout)')
    const key = publicKeyOf(block)
    const algorithms = algorithmsOf(key)
    if (algorithms.length === 0)
      throw new Error(
        `its key is of no kind that can be used (${key.asymmetricKeyType}): RSA of 2048 bits or more, EC P-256, P-384 or P-521, Ed25519`,
      )
    return { key, id: undefined, algorithms }
  })
}

function publicKeyOf(block: string): KeyObject {
  try {
    return createPublicKey(block)
  } catch (cause) {
    throw new Error(`a key in it cannot be read: ${(cause as Error).message}`, { cause })
  }
}

function algorithmsOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string[] {
  if (type === 'rsa') return (details?.modulusLength ?? 0) >= rsaBitsMin ? publicAlgorithms.filter(name => /^[RP]S/.test(name)) : []
  if (type === 'ed25519') return ['EdDSA', 'Ed25519']
  const curve = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }[type === 'ec' ? (details?.namedCurve ?? '') : '']
  return curve === undefined ? [] : [curve]
}

/** The key of a secret. A secret that is shorter than what its algorithms hash to can be guessed from a token (RFC 7518, 3.2). */
export function keyOfSecret(secret: Buffer, algorithms: readonly string[]): VerificationKey {
  for (const algorithm of algorithms) {
    const least = Number(algorithm.slice(2)) / 8
    if (secret.length < least)
      throw new Error(
        `the secret has ${secret.length} bytes, and ${algorithm} needs ${least}: make one by openssl rand -base64 48, and sign with it`,
      )
  }
  return { key: createSecretKey(secret), id: undefined, algorithms }
}

/** The bytes of a secret as it is written. Throws an error where it is not written so. */
export function secretBytes(text: string, encoding: 'text' | 'base64' | 'hex'): Buffer {
  if (encoding === 'text') return Buffer.from(text)
  const packed = text.replace(/\s/g, '')
  const right = encoding === 'hex' ? /^([0-9a-f]{2})*$/i : /^[\w+/-]*={0,2}$/
  if (!right.test(packed)) throw new Error(`the secret is not written in ${encoding}`)
  return Buffer.from(packed, encoding)
}
