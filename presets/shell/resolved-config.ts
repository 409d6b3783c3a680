import type { OptionsSchema } from '../../core/options/options.ts'
import type { Settings } from '../../core/options/settings.ts'
import type { Plugin } from '../../core/plugin.ts'

/** A plugin that will be applied. */
export interface ResolvedPlugin {
  /** The plugin's name. */
  readonly name: string
  /** What its options are checked by; absent for a plugin that was written by hand. */
  readonly schema?: OptionsSchema
  /** Checked, complete, frozen; empty for a plugin that was written by hand. */
  readonly options: object
  /** The options of the plugin that stand at the root of the config: checked, complete, frozen. */
  readonly root: object
  /** The services that it owns. */
  readonly provides: readonly string[]
  /** The services that it could own, and another plugin owns here. */
  readonly lost: readonly string[]
  /** With `workers`: it runs in each, or in worker 1 alone. */
  readonly runs: 'each' | 'one'
  /** The services that it cannot do without. */
  readonly requires: readonly string[]
  /** Where its options stand in the provenance: `socket`, `socket.1`; absent for a plugin of the user's own that has a built-in plugin's name, and so no section. */
  readonly section?: string
  /** Imports the implementation and makes the plugin of it. */
  create(): Promise<Plugin>
}

/** A whole config, merged and checked. */
export interface ResolvedConfig {
  /** The preset's name; `custom` for a function of the user's own. */
  readonly preset: string
  /** Preset `test`, or `enableTestMode`: everything in memory, cluster off. */
  readonly testMode: boolean
  /** The broker's own options, with defaults filled in. */
  readonly settings: Settings
  /** All options at the root: the settings, and what plugins have there; and what they are checked by. */
  readonly root: object
  /** What the options at the root are checked by. */
  readonly rootSchema: OptionsSchema
  /** In the order in which they are applied. */
  readonly plugins: readonly ResolvedPlugin[]
  /** Who set the value at a path such as `socket.port`; what is not listed is a default. */
  readonly provenance: ReadonlyMap<string, string>
  /** What is not wrong but probably not meant either; one log line each. */
  readonly warnings: readonly string[]
  /** Who owns which service, and who was left out for it, where several plugins could; one log line each. */
  readonly notes: readonly string[]
  /** The config says by name that nobody need check the rights which a plugin grants. */
  readonly rightsIgnored: boolean
  /** The path of the config file; `undefined`: there is none. */
  readonly configFile: string | undefined
  /** The folder that paths in the config are relative to. */
  readonly folder: string
}
