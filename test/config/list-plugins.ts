import type { ListedPlugin } from '../../plugins/kit/listed-plugin.ts'

type ByName<L extends ListedPlugin> = { readonly [P in L as P['manifest']['name']]: P }

/** Plugins for a catalogue, by their names, in the order in which they were listed. */
export function listPlugins<const L extends readonly ListedPlugin[]>(...plugins: L): ByName<L[number]> {
  return Object.fromEntries(plugins.map(plugin => [plugin.manifest.name, plugin])) as ByName<L[number]>
}
