import { definePlugin } from '../../core/plugin.ts'
import { AttemptGate } from './attempt-gate.ts'
import { checkLimits } from './check-options.ts'
import type { Enforcement } from './enforcement.ts'
import { FileGuard } from './file-guard.ts'
import { limitsManifest } from './manifest.ts'

/**
 * Plugin `limits` where no limit is set: who guesses passwords is slowed, connections are refused before files run out, and nothing else is loaded, for the sake of start-up (a dozen files, some 4 % of
 * the start of preset `test`). A config that sets a limit while the broker runs brings the rest.
 */
export const attemptsOnly = definePlugin(limitsManifest, (context, nothing) => {
  checkLimits(nothing)
  new AttemptGate(context)
  const files = new FileGuard(context)
  let enforcement: Enforcement | undefined
  return {
    async reload(options) {
      if (enforcement === undefined) {
        const loaded = await import('./enforcement.ts')
        // Made without limits first: it counts those who are there already when it is given some.
        enforcement = new loaded.Enforcement(context, nothing)
        enforcement.start()
      }
      enforcement.reload(options)
      files.compare(options.maxConnections)
    },
    listen: () => files.start(null),
    stop() {
      files.stop()
      enforcement?.stop()
    },
  }
})
