import type { Plugin } from '../../core/plugin.ts'
import { guardTaps } from '../../core/taps.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'
import { declareCounts } from '../../plugins/kit/declared-counts.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { addVerbs } from '../../plugins/kit/verbs/add-verbs.ts'
import { type Catalogue, providersOf } from './catalogue.ts'
import { placeOf } from './config-change.ts'
import { PluginHost } from './plugin-host.ts'
import type { ResolvedConfig, ResolvedPlugin } from './resolved-config.ts'
import { revoke } from './revocation.ts'
import { WholeBroker } from './whole-broker.ts'

/** A broker and a host for the plugins of a checked config; `apply` makes and applies them, and nothing has started then. */
export function hostOf(
  catalogue: Catalogue,
  config: ResolvedConfig,
  clock: Clock,
  worker: WorkerPlace | null = null,
): { broker: WholeBroker; host: PluginHost; apply(): Promise<void> } {
  const broker = new WholeBroker(config.settings, clock, catalogue.version, config.folder, worker)
  // Those that are off too: what /metrics shows does not depend on the config.
  for (const { manifest } of Object.values(catalogue.plugins)) declareCounts(broker.counters, broker.figures, manifest)
  addVerbs(broker, async () => (await import('./answer-schemas.ts')).answerSchemas)
  const resolved = new Map<Plugin, ResolvedPlugin>()
  const host = new PluginHost({
    context: plugin => ({
      hooks: broker.hooks,
      services: broker.services,
      broker,
      revoke: (whom, options) => revoke(broker, whom, options),
      log: broker.log,
      worker,
      report: error => broker.report(ofPlugin(plugin, error)),
      at: placeOf(resolved.get(plugin) ?? plugin),
      clock,
      checkOptions,
      guardHook(name, hook) {
        guardTaps(hook, name, { kind: 'observe' }, broker.tapGuard)
        return hook
      },
    }),
    checked: plugin => {
      const of = resolved.get(plugin)
      return of?.schema === undefined ? undefined : { options: of.options, root: of.root }
    },
    provides: plugin => resolved.get(plugin)?.provides ?? plugin.provides ?? [],
    has: service => broker.services.has(service as never),
    providersOf: service => providersOf(catalogue, service),
  })
  return {
    broker,
    host,
    async apply() {
      const plugins = await Promise.all(config.plugins.map(plugin => plugin.create()))
      plugins.forEach((plugin, index) => {
        resolved.set(plugin, config.plugins[index]!)
        broker.services.withhold(plugin.name, config.plugins[index]!.lost)
        if (plugin.factory !== undefined) declareCounts(broker.counters, broker.figures, plugin.factory.manifest)
      })
      host.apply(plugins)
    },
  }
}

function ofPlugin({ name }: Plugin, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause)
  // By its name lines of one plugin do not keep those of another out of the log.
  return Object.assign(new Error(`${name}: ${text}`, { cause }), { name })
}
