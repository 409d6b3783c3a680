import { definePlugin } from '../../core/plugin.ts'
import { AttemptGate } from './attempt-gate.ts'
import { Enforcement } from './enforcement.ts'
import { FileGuard } from './file-guard.ts'
import { limitsManifest } from './manifest.ts'

/** Limits on what comes from many clients and over time; who guesses passwords is always slowed. Connections are refused before files run out. A limit that has never been on taps nothing and costs nothing. */
export const limits = definePlugin(limitsManifest, (context, options) => {
  new AttemptGate(context)
  const files = new FileGuard(context)
  const enforcement = new Enforcement(context, options)
  return {
    verify: () => enforcement.verify(),
    start: () => enforcement.start(),
    listen: () => files.start(options.maxConnections),
    reload(changed) {
      enforcement.reload(changed)
      files.compare(changed.maxConnections)
    },
    stop() {
      files.stop()
      enforcement.stop()
    },
  }
})
