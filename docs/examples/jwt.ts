// Clients sign in with a JSON Web Token as their password, checked by `jose` against the keys that an identity provider publishes.
// The claim `sub` becomes the user name, `mqtt: { pub: […], sub: […] }` the rights, and the admission ends when the token does; an MQTT 5
// client sends its next token before that, by AUTH with the method `jwt`. npm install jose
import { createRemoteJWKSet, type errors, type JWTPayload, jwtVerify } from 'jose'
import { type Admission, type ConnectRefusal, definePlugin, ReasonCode } from 'mqttx-broker'

/** What is wrong with the token; any other error is trouble on the way to the keys, which the client is not to blame for. */
const verdicts = new Set([
  'ERR_JOSE_ALG_NOT_ALLOWED',
  'ERR_JOSE_NOT_SUPPORTED',
  'ERR_JWKS_NO_MATCHING_KEY',
  'ERR_JWS_INVALID',
  'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
  'ERR_JWT_CLAIM_VALIDATION_FAILED',
  'ERR_JWT_EXPIRED',
  'ERR_JWT_INVALID',
])

/** Authenticates by JSON Web Tokens. */
export const jwt = definePlugin({
  name: 'jwt',
  grantsRights: true,
  options: {
    /** Where the keys are published: `https://login.example/.well-known/jwks.json`. */
    jwks: { type: 'string', required: true, pattern: '^https?://' },
    /** Who must have issued the token: its claim `iss`. */
    issuer: { type: 'string', required: true },
    /** Whom the token must be meant for: its claim `aud`. */
    audience: { type: 'string', required: true },
    /** The signatures that count. Signatures by a shared secret are no good here: the keys are public. */
    algorithms: { type: 'list', items: { type: 'string' }, default: ['ES256', 'RS256', 'EdDSA'] },
  },
  apply({ hooks, log, clock }, { jwks, issuer, audience, algorithms }) {
    const keys = createRemoteJWKSet(new URL(jwks), { timeoutDuration: 3000 })

    async function admit(token: string): Promise<Admission | ConnectRefusal> {
      const now = clock.moment().wall
      try {
        const terms = { issuer, audience, algorithms: [...algorithms], currentDate: new Date(now), requiredClaims: ['sub', 'exp'] }
        const { payload } = await jwtVerify(token, keys, terms)
        // The broker's clock runs beside the machine's: what is left of the token's time is the same on both.
        return { username: payload.sub!, rights: rightsIn(payload), expiresAt: clock.now() + payload.exp! * 1000 - now }
      } catch (error) {
        const { code, message } = error as errors.JOSEError
        if (verdicts.has(code)) return { reasonCode: ReasonCode.BadUserNameOrPassword, reasonString: message }
        log.error(`jwt: the keys at ${jwks} cannot be read (${message}); correct jwt.jwks, or start what serves them`)
        return { reasonCode: ReasonCode.ServerUnavailable, blameless: true }
      }
    }

    // A client without a password may be somebody else's to authenticate.
    hooks.onAuthenticate.tapPromise('jwt', async (_client, { password }) => (password === undefined ? undefined : admit(String(password))))

    // CONNECT with the Authentication Method `jwt`, and the AUTH by which a client brings its next token.
    hooks.onAuth.tapPromise('jwt', async (client, { properties }) => {
      if (properties?.authenticationMethod !== 'jwt') return undefined
      const admission = await admit(String(properties.authenticationData ?? ''))
      if (typeof admission !== 'object' || 'reasonCode' in admission) return admission
      // Another user's token would hand over the session, and all that waits in it.
      if (client.state === 'connected' && admission.username !== client.username) return ReasonCode.NotAuthorized
      return { admission }
    })
  },
})

/** The topic filters that the token grants. Without the claim it grants none, and the plugin `topicSecurity` lets nothing pass. */
function rightsIn({ mqtt }: JWTPayload): { authorizedPub: string[]; authorizedSub: string[] } {
  const { pub, sub } = (mqtt ?? {}) as { pub?: unknown; sub?: unknown }
  const filters = (list: unknown): string[] => (Array.isArray(list) ? list.filter(one => typeof one === 'string') : [])
  return { authorizedPub: filters(pub), authorizedSub: filters(sub) }
}
