import { defineManifest } from '../kit/define-manifest.ts'

export const dropLogManifest = defineManifest({
  name: 'dropLog',
  provides: ['drops'],
  options: {
    /** The time in which one client gets one line for each reason; what was dropped or refused meanwhile is counted in the next one. */
    every: { type: 'duration', default: '10s', minimum: 1000 },
    /** Lines in a second, of all clients together. One more line says what had none. */
    linesPerSecond: { type: 'integer', default: 20, minimum: 1, maximum: 1000 },
  },
})
