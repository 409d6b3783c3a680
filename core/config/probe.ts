import { Broker } from '../broker.ts'
import { OperatorError } from '../errors.ts'
import { SystemClock } from '../time/clock.ts'
import { type Catalogue, providersOf } from './catalogue.ts'
import type { ResolvedConfig } from './config.ts'
import { PluginHost } from './plugin-host.ts'

/** Tries what the plugins of a config depend on, without starting a broker: lines about what answers, and problems with their cures. */
export async function probeAll(catalogue: Catalogue, config: ResolvedConfig): Promise<{ lines: string[]; problems: string[] }> {
  const clock = new SystemClock()
  const broker = new Broker(config.settings, clock, catalogue.version, config.folder)
  const host = new PluginHost({
    context: ({ name }) => ({ hooks: broker.hooks, services: broker.services, broker, log: broker.log, at: name, clock }),
    has: service => broker.services.has(service as never),
    providersOf: service => providersOf(catalogue, service),
  })
  host.apply(await Promise.all(config.plugins.map(plugin => plugin.create())))
  const { lines, errors } = await host.probe()
  if (lines.length === 0 && errors.length === 0) lines.push('nothing here depends on another server')
  return { lines, problems: errors.flatMap(error => (error instanceof OperatorError ? error.problems : [error.message])) }
}
