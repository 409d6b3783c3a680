import type { DeclaredCounts } from './counter-names.ts'
import type { OptionsSchema } from './options/options.ts'

/**
 * What a plugin declares of itself, once: `definePlugin` makes the plugin of it, and a catalogue lists it. A built-in plugin keeps it in a file of
 * its own that imports no implementation, so that a config can be checked before any plugin is loaded.
 */
export interface PluginManifest<S extends OptionsSchema = OptionsSchema, R extends OptionsSchema = OptionsSchema> extends DeclaredCounts {
  /** Also the plugin's section in the config: `rateLimit`. */
  readonly name: string
  /** The options of its section. Default: none. */
  readonly options?: S
  /** Options of the plugin's that stand at the root of the config, beside the broker's own. Only plugins of the catalogue have any. Default: none. */
  readonly rootOptions?: R
  /** What is said, and refused at start, where one of them is not as by default and the plugin is off; by the option's name. */
  readonly rootOptionsWhenOff?: { readonly [name in keyof R]?: string }
  /** The root option that turns the plugin on where it is true, as its section does. */
  readonly turnedOnBy?: string
  /** The services that the plugin owns: no other plugin may provide them. */
  readonly provides?: readonly string[]
  /** The services that the plugin cannot do without. */
  readonly requires?: readonly string[]
  /** The services that the plugin cannot do without, by its options; each element of a list of listeners is asked by itself. */
  readonly needs?: (options: never) => readonly string[]
  /**
   * With `workers`: whether the plugin runs in each of them (`each`), or in one (`one`), which is worker 1, and again in the process that takes its place when that has
   * died. A plugin that provides a service runs in each. Default: `each`.
   */
  readonly runs?: 'each' | 'one'
  /** The section may be a list: one listener for each element. Default: false. */
  readonly listener?: boolean
  /** Preset `test` and `enableTestMode` turn the plugin off, with a warning if it was asked for. Default: false. */
  readonly offInTestMode?: boolean
  /** The plugin's admissions say what clients may do (`Admission.rights`), so somebody has to hold clients to it: see `whereRightsAreGranted`. Default: false. */
  readonly grantsRights?: boolean
  /**
   * The plugin holds clients to the rights that others grant: it comes on by itself, with these options, where a plugin grants rights and the config does
   * not say that this one is off. Default: it does not.
   */
  readonly whereRightsAreGranted?: object
  /** Where only a preset lists the plugin, it is left out, with a warning, when nobody provides what it requires: `cluster`, when another owner takes the place of `redis`. Default: false. */
  readonly goesWithItsServices?: boolean
}
