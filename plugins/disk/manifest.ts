import { defineManifest } from '../kit/define-manifest.ts'

export const diskManifest = defineManifest({
  name: 'disk',
  provides: ['sessions', 'retained', 'state', 'stateFolder'],
  options: {
    /** The folder that holds sessions, queues and retained messages, relative to systemd's `$STATE_DIRECTORY` where there is one, else to the config's folder; made where there is none. Only its owner can read what is in it. One broker at a time. */
    path: { type: 'string', minLength: 1, default: './data' },
    /** What may wait for a disk that is slow or takes no writes. Beyond it a write is refused: its client is disconnected and sends again. */
    pendingBytesMax: { type: 'bytes', minimum: '1MiB', default: '256MiB' },
    /** Free space below which no new message is taken (MQTT 5 publishers are told 0x97), so that acknowledgements still can be kept. A disk smaller than 20 times this reserves a twentieth of itself. */
    reserve: { type: 'bytes', default: '16MiB' },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** Another broker uses the folder. */
    ERR_DISK_IN_USE: true
    /** The folder cannot be made, read or written. */
    ERR_DISK_UNUSABLE: true
    /** The folder holds something else. */
    ERR_DISK_FOREIGN: true
    /** A newer version of the broker wrote the folder, or something in it. */
    ERR_DISK_NEWER: true
    /** The folder was removed or replaced under the running broker. */
    ERR_DISK_GONE: true
    /** What lies in the folder is another number of workers'. */
    ERR_DISK_WORKERS: true
    /** The database in the folder is damaged beyond its last commit. */
    ERR_DISK_DAMAGED: true
    /** A backup cannot be made or restored, or a folder cannot be compacted. */
    ERR_DISK_COPY: true
  }
}
