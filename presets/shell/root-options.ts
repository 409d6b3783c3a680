import type { OptionsSchema } from '../../core/options/options.ts'
import { type Settings, settingsSchema } from '../../core/options/settings.ts'
import type { Problem } from '../../plugins/kit/options/validation.ts'
import type { Catalogue } from './catalogue.ts'
import type { ResolvedPlugin } from './resolved-config.ts'

const schemas = new WeakMap<Catalogue, OptionsSchema>()

/** Every option at the root of a config: the broker's own, then those that plugins of the catalogue have there. */
export function rootOptionsOf(catalogue: Catalogue): OptionsSchema {
  let schema = schemas.get(catalogue)
  if (schema === undefined) {
    schema = Object.assign({}, settingsSchema, ...Object.values(catalogue.plugins).map(({ manifest }) => manifest.rootOptions))
    schemas.set(catalogue, schema!)
  }
  return schema!
}

/** Of checked root options those that are the broker's own. */
export function settingsOf(root: object): Settings {
  return pick(root, settingsSchema) as Settings
}

/** Of checked root options those that a schema names, frozen. */
export function pick(root: object, schema: OptionsSchema): object {
  return Object.freeze(Object.fromEntries(Object.entries(root).filter(([name]) => Object.hasOwn(schema, name))))
}

/** Root options that say something though the plugin which carries them out is off: that must not pass in silence. */
export function withoutTheirPlugin(catalogue: Catalogue, root: object, plugins: readonly ResolvedPlugin[]): Problem[] {
  const problems: Problem[] = []
  for (const { manifest } of Object.values(catalogue.plugins)) {
    const { name, rootOptions = {}, rootOptionsWhenOff = {} } = manifest
    if (plugins.some(plugin => plugin.name === name)) continue
    for (const [option, value] of Object.entries(pick(root, rootOptions))) {
      if (value === rootOptions[option]!.default) continue
      problems.push({
        path: option,
        text: rootOptionsWhenOff[option] ?? `${name} is off, so nobody would carry it out; leave it out, or turn ${name} on`,
      })
    }
  }
  return problems
}
