import type { Parts } from '../kit/services/parts.ts'
import type { State, StateEntry, StateWatcher } from '../kit/services/state.ts'
import type { PartCalls } from './part-calls.ts'

/** What all workers are told of the state; null: the key is taken away. */
export type StateNote = readonly ['k', key: string, value: string | null, expiresAt: number | null]

/** Who keeps the state, where it outlives the workers. */
export interface StateKeeper {
  readonly first: string
  readonly self: string
  readonly calls: PartCalls
}

/** The state, all of it in each worker; changes are told all in one order. Where it is kept, the first worker keeps a change before the others hear of it. */
export class PartedState implements State {
  readonly #own: State
  readonly #change: Parameters<Parts['state']>[1]
  readonly #note: (note: StateNote) => Promise<void>
  readonly #keeper: StateKeeper | null

  constructor(own: State, change: Parameters<Parts['state']>[1], note: (note: StateNote) => Promise<void>, keeper: StateKeeper | null) {
    this.#own = own
    this.#change = change
    this.#note = note
    this.#keeper = keeper
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
    await this.#changed(['k', key, value, Number.isFinite(expiresAt) ? expiresAt : null])
  }

  async delete(key: string): Promise<boolean> {
    const isThere = this.#own.get(key) !== undefined
    if (isThere) await this.#changed(['k', key, null, null])
    return isThere
  }

  async #changed(note: StateNote): Promise<void> {
    const keeper = this.#keeper
    if (keeper === null || keeper.first === keeper.self) await this.#keep(note)
    else await keeper.calls.ask(keeper.first, 'k.change', note)
  }

  async #keep(note: StateNote): Promise<void> {
    const [, key, value, expiresAt] = note
    if (this.#keeper !== null) {
      if (value === null) await this.#own.delete(key)
      else await this.#own.set(key, value, expiresAt ?? Number.POSITIVE_INFINITY)
    }
    await this.#note(note)
  }

  watch(prefix: string, watcher: StateWatcher): () => void {
    return this.#own.watch(prefix, watcher)
  }

  noted([, key, value, expiresAt]: StateNote): void {
    if (value === null) this.#change.remove(key)
    else this.#change.put({ key, value, expiresAt: expiresAt ?? Number.POSITIVE_INFINITY })
  }

  /** Another worker changes something. */
  asked(verb: string, [note]: readonly StateNote[]): Promise<void> | undefined {
    return verb === 'k.change' ? this.#keep(note!) : undefined
  }

  /** Of these workers, those that have all of it. */
  sources(others: readonly string[]): readonly string[] {
    const keeper = this.#keeper
    return keeper === null ? others : others.filter(name => name === keeper.first)
  }

  /** What another worker has. */
  take(entries: readonly StateEntry[]): void {
    for (const entry of entries) this.#change.put(entry)
  }
}
