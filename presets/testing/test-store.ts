import { definePlugin, type Plugin } from '../../core/plugin.ts'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'

// What is asked before anything can be away, or answered at once.
const passing = new Set<PropertyKey>(['open', 'sessions', 'match', 'constructor', 'get', 'entries', 'watch'])

/** The services that it can own. */
export const keptServices = ['sessions', 'retained', 'state'] as const

type Kept = (typeof keptServices)[number]

/** Sessions, retained messages and the state in memory, which can be away: then what they are asked waits, in order, as for a Redis that does not answer. */
export class TestStore {
  readonly plugin: Plugin
  #away = false
  #calls: { run(): void; fail(error: Error): void }[] = []

  /** `provides`: of what it can keep that which no plugin of the test's own keeps. */
  constructor(provides: readonly Kept[] = keptServices) {
    const store = this
    const factory = definePlugin({
      name: 'testStore',
      provides,
      apply({ services, clock }) {
        if (provides.includes('sessions')) services.provide('sessions', store.#behind(new MemorySessions(clock)), 'testStore')
        if (provides.includes('state')) services.provide('state', store.#behind(new MemoryState(clock)), 'testStore')
        if (provides.includes('retained')) services.provide('retained', store.#behind(new MemoryRetained(clock)), 'testStore')
      },
    })
    this.plugin = factory()
  }

  get away(): boolean {
    return this.#away
  }

  set away(away: boolean) {
    this.#away = away
    if (!away) for (const { run } of this.#calls.splice(0)) run()
  }

  /** Lets all that waits fail, nothing of it having been kept, and is there again. */
  fail(): void {
    this.#away = false
    for (const { fail } of this.#calls.splice(0)) fail(new StoreAwayError('the test says so'))
  }

  #behind<T extends object>(store: T): T {
    return new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          const call = () => value.apply(target, args) as unknown
          if (!this.#away || passing.has(name)) return call()
          return new Promise((resolve, reject) => {
            const run = (): void => {
              try {
                resolve(call())
              } catch (error) {
                reject(error)
              }
            }
            this.#calls.push({ run, fail: reject })
          })
        }
      },
    })
  }
}
