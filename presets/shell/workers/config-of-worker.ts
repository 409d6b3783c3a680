import type { WorkerPlace } from '../../../core/worker-place.ts'
import { isRecord } from '../../../plugins/kit/options/plain-data.ts'
import { memoryMax } from '../../../plugins/limits/memory-use.ts'
import type { ResolvedConfig } from '../resolved-config.ts'

/**
 * The config of a broker as one of its workers has it: a name of its own among them, of plugins that run once those only that are its, and its share of what
 * the broker may have in all, so that the workers together never have more.
 */
export function configOfWorker(config: ResolvedConfig, place: WorkerPlace): ResolvedConfig {
  const settings = { ...config.settings, brokerId: `${config.settings.brokerId}/${place.number}` }
  const plugins = config.plugins
    .filter(({ runs }) => runs === 'each' || place.number === 1)
    .map(plugin => ({ ...plugin, options: sharesOf(plugin.name, plugin.options as Record<string, unknown>, place) }))
  return { ...config, settings, root: { ...config.root, brokerId: settings.brokerId }, plugins }
}

function sharesOf(name: string, options: Record<string, unknown>, place: WorkerPlace): object {
  const shared: Record<string, unknown> = { ...options }
  const divide = (key: string, share: (value: number, place: WorkerPlace) => number): void => {
    const value = options[key]
    if (typeof value === 'number') shared[key] = share(value, place)
  }
  if (name === 'socket' || name === 'websocket') divide('maxConnections', wholeShare)
  if (name === 'limits') {
    divide('maxConnections', wholeShare)
    divide('connectBurst', wholeShare)
    divide('connectsPerSecond', (value, { count }) => value / count)
    const { memory } = options
    if (isRecord(memory) && memory.max !== null) {
      const max = typeof memory.max === 'number' ? memory.max : memoryMax()
      shared.memory = { ...memory, max: Math.floor(max / place.count) }
    }
  }
  return shared
}

/** Of 10 in 4 parts 3, 3, 2 and 2; at least 1. */
function wholeShare(value: number, { number, count }: WorkerPlace): number {
  return Math.max(1, Math.floor(value / count) + (number <= value % count ? 1 : 0))
}
