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
    /** What the listener is called by options that hold for some listeners only, and in the log. */
    name: { type: 'string', default: 'socket', minLength: 1 },
    /** The address to bind to, in place of the root's `host`; `localhost`: both 127.0.0.1 and ::1. */
    host: { type: 'string', default: null, minLength: 1 },
    /** A Unix socket to listen at in place of `host` and `port`, relative to the config's folder, or a named pipe of Windows (`\\\\.\\pipe\\mqttx`). One that a dead process has left is replaced. There is no TLS at it. */
    socketPath: { type: 'string', default: null, minLength: 1 },
    /** Who may open that socket, in octal digits as `chmod` takes them: `600` its owner alone, `660` its group too, `666` everybody on this machine. */
    socketMode: { type: 'string', pattern: '^0?[0-7]{3}$', default: '600' },
    /** Proxies in front of this listener, which begin each connection with a header of the PROXY protocol (version 1 or 2): addresses and networks (`10.0.0.0/8`), `unix` for whoever comes by `socketPath`. Clients have the address, and the certificate's name, that it says. One of them that sends no header is refused, as is a header from anybody else. */
    trustedProxies: { type: 'list', items: { type: 'string', minLength: 1 }, default: [] },
    /** The names that are agreed on by ALPN, where TLS is spoken. A client that offers none is served, one that offers only others is refused. `[]` agrees on nothing. */
    alpn: { type: 'list', items: { type: 'string', minLength: 1, maxLength: 255 }, default: ['mqtt'] },
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
