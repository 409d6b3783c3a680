import { defineManifest } from '../kit/define-manifest.ts'

/** JSON Web Tokens in place of passwords: who a client is and what it may do, for as long as its token is good. */
export const authJwtManifest = defineManifest({
  name: 'authJwt',
  grantsRights: true,
  options: {
    /** Where the issuer publishes its keys (JWKS): `https://login.example.com/.well-known/jwks.json`. One of `jwks`, `keyFile`, `secretFile` and `secret` has to be there, and no other beside it. */
    jwks: { type: 'string', default: null, pattern: '^https?://' },
    /** A file with the issuer's public keys, relative to the config's folder: PEM (keys or certificates, several too), or a JWK or JWKS in JSON. */
    keyFile: { type: 'string', default: null, minLength: 1 },
    /** A file with a secret that the issuer signs with (HS256, HS384, HS512), relative to the config's folder; a line break at its end does not count. */
    secretFile: { type: 'string', default: null, minLength: 1, secretFile: true },
    /** The same secret in the config itself. */
    secret: { type: 'string', default: null, minLength: 1, secret: true },
    /** How `secretFile` and `secret` are written: as `text`, or its bytes in `base64` (base64url too) or `hex`. */
    encoding: { type: 'string', enum: ['text', 'base64', 'hex'], default: 'text' },
    /** The algorithms that count, of those that go with the kind of key. Empty: all of these; with a secret HS256 alone. */
    algorithms: {
      type: 'list',
      items: {
        type: 'string',
        enum: [
          ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
          ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'HS256', 'HS384', 'HS512'] as const),
        ],
      },
      default: [],
    },
    /** Who must have issued the token (`iss`); of a list, one of them. `null`: anybody who has the key. */
    issuer: {
      oneOf: [
        { type: 'string', minLength: 1 },
        { type: 'list', minItems: 1, items: { type: 'string', minLength: 1 } },
      ],
      default: null,
    },
    /** Whom the token must be meant for (`aud`); of a list, one of them. `null` takes tokens that were issued for anything else, too. */
    audience: {
      oneOf: [
        { type: 'string', minLength: 1 },
        { type: 'list', minItems: 1, items: { type: 'string', minLength: 1 } },
      ],
      default: null,
    },
    /** By how much the issuer's clock may differ from this machine's: so long before `nbf` and after `exp` a token still is good. */
    leeway: { type: 'duration', default: '30s', maximum: '5m' },
    /** The user name: text with claims in braces, `{sub}`, `{org}-{sub}`, `{realm.name}` for a claim within another. A token without one of them is refused. */
    username: { type: 'string', default: '{sub}', minLength: 1 },
    /** What a client may publish to: topic filters with claims in braces, each of which fills one level or a part of it (`devices/{sub}/#`); `{acl.pub[]}` alone stands for all filters of that list. `null`: the token says nothing about it. */
    publish: { type: 'list', items: { type: 'string', minLength: 1 }, default: null },
    /** The same for what a client may subscribe to. */
    subscribe: { type: 'list', items: { type: 'string', minLength: 1 }, default: null },
    /** Where the token is, in the order in which it is looked for: CONNECT's password or user name; a header, cookie or query parameter of a WebSocket's request. */
    from: {
      type: 'list',
      minItems: 1,
      items: { type: 'string', enum: ['password', 'username', 'header', 'cookie', 'query'] },
      default: ['password'],
    },
    /** The header; `Bearer` before the token does not count. */
    header: { type: 'string', default: 'authorization', minLength: 1 },
    /** The cookie's name. */
    cookie: { type: 'string', default: 'token', minLength: 1 },
    /** The query parameter's name. Proxies and browsers keep queries: use it where there is no other way, with tokens that do not live long. */
    query: { type: 'string', default: 'token', minLength: 1 },
    /** Pages whose cookie counts, by their origin (`https://app.example.com`), beside those of the host that the request names: a browser sends the cookie for whatever page asks. */
    cookieOrigins: { type: 'list', items: { type: 'string', minLength: 1 }, default: [] },
    /** What happens to a client whose password is there and no token at all: it is refused, or left to the authentication plugins that come after. A client without any is always left to them. */
    notTokens: { type: 'string', enum: ['refuse', 'pass'], default: 'refuse' },
    /** The Authentication Method by which MQTT 5 clients bring a token in CONNECT's Authentication Data and the next one by AUTH, before the first has expired. `null`: there is none. */
    method: { type: 'string', default: 'jwt', nullable: true, minLength: 1 },
    /** How often the keys of `jwks` are read again; keys that are not there any more do not count from then on. */
    refreshEvery: { type: 'duration', default: '10m', minimum: '10s', maximum: '1d' },
    /** A key that is not known is looked for at `jwks` at once, but not more often than this. */
    missEvery: { type: 'duration', default: '30s', minimum: '1s', maximum: '1h' },
    /** How long known keys go on, after the last time that they could be read, while `jwks` cannot be reached; then clients are told that the server is unavailable. At least `refreshEvery`. */
    staleFor: { type: 'duration', default: '1d', maximum: '30d' },
    /** How long an answer from `jwks` may take. Shorter than `mqtt.verdictTimeout`. */
    timeout: { type: 'duration', default: '3s', minimum: 1 },
    /** The CAs that the certificate of `jwks` is judged by, in PEM, relative to the config's folder. Those that Node believes where nothing is said. */
    ca: { type: 'string', default: null, minLength: 1 },
    /** How often `keyFile` or `secretFile` is looked at, and taken up where it has changed and two looks have seen the same. `null`: never. */
    checkFileEvery: { type: 'duration', default: '2s', minimum: '100ms', nullable: true },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** The file of `authJwt.keyFile` or `secretFile` holds no key that can be used, a private one, or a secret that is too short. */
    ERR_JWT_KEYS: true
    /** The keys of `authJwt.jwks` cannot be read. */
    ERR_JWKS: true
  }
}
