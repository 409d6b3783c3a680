import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import type { CheckedOptions, Plugin, RunningPlugin } from '../../core/plugin.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'

export interface PluginHostOptions {
  /** What each plugin is handed; called once a plugin, so that its log lines can carry its name. */
  context(plugin: Plugin): PluginContext
  /** The options of a plugin, where the config has checked them; otherwise the plugin checks its own. */
  checked?(plugin: Plugin): CheckedOptions | undefined
  /** The services that a plugin owns; those that it declares where nothing is said. */
  provides?(plugin: Plugin): readonly string[]
  /** Whether somebody owns a service who did not declare it: core itself, or a plugin that provided it in `apply`. */
  has?(service: string): boolean
  /** The built-in plugins that could provide a service, for the cure in the message: `['memory', 'redis']`. */
  providersOf?(service: string): readonly string[]
  /** How long one plugin's `stop` may take. */
  stopTimeoutMs?: number
}

type Phase = 'new' | 'applied' | 'started' | 'listening' | 'stopped'

interface Hosted {
  readonly plugin: Plugin
  readonly running: RunningPlugin
  startBegan: boolean
}

/** Takes plugins through their life: all applied, all started, all listening, then stopped in reverse. */
export class PluginHost {
  readonly #options: PluginHostOptions
  readonly #hosted: Hosted[] = []
  /** What `verify` has warned of. */
  readonly warnings: string[] = []
  #verified = false
  #phase: Phase = 'new'

  constructor(options: PluginHostOptions) {
    this.#options = options
  }

  /** Applies all in order and checks their services. Nothing has started when it throws. */
  apply(plugins: readonly Plugin[]): void {
    this.#enter('applied', ['new'])
    const owning = plugins.map(plugin => ({ ...plugin, provides: this.#options.provides?.(plugin) ?? plugin.provides ?? [] }))
    checkOwners(owning)
    for (const plugin of plugins) {
      const running = this.#applyOne(plugin)
      if (isThenable(running)) {
        // Nobody else will look at this promise; unhandled, it would end the process.
        running.then(undefined, () => {})
        throw new OperatorError('ERR_PLUGIN', `${plugin.name}: apply returned a promise; move what takes time to start()`)
      }
      if (running !== undefined && (typeof running !== 'object' || running === null)) {
        throw new OperatorError(
          'ERR_PLUGIN',
          `${plugin.name}: apply must return { verify, start, listen, stop, reread, reload } or nothing`,
        )
      }
      this.#hosted.push({ plugin, running: running ?? {}, startBegan: false })
    }
    checkRequired(owning, this.#options)
  }

  /** Has all plugins look at what their options name, in order. Rejects with all that is wrong at once. Nothing has started. */
  async verify(): Promise<void> {
    this.#verified = true
    this.warnings.length = 0
    const errors: OperatorError[] = []
    for (const { plugin, running } of this.#hosted) {
      try {
        this.warnings.push(...((await running.verify?.()) ?? []))
      } catch (cause) {
        errors.push(named(plugin, 'verify', cause))
      }
    }
    const [first] = errors
    if (first === undefined || errors.length === 1) throwIf(first)
    else throw new OperatorError(first.code, [...new Set(errors.flatMap(({ problems }) => problems))], { cause: first })
  }

  /** Starts all in order, when all have verified what they will use. On a failure the rest does not start; call `stop` for what began. */
  async start(): Promise<void> {
    this.#enter('started', ['applied'])
    if (!this.#verified) await this.verify()
    for (const hosted of this.#hosted) {
      if (this.#phase !== 'started') return
      hosted.startBegan = true
      try {
        await hosted.running.start?.()
      } catch (cause) {
        throw named(hosted.plugin, 'start', cause)
      }
    }
  }

  /** Opens all listeners in order; returns one line for each. */
  async listen(): Promise<string[]> {
    this.#enter('listening', ['started'])
    const lines: string[] = []
    for (const { plugin, running } of this.#hosted) {
      if (this.#phase !== 'listening') break
      try {
        lines.push(...((await running.listen?.()) ?? []))
      } catch (cause) {
        throw named(plugin, 'listen', cause)
      }
    }
    return lines
  }

  /** Has listeners take no more connections, all of them, whatever one of them says. */
  async unlisten(): Promise<void> {
    await Promise.all(this.#hosted.map(async ({ running }) => running.unlisten?.()))
  }

  /** Opens again what `unlisten` has closed; returns one line for each. */
  async relisten(): Promise<string[]> {
    const lines: string[] = []
    for (const { plugin, running } of this.#hosted) {
      if (running.unlisten === undefined || this.#phase !== 'listening') continue
      try {
        lines.push(...((await running.listen?.()) ?? []))
      } catch (cause) {
        throw named(plugin, 'listen', cause)
      }
    }
    return lines
  }

  /** Stops, in reverse, whatever began to start. Never throws: what failed or took too long is returned, each error naming its plugin. */
  async stop(): Promise<Error[]> {
    this.#phase = 'stopped'
    const errors: Error[] = []
    for (const hosted of this.#hosted.toReversed()) {
      if (!hosted.startBegan) continue
      hosted.startBegan = false
      try {
        await within(this.#options.stopTimeoutMs ?? 10_000, hosted)
      } catch (cause) {
        errors.push(new Error(`${hosted.plugin.name}: stop failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }))
      }
    }
    return errors
  }

  /** Has all plugins look, side by side, whether what they depend on can be reached. Nothing has started. */
  async probe(): Promise<{ lines: string[]; errors: Error[] }> {
    const answers = await Promise.allSettled(
      this.#hosted.map(async ({ plugin, running }) => {
        try {
          return (await running.probe?.()) ?? []
        } catch (cause) {
          throw named(plugin, 'probe', cause)
        }
      }),
    )
    const lines: string[] = []
    const errors: Error[] = []
    for (const answer of answers) {
      if (answer.status === 'fulfilled') lines.push(...answer.value)
      else errors.push(answer.reason as Error)
    }
    return { lines, errors }
  }

  /** Has all plugins read their files again, one after another. */
  async reread(): Promise<void> {
    for (const { running } of this.#hosted) await running.reread?.()
  }

  /** Hands new options, checked and complete, to the plugin of that name; resolves to `false` if none takes any while running. */
  async reload(name: string, options: object): Promise<boolean> {
    let taken = false
    for (const { plugin, running } of this.#hosted) {
      if (plugin.name !== name || running.reload === undefined) continue
      await running.reload(plugin.factory === undefined ? options : checkOptions(plugin.factory.manifest.options ?? {}, options, name))
      taken = true
    }
    return taken
  }

  /** Whether the plugin at a place of the list takes options while running. */
  takes(index: number): boolean {
    return this.#hosted[index]?.running.reload !== undefined
  }

  /** Hands checked and complete options to plugins by their places: to all of them, or where one refuses to none. */
  async reloadAll(changes: readonly { readonly index: number; readonly options: object; readonly before: object }[]): Promise<void> {
    const told: (typeof changes)[number][] = []
    for (const change of changes) {
      told.unshift(change)
      const { plugin, running } = this.#hosted[change.index]!
      try {
        await running.reload!(change.options)
      } catch (cause) {
        // The one that refused may have taken half of it.
        const others = await this.#putBack(told)
        throw refusedBy(plugin, cause, others)
      }
    }
  }

  /** Hands plugins the options that they had; returns what is to be said of those that do not take them. */
  async #putBack(changes: readonly { readonly index: number; readonly before: object }[]): Promise<string[]> {
    const problems: string[] = []
    for (const { index, before } of changes) {
      const { plugin, running } = this.#hosted[index]!
      try {
        await running.reload!(before)
      } catch (error) {
        problems.push(`${plugin.name} does not take back the options that it had (${(error as Error).message}); start the broker anew`)
      }
    }
    return problems
  }

  #applyOne(plugin: Plugin): unknown {
    try {
      return plugin.apply(this.#options.context(plugin), this.#options.checked?.(plugin))
    } catch (cause) {
      throw named(plugin, 'apply', cause)
    }
  }

  #enter(phase: Phase, from: readonly Phase[]): void {
    if (!from.includes(this.#phase)) throw new Error(`plugins are ${this.#phase}, they cannot become ${phase}`)
    this.#phase = phase
  }
}

/** Refuses two plugins that own the same service. */
export function checkOwners(plugins: readonly Pick<Plugin, 'name' | 'provides'>[]): void {
  const owners = new Map<string, string>()
  const problems: string[] = []
  for (const { name, provides = [] } of plugins) {
    for (const service of provides) {
      const owner = owners.get(service)
      if (owner === undefined) owners.set(service, name)
      // Several listeners of one section are one owner.
      else if (owner !== name)
        problems.push(`${owner} and ${name} both provide service "${service}"; turn one off: ${owner}: false or ${name}: false`)
    }
  }
  if (problems.length > 0) throw new OperatorError('ERR_SERVICE_TWICE', problems)
}

/** Refuses a plugin whose required service nobody provides. */
export function checkRequired(
  plugins: readonly Pick<Plugin, 'name' | 'provides' | 'requires'>[],
  options: Pick<PluginHostOptions, 'has' | 'providersOf'>,
): void {
  const provided = new Set(plugins.flatMap(plugin => plugin.provides ?? []))
  const problems: string[] = []
  for (const { name, requires = [] } of plugins) {
    for (const service of requires) {
      if (provided.has(service) || options.has?.(service) === true) continue
      const providers = options.providersOf?.(service) ?? []
      const cure =
        providers.length === 0
          ? 'add a plugin that provides it'
          : `turn on ${providers.join(' or ')} (${providers[0]}: true), or add a plugin of your own that provides it`
      problems.push(`${name} requires service "${service}"; ${cure}`)
    }
  }
  if (problems.length > 0) throw new OperatorError('ERR_SERVICE_MISSING', problems)
}

// What a plugin says to the operator passes as it is; anything else at least says which plugin it was.
function named(plugin: Plugin, step: string, cause: unknown): OperatorError {
  if (cause instanceof OperatorError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  return new OperatorError('ERR_PLUGIN', `${plugin.name}: ${step} failed: ${text}`, { cause })
}

// Whoever reads it has changed many options, and wants to know whose were refused.
function refusedBy(plugin: Plugin, cause: unknown, others: readonly string[]): OperatorError {
  const { code, problems } = named(plugin, 'reload', cause)
  const own = problems.map(problem => (problem.includes(plugin.name) ? problem : `${plugin.name} refuses it: ${problem}`))
  return new OperatorError(code, [...own, ...others], { cause })
}

function throwIf(error: Error | undefined): void {
  if (error !== undefined) throw error
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

async function within(timeoutMs: number, { running }: Hosted): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${timeoutMs} ms; going on without it`)), timeoutMs)
  })
  try {
    await Promise.race([running.stop?.(), late])
  } finally {
    clearTimeout(timer)
  }
}
