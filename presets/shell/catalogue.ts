import type { PluginManifest } from '../../core/manifest.ts'
import type { OptionsInput, OptionsSchema } from '../../core/options/options.ts'
import type { SettingsInput } from '../../core/options/settings.ts'
import type { Plugin } from '../../core/plugin.ts'
import type { Command } from '../../plugins/kit/command.ts'
import type { ListedPlugin } from '../../plugins/kit/listed-plugin.ts'

/** What core is handed: which built-in plugins and presets there are. Its order is the order of plugins that a preset does not name. */
export interface Catalogue {
  /** The package's version, for `--version` and `$SYS`. */
  readonly version: string
  /** The built-in plugins, by name. */
  readonly plugins: Readonly<Record<string, ListedPlugin>>
  /** The presets, by name. */
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
  /** One line for `--help`. */
  readonly help: string
  /** Imports the implementation. */
  load(): Promise<Command>
}

/** A plugin, or a built-in one by name, with options if need be. */
export type PresetEntry = Plugin | string | readonly [name: string, options: object]

/** A preset is a short list of plugins, in order. */
export type PresetList = () => readonly PresetEntry[]

/** A list of plugins, and root options where the preset has an opinion on them. */
export type Preset =
  | PresetList
  | {
      /** What the preset says of the broker's own options. */
      readonly settings?: SettingsInput
      /** The plugins, in order. */
      readonly plugins: PresetList
    }

/** A config for a catalogue: the broker's own options, one section for each built-in plugin, and plugins of one's own. */
export type ConfigInput<C extends Pick<Catalogue, 'plugins' | 'presets'> = Catalogue> = SettingsInput &
  RootInput<C['plugins']> & {
    /** The plugins to begin with: one of the presets, or one of your own. `standalone` if nothing is said. */
    preset?: (keyof C['presets'] & string) | Preset | undefined
    /** Plugins of one's own, in order, after the preset's; a string is a file, relative to the config, or an installed package. Each has a section of its name, like a built-in one. */
    plugins?: readonly PresetEntry[] | undefined
    /** Where the JSON Schema of configs is, for editors; the broker does not read it. */
    $schema?: string | undefined
  } & Sections<C['plugins']>

type RootInput<P> = Intersection<
  { [K in keyof P]: P[K] extends { manifest: { rootOptions: infer R extends OptionsSchema } } ? OptionsInput<R> : never }[keyof P]
>

type Intersection<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never

type Sections<P> = { -readonly [K in keyof P]?: P[K] extends ListedPlugin ? SectionInput<P[K]['manifest']> | undefined : never }

/** What the section of a plugin may hold, by its factory: `declare module 'mqttx-broker' { interface PluginSections { rateLimit: SectionOf<typeof rateLimit> } }`. */
export type SectionOf<F extends { readonly manifest: PluginManifest }> = SectionInput<F['manifest']>

// Conditional types, which an editor shows by what they come to.
type SectionInput<M extends PluginManifest> = M extends { listener: true }
  ? boolean | Section<M> | readonly Section<M>[]
  : boolean | Section<M>

type Section<M extends PluginManifest> = OptionsInput<NonNullable<M['options']>> & Enabled extends infer All
  ? { [K in keyof All]: All[K] }
  : never

interface Enabled {
  /** `false` turns the plugin off, whatever else stands here; `true`, like any option, turns it on. */
  enable?: boolean | undefined
}

/** Keeps the literal types of a catalogue, from which those of a config come. */
export function defineCatalogue<const C extends Catalogue>(catalogue: C): C {
  return catalogue
}

/** The built-in plugins that provide a service. */
export function providersOf(catalogue: Catalogue, service: string): string[] {
  return Object.entries(catalogue.plugins)
    .filter(([, { manifest }]) => manifest.provides?.includes(service))
    .map(([name]) => name)
}

/** Everything that may stand at the root of a config. */
export function rootNames(catalogue: Catalogue, rootOptions: OptionsSchema): string[] {
  return ['preset', 'plugins', ...Object.keys(rootOptions), ...Object.keys(catalogue.plugins)]
}
