import { defineManifest } from '../kit/define-manifest.ts'

export const retainManifest = defineManifest({
  name: 'retain',
  requires: ['retained'],
  limits: ['retained'],
  options: {
    /** Topics that may have a retained message; a message to one more is delivered and not retained (0x97). `null` sets no limit. Preset `prod` has 1,000,000. */
    messagesMax: { type: 'integer', default: null, minimum: 1, live: true },
    /** Bytes of all retained messages, in memory and on disk (`redis` does not count them); the same beyond it. `null` sets no limit. */
    bytesMax: { type: 'bytes', default: null, minimum: 1024, live: true },
    /** Retained messages sent to one new subscription before other clients get their turn. */
    pageSize: { type: 'integer', default: 100, minimum: 1, maximum: 10_000 },
  },
})

declare module '../../core/counter-names.js' {
  interface LimitCounts {
    /** `retain.messagesMax` and `retain.bytesMax`. */
    retained: number
  }
}
