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
    /** What the listener is called by options that hold for some listeners only, and in the log. */
    name: { type: 'string', default: 'websocket', minLength: 1 },
    /** The address to bind to, in place of the root's `host`; `localhost`: both 127.0.0.1 and ::1. */
    host: { type: 'string', default: null, minLength: 1 },
    /** A Unix socket to listen at in place of `host` and `port`, relative to the config's folder, or a named pipe of Windows (`\\\\.\\pipe\\mqttx`). One that a dead process has left is replaced. There is no TLS at it. */
    socketPath: { type: 'string', default: null, minLength: 1 },
    /** Who may open that socket, in octal digits as `chmod` takes them: `600` its owner alone, `660` its group too, `666` everybody on this machine. */
    socketMode: { type: 'string', pattern: '^0?[0-7]{3}$', default: '600' },
    /** Proxies in front of this listener: addresses and networks (`10.0.0.0/8`), `unix` for whoever comes by `socketPath`. A request for a WebSocket from one of them must say the client's address by `X-Forwarded-For`, of which the last that is not a proxy's counts; such a request from anybody else is refused where it has that header. */
    trustedProxies: { type: 'list', items: { type: 'string', minLength: 1 }, default: [] },
    /** These proxies begin each connection with a header of the PROXY protocol (version 1 or 2) instead. */
    proxyProtocol: { type: 'boolean', default: false },
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
