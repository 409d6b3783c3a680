import type { Parts } from '../kit/services/parts.ts'
import type { State, StateEntry, StateWatcher } from '../kit/services/state.ts'

/** What all workers are told of the state; null: the key is taken away. */
export type StateNote = readonly ['k', key: string, value: string | null, expiresAt: number | null]

/** The state, all of it in each worker; changes are told all in one order. */
export class PartedState implements State {
  readonly #own: State
  readonly #change: Parameters<Parts['state']>[1]
  readonly #note: (note: StateNote) => Promise<void>

  constructor(own: State, change: Parameters<Parts['state']>[1], note: (note: StateNote) => Promise<void>) {
    this.#own = own
    this.#change = change
    this.#note = note
  }

  get(key: string): StateEntry | undefined {
    return this.#own.get(key)
  }

  entries(prefix: string): StateEntry[] {
    return this.#own.entries(prefix)
  }

  async set(key: string, value: string, expiresAt = Number.POSITIVE_INFINITY): Promise<void> {
    const fault = this.#change.fault(key, value)
    if (fault !== null) throw fault
    await this.#note(['k', key, value, Number.isFinite(expiresAt) ? expiresAt : null])
  }

  async delete(key: string): Promise<boolean> {
    const isThere = this.#own.get(key) !== undefined
    if (isThere) await this.#note(['k', key, null, null])
    return isThere
  }

  watch(prefix: string, watcher: StateWatcher): () => void {
    return this.#own.watch(prefix, watcher)
  }

  noted([, key, value, expiresAt]: StateNote): void {
    if (value === null) this.#change.remove(key)
    else this.#change.put({ key, value, expiresAt: expiresAt ?? Number.POSITIVE_INFINITY })
  }

  /** What another worker has. */
  take(entries: readonly StateEntry[]): void {
    for (const entry of entries) this.#change.put(entry)
  }
}
