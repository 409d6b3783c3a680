import { defineManifest } from '../kit/define-manifest.ts'

export const logManifest = defineManifest({
  name: 'log',
  provides: ['log'],
  options: {
    /** The least that is logged. At `trace` every packet is. */
    level: { type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'], default: 'info', live: true },
    /** `pretty` for people, `json` for machines. */
    format: { type: 'string', enum: ['pretty', 'json'], default: 'pretty' },
    /** Where lines go: standard output, or standard error. */
    to: { type: 'string', enum: ['stdout', 'stderr'], default: 'stdout' },
    /** A file that lines go to instead, relative to the config's folder; opened anew at SIGHUP, as logrotate wants it. `null`: there is none. */
    file: { type: 'string', default: null, minLength: 1 },
  },
})
