import { OperatorError } from '../../core/errors.ts'
import type { PluginManifest } from '../../core/manifest.ts'
import { defineOptions } from '../../core/options/options.ts'
import { type AnyPluginFactory, definePlugin } from '../../core/plugin.ts'
import { defineCatalogue } from '../../presets/shell/catalogue.ts'
import { type ConfigSources, resolveConfig } from '../../presets/shell/config.ts'
import { listPlugins } from './list-plugins.ts'

const socketOptions = defineOptions({
  port: { type: 'integer', minimum: 0, maximum: 65535, default: 1883 },
  host: { type: 'string' },
})
const shareOptions = defineOptions({ shareSubStrategy: { type: 'string', enum: ['round', 'random', 'hash'], default: 'round' } })
const sysOptions = defineOptions({
  interval: { type: 'duration', default: '60s' },
  qos: { type: 'integer', minimum: 0, maximum: 2, default: 0 },
})
const redisOptions = defineOptions({
  url: { type: 'string', default: 'redis://localhost:6379' },
  password: { type: 'string' },
  nodes: { type: 'list', items: { type: 'string' }, default: [] },
  prefixes: { type: 'object', values: { type: 'string' }, default: {} },
})

const list = <const M extends PluginManifest>(manifest: M) => ({
  manifest,
  load: async (): Promise<AnyPluginFactory> => definePlugin(manifest, () => {}),
})

/** A catalogue as the package has one, small enough to see what the config makes of it. */
export const catalogue = defineCatalogue({
  version: '1.2.3',
  exports: async () => ({ definePlugin, defineConfig: (config: unknown) => config, Stage: { Observe: 200 } }),
  plugins: listPlugins(
    list({ name: 'log', options: { level: { type: 'string', enum: ['info', 'debug'], default: 'info' } } }),
    list({ name: 'memory', provides: ['sessions', 'retained'] }),
    list({ name: 'redis', options: redisOptions, provides: ['sessions', 'retained'] }),
    list({ name: 'cluster', provides: ['bus'], requires: ['sessions'], offInTestMode: true }),
    list({ name: 'retain', requires: ['retained'] }),
    list({ name: 'shareTopic', options: shareOptions }),
    list({ name: 'sysTopic', options: sysOptions }),
    list({ name: 'socket', options: socketOptions, listener: true }),
    list({ name: 'needy', options: { url: { type: 'string', required: true } } }),
  ),
  presets: {
    test: { settings: { enableTestMode: true }, plugins: () => ['log', 'memory', 'retain', 'shareTopic', 'sysTopic', 'socket'] },
    dev: () => ['log', 'redis', 'retain', 'shareTopic', ['sysTopic', { interval: '5s' }], 'socket'],
    prod: { settings: { heartbeat: '10s' }, plugins: () => ['log', 'redis', 'cluster', 'retain', 'shareTopic', 'sysTopic', 'socket'] },
    standalone: () => ['log', 'memory', 'retain', 'socket'],
  },
})

/** The config that the sources make. */
export const resolve = (sources: ConfigSources) => resolveConfig(catalogue, sources)

/** The config that an object makes, as `createBroker` hands it in. */
export const resolveObject = (object: object) => resolve({ object })

/** The names of the plugins that an object's config runs, in order. */
export async function names(object: object): Promise<string[]> {
  return (await resolveObject(object)).plugins.map(plugin => plugin.name)
}

/** The problems that a config has; none if it is accepted. */
export async function problems(promise: Promise<unknown>): Promise<readonly string[]> {
  try {
    await promise
    return []
  } catch (error) {
    if (error instanceof OperatorError) return error.problems
    throw error
  }
}
