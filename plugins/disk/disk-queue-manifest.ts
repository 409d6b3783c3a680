import { defineManifest } from '../kit/define-manifest.ts'

/** Queues on disk for what waits outside of sessions: messages that a bridge has to send. */
export const diskQueueManifest = defineManifest({
  name: 'diskQueue',
  provides: ['queue'],
  options: {
    /** The folder that holds them, relative to systemd's `$STATE_DIRECTORY` where there is one, else to the config's folder; made where there is none, and not that of `disk`. Only its owner can read what is in it. One broker at a time. */
    path: { type: 'string', minLength: 1, default: './queue' },
    /** What may wait for a disk that is slow or takes no writes. Beyond it a write is refused. */
    pendingBytesMax: { type: 'bytes', minimum: '1MiB', default: '64MiB' },
    /** Free space below which nothing more is taken. A disk smaller than 20 times this reserves a twentieth of itself. */
    reserve: { type: 'bytes', default: '16MiB' },
  },
})
