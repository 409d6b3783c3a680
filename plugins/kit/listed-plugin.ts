import type { PluginManifest } from '../../core/manifest.ts'
import type { AnyPluginFactory } from '../../core/plugin.ts'

/** A plugin that a config may name: its manifest, and where its implementation is, which is imported only when it is used, for the sake of start-up. */
export interface ListedPlugin<M extends PluginManifest = PluginManifest> {
  /** What the plugin declares of itself. */
  readonly manifest: M
  /** `options`: those that the plugin will be made with, checked. */
  load(options: object): Promise<AnyPluginFactory>
  /** Stands for the plugin, without a section, where another plugin needs a service that it provides and nobody else does. */
  standIn?(): Promise<AnyPluginFactory>
}
