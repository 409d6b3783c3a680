import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import type { KeyWish, VerificationKey } from './keys.ts'

/** What a token has to fulfil. */
export interface TokenTerms {
  readonly algorithms: readonly string[]
  readonly issuer: readonly string[] | null
  readonly audience: readonly string[] | null
  readonly leewayMs: number
}

/** A token that is good, and what it says; or why it is not. `away`: whether it is cannot be told just now. */
export type Verified = { readonly payload: JWTPayload & { exp: number } } | { readonly refused: string } | 'away'

// Claims of a client are some hundred bytes, rights some kilobytes.
const tokenMax = 16 * 1024

/** Checks a token. `now`: what the wall clock says, milliseconds since the Unix epoch. What is refused is said without a word of the token. */
export async function verifyToken(
  token: string,
  find: (wish: KeyWish) => readonly VerificationKey[] | null | Promise<readonly VerificationKey[] | null>,
  { algorithms, issuer, audience, leewayMs }: TokenTerms,
  now: number,
): Promise<Verified> {
  if (token.length > tokenMax) return { refused: `the token is longer than ${tokenMax / 1024} KiB` }
  const said = wishOf(token)
  if (said === null) return { refused: 'this is no signed JSON Web Token' }
  // Before any key is looked for: what the token says of itself chooses neither another kind of key nor where it is from (`jku`, `jwk`, `x5u` do not count).
  if (!algorithms.includes(said.algorithm)) return { refused: 'the algorithm of the token is none of those that count here' }
  const options: JWTVerifyOptions = {
    algorithms: [...algorithms],
    clockTolerance: leewayMs / 1000,
    currentDate: new Date(now),
    requiredClaims: ['exp'],
    ...(issuer === null ? {} : { issuer: [...issuer] }),
    ...(audience === null ? {} : { audience: [...audience] }),
  }
  let wish = said
  for (;;) {
    const keys = await find(wish)
    if (keys === null) return 'away'
    if (keys.length === 0) return { refused: wish.tried.length === 0 ? 'the token is signed with a key that is not known' : wrongSignature }
    for (const { key } of keys) {
      try {
        return { payload: (await jwtVerify(token, key, options)).payload as JWTPayload & { exp: number } }
      } catch (error) {
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) return { refused: reasonOf(error) }
      }
    }
    // Keys without a name may all be meant, and one that was published meanwhile, too.
    if (wish.tried.length > 0 || keys.some(({ id }) => id !== undefined && id === wish.id)) return { refused: wrongSignature }
    wish = { ...wish, tried: keys }
  }
}

const wrongSignature = 'the signature of the token is wrong'

function wishOf(token: string): KeyWish | null {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    if (typeof alg !== 'string') return null
    return { algorithm: alg, id: typeof kid === 'string' ? kid : undefined, tried: [] }
  } catch {
    return null
  }
}

// jose's own words name a claim, and quote nothing of what is in it.
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error
    if (claim === 'nbf' && reason === 'check_failed') return 'the token is not valid yet'
    return reason === 'missing' ? `the token has no claim ${claim}` : `the claim ${claim} of the token is not what is expected`
  }
  return 'this is no signed JSON Web Token'
}
