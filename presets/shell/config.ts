import { basename, dirname } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { showShape, showValue } from '../../plugins/kit/options/describe.ts'
import { nestingFault } from '../../plugins/kit/options/nesting.ts'
import { isRecord } from '../../plugins/kit/options/plain-data.ts'
import { suggest, unknownName } from '../../plugins/kit/options/suggestion.ts'
import { type Problem, validateOptions } from '../../plugins/kit/options/validation.ts'
import { type Assignment, environmentAssignments, type ReadAssignment, readEnvironment, readSet } from './assignments.ts'
import { type Catalogue, type Preset, type PresetList, providersOf, rootNames } from './catalogue.ts'
import { choosePlugins } from './choose-plugins.ts'
import { ConfigTree } from './config-tree.ts'
import { findOwnPlugins, type OwnPlugins } from './own-plugins.ts'
import { checkOwners, checkRequired } from './plugin-host.ts'
import { readableConfig, readableSecrets } from './readable-secrets.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import { rootOptionsOf, settingsOf, withoutTheirPlugin } from './root-options.ts'
import { isServiceLink, passedOver } from './service-links.ts'
import { withWorkers } from './workers/with-workers.ts'

/** Where a config comes from; later ones win, key by key. */
export interface ConfigSources {
  /** A loaded config file. */
  readonly file?: { readonly path: string; readonly values: unknown } | undefined
  /** The environment, of which variables that begin with `MQTTX_` count. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** What the command line sets: `--set`, `--port`, `--host`, `--preset`. */
  readonly assignments?: readonly Assignment[] | undefined
  /** What a program hands to `createBroker`. */
  readonly object?: object | undefined
  /** The folder that plugin paths are relative to where there is no file; the current one if nothing is said. */
  readonly folder?: string | undefined
}

/** Merges preset, file, environment and command line or object, checks everything, and says which plugins run in which order. */
export async function resolveConfig(catalogue: Catalogue, sources: ConfigSources): Promise<ResolvedConfig> {
  const own = await ownPluginsOf(catalogue, sources)
  const builtIn = catalogue
  // From here on a plugin of the user's own is one like any other.
  catalogue = own.catalogue
  const layers = readSources(catalogue, sources)
  const problems: Problem[] = layers.flatMap(layer => layer.problems)
  const chosen = { ...choosePreset(catalogue, layers, problems), list: own.list }

  const tree = new ConfigTree(catalogue.plugins)
  if (chosen.settings !== undefined) tree.merge(chosen.settings, `preset ${chosen.name}`)
  for (const layer of layers) layer.into(tree)
  turnOn(catalogue, tree)
  problems.push(...tree.problems)

  const rootSchema = rootOptionsOf(catalogue)
  const root = checkRoot(catalogue, tree, problems)
  const settings = settingsOf(root)
  const testMode = settings.enableTestMode === true || chosen.name === 'test'
  const choice = choosePlugins({ catalogue, builtIn, preset: chosen, own: own.entries, tree, root, testMode })
  problems.push(...choice.problems, ...withoutTheirPlugin(catalogue, root, choice.plugins))
  // An environment variable or an argument that is wrong is looked for in the wrong place unless it is named.
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', lines(problems, tree))

  const plugins = withWorkers(catalogue, settings, tree, choice.plugins)
  checkOwners(plugins)
  checkRequired(plugins, {
    has: service => catalogue.services?.includes(service) === true,
    providersOf: service => providersOf(catalogue, service),
  })
  const { provenance, notes, rightsIgnored } = choice
  const configFile = sources.file?.path
  const folder = configFile === undefined ? (sources.folder ?? process.cwd()) : dirname(configFile)
  const warnings = [
    ...layers.flatMap(layer => layer.warnings ?? []),
    ...choice.warnings,
    ...readableSecrets(plugins, folder),
    ...readableConfig(configFile, provenance),
  ]
  return {
    preset: chosen.name,
    testMode,
    settings,
    root,
    rootSchema,
    plugins,
    provenance,
    warnings,
    notes,
    rightsIgnored,
    configFile,
    folder,
  }
}

/** Before any option is read: of the sources only what they say of `plugins` and `preset` is looked at. */
function ownPluginsOf(catalogue: Catalogue, sources: ConfigSources): Promise<OwnPlugins> {
  const layers = readSources(catalogue, sources)
  const from = layers.findLast(layer => layer.plugins !== undefined)
  // A plugin's path is relative to the file that names it.
  const file = from !== undefined && from === layers[0] ? sources.file?.path : undefined
  const folder = file === undefined ? (sources.folder ?? process.cwd()) : dirname(file)
  return findOwnPlugins(catalogue, from?.plugins, choosePreset(catalogue, layers, []).list, folder)
}

// `enableTopicSubPubSecure: true` stands for an empty section of its plugin.
function turnOn({ plugins }: Catalogue, tree: ConfigTree): void {
  for (const [name, { manifest }] of Object.entries(plugins)) {
    const { turnedOnBy } = manifest
    if (turnedOnBy === undefined || tree.values[turnedOnBy] !== true || tree.values[name] !== undefined) continue
    tree.set([name], {}, tree.whoSet(turnedOnBy) ?? 'default')
  }
}

/** The preset that a config names. */
interface ChosenPreset {
  readonly name: string
  readonly list: PresetList
  readonly settings?: Record<string, unknown>
}

interface Layer {
  readonly problems: Problem[]
  readonly warnings?: readonly string[]
  readonly preset?: unknown
  readonly plugins?: unknown
  into(tree: ConfigTree): void
}

function readSources(catalogue: Catalogue, sources: ConfigSources): Layer[] {
  const layers: Layer[] = []
  if (sources.file !== undefined) layers.push(dataLayer(sources.file.values, basename(sources.file.path)))
  if (sources.env !== undefined)
    layers.push(textLayer(environmentAssignments(sources.env), one => readEnvironment(catalogue, one), isServiceLink))
  layers.push(textLayer(sources.assignments ?? [], one => readSet(catalogue, one)))
  if (sources.object !== undefined) layers.push(dataLayer(sources.object, 'createBroker'))
  return layers
}

function dataLayer(values: unknown, who: string): Layer {
  const fault = nestingFault(values)
  if (fault !== null) return { problems: [{ path: who, text: fault }], into: () => {} }
  if (!isRecord(values)) {
    const text = `must export an object, as in export default defineConfig({ preset: 'dev' }), got ${showShape(values)}`
    return { problems: [{ path: who, text }], into: () => {} }
  }
  return { problems: [], preset: values.preset, plugins: values.plugins, into: tree => tree.merge(values, who) }
}

/** `passes`: of what no option has, whether it is somebody else's and says nothing to the broker. */
function textLayer(
  assignments: readonly Assignment[],
  read: (one: Assignment) => ReadAssignment,
  passes: (who: string, text: string) => boolean = () => false,
): Layer {
  const problems: Problem[] = []
  const passed: string[] = []
  const values: { keys: readonly string[]; value: unknown; who: string }[] = []
  for (const assignment of assignments) {
    const result = read(assignment)
    if ('problem' in result) {
      if (passes(assignment.who, assignment.text)) passed.push(assignment.who)
      else problems.push(result.problem)
    } else values.push({ ...result, who: assignment.who })
  }
  const saidOf = (name: string): unknown => values.findLast(({ keys }) => keys.length === 1 && keys[0] === name)?.value
  return {
    problems,
    warnings: passed.length === 0 ? [] : [passedOver(passed)],
    preset: saidOf('preset'),
    plugins: saidOf('plugins'),
    into(tree) {
      for (const { keys, value, who } of values) tree.set(keys, value, who)
    },
  }
}

function choosePreset(catalogue: Catalogue, layers: readonly Layer[], problems: Problem[]): ChosenPreset {
  const nothing: ChosenPreset = { name: 'custom', list: () => [] }
  const wanted = layers.findLast(layer => layer.preset !== undefined)?.preset ?? catalogue.defaultPreset ?? 'standalone'
  if (typeof wanted === 'function') return { name: 'custom', list: wanted as PresetList }
  if (isRecord(wanted) && typeof wanted.plugins === 'function') {
    const { plugins, settings } = wanted as Exclude<Preset, PresetList>
    return { name: 'custom', list: plugins, settings: { ...settings } }
  }
  const names = Object.keys(catalogue.presets)
  const preset: Preset | undefined =
    typeof wanted === 'string' && Object.hasOwn(catalogue.presets, wanted) ? catalogue.presets[wanted] : undefined
  if (typeof wanted !== 'string' || preset === undefined) {
    const meant = typeof wanted === 'string' ? suggest(wanted, names) : undefined
    const cure = meant === undefined ? `there are ${names.join(', ')}, or your own () => Plugin[]` : `did you mean ${meant}?`
    problems.push({ path: 'preset', text: `no preset is ${showValue(wanted)}; ${cure}` })
    return nothing
  }
  if (typeof preset === 'function') return { name: wanted, list: preset }
  return { name: wanted, list: preset.plugins, settings: { ...preset.settings } }
}

// What stands at the root and is neither an option nor a section; `$schema` is for editors.
const beside = ['preset', 'plugins', '$schema']

function checkRoot(catalogue: Catalogue, tree: ConfigTree, problems: Problem[]): object {
  const schema = rootOptionsOf(catalogue)
  const own: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(tree.values)) {
    if (Object.hasOwn(schema, key)) own[key] = value
    else if (!beside.includes(key) && !Object.hasOwn(catalogue.plugins, key)) {
      const names = rootNames(catalogue, schema)
      const meant = suggest(key, names)
      const text = meant === undefined ? `unknown; no option and no plugin has this name` : unknownName(key, names)
      problems.push({ path: key, text })
    }
  }
  const { options, problems: found } = validateOptions(schema, own, '')
  problems.push(...found)
  return options
}

function lines(problems: readonly Problem[], tree: ConfigTree): string[] {
  return problems.map(({ path, text }) => {
    const who = tree.whoSet(path)
    const named = who !== undefined && (who.startsWith('MQTTX_') || who.startsWith('--')) && !text.includes(`(${who})`)
    return `${path}: ${text}${named ? ` (${who})` : ''}`
  })
}
