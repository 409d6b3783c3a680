import { defineManifest } from '../kit/define-manifest.ts'
import { handshakeCounter } from '../kit/listening/handshake-counter.ts'
import { listenerNeeds, sslOptions } from '../kit/listening/tls-options.ts'

export const socketManifest = defineManifest({
  name: 'socket',
  counters: handshakeCounter,
  listener: true,
  needs: listenerNeeds,
  options: {
    /** The TCP port. 0 picks a free one. */
    port: { type: 'integer', default: 1883, minimum: 0, maximum: 65535 },
    /** The address to bind to, in place of the root's `host`. */
    host: { type: 'string', default: null, minLength: 1 },
    /** TLS at this listener: `true` by the section `ssl`, `false` not at all, or an object with options as in `ssl`, for this one alone. Where nothing is said there is TLS if there is `ssl`. */
    tls: { oneOf: [{ type: 'boolean' }, { type: 'object', properties: sslOptions }], default: null },
    /** Connections that this listener has at once, at most. `null` sets no limit. */
    maxConnections: { type: 'integer', default: null, minimum: 1 },
    /** The root's `allowAnonymous`, for this listener alone. */
    allowAnonymous: { type: 'boolean', default: null },
    /** Reads all connections into one buffer, with TLS too, where a trial at the start shows that this Node can: less CPU for each packet. `false` reads by the documented way. */
    sharedRead: { type: 'boolean', default: true },
  },
})
