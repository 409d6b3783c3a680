import { definePlugin, type Plugin } from '../../core/plugin.ts'
import { MessageRefusedError, StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'

// What is asked before anything can be away, or answered at once.
const passing = new Set<PropertyKey>(['open', 'sessions', 'match', 'constructor', 'get', 'entries', 'watch'])

// What writes something new; what ends, frees and acknowledges goes on.
const keeping = new Set<PropertyKey>(['append', 'set', 'subscribe', 'put'])

function refusal(why: 'full' | 'refused'): Error {
  return why === 'full' ? new StoreFullError('the test says so') : new MessageRefusedError('the test says so')
}

/** The services that it can own. */
export const keptServices = ['sessions', 'retained', 'state'] as const

type Kept = (typeof keptServices)[number]

/** Sessions, retained messages and the state in memory, which can be away: then what they are asked waits, in order, as for a Redis that does not answer. */
export class TestStore {
  readonly plugin: Plugin
  /** Why it keeps nothing new; `null`: it does. */
  refuses: 'full' | 'refused' | null = null
  /** Milliseconds of the broker's time that each answer takes. */
  slowMs = 0
  #clock: Clock | null = null
  // In the order in which they were asked.
  readonly #late = new Set<() => void>()
  #away = false
  #calls: { run(): void; fail(error: Error): void }[] = []

  /** `provides`: of what it can keep that which no plugin of the test's own keeps. */
  constructor(provides: readonly Kept[] = keptServices) {
    const store = this
    const factory = definePlugin({
      name: 'testStore',
      provides,
      apply({ services, clock }) {
        store.#clock = clock
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

  /** Nothing waits any more: the broker stops, and time may stand still. */
  release(): void {
    this.slowMs = 0
    for (const answer of [...this.#late]) answer()
    this.away = false
  }

  #answerLater(run: () => void): void {
    const answer = (): void => {
      timer.cancel()
      this.#late.delete(answer)
      run()
    }
    const timer = this.#clock!.after(this.slowMs, answer)
    this.#late.add(answer)
  }

  #behind<T extends object>(store: T): T {
    return new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          const call = () => value.apply(target, args) as unknown
          if (passing.has(name)) return call()
          if (this.refuses !== null && keeping.has(name)) return Promise.reject(refusal(this.refuses))
          if (!this.#away && this.slowMs === 0) return call()
          return new Promise((resolve, reject) => {
            const run = (): void => {
              try {
                resolve(call())
              } catch (error) {
                reject(error)
              }
            }
            if (this.#away) this.#calls.push({ run, fail: reject })
            // Timers of one time fire in the order in which they were set.
            else this.#answerLater(run)
          })
        }
      },
    })
  }
}
