import { isDeepStrictEqual } from 'node:util'
import type { OptionSchema, OptionsSchema } from '../../core/options/options.ts'
import type { Settings } from '../../core/options/settings.ts'
import { deepFreeze, isRecord } from '../../plugins/kit/options/plain-data.ts'
import type { ResolvedConfig, ResolvedPlugin } from './resolved-config.ts'
import { settingsOf } from './root-options.ts'

/** What a config that was read again has brought. */
export interface ConfigChange {
  /** Where it differs and is taken up: `limits.messagesPerSecond`. */
  readonly taken: readonly string[]
  /** Where it differs, and cannot be taken up before the next start. */
  readonly later: readonly string[]
}

/** A change, and what has to be done for it. */
export interface ConfigDifference extends ConfigChange {
  readonly settings: Settings
  /** Plugins to tell, by their place in the config that runs; options are complete. */
  readonly plugins: readonly { readonly index: number; readonly options: object }[]
  /** What runs when it is done: the config as it was, with what is taken up. */
  readonly config: ResolvedConfig
}

interface Paths {
  readonly taken: string[]
  readonly later: string[]
}

/** Compares the config that runs with another. `takes`: whether the plugin at a place can be told of new options. */
export function compareConfigs(running: ResolvedConfig, next: ResolvedConfig, takes: (index: number) => boolean): ConfigDifference {
  const paths: Paths = { taken: [], later: [] }
  const root = merged(running.rootSchema, running.root, next.root, '', true, paths)
  const settings = root === running.root ? running.settings : settingsOf(root)
  if (running.preset !== next.preset) paths.later.push('preset')
  const others = byKey(next.plugins)
  const told: { index: number; options: object }[] = []
  const plugins = [...running.plugins]
  const kept = byKey(running.plugins)
  for (const [key, { plugin, index }] of kept) {
    const other = others.get(key)?.plugin
    const place = placeOf(plugin)
    if (other === undefined) paths.later.push(`${place} (taken out)`)
    else if (plugin.schema !== undefined) {
      const options = merged(plugin.schema, plugin.options, other.options, place, takes(index), paths)
      if (options === plugin.options) continue
      plugins[index] = { ...plugin, options }
      told.push({ index, options })
    }
  }
  for (const [key, { plugin }] of others) if (!kept.has(key)) paths.later.push(`${placeOf(plugin)} (added)`)
  return { ...paths, settings, plugins: told, config: { ...running, root, settings, plugins } }
}

/** Options as they are, with the new value of each that can change while the broker runs; the same object where none has. */
function merged(schema: OptionsSchema, before: object, after: object, at: string, takes: boolean, paths: Paths): object {
  const values: Record<string, unknown> = { ...before }
  let changed = false
  for (const [name, option] of Object.entries(schema)) {
    const [was, is] = [(before as typeof values)[name], (after as typeof values)[name]]
    if (same(was, is)) continue
    const path = at === '' ? name : `${at}.${name}`
    const properties = propertiesOf(option)
    const named = namedItems(option)
    if (named !== null && Array.isArray(was) && Array.isArray(is)) {
      const items = mergedItems(named, was, is, path, { takes, live: option.live === true && takes }, paths)
      if (items === was) continue
      values[name] = items
      changed = true
    } else if (option.live === true && takes) {
      paths.taken.push(...(properties === undefined ? [path] : differing(properties, was, is, path)))
      values[name] = is
      changed = true
    } else if (properties !== undefined && isRecord(was) && isRecord(is)) {
      const part = merged(properties, was, is, path, takes, paths)
      if (part === was) continue
      values[name] = part
      changed = true
    } else paths.later.push(path)
  }
  return changed ? deepFreeze(values) : before
}

/** The options of a list's items, where they have names and some can change while the broker runs: then each item is compared with the one of its name. */
function namedItems(option: OptionSchema): OptionsSchema | null {
  const properties = 'items' in option && option.items !== undefined ? propertiesOf(option.items) : undefined
  return properties?.name !== undefined && Object.values(properties).some(({ live }) => live === true) ? properties : null
}

type Item = Readonly<Record<string, unknown>>

function mergedItems(
  properties: OptionsSchema,
  before: readonly Item[],
  after: readonly Item[],
  at: string,
  { takes, live }: { readonly takes: boolean; readonly live: boolean },
  paths: Paths,
): readonly Item[] {
  const list = live ? paths.taken : paths.later
  const items: Item[] = []
  for (const [index, item] of after.entries()) {
    const path = `${at}[${index}]`
    const was = before.find(({ name }) => name === item.name)
    if (was !== undefined) items.push(merged(properties, was, item, path, takes, paths) as Item)
    else {
      list.push(`${path} (added)`)
      if (live) items.push(item)
    }
  }
  for (const [index, item] of before.entries()) {
    if (after.some(({ name }) => name === item.name)) continue
    list.push(`${at}[${index}] (taken out)`)
    if (!live) items.push(item)
  }
  return items.length === before.length && items.every((item, index) => item === before[index]) ? before : items
}

function propertiesOf(option: OptionSchema): OptionsSchema | undefined {
  return 'properties' in option ? option.properties : undefined
}

function differing(properties: OptionsSchema, was: unknown, is: unknown, at: string): string[] {
  if (!isRecord(was) || !isRecord(is)) return [at]
  return Object.keys(properties).flatMap(name => (same(was[name], is[name]) ? [] : [`${at}.${name}`]))
}

/** A file that was read again has its functions anew: those that say the same are the same. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a === 'function' && typeof b === 'function') return String(a) === String(b)
  return isDeepStrictEqual(a, b)
}

/** Plugins by what tells them apart: their section, or their name and which of that name they are. */
function byKey(plugins: readonly ResolvedPlugin[]): Map<string, { plugin: ResolvedPlugin; index: number }> {
  const found = new Map<string, { plugin: ResolvedPlugin; index: number }>()
  for (const [index, plugin] of plugins.entries()) {
    let key = plugin.section ?? plugin.name
    while (found.has(key)) key = `${key}+`
    found.set(key, { plugin, index })
  }
  return found
}

/** `socket.1` in the provenance is `socket[1]` for a reader. */
export function placeOf({ section, name }: Pick<ResolvedPlugin, 'section' | 'name'>): string {
  return (section ?? name).replace(/\.(\d+)$/, '[$1]')
}
