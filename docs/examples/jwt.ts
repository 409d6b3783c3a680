// Clients sign in with a JSON Web Token as their password, checked by the built-in plugin `authJwt` against the keys that an identity provider publishes: its usage,
// and a tap of one's own behind it, for what a token alone cannot say: a user whose token is still good, and who is not to come in any more.
import { type Config, definePlugin, ReasonCode } from 'mqttx-broker'

/** The claim `sub` becomes the user name, `mqtt: { pub: […], sub: […] }` the rights; an MQTT 5 client brings its next token by AUTH with the method `jwt`. */
export function tokensOf(issuer: string, jwks = `${issuer}/.well-known/jwks.json`): Config {
  return {
    authJwt: {
      jwks,
      issuer,
      audience: 'broker',
      algorithms: ['ES256', 'RS256', 'EdDSA'],
      publish: ['{mqtt.pub[]}'],
      subscribe: ['{mqtt.sub[]}'],
    },
  }
}

/** Keeps out users whom their tokens would still let in: `plugins: [dismissed({ users: ['mallory'] })]`. Whoever is removed from the list may come again. */
export const dismissed = definePlugin({
  name: 'dismissed',
  options: {
    /** The user names, as `authJwt` makes them. */
    users: { type: 'list', items: { type: 'string' }, default: [], live: true },
  },
  apply({ hooks, revoke }, { users }) {
    let names = new Set(users)
    // The client is admitted by its token, and its name is the one that the token says.
    hooks.onConnect.tap('dismissed', ({ username }) =>
      username !== null && names.has(username)
        ? { reasonCode: ReasonCode.Banned, reasonString: 'this user has been dismissed' }
        : undefined,
    )
    return {
      reload(options: { readonly users: readonly string[] }) {
        names = new Set(options.users)
        for (const username of names) revoke({ username })
      },
    }
  },
})
