import type { WorkerPlace } from '../../../core/worker-place.ts'
import type { ResolvedConfig } from '../resolved-config.ts'

/** The config of a broker as one of its workers has it: a name of its own among them, and of plugins that run once those only that are its. */
export function configOfWorker(config: ResolvedConfig, { number }: WorkerPlace): ResolvedConfig {
  const settings = { ...config.settings, brokerId: `${config.settings.brokerId}/${number}` }
  const plugins = config.plugins.filter(({ runs }) => runs === 'each' || number === 1)
  return { ...config, settings, root: { ...config.root, brokerId: settings.brokerId }, plugins }
}
