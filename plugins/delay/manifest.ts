import { defineManifest } from '../kit/define-manifest.ts'

/** Holds messages to `$delayed/SECONDS/TOPIC` back for so long, then publishes them to `TOPIC`. With `diskQueue` they outlive the broker. */
export const delayManifest = defineManifest({
  name: 'delay',
  options: {
    /** The longest delay; a message that asks for more is refused. */
    max: { type: 'duration', default: '7d', minimum: '1s', live: true },
    /** Messages that are held back at once; one more is refused (0x97). */
    messagesMax: { type: 'integer', default: 100_000, minimum: 1, live: true },
    /** Bytes that are held back at once, in memory, and on disk where `diskQueue` is on. */
    bytesMax: { type: 'bytes', default: '64MiB', minimum: 1024 },
  },
})
