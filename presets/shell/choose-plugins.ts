import type { PluginManifest } from '../../core/manifest.ts'
import type { Plugin } from '../../core/plugin.ts'
import type { ListedPlugin } from '../../plugins/kit/listed-plugin.ts'
import { showShape, showValue } from '../../plugins/kit/options/describe.ts'
import { isRecord } from '../../plugins/kit/options/plain-data.ts'
import { unknownName } from '../../plugins/kit/options/suggestion.ts'
import type { Problem } from '../../plugins/kit/options/validation.ts'
import { type Catalogue, type PresetList, providersOf } from './catalogue.ts'
import { ConfigTree } from './config-tree.ts'
import { NotLoaded } from './own-plugins.ts'
import { createPlugin, isPlugin, isPluginFactory } from './plugin-shapes.ts'
import type { ResolvedPlugin } from './resolved-config.ts'
import { pick } from './root-options.ts'
import { checkSection, isOff, optionsOf } from './section.ts'

/** What the plugins are chosen by. */
export interface Choice {
  /** The plugins that may have a section: the built-in ones, then the user's own. */
  readonly catalogue: Catalogue
  /** The built-in ones alone. */
  readonly builtIn: Catalogue
  /** What the user lists in `plugins`, loaded. */
  readonly own: readonly unknown[]
  /** The preset's name, `custom` for a function of the user's own, and its list. */
  readonly preset: { readonly name: string; readonly list: PresetList }
  /** What the user's sources say; the preset's options lie beneath. */
  readonly tree: ConfigTree
  /** The checked options at the root. */
  readonly root: object
  readonly testMode: boolean
}

/** The plugins that run, and what there is to say of the choice. */
export interface ChosenPlugins {
  readonly plugins: ResolvedPlugin[]
  readonly provenance: Map<string, string>
  readonly warnings: string[]
  readonly notes: string[]
  readonly problems: Problem[]
  /** The config says by name that nobody need check the rights which a plugin grants. */
  rightsIgnored: boolean
}

/** A plugin that the preset, a section or the user's list asks for. */
interface WantedPlugin {
  readonly name: string
  /** Absent for a plugin that was written by hand. */
  readonly manifest?: PluginManifest
  /** Absent for a plugin of the user's own, which has no section. */
  readonly listed?: ListedPlugin
  /** Options from the preset, beneath the section's. */
  readonly base: object
  /** A plugin that already is one, from a custom preset or the list of plugins. */
  readonly plugin?: Plugin
  readonly provides: readonly string[]
  /** It stands in `plugins`. */
  readonly own?: boolean
  /** What it could own, and another one owns here. */
  readonly lost?: readonly string[]
  /** The user asked for it by its section or in `plugins`; it wins over what only the preset lists. */
  readonly named: boolean
}

/** Which plugins run, in which order, with which options: the preset's list, the sections laid over it, then the user's own. */
export function choosePlugins(choice: Choice): ChosenPlugins {
  const { preset, tree, testMode } = choice
  const chosen: ChosenPlugins = {
    plugins: [],
    provenance: new Map(tree.provenance),
    warnings: [],
    notes: [],
    problems: [],
    rightsIgnored: false,
  }
  const entries = listed(preset.list, preset.name === 'custom' ? 'preset' : `preset ${preset.name}`, chosen.problems)
  let wanted = wantedOf(choice, entries, index => `preset ${preset.name}[${index}]`, false, chosen)
  const own = ownPlugins(choice, chosen)
  wanted = insertNamed(wanted, own, choice)
  wanted = withCheckOfRights(wanted, own, choice, chosen)
  // Who owns a service comes before those who may ask for it.
  const owners = own.filter(({ provides }) => provides.length > 0)
  wanted = withOwners([...owners, ...wanted, ...own.filter(one => !owners.includes(one))], choice, chosen)
  if (testMode) wanted = inTestMode(wanted, choice, chosen)
  const needed = new Set<string>()
  for (const one of wanted) resolve(one, choice, chosen, needed)
  checkSectionsThatAreOff(choice, wanted, chosen)
  checkNames(wanted, choice.builtIn, chosen)
  addStandIns(choice.catalogue, needed, chosen)
  return chosen
}

function listed(list: () => readonly unknown[], who: string, problems: Problem[]): readonly unknown[] {
  const entries: unknown = list()
  if (Array.isArray(entries)) return entries
  problems.push({ path: who, text: `must return a list of plugins, got ${showShape(entries)}` })
  return []
}

function wantedOf(
  choice: Choice,
  entries: readonly unknown[],
  at: (index: number) => string,
  named: boolean,
  chosen: ChosenPlugins,
): WantedPlugin[] {
  const { catalogue, tree } = choice
  const wanted: WantedPlugin[] = []
  for (const [index, entry] of entries.entries()) {
    const [first, base] = Array.isArray(entry) ? [entry[0] as unknown, (entry[1] as unknown) ?? {}] : [entry, {}]
    if (isPlugin(first)) {
      wanted.push({ ...ofPlugin(first, choice, named), own: named })
    } else if (typeof first === 'string' && Object.hasOwn(catalogue.plugins, first)) {
      wanted.push({ ...ofListed(first, choice, base as object, named), own: named })
    } else {
      const text = first instanceof NotLoaded ? first.text : notAPlugin(first, Object.keys(catalogue.plugins))
      chosen.problems.push({ path: at(index), text })
    }
  }
  return wanted.filter(one => one.listed === undefined || !isOff(tree.values[one.name]))
}

function ofListed(name: string, { catalogue, tree }: Choice, base: object, named: boolean): WantedPlugin {
  const listed = catalogue.plugins[name]!
  const { manifest } = listed
  return { name, manifest, listed, base, provides: manifest.provides ?? [], named: named || tree.values[name] !== undefined }
}

function ofPlugin(plugin: Plugin, { catalogue, builtIn }: Choice, named: boolean): WantedPlugin {
  const { name, provides = [], factory, given = {} } = plugin
  const listed = catalogue.plugins[name]!
  // One that has the name of a built-in plugin, and is none, has no section: that is the built-in one's. In a preset it takes the place of that one.
  const isItsOwn = !Object.hasOwn(builtIn.plugins, name) || factory?.manifest === listed.manifest || (factory !== undefined && !named)
  const manifest = factory?.manifest ?? (isItsOwn ? listed.manifest : undefined)
  return { name, plugin, base: given, provides, named, ...(manifest && { manifest }), ...(isItsOwn && { listed }) }
}

function notAPlugin(value: unknown, names: readonly string[]): string {
  if (typeof value === 'string') return `${showValue(value)} is ${unknownName(value, names)}`
  if (isPluginFactory(value)) return `is the factory ${value.name}, not a plugin; call it: ${value.name}()`
  return `must be a plugin, { name, apply }, got ${showShape(value)}`
}

// A built-in plugin that only its section names stands where the catalogue has it among the others.
function insertNamed(wanted: readonly WantedPlugin[], own: readonly WantedPlugin[], choice: Choice): WantedPlugin[] {
  const { builtIn, tree } = choice
  const all = [...wanted]
  for (const name of Object.keys(builtIn.plugins)) {
    const section = tree.values[name]
    if (section === undefined || isOff(section) || [...all, ...own].some(one => one.name === name && one.listed !== undefined)) continue
    insert(all, ofListed(name, choice, {}, true), builtIn)
  }
  return all
}

function insert(all: WantedPlugin[], one: WantedPlugin, catalogue: Catalogue): void {
  const names = Object.keys(catalogue.plugins)
  const next = all.findIndex(
    other => other.listed !== undefined && names.includes(other.name) && names.indexOf(other.name) > names.indexOf(one.name),
  )
  all.splice(next === -1 ? all.length : next, 0, one)
}

/** Rights that somebody grants are checked, unless the config says by name that they are not. */
function withCheckOfRights(wanted: WantedPlugin[], own: readonly WantedPlugin[], choice: Choice, chosen: ChosenPlugins): WantedPlugin[] {
  const { catalogue, tree } = choice
  const granting = [...wanted, ...own].filter(({ manifest }) => manifest?.grantsRights === true).map(({ name }) => name)
  for (const [name, { manifest }] of Object.entries(catalogue.plugins)) {
    const { whereRightsAreGranted: options, turnedOnBy } = manifest
    if (options === undefined || [...wanted, ...own].some(one => one.name === name)) continue
    if (isOff(tree.values[name]) || (turnedOnBy !== undefined && tree.values[turnedOnBy] === false)) {
      chosen.rightsIgnored = true
      if (granting.length > 0) {
        const who = granting.join(', ')
        chosen.warnings.push(
          `${who}: the rights that it grants are checked by no built-in plugin, since ${name} is off by name; leave that out to have them checked`,
        )
      }
      continue
    }
    if (granting.length === 0) continue
    const who = `by itself, for ${granting.join(', ')}`
    tree.set([name], options, who)
    for (const [path, by] of tree.provenance) if (by === who) chosen.provenance.set(path, by)
    wanted = [...wanted]
    insert(wanted, ofListed(name, choice, {}, true), choice.builtIn)
  }
  return wanted
}

function ownPlugins(choice: Choice, chosen: ChosenPlugins): WantedPlugin[] {
  const { plugins } = choice.tree.values
  if (plugins !== undefined && !Array.isArray(plugins))
    chosen.problems.push({ path: 'plugins', text: `must be a list of plugins, got ${showShape(plugins)}` })
  return wantedOf(choice, choice.own, index => `plugins[${index}]`, true, chosen)
}

/**
 * One owner for each service: a plugin of the user's own before a built-in one that is named, and that before one that only the preset lists. Whoever loses a
 * service keeps the others, and is left out where none is left; both are said. Two of the same rank are an error, later on.
 */
function withOwners(wanted: readonly WantedPlugin[], choice: Choice, chosen: ChosenPlugins): WantedPlugin[] {
  const rank = ({ name, named }: WantedPlugin): number => (named ? 2 : 0) + (Object.hasOwn(choice.builtIn.plugins, name) ? 0 : 1)
  const ownersOf = (service: string, among: readonly WantedPlugin[]): WantedPlugin[] => {
    const able = among.filter(({ provides }) => provides.includes(service))
    const highest = Math.max(...able.map(rank))
    return able.filter(one => rank(one) === highest)
  }
  // `redis` with preset `standalone`: a store that is named takes the place of the preset's own, with all that it has.
  const isReplaced = (one: WantedPlugin): boolean =>
    rank(one) === 0 && one.provides.some(service => ownersOf(service, wanted).some(owner => rank(owner) === 2))
  const left = wanted.filter(one => !isReplaced(one))
  const kept: WantedPlugin[] = []
  for (const one of wanted) {
    const provides = left.includes(one) ? one.provides.filter(service => ownersOf(service, left).includes(one)) : []
    const lost = one.provides.filter(service => !provides.includes(service))
    if (lost.length === 0) {
      kept.push(one)
      continue
    }
    const owners = new Map<string, string[]>()
    for (const service of lost) {
      const owner = ownersOf(service, left)[0]?.name ?? 'nobody'
      owners.set(owner, [...(owners.get(owner) ?? []), service])
    }
    const taken = [...owners].map(([owner, services]) => `${owner} owns ${services.join(' and ')}`)
    const stays = provides.length > 0 || one.manifest?.listener === true
    if (stays) kept.push({ ...one, provides, lost })
    const what = provides.length > 0 ? `owns ${provides.join(' and ')} only` : stays ? 'owns no service' : 'left out'
    chosen.notes.push(`${one.name}: ${what}, because ${taken.join(', ')}`)
  }
  return withoutTheirServices(kept, choice, chosen)
}

// `cluster`, which preset `prod` lists, where nobody owns the bus any more.
function withoutTheirServices(wanted: readonly WantedPlugin[], { catalogue, testMode }: Choice, chosen: ChosenPlugins): WantedPlugin[] {
  const provided = new Set(wanted.flatMap(({ provides }) => provides))
  return wanted.filter(({ name, named, manifest }) => {
    if (named || manifest?.goesWithItsServices !== true) return true
    const missing = (manifest.requires ?? []).filter(service => !provided.has(service))
    if (missing.length === 0) return true
    const cure = `add ${[...missing.flatMap(service => providersOf(catalogue, service)), 'a plugin of your own'].join(' or ')}, or say ${name}: false`
    if (!testMode) chosen.warnings.push(`${name}: left out, because no plugin provides the service ${missing.join(' and ')}; ${cure}`)
    return false
  })
}

// Preset `test` says who owns what in memory; whoever else owns one of those services gives way, named or not.
function inTestMode(wanted: readonly WantedPlugin[], choice: Choice, chosen: ChosenPlugins): WantedPlugin[] {
  const { builtIn, tree } = choice
  const { test } = builtIn.presets
  const list = test === undefined ? () => [] : typeof test === 'function' ? test : test.plugins
  const entries = listed(list, 'preset test', chosen.problems)
  const owners = wantedOf(choice, entries, index => `preset test[${index}]`, false, chosen).filter(
    owner => owner.provides.length > 0 && !isOff(tree.values[owner.name]),
  )
  const owned = new Set(owners.flatMap(owner => owner.provides))
  const kept: WantedPlugin[] = []
  for (const one of wanted) {
    if (one.manifest?.offInTestMode === true) {
      if (one.named) chosen.warnings.push(`${one.name}: off in test mode; use another preset than test, without enableTestMode, to have it`)
    } else if (owners.some(owner => owner.name === one.name) || !one.provides.some(service => owned.has(service))) {
      kept.push(one)
    } else if (one.named) {
      const instead = owners.filter(owner => owner.provides.some(service => one.provides.includes(service))).map(owner => owner.name)
      chosen.warnings.push(`${one.name}: off in test mode, where ${instead.join(' and ')} takes its place`)
    }
  }
  for (const owner of owners) if (!kept.some(({ name }) => name === owner.name)) insert(kept, owner, builtIn)
  return kept
}

function resolve(wanted: WantedPlugin, choice: Choice, chosen: ChosenPlugins, needed: Set<string>): void {
  const { name, manifest, listed, plugin, base } = wanted
  if (manifest === undefined) {
    // Written by hand: it has no options that anybody could check.
    if (plugin !== undefined) chosen.plugins.push({ ...described(wanted, plugin), options: {}, root: {}, create: async () => plugin })
    return
  }
  const section = listed === undefined ? undefined : choice.tree.values[name]
  const parts = Array.isArray(section) ? (section as unknown[]) : [section]
  if (wanted.own === true && listed !== undefined && !chosen.provenance.has(name)) chosen.provenance.set(name, listedBy(choice.tree))
  for (const [index, part] of parts.entries()) {
    if (isOff(part)) continue
    const at = Array.isArray(section) ? `${name}[${index}]` : name
    const place = Array.isArray(section) ? `${name}.${index}` : name
    const laid = layOver(base, isRecord(part) ? part : {}, wanted, choice)
    for (const [path, who] of laid.provenance)
      if (path !== '' && !chosen.provenance.has(`${place}${path}`)) chosen.provenance.set(`${place}${path}`, who)
    const schema = manifest.options ?? {}
    const { options, problems } = checkSection(schema, laid.section, at)
    chosen.problems.push(...problems)
    for (const service of manifest.needs?.(options as never) ?? []) needed.add(service)
    chosen.plugins.push({
      ...described(wanted, manifest),
      schema,
      options,
      root: pick(choice.root, manifest.rootOptions ?? {}),
      ...(listed === undefined ? {} : { section: place }),
      create: async () => {
        if (plugin !== undefined && (section === undefined || plugin.factory === undefined)) return plugin
        return createPlugin(plugin?.factory ?? (await listed!.load(options)), options)
      },
    })
  }
}

// Whether a preset's own plugin is on, its section says, not the preset's options.
function layOver(base: object, given: Record<string, unknown>, { name, own }: WantedPlugin, { preset, tree: said }: Choice) {
  const tree = new ConfigTree({})
  const who = own === true ? listedBy(said) : preset.name === 'custom' ? 'preset' : `preset ${preset.name}`
  if (isRecord(base)) tree.merge({ [name]: optionsOf(base) }, who)
  tree.merge({ [name]: given }, '')
  const provenance = [...tree.provenance].filter(([, by]) => by !== '').map(([path, by]) => [path.slice(name.length), by] as const)
  return { section: tree.values[name] ?? {}, provenance }
}

/** Who lists the user's own plugins. */
function listedBy({ provenance }: ConfigTree): string {
  return `plugins (${provenance.get('plugins') ?? 'default'})`
}

function described(
  { name, provides, lost = [] }: Pick<WantedPlugin, 'name' | 'provides' | 'lost'>,
  { requires = [], runs = 'each' }: Pick<Plugin, 'requires'> & Pick<PluginManifest, 'runs'>,
) {
  return { name, provides, lost, requires, runs }
}

// A service that a plugin needs by its options and nobody provides: the built-in plugin that stands in for its owner comes first of all.
function addStandIns({ plugins }: Catalogue, needed: ReadonlySet<string>, chosen: ChosenPlugins): void {
  const provided = new Set(chosen.plugins.flatMap(({ provides }) => provides))
  for (const service of needed) {
    if (provided.has(service)) continue
    const owner = Object.values(plugins).find(({ standIn, manifest }) => standIn !== undefined && manifest.provides?.includes(service))
    if (owner === undefined) continue
    chosen.plugins.unshift({
      ...described({ name: owner.manifest.name, provides: owner.manifest.provides ?? [] }, owner.manifest),
      options: {},
      root: {},
      create: async () => createPlugin(await owner.standIn!(), {}),
    })
  }
}

// By its name a plugin is told new options, and named in the log: two of one name could not be told apart. A listener may be there several times.
function checkNames(wanted: readonly WantedPlugin[], catalogue: Catalogue, chosen: ChosenPlugins): void {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { name, manifest } of wanted) {
    if (seen.has(name) && manifest?.listener !== true) twice.add(name)
    seen.add(name)
  }
  for (const name of twice) {
    const cure = Object.hasOwn(catalogue.plugins, name)
      ? `leave one out of plugins, give your own another name, or turn the built-in one off: ${name}: false`
      : 'leave one out, or give one of them another name'
    chosen.problems.push({ path: name, text: `two plugins have this name; ${cure}` })
  }
}

// A wrong key is wrong though the plugin is off: it would wait there for the day when it is turned on.
function checkSectionsThatAreOff({ catalogue, tree }: Choice, wanted: readonly WantedPlugin[], chosen: ChosenPlugins): void {
  for (const [name, { manifest }] of Object.entries(catalogue.plugins)) {
    const section = tree.values[name]
    if (!isRecord(section) || wanted.some(one => one.name === name)) continue
    const { problems } = checkSection(manifest.options ?? {}, section, name)
    chosen.problems.push(...problems.filter(problem => problem.missing !== true))
  }
}
