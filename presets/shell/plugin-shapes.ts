import { OperatorError } from '../../core/errors.ts'
import type { AnyPluginFactory, Plugin } from '../../core/plugin.ts'

/** A factory made by `definePlugin`, as opposed to any other function. */
export function isPluginFactory(value: unknown): value is AnyPluginFactory {
  return typeof value === 'function' && typeof (value as Partial<AnyPluginFactory>).manifest?.name === 'string'
}

/** A plugin, by its shape: made by a factory or written by hand. */
export function isPlugin(value: unknown): value is Plugin {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<Plugin>).name === 'string' &&
    typeof (value as Partial<Plugin>).apply === 'function'
  )
}

/** A factory's plugin from options that are plain data, as a config file gives them. */
export function createPlugin(factory: AnyPluginFactory, options: object): Plugin {
  const plugin: unknown = (factory as unknown as (options: object) => Plugin)(options)
  if (!isPlugin(plugin)) throw new OperatorError('ERR_PLUGIN', `${factory.name}: the factory must return a plugin, { name, apply }`)
  return plugin
}
