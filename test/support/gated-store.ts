import { definePlugin } from '../../core/plugin.ts'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import type { Config } from '../../presets/index.ts'

export type Verb = keyof SessionStore | 'set'

interface Call {
  readonly verb: Verb
  /** Does what was asked, and answers. */
  answer(): void
  fail(error: Error): void
}

/**
 * Sessions and retained messages in memory behind a gate: verbs answer a turn later, in the order of the calls, and those that are
 * held back take effect and answer only when the test says so, or fail.
 */
export class Gate {
  readonly #held = new Set<Verb>()
  readonly #calls: Call[] = []
  readonly config: Config

  constructor(config: Config = {}) {
    const gate = this
    const store = definePlugin({
      name: 'gatedStore',
      provides: ['sessions', 'retained'],
      apply({ services, clock }) {
        services.provide('sessions', gate.#behind(new MemorySessions(clock), ['open', 'sessions']), 'gatedStore')
        services.provide('retained', gate.#behind(new MemoryRetained(clock), ['match']), 'gatedStore')
      },
    })
    this.config = { ...config, memory: false, plugins: [store(), ...(config.plugins ?? [])] }
  }

  /** From now on these wait. */
  hold(...verbs: Verb[]): void {
    for (const verb of verbs) this.#held.add(verb)
  }

  /** Verbs that were called and have no answer. */
  get waiting(): Verb[] {
    return this.#calls.map(({ verb }) => verb)
  }

  /** Answers all that wait, and holds nothing back any more. */
  release(): void {
    this.#held.clear()
    for (const call of this.#calls.splice(0)) call.answer()
  }

  /** Lets all that wait fail, none of it having been kept, and holds nothing back any more. */
  fail(error: Error): void {
    this.#held.clear()
    for (const call of this.#calls.splice(0)) call.fail(error)
  }

  #behind<T extends object>(store: T, passing: readonly string[]): T {
    return new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown
        if (typeof value !== 'function') return value
        if (passing.includes(String(name))) return value.bind(target)
        return (...given: unknown[]) => this.#call(name as Verb, () => Reflect.apply(value, target, given.map(asItIs)))
      },
    })
  }

  #call(verb: Verb, run: () => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const answer = (): void => void setImmediate(() => Promise.resolve(run()).then(resolve, reject))
      if (this.#held.has(verb)) this.#calls.push({ verb, answer, fail: reject })
      else answer()
    })
  }
}

// A store reads the key in the call: the epoch of a session that another claims meanwhile is not its own any more.
function asItIs(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || !('epoch' in given) || !('broker' in given)) return given
  const { clientId, epoch } = given as unknown as { clientId: string; epoch: number }
  return { clientId, epoch }
}
