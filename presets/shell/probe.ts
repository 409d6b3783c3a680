import { OperatorError } from '../../core/errors.ts'
import { SystemClock } from '../../core/time/clock.ts'
import { hostOf } from './applied-plugins.ts'
import type { Catalogue } from './catalogue.ts'
import type { ResolvedConfig } from './resolved-config.ts'

/** Tries what the plugins of a config depend on, without starting a broker: lines about what answers, and problems with their cures. */
export async function probeAll(catalogue: Catalogue, config: ResolvedConfig): Promise<{ lines: string[]; problems: string[] }> {
  const { host, apply } = hostOf(catalogue, config, new SystemClock())
  await apply()
  const { lines, errors } = await host.probe()
  if (lines.length === 0 && errors.length === 0) lines.push('nothing here depends on another server')
  return { lines, problems: errors.flatMap(error => (error instanceof OperatorError ? error.problems : [error.message])) }
}
