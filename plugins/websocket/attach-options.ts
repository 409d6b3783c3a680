import type { OptionsSchema } from '../../core/options/options.ts'
import { websocketManifest } from './manifest.ts'

const listener = websocketManifest.options

/** How a broker is attached to somebody else's HTTP server; what both have is as at a listener of its own. No section of a config. */
export const attachOptions = {
  /** The path at which clients ask for MQTT, or several. The server keeps all others. */
  path: { ...listener.path, default: '/mqtt' },
  /** Lets in clients on whom no authentication plugin has an opinion, for this server alone. Default: as the root's `allowAnonymous` says. */
  allowAnonymous: { type: 'boolean', default: null },
  /** Connections that are MQTT at once, at most. Default: no limit. */
  maxConnections: { type: 'integer', default: null, minimum: 1 },
  /** Pages that may connect, by their origin: `https://example.com`, or several; `*`: all. Default: every page where clients have to give a password or the like, else those of this machine. */
  origins: listener.origins,
  /** The largest message of WebSocket that a client may send, in bytes. Default: 64 KiB more than `mqtt.maximumPacketSize`. */
  maxPayload: { type: 'bytes', default: null, minimum: 128, maximum: 268_435_460 },
  /** Compresses messages above 1 KiB for clients that ask for it (permessage-deflate), at much CPU and some 100 KiB of memory for each of them. Default: false. */
  compression: { type: 'boolean', default: false },
  /** Proxies in front of the server: addresses and networks (`10.0.0.0/8`), `unix` for whoever comes by a Unix socket. A request for MQTT from one of them must say the client's address by `X-Forwarded-For`, of which the last that is not a proxy's counts; such a request from anybody else is refused where it has that header. Default: none, and the header counts for nothing. */
  trustedProxies: listener.trustedProxies,
  /** Reads all connections into one buffer, where a trial shows that this Node can. Default: true; `false` reads by the documented way. */
  sharedRead: { type: 'boolean', default: true },
} as const satisfies OptionsSchema
