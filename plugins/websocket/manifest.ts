import { defineManifest } from '../kit/define-manifest.ts'
import { handshakeCounter } from '../kit/listening/handshake-counter.ts'
import { listenerNeeds, sslOptions } from '../kit/listening/tls-options.ts'

declare module '../../core/counter-names.js' {
  interface LimitCounts {
    /** Connections that made room, or found none: `websocket.httpConnectionsMax`. */
    httpConnections: number
  }
  interface PluginCounts {
    /** Requests for a WebSocket that were refused. */
    upgradesRefused: number
  }
}

const origin = '^(\\*|[a-z][a-z0-9+.-]*://[^/\\s]+)$'
const path = '^/[^?#\\s]*$'

export const websocketManifest = defineManifest({
  name: 'websocket',
  counters: {
    ...handshakeCounter,
    upgradesRefused: {
      figure: 'websocket_upgrades_refused_total',
      help: 'Requests for a WebSocket that were refused: path, sub-protocol, origin, version.',
    },
  },
  limits: ['openFiles', 'httpConnections'],
  provides: ['http'],
  listener: true,
  needs: listenerNeeds,
  options: {
    /** The port. 0 picks a free one. */
    port: { type: 'integer', default: 8083, minimum: 0, maximum: 65535 },
    /** The path at which clients ask for MQTT, or several; a plain request is answered there by whoever serves the path all the same. `/` is what a client asks for whose address has no path. */
    path: {
      oneOf: [
        { type: 'string', pattern: path },
        { type: 'list', minItems: 1, items: { type: 'string', pattern: path } },
      ],
      default: ['/mqtt', '/'],
    },
    /** The address to bind to, in place of the root's `host`. */
    host: { type: 'string', default: null, minLength: 1 },
    /** TLS (`wss`) at this listener: `true` by the section `ssl`, `false` not at all, or an object with options as in `ssl`, for this one alone. Where nothing is said there is TLS if there is `ssl`. */
    tls: { oneOf: [{ type: 'boolean' }, { type: 'object', properties: sslOptions }], default: null },
    /** Connections that this listener has at once, at most. `null` sets no limit. */
    maxConnections: { type: 'integer', default: null, minimum: 1 },
    /** Connections that are no WebSocket, or none yet: beyond it the oldest makes room, where it has been there for two seconds, else the new one is closed. */
    httpConnectionsMax: { type: 'integer', default: 1000, minimum: 1 },
    /** The root's `allowAnonymous`, for this listener alone. */
    allowAnonymous: { type: 'boolean', default: null },
    /** Pages that may connect, by their origin: `https://example.com`, or several; `*`: all. Clients that are no browser name none and always may. Not set: every page where clients have to give a password or the like, else (also where a client certificate is shown, as a browser does that for any page) those of `localhost`, `127.0.0.1` and `[::1]` at any port. */
    origins: {
      oneOf: [
        { type: 'string', pattern: origin },
        { type: 'list', items: { type: 'string', pattern: origin } },
      ],
      default: null,
    },
    /** The largest message of WebSocket that a client may send; it may carry several packets, or a part of one. `null`: 64 KiB more than `mqtt.maximumPacketSize`. */
    maxPayload: { type: 'bytes', default: null, minimum: 128, maximum: 268_435_460 },
    /** Compresses messages above 1 KiB for clients that ask for it (permessage-deflate). Costs much CPU, and some 100 KiB of memory for each of them. */
    compression: { type: 'boolean', default: false },
    /** Reads all connections into one buffer, with TLS too, where a trial at the start shows that this Node can and nothing is compressed: less CPU for each packet. `false` reads by the documented way. */
    sharedRead: { type: 'boolean', default: true },
  },
})
