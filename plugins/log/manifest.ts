import { defineManifest } from '../kit/define-manifest.ts'

export const logManifest = defineManifest({
  name: 'log',
  provides: ['log'],
  options: {
    /** The least that is logged. At `trace` every packet is. */
    level: { type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'], default: 'info', live: true },
    /** `pretty` for people, `json` for machines. */
    format: { type: 'string', enum: ['pretty', 'json'], default: 'pretty' },
  },
})
