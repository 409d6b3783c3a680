import { OperatorError } from '../../core/errors.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { hostOf } from './applied-plugins.ts'
import type { Catalogue } from './catalogue.ts'
import { checkGuard, plainListeners } from './guard.ts'
import type { ResolvedConfig } from './resolved-config.ts'

/** What was found of a config without starting a broker: lines about what answers, and problems with their cures. */
export interface Examined {
  readonly lines: readonly string[]
  readonly problems: readonly string[]
}

/**
 * Has the plugins of a config look at all that a start would look at before it opens anything, by the same functions; with `connect` also whether what
 * they depend on can be reached.
 */
export async function examine(catalogue: Catalogue, config: ResolvedConfig, connect: boolean): Promise<Examined> {
  const { broker, host, apply } = hostOf(catalogue, config, new SystemClock())
  const problems: string[] = []
  const noting = async (act: () => unknown): Promise<void> => {
    try {
      await act()
    } catch (error) {
      problems.push(...problemsOf(error as Error))
    }
  }
  await apply()
  await noting(() => checkGuard(catalogue, config, broker))
  await noting(() => host.verify())
  const plain = plainListeners(catalogue, config, broker)
  const warnings = [...host.warnings, ...(plain === null ? [] : [plain])].map(warning => `warning: ${warning}`)
  if (!connect) return { lines: warnings, problems }
  const { lines: answers, errors } = await host.probe()
  if (answers.length === 0 && errors.length === 0) answers.push('nothing here depends on another server')
  const lines = [...warnings, ...answers]
  // What is wrong with a file is found by whoever would connect with it, too.
  return { lines, problems: [...new Set([...problems, ...errors.flatMap(problemsOf)])] }
}

function problemsOf(error: Error): readonly string[] {
  return error instanceof OperatorError ? error.problems : [error.message]
}
