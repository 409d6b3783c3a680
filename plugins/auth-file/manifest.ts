import { defineManifest } from '../kit/define-manifest.ts'

/** User names and passwords from a file, which `npx mqttx-broker passwd FILE USER` writes, or `mosquitto_passwd`. Clients without a user name are left to others. */
export const authFileManifest = defineManifest({
  name: 'authFile',
  options: {
    /** The file, relative to the config's folder: a line `USER:HASH` for each user, passwords hashed by scrypt or as `mosquitto_passwd` does (`$6$`, `$7$`). `null`: there is one at `listeners` only. */
    path: { type: 'string', default: null, minLength: 1, secretFile: true },
    /** Another file for the clients of single listeners, by the listener's name, in place of `path`: `{ office: 'office-users' }`. */
    listeners: { type: 'object', values: { type: 'string', minLength: 1, secretFile: true }, default: {} },
    /** What a line that is none leads to: the file is refused, or that line is passed over with a line in the log, as mosquitto does. */
    badLines: { type: 'string', enum: ['refuse', 'skip'], default: 'refuse' },
    /** What happens to a user name that the file does not hold: it is refused, or left to the authentication plugins that come after. */
    unknownUsers: { type: 'string', enum: ['refuse', 'pass'], default: 'refuse' },
    /** What a client is told whose password is wrong, or whose name is unknown: `badUserNameOrPassword` (0x86; 4 before MQTT 5) or `notAuthorized` (0x87; 5). */
    refuseAs: { type: 'string', enum: ['badUserNameOrPassword', 'notAuthorized'], default: 'badUserNameOrPassword' },
    /** How often the file is looked at, and taken up where it has changed and two looks have seen the same. Connected clients whose user is gone, or whose password has changed, are closed (MQTT 5: 0x87). `null`: never. */
    checkFileEvery: { type: 'duration', default: '2s', minimum: '100ms', nullable: true },
    /** Closes connected clients, too, whose password alone has changed. Their sessions and wills stay. */
    closeChanged: { type: 'boolean', default: true },
    /** Passwords that are checked side by side. Each takes some 0.25 s of one processor and 16 MiB where it is hashed by scrypt, but only the first time that it is right. */
    concurrent: { type: 'integer', default: 2, minimum: 1, maximum: 64 },
    /** Clients that may wait for their password to be checked; more are told that the server is busy. */
    waiting: { type: 'integer', default: 1000, minimum: 0, maximum: 100_000 },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** The password file has a line that is none, or a user twice. */
    ERR_PASSWORD_FILE: true
  }
}
