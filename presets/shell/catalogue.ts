import type { OptionsInput, OptionsSchema } from '../../core/options/options.ts'
import type { SettingsInput } from '../../core/options/settings.ts'
import type { AnyPluginFactory, Plugin } from '../../core/plugin.ts'
import type { Command } from '../../plugins/kit/command.ts'

/** What core is handed: which built-in plugins and presets there are. Its order is the order of plugins that a preset does not name. */
export interface Catalogue {
  /** The package's version, for `--version` and `$SYS`. */
  readonly version: string
  readonly plugins: Readonly<Record<string, CatalogueEntry>>
  readonly presets: Readonly<Record<string, Preset>>
  /** The preset where no config names one; `standalone` if nothing is said. */
  readonly defaultPreset?: string
  /** Services that core itself provides, whatever plugins there are. */
  readonly services?: readonly string[]
  /** Commands that plugins bring along, beside those of core: `passwd`. */
  readonly commands?: Readonly<Record<string, CatalogueCommand>>
  /** The package's own exports: what `import … from 'mqttx-broker'` gives within a config, installed or not. */
  readonly exports?: () => Promise<object>
}

/** A command of a plugin's. */
export interface CatalogueCommand {
  /** What stands behind its name in the help. */
  readonly usage: string
  readonly help: string
  /** Its implementation. */
  load(): Promise<Command>
}

/** One built-in plugin. Its implementation is imported only when it is used, for the sake of start-up. */
export interface CatalogueEntry {
  readonly options: OptionsSchema
  readonly provides?: readonly string[]
  readonly requires?: readonly string[]
  /** Its section may be a list: one listener for each element. */
  readonly listener?: boolean
  /** Preset `test` and `enableTestMode` turn it off, with a warning if it was asked for. */
  readonly offInTestMode?: boolean
  /** Where only a preset lists it, it goes when nobody provides what it requires: `cluster`, when another owner takes the place of `redis`. */
  readonly goesWithItsServices?: boolean
  /** The services that it cannot do without, by its options; an element of a list is asked by itself. */
  readonly needs?: (options: never) => readonly string[]
  /** Stands for it, without a section, where another plugin needs a service that it provides and nobody else does. */
  standIn?(): Promise<AnyPluginFactory>
  /** A setting of the broker's own that turns it on where it is true, as its section does. */
  readonly turnedOnBy?: string
  load(): Promise<AnyPluginFactory>
}

/** A plugin, or a built-in one by name, with options if need be. */
export type PresetEntry = Plugin | string | readonly [name: string, options: object]

/** A preset is a short list of plugins, in order. */
export type PresetList = () => readonly PresetEntry[]

/** A list of plugins, and root options where the preset has an opinion on them. */
export type Preset = PresetList | { readonly settings?: SettingsInput; readonly plugins: PresetList }

/** A config for a catalogue: the broker's own options, one section for each built-in plugin, and plugins of one's own. */
export type ConfigInput<C extends Pick<Catalogue, 'plugins' | 'presets'> = Catalogue> = SettingsInput & {
  /** The plugins to begin with: one of the presets, or a function that returns plugins. `standalone` if nothing is said. */
  preset?: (keyof C['presets'] & string) | PresetList | undefined
  /** Plugins of one's own, in order, after the preset's; a string is a file, relative to the config. */
  plugins?: readonly PresetEntry[] | undefined
} & Sections<C['plugins']>

type Sections<P> = { -readonly [K in keyof P]?: P[K] extends CatalogueEntry ? SectionInput<P[K]> | undefined : never }

type SectionInput<E extends CatalogueEntry> = boolean | Section<E> | (E extends { listener: true } ? readonly Section<E>[] : never)

type Section<E extends CatalogueEntry> = OptionsInput<E['options']> & { enable?: boolean | undefined }

/** Keeps the literal types of a catalogue, from which those of a config come. */
export function defineCatalogue<const C extends Catalogue>(catalogue: C): C {
  return catalogue
}

/** The built-in plugins that provide a service. */
export function providersOf(catalogue: Catalogue, service: string): string[] {
  return Object.entries(catalogue.plugins)
    .filter(([, entry]) => entry.provides?.includes(service))
    .map(([name]) => name)
}

/** Everything that may stand at the root of a config. */
export function rootNames(catalogue: Catalogue, settings: OptionsSchema): string[] {
  return ['preset', 'plugins', ...Object.keys(settings), ...Object.keys(catalogue.plugins)]
}
