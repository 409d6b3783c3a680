import type { PluginManifest } from '../../core/manifest.ts'

/** Keeps the literal types of a manifest that is declared apart from its plugin, as those of the built-in plugins are. */
export function defineManifest<const M extends PluginManifest>(manifest: M): M {
  return manifest
}
