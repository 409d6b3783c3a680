import { defineManifest } from '../kit/define-manifest.ts'
import { type ListenerTlsOption, listenerNeeds, sslOptions } from '../kit/listening/tls-options.ts'

/** A socket by which the broker's own user asks and steers it: `npx mqttx-broker status`, and all other verbs of the command line. */
export const adminManifest = defineManifest({
  name: 'admin',
  needs: (options: { readonly http?: { readonly tls?: ListenerTlsOption } }) => listenerNeeds(options.http ?? {}),
  options: {
    /** The Unix socket: `true` puts `admin-PID.sock` beside the data, into the folder that systemd gives as `RUNTIME_DIRECTORY`, or into `data` of the config's folder; a path puts it there; `false` opens none. Only the broker's own user can open it, and needs no password. */
    socket: { oneOf: [{ type: 'boolean' }, { type: 'string', minLength: 1 }], default: true },
    /** A socket that cannot be made is a warning, not the end of the start. Presets say so; where `socket` is a path it is an error all the same. */
    optional: { type: 'boolean', default: false },
    /** How often it is looked whether something is wrong: a full store, a clock that was set, drops… */
    alarmsEvery: { type: 'duration', default: '5s', minimum: '1s' },
    /** Lets `tail` and `trace` show payloads, to whoever has the role admin. */
    payloads: { type: 'boolean', default: false },
    /** How many of the last messages of clients are remembered for `recent`, without payloads: some 40 bytes each and their topic names. To note one takes 20 ns. `null`: none. */
    recent: { type: 'integer', default: null, minimum: 100, maximum: 10_000_000 },
    /** A page in the browser, at the root of `http`, whose port is then 9465 where none is said. Whoever opens it shows a token of `http.tokens`, or comes by an address of `npx mqttx-broker page`. */
    page: { type: 'boolean', default: false },
    /** The same verbs over HTTP, for whoever has a token: off unless `port` or `page` is set. */
    http: {
      type: 'object',
      properties: {
        /** The port; 0 picks a free one. `null`: no HTTP, or 9465 with `page`. */
        port: { type: 'integer', minimum: 0, maximum: 65_535, default: null },
        /** The address to bind to. Any other than one of loopback needs TLS. */
        host: { type: 'string', minLength: 1, default: '127.0.0.1' },
        /** The file of the tokens, relative to the config's folder, which `npx mqttx-broker token FILE NAME --role read|operate|admin` writes. There is no other user; with `page` there is another way in, by an address that `npx mqttx-broker page` prints. */
        tokens: { type: 'string', minLength: 1, default: null, secretFile: true },
        /** Names and addresses that may stand in a request's `Host`, beside those of loopback. `null`: those of loopback only where `host` is one, any elsewhere. */
        hosts: { type: 'list', items: { type: 'string', minLength: 1 }, default: null },
        /** Pages that may ask, by their origin: `https://ops.example.com`. Programs name none; a page of another origin is refused, whatever token it has. */
        origins: { type: 'list', items: { type: 'string', minLength: 1 }, default: [] },
        /** TLS: `true` by the section `ssl`, `false` not at all, or an object with options as in `ssl`. Where nothing is said there is TLS if there is `ssl`. */
        tls: { oneOf: [{ type: 'boolean' }, { type: 'object', properties: sslOptions }], default: null },
        /** How often the file of the tokens is looked at, and taken up where it has changed. `null`: never. */
        checkFileEvery: { type: 'duration', default: '2s', minimum: '100ms', nullable: true },
      },
    },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** The admin socket cannot be made. */
    ERR_ADMIN_SOCKET: true
    /** Somebody without a token, or who listens on the network, could steer the broker. */
    ERR_ADMIN_OPEN: true
    /** The page is off, or was not built. */
    ERR_ADMIN_PAGE: true
    /** The file of the tokens has a line that is none, or a name twice. */
    ERR_TOKEN_FILE: true
  }
}
