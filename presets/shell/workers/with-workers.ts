import { OperatorError } from '../../../core/errors.ts'
import type { Settings } from '../../../core/options/settings.ts'
import type { Catalogue } from '../catalogue.ts'
import type { ConfigTree } from '../config-tree.ts'
import { createPlugin } from '../plugin-shapes.ts'
import type { ResolvedPlugin } from '../resolved-config.ts'
import { checkSection, isOff } from '../section.ts'
import { workerCount } from './worker-count.ts'

/** The plugins of a broker that has several workers: what makes them one is among them. What does not go with workers is an `OperatorError`. */
export function withWorkers(
  catalogue: Catalogue,
  settings: Settings,
  tree: ConfigTree,
  plugins: readonly ResolvedPlugin[],
): readonly ResolvedPlugin[] {
  if (workerCount(settings.workers) === 1) return plugins
  const owner = (service: string): string | undefined => plugins.find(({ provides }) => provides.includes(service))?.name
  const problems: string[] = []
  const sessions = owner('sessions')
  if (sessions !== 'redis' && sessions !== 'memory' && sessions !== 'disk')
    problems.push(
      `workers: ${sessions ?? 'no plugin'} keeps the sessions, and each worker would have its own; add disk or redis, or memory: true for sessions that end with the broker, or leave out workers`,
    )
  if (isOff(tree.values.cluster)) problems.push('cluster: with workers it makes one broker of them; leave out cluster: false, or workers')
  for (const { name, provides, runs } of plugins)
    if (runs === 'one' && provides.length > 0)
      problems.push(
        `${name}: it runs in one worker and provides ${provides.join(' and ')} to plugins that run in each; have it say runs: 'each'`,
      )
  if (problems.length > 0) throw new OperatorError('ERR_WORKERS', problems)
  const made = plugins.filter(({ name }) => name !== 'localBus')
  // Before the owner of the stores, which asks for it.
  if (owner('bus') === undefined)
    made.splice(
      made.findIndex(({ name }) => name === sessions),
      0,
      { ...listed(catalogue, tree, 'localBus'), provides: ['bus', 'parts'] },
    )
  // Behind the owners of the bus and of the sessions, and before whoever listens.
  const at = Math.max(...made.map(({ provides }, i) => (provides.includes('bus') || provides.includes('sessions') ? i : -1))) + 1
  if (!made.some(({ name }) => name === 'cluster')) made.splice(at, 0, listed(catalogue, tree, 'cluster'))
  return made
}

/** A built-in plugin that no list has. */
function listed({ plugins }: Catalogue, { values }: ConfigTree, name: string): ResolvedPlugin {
  const { manifest, load } = plugins[name]!
  const schema = manifest.options ?? {}
  const { options } = checkSection(schema, values[name] ?? {}, name)
  const { provides = [], requires = [], runs = 'each' } = manifest
  return {
    name,
    provides,
    requires,
    runs,
    lost: [],
    schema,
    options,
    root: {},
    section: name,
    create: async () => createPlugin(await load(options), options),
  }
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** A worker could not start, or the config has something that `workers` do not go with. */
    ERR_WORKERS: true
    /** A program asked for workers in a way in which they could not be given what it gave. */
    ERR_WORKERS_CONFIG: true
  }
}
