import { OperatorError } from '../../core/errors.ts'
import { showValue } from '../../core/options/describe.ts'
import { unknownName } from '../../core/options/suggestion.ts'
import { isRecord, type Problem, validateOptions } from '../../core/options/validation.ts'
import { type AnyPluginFactory, createPlugin, isPlugin, isPluginFactory, type Plugin } from '../../core/plugin.ts'
import type { Catalogue, CatalogueEntry } from './catalogue.ts'
import type { ChosenPreset, ResolvedPlugin } from './config.ts'
import { ConfigTree } from './config-tree.ts'
import { loadPlugin } from './load-plugin.ts'

/** What the plan is made of. */
export interface PlanInput {
  readonly catalogue: Catalogue
  readonly chosen: ChosenPreset
  /** What the user's sources say; the preset's options lie beneath. */
  readonly tree: ConfigTree
  readonly testMode: boolean
  /** The folder that plugin paths are relative to. */
  readonly folder: string
}

export interface Plan {
  readonly plugins: ResolvedPlugin[]
  readonly provenance: Map<string, string>
  readonly warnings: string[]
  readonly problems: Problem[]
}

/** One plugin on its way into the plan. */
interface Candidate {
  readonly name: string
  /** Absent for a plugin of the user's own. */
  readonly entry?: CatalogueEntry
  /** Options from the preset, beneath the section's. */
  readonly base: object
  /** A plugin that already is one, from a custom preset or the list of plugins. */
  readonly plugin?: Plugin
  readonly provides: readonly string[]
  /** The user asked for it by its section or in `plugins`; it wins over what only the preset lists. */
  readonly named: boolean
}

/** Which plugins run, in which order, with which options: the preset's list, the sections laid over it, then the user's own. */
export async function planPlugins(input: PlanInput): Promise<Plan> {
  const { chosen, tree, testMode } = input
  const plan: Plan = { plugins: [], provenance: new Map(tree.provenance), warnings: [], problems: [] }
  const entries = listed(chosen.list, chosen.name === 'custom' ? 'preset' : `preset ${chosen.name}`, plan.problems)
  let candidates = candidatesOf(input, entries, index => `preset ${chosen.name}[${index}]`, false, plan)
  candidates = insertNamed(candidates, input)
  const own = await ownPlugins(input, plan)
  // Who owns a service comes before those who may ask for it.
  const owners = own.filter(({ provides }) => provides.length > 0)
  candidates = withoutReplaced([...owners, ...candidates, ...own.filter(candidate => !owners.includes(candidate))])
  if (testMode) candidates = inTestMode(candidates, input, plan)
  for (const candidate of candidates) resolve(candidate, input, plan)
  checkSectionsThatAreOff(input, candidates, plan)
  addStandIns(input, candidates, plan)
  return plan
}

/** The options of a section are kept under its name, without the `enable` that is not the plugin's to read. */
function isOff(tree: ConfigTree, name: string): boolean {
  const section = tree.values[name]
  return isRecord(section) && section.enable === false
}

function listed(list: () => readonly unknown[], who: string, problems: Problem[]): readonly unknown[] {
  const entries: unknown = list()
  if (Array.isArray(entries)) return entries
  problems.push({ path: who, text: `must return a list of plugins, got ${showValue(entries)}` })
  return []
}

function candidatesOf(
  input: PlanInput,
  entries: readonly unknown[],
  at: (index: number) => string,
  named: boolean,
  plan: Plan,
): Candidate[] {
  const candidates: Candidate[] = []
  for (const [index, entry] of entries.entries()) {
    const [first, base] = Array.isArray(entry) ? [entry[0] as unknown, (entry[1] as unknown) ?? {}] : [entry, {}]
    if (isPlugin(first)) {
      candidates.push(ofPlugin(first, input.catalogue, named))
    } else if (typeof first === 'string' && Object.hasOwn(input.catalogue.plugins, first)) {
      candidates.push(ofEntry(first, input, base as object, named))
    } else {
      plan.problems.push({ path: at(index), text: notAPlugin(first, Object.keys(input.catalogue.plugins)) })
    }
  }
  return candidates.filter(candidate => named || candidate.entry === undefined || !isOff(input.tree, candidate.name))
}

function ofEntry(name: string, input: PlanInput, base: object, named: boolean): Candidate {
  const entry = input.catalogue.plugins[name]!
  return { name, entry, base, provides: entry.provides ?? [], named: named || input.tree.values[name] !== undefined }
}

function ofPlugin(plugin: Plugin, catalogue: Catalogue, named: boolean): Candidate {
  const { name, provides = [], factory, given = {} } = plugin
  const builtIn = factory !== undefined && !named && Object.hasOwn(catalogue.plugins, name) ? { entry: catalogue.plugins[name]! } : {}
  return { name, plugin, base: given, provides, named, ...builtIn }
}

function notAPlugin(value: unknown, names: readonly string[]): string {
  if (typeof value === 'string') return `${showValue(value)} is ${unknownName(value, names)}`
  if (isPluginFactory(value)) return `is the factory ${value.name}, not a plugin; call it: ${value.name}()`
  return `must be a plugin, { name, apply }, got ${showValue(value)}`
}

// A built-in plugin that only its section names stands where the catalogue has it among the others.
function insertNamed(candidates: readonly Candidate[], input: PlanInput): Candidate[] {
  const { catalogue, tree } = input
  const names = Object.keys(catalogue.plugins)
  const plan = [...candidates]
  for (const [position, name] of names.entries()) {
    if (tree.values[name] === undefined || isOff(tree, name) || plan.some(candidate => candidate.name === name)) continue
    const next = plan.findIndex(candidate => candidate.entry !== undefined && names.indexOf(candidate.name) > position)
    plan.splice(next === -1 ? plan.length : next, 0, ofEntry(name, input, {}, true))
  }
  return plan
}

async function ownPlugins(input: PlanInput, plan: Plan): Promise<Candidate[]> {
  const { tree, catalogue } = input
  const given = tree.values.plugins
  if (given === undefined) return []
  if (!Array.isArray(given)) {
    plan.problems.push({ path: 'plugins', text: `must be a list of plugins, got ${showValue(given)}` })
    return []
  }
  const candidates: Candidate[] = []
  for (const [index, entry] of given.entries()) {
    const [first, options] = Array.isArray(entry) ? [entry[0] as unknown, entry[1] as unknown] : [entry, undefined]
    if (typeof first !== 'string' || Object.hasOwn(catalogue.plugins, first)) {
      candidates.push(...candidatesOf(input, [entry], () => `plugins[${index}]`, true, plan))
      continue
    }
    try {
      candidates.push(ofPlugin(await loadPlugin(first, options, input.folder, catalogue), catalogue, true))
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      plan.problems.push({ path: `plugins[${index}]`, text: error.message })
    }
  }
  return candidates
}

// `redis` with preset `standalone`: who is named owns the service, and the preset's own owner gives way.
function withoutReplaced(candidates: readonly Candidate[]): Candidate[] {
  const taken = new Set(candidates.filter(candidate => candidate.named).flatMap(candidate => candidate.provides))
  const kept = candidates.filter(candidate => candidate.named || !candidate.provides.some(service => taken.has(service)))
  const provided = new Set(kept.flatMap(candidate => candidate.provides))
  return kept.filter(
    ({ named, entry }) => named || entry?.goesWithItsServices !== true || (entry.requires ?? []).every(service => provided.has(service)),
  )
}

// Preset `test` says who owns what in memory; whoever else owns one of those services gives way, named or not.
function inTestMode(candidates: readonly Candidate[], input: PlanInput, plan: Plan): Candidate[] {
  const { catalogue, tree } = input
  const test = catalogue.presets.test
  const list = test === undefined ? () => [] : typeof test === 'function' ? test : test.plugins
  const owners = candidatesOf(input, listed(list, 'preset test', plan.problems), index => `preset test[${index}]`, false, plan).filter(
    owner => owner.provides.length > 0 && !isOff(tree, owner.name),
  )
  const owned = new Set(owners.flatMap(owner => owner.provides))
  const kept: Candidate[] = []
  for (const candidate of candidates) {
    if (candidate.entry?.offInTestMode === true) {
      if (candidate.named)
        plan.warnings.push(`${candidate.name}: off in test mode; use another preset than test, without enableTestMode, to have it`)
    } else if (owners.some(owner => owner.name === candidate.name) || !candidate.provides.some(service => owned.has(service))) {
      kept.push(candidate)
    } else if (candidate.named) {
      const instead = owners.filter(owner => owner.provides.some(service => candidate.provides.includes(service))).map(owner => owner.name)
      plan.warnings.push(`${candidate.name}: off in test mode, where ${instead.join(' and ')} takes its place`)
    }
  }
  const names = Object.keys(catalogue.plugins)
  for (const owner of owners) {
    if (kept.some(candidate => candidate.name === owner.name)) continue
    const next = kept.findIndex(candidate => candidate.entry !== undefined && names.indexOf(candidate.name) > names.indexOf(owner.name))
    kept.splice(next === -1 ? kept.length : next, 0, owner)
  }
  return kept
}

function resolve(candidate: Candidate, input: PlanInput, plan: Plan): void {
  const { name, entry, plugin, base } = candidate
  const factory = plugin?.factory
  const schema = entry?.options ?? factory?.options
  if (schema === undefined) {
    // Written by hand: it has no options that anybody could check.
    if (plugin !== undefined) plan.plugins.push({ ...described(plugin), options: {}, create: async () => plugin })
    return
  }
  const section = entry === undefined ? undefined : input.tree.values[name]
  const parts = Array.isArray(section) ? (section as unknown[]) : [section]
  for (const [index, part] of parts.entries()) {
    const at = Array.isArray(section) ? `${name}[${index}]` : name
    const place = Array.isArray(section) ? `${name}.${index}` : name
    const given = isRecord(part) ? part : {}
    if (given.enable === false) continue
    if (given.enable !== undefined && typeof given.enable !== 'boolean') {
      plan.problems.push({ path: `${at}.enable`, text: `must be true or false, got ${showValue(given.enable)}` })
    }
    const laid = layOver(base, given, name, input)
    for (const [path, who] of laid.provenance)
      if (path !== '' && !plan.provenance.has(`${place}${path}`)) plan.provenance.set(`${place}${path}`, who)
    const { options, problems } = validateOptions(schema, laid.values, at)
    plan.problems.push(...problems)
    const load = async () => factory ?? (await (entry as CatalogueEntry).load())
    plan.plugins.push({
      ...described(entry === undefined ? (plugin as Plugin) : { ...entry, name }),
      schema,
      options,
      ...(entry === undefined ? {} : { section: place }),
      create: async () =>
        plugin !== undefined && section === undefined ? plugin : createPlugin((await load()) as AnyPluginFactory, options),
    })
  }
}

function layOver(base: object, given: Record<string, unknown>, name: string, input: PlanInput) {
  const { enable: _enable, ...options } = given
  const tree = new ConfigTree({})
  const who = input.chosen.name === 'custom' ? `preset` : `preset ${input.chosen.name}`
  if (isRecord(base)) tree.merge({ [name]: withoutEnable(base) }, who)
  tree.merge({ [name]: options }, '')
  const provenance = [...tree.provenance].filter(([, by]) => by !== '').map(([path, by]) => [path.slice(name.length), by] as const)
  return { values: tree.values[name] ?? {}, provenance }
}

function withoutEnable(options: Record<string, unknown>): Record<string, unknown> {
  const { enable: _enable, ...rest } = options
  return rest
}

function described({ name, provides = [], requires = [] }: Pick<Plugin, 'name' | 'provides' | 'requires'>) {
  return { name, provides, requires }
}

// A service that a plugin needs by its options and nobody provides: the built-in plugin that stands in for its owner comes first of all.
function addStandIns({ catalogue }: PlanInput, candidates: readonly Candidate[], plan: Plan): void {
  const provided = new Set(plan.plugins.flatMap(({ provides }) => provides))
  const needs = plan.plugins.flatMap(
    ({ name, options }) => candidates.find(one => one.name === name)?.entry?.needs?.(options as never) ?? [],
  )
  for (const service of new Set(needs)) {
    if (provided.has(service)) continue
    const [name, entry] =
      Object.entries(catalogue.plugins).find(([, { provides, standIn }]) => standIn !== undefined && provides?.includes(service)) ?? []
    if (name === undefined) continue
    const { provides = [], requires = [] } = entry!
    plan.plugins.unshift({ name, options: {}, provides, requires, create: async () => createPlugin(await entry!.standIn!(), {}) })
  }
}

// A wrong key is wrong though the plugin is off: it would wait there for the day when it is turned on.
function checkSectionsThatAreOff(input: PlanInput, candidates: readonly Candidate[], plan: Plan): void {
  for (const [name, entry] of Object.entries(input.catalogue.plugins)) {
    const section = input.tree.values[name]
    if (!isRecord(section) || candidates.some(candidate => candidate.name === name)) continue
    const { problems } = validateOptions(entry.options, withoutEnable(section), name)
    plan.problems.push(...problems.filter(problem => problem.missing !== true))
  }
}
