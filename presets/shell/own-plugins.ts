import { OperatorError } from '../../core/errors.ts'
import type { PluginManifest } from '../../core/manifest.ts'
import type { AnyPluginFactory, Plugin } from '../../core/plugin.ts'
import type { ListedPlugin } from '../../plugins/kit/listed-plugin.ts'
import type { Catalogue, PresetList } from './catalogue.ts'
import { loadPlugin } from './load-plugin.ts'
import { isPlugin } from './plugin-shapes.ts'

/** The user's own plugins, which stand in `plugins` or in a preset of the user's own, before any option is read. */
export interface OwnPlugins {
  /** The built-in plugins and these: each has a section of its name, which files, the environment and `--set` may lay over its options. */
  readonly catalogue: Catalogue
  /** What `plugins` lists, files and packages loaded. */
  readonly entries: readonly unknown[]
  /** The preset's list, asked for once. */
  readonly list: PresetList
}

/** Stands in the list for what could not be loaded, and why. */
export class NotLoaded {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Loads what `plugins` names by a file or a package, and makes a catalogue of it. What is no plugin at all is left for the check of the list. */
export async function findOwnPlugins(catalogue: Catalogue, given: unknown, list: PresetList, folder: string): Promise<OwnPlugins> {
  const entries: unknown[] = []
  for (const entry of Array.isArray(given) ? (given as unknown[]) : []) {
    const [first, options] = Array.isArray(entry) ? [entry[0] as unknown, entry[1] as unknown] : [entry, undefined]
    if (typeof first !== 'string' || Object.hasOwn(catalogue.plugins, first)) {
      entries.push(entry)
      continue
    }
    try {
      entries.push(await loadPlugin(first, options, folder, catalogue))
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      entries.push(new NotLoaded(error.message))
    }
  }
  const listed: unknown = list()
  const own: Record<string, ListedPlugin> = {}
  for (const entry of [...(Array.isArray(listed) ? listed : []), ...entries]) {
    const plugin: unknown = Array.isArray(entry) ? entry[0] : entry
    if (isPlugin(plugin) && !Object.hasOwn(catalogue.plugins, plugin.name)) own[plugin.name] = listedOf(plugin)
  }
  const extended = Object.keys(own).length === 0 ? catalogue : { ...catalogue, plugins: { ...catalogue.plugins, ...own } }
  return { catalogue: extended, entries, list: () => listed as ReturnType<PresetList> }
}

// A plugin that was written by hand has no options, but it may be turned off like any other.
function listedOf(plugin: Plugin): ListedPlugin {
  const { name, provides = [], requires = [], factory } = plugin
  const manifest: PluginManifest = factory?.manifest ?? { name, provides, requires }
  const load = async (): Promise<AnyPluginFactory> => factory ?? Object.assign(() => plugin, { manifest })
  return { manifest, load }
}
