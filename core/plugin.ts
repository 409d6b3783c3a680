import type { PluginContext } from './context.ts'
import type { PluginManifest } from './manifest.ts'
import type { OptionsInput, OptionsOf, OptionsSchema, RequiredKeys } from './options/options.ts'

/** Something applied to a broker: hooks and services touched in `apply`, the running half returned. A plain object will do. */
export interface Plugin {
  /** The plugin's name, for messages and for `reload`. */
  readonly name: string
  /** The services that it owns: no other plugin may provide them. */
  readonly provides?: readonly string[] | undefined
  /** The services that it cannot do without. */
  readonly requires?: readonly string[] | undefined
  /**
   * Wires hooks and services: synchronous, no network. What takes time belongs in `start`. `checked`: its options, where a config has checked them
   * already; without it those that its factory was given are checked by the context.
   */
  apply(context: PluginContext, checked?: CheckedOptions): RunningPlugin | undefined | void
  /** The factory that made it, so that a section of the config can be laid over its options. */
  readonly factory?: AnyPluginFactory | undefined
  /** The options as they were given to the factory. */
  readonly given?: object | undefined
}

/** The options of a plugin as a config has checked them: complete and frozen. */
export interface CheckedOptions {
  /** The options of the plugin's section. */
  readonly options: object
  /** The options of the plugin that stand at the root of the config. */
  readonly root: object
}

/** The half of a plugin that runs. Every part may be left out. */
export interface RunningPlugin<Options = unknown> {
  /**
   * Looks whether what its options name can be used: files, certificates, what contradicts another option. `check` asks, and so does each start before
   * the first `start`, so it opens and changes nothing. Throws or rejects with an `OperatorError` that names option and cure; what it read it may keep. The
   * strings are warnings, which the start and `check` say, a line each.
   */
  verify?(): Lines | Promise<Lines>
  /** Opens connections, loads what is needed. All plugins' `start` run one after another, in the order of the list. */
  start?(): void | Promise<void>
  /** Opens for clients, after every `start`. The strings say where, one log line each. */
  listen?(): Lines | Promise<Lines>
  /** Takes no more connections of clients; those that are open go on: the node is being drained. `listen` is called again when it is to take some again, and opens the same place. */
  unlisten?(): void | Promise<void>
  /** Gives everything back, in reverse order; also runs when a `start`, this plugin's own included, has failed. */
  stop?(): void | Promise<void>
  /** Reads the files again that its options name: certificates, rules. On SIGHUP. Reports by itself what is wrong with them. */
  reread?(): void | Promise<void>
  /**
   * Looks whether what it depends on can be reached, for `check --connect`; nothing has started. Resolves to lines about it, rejects with
   * the cure.
   */
  probe?(): Promise<readonly string[]>
  /**
   * Takes new options while running, checked and with defaults filled in. Throws where they are wrong after all, and then nothing has changed. A config that is
   * read again hands it those that its schema calls `live`, the others as they were.
   */
  reload?(options: Options): void | Promise<void>
}

/** Lines for whoever runs the broker; there may be none. */
export type Lines = readonly string[] | undefined | void

/**
 * Wires hooks and services: synchronous, no network. `options`, and `root`, the plugin's options at the root of the config, are checked,
 * with defaults filled in.
 */
export type ApplyPlugin<S extends OptionsSchema, R extends OptionsSchema> = (
  context: PluginContext,
  options: OptionsOf<S>,
  root: OptionsOf<R>,
) => RunningPlugin<OptionsOf<S>> | undefined | void

/** What `definePlugin` is told where manifest and implementation stand in one place. */
export interface PluginDeclaration<S extends OptionsSchema, R extends OptionsSchema> extends PluginManifest<S, R> {
  /**
   * Wires hooks and services: synchronous, no network. `options`, and `root`, the plugin's options at the root of the config, are checked,
   * with defaults filled in.
   */
  apply(context: PluginContext, options: OptionsOf<S>, root: OptionsOf<R>): RunningPlugin<OptionsOf<S>> | undefined | void
}

/** Makes a plugin of options. */
export interface PluginFactory<S extends OptionsSchema = OptionsSchema> {
  (...options: FactoryArguments<S>): Plugin
  /** The plugin's name. */
  readonly name: string
  /** What the plugin declares of itself. */
  readonly manifest: PluginManifest<S>
}

/** A factory whose options nobody knows at compile time. */
export interface AnyPluginFactory {
  (...options: never): Plugin
  /** The plugin's name. */
  readonly name: string
  /** What the plugin declares of itself. */
  readonly manifest: PluginManifest
}

// biome-ignore lint/complexity/noBannedTypes: the empty record of options.
type NoOptions = {}

type FactoryArguments<S extends OptionsSchema> = [RequiredKeys<S>] extends [never]
  ? [options?: OptionsInput<S>]
  : [options: OptionsInput<S>]

/** Declares a plugin once: types, defaults, checks and docs come from its manifest's `options`. Returns its factory. */
export function definePlugin<const S extends OptionsSchema = NoOptions, const R extends OptionsSchema = NoOptions>(
  declaration: PluginDeclaration<S, R>,
): PluginFactory<S>
/** The same for a manifest that stands in a file of its own. */
export function definePlugin<const S extends OptionsSchema = NoOptions, const R extends OptionsSchema = NoOptions>(
  manifest: PluginManifest<S, R>,
  apply: ApplyPlugin<S, R>,
): PluginFactory<S>
export function definePlugin<S extends OptionsSchema, R extends OptionsSchema>(
  manifest: PluginManifest<S, R> | PluginDeclaration<S, R>,
  apply: ApplyPlugin<S, R> = (context, options, root) => (manifest as PluginDeclaration<S, R>).apply(context, options, root),
): PluginFactory<S> {
  const { name, provides = [], requires = [], options: schema = {}, rootOptions = {} } = manifest
  const factory = (given: object = {}): Plugin => ({
    name,
    provides,
    requires,
    given,
    factory: factory as unknown as AnyPluginFactory,
    apply(context, checked) {
      const { options, root } = checked ?? {
        options: context.checkOptions(schema, given, name),
        root: context.checkOptions(rootOptions, {}, ''),
      }
      return apply(context, options as OptionsOf<S>, root as OptionsOf<R>)
    },
  })
  // A function's own name is read-only; redefining it makes stack traces and messages speak of the plugin.
  Object.defineProperties(factory, { name: { value: name }, manifest: { value: manifest, enumerable: true } })
  return factory as unknown as PluginFactory<S>
}
