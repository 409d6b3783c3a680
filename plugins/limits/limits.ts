import { definePlugin } from '../../core/plugin.ts'
import { AttemptGate } from './attempt-gate.ts'
import { Enforcement } from './enforcement.ts'
import { limitsManifest } from './manifest.ts'

/** Limits on what comes from many clients and over time; who guesses passwords is always slowed. A limit that has never been on taps nothing and costs nothing. */
export const limits = definePlugin(limitsManifest, (context, options) => {
  new AttemptGate(context)
  return new Enforcement(context, options)
})
