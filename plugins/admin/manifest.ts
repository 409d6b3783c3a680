import { defineManifest } from '../kit/define-manifest.ts'

/** A socket by which the broker's own user asks and steers it: `npx mqttx-broker status`, and all other verbs of the command line. */
export const adminManifest = defineManifest({
  name: 'admin',
  options: {
    /** The Unix socket: `true` puts `admin-PID.sock` beside the data, into the folder that systemd gives as `RUNTIME_DIRECTORY`, or into `data` of the config's folder; a path puts it there; `false` opens none. Only the broker's own user can open it, and needs no password. */
    socket: { oneOf: [{ type: 'boolean' }, { type: 'string', minLength: 1 }], default: true },
    /** A socket that cannot be made is a warning, not the end of the start. Presets say so; where `socket` is a path it is an error all the same. */
    optional: { type: 'boolean', default: false },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** The admin socket cannot be made. */
    ERR_ADMIN_SOCKET: true
  }
}
