import { MessageRefusedError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { State, StateEntry, StateWatcher } from './services/state.ts'

/** What the state holds at most, all plugins together: keys, bytes of keys and values, bytes of one key and of one value. */
export const stateBounds = { keys: 10_000, bytes: 8 * 1024 * 1024, keyBytes: 1024, valueBytes: 4096 } as const

// As long as the longest timer of an operating system, roughly; then it is looked again.
const lookAgainMs = 2 ** 30

/** What a node knows of the state: for owners of the service `state`, which keep it somewhere else besides. */
export class StateTable {
  readonly #clock: Clock
  readonly #entries = new Map<string, StateEntry>()
  readonly #watchers = new Set<{ readonly prefix: string; readonly tell: StateWatcher }>()
  #bytes = 0
  #timer: Timer | null = null
  #dueAt = Number.POSITIVE_INFINITY
  /** Told of entries that have expired, when their watchers have been: the owner takes them out of its store. */
  onExpired: (entries: readonly StateEntry[]) => void = () => {}
  /** Told of what a watcher throws. */
  onError: (error: unknown) => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many keys there are. */
  get size(): number {
    return this.#entries.size
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#bytes
  }

  /** Why an entry cannot be kept: it is too long, or there is no room for it; null: it can. */
  fault(key: string, value: string): Error | null {
    const { keys, bytes, keyBytes, valueBytes } = stateBounds
    const keyLength = Buffer.byteLength(key)
    const valueLength = Buffer.byteLength(value)
    if (keyLength === 0 || keyLength > keyBytes)
      return new MessageRefusedError(`state: a key has 1 to ${keyBytes} bytes, this one ${keyLength}`)
    if (valueLength > valueBytes) return new MessageRefusedError(`state: a value has at most ${valueBytes} bytes, this one ${valueLength}`)
    const before = this.#entries.get(key)
    const isFull = before === undefined && this.#entries.size >= keys
    if (isFull || this.#bytes + bytesOf(key, value) - (before === undefined ? 0 : bytesOf(key, before.value)) > bytes)
      return new StoreFullError(`state: it holds ${keys} keys and ${bytes} bytes at most; take some away first`)
    return null
  }

  /** `State.get`. */
  get(key: string): StateEntry | undefined {
    const entry = this.#entries.get(key)
    return entry !== undefined && entry.expiresAt > this.#clock.now() ? entry : undefined
  }

  /** `State.entries`. */
  entries(prefix: string): StateEntry[] {
    const now = this.#clock.now()
    const found: StateEntry[] = []
    for (const entry of this.#entries.values()) if (entry.key.startsWith(prefix) && entry.expiresAt > now) found.push(entry)
    return found
  }

  /** `State.watch`. */
  watch(prefix: string, tell: StateWatcher): () => void {
    const watcher = { prefix, tell }
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** This stands under the entry's key from now on. One that has expired already stands nowhere. */
  put(entry: StateEntry): void {
    const { key, value, expiresAt } = entry
    if (expiresAt <= this.#clock.now()) return void this.remove(key)
    const before = this.#entries.get(key)
    if (before?.value === value && before.expiresAt === expiresAt) return
    if (before !== undefined) this.#bytes -= bytesOf(key, before.value)
    this.#bytes += bytesOf(key, value)
    this.#entries.set(key, entry)
    if (expiresAt < this.#dueAt) this.#arm(expiresAt)
    this.#tell(key, entry)
  }

  /** Nothing stands under this key any more; whether something did. */
  remove(key: string): boolean {
    const before = this.#entries.get(key)
    if (before === undefined) return false
    this.#entries.delete(key)
    this.#bytes -= bytesOf(key, before.value)
    this.#tell(key, null)
    return true
  }

  /** This is all that there is: watchers are told what is new, other, or gone. */
  replace(entries: readonly StateEntry[]): void {
    const keys = new Set(entries.map(({ key }) => key))
    for (const key of [...this.#entries.keys()]) if (!keys.has(key)) this.remove(key)
    for (const entry of entries) this.put(entry)
  }

  /** Nothing comes due any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #arm(at: number): void {
    this.#timer?.cancel()
    this.#dueAt = at
    this.#timer = this.#clock.after(Math.min(at - this.#clock.now(), lookAgainMs), () => this.#expire())
  }

  #expire(): void {
    const now = this.#clock.now()
    const expired = [...this.#entries.values()].filter(({ expiresAt }) => expiresAt <= now)
    for (const { key } of expired) this.remove(key)
    this.#timer = null
    this.#dueAt = Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const { expiresAt } of this.#entries.values()) next = Math.min(next, expiresAt)
    if (next < Number.POSITIVE_INFINITY) this.#arm(next)
    if (expired.length > 0) this.onExpired(expired)
  }

  #tell(key: string, entry: StateEntry | null): void {
    for (const { prefix, tell } of [...this.#watchers]) {
      if (!key.startsWith(prefix)) continue
      try {
        tell(key, entry)
      } catch (error) {
        this.onError(error)
      }
    }
  }
}

/** An owner of the service `state` that keeps it somewhere else besides: what is read and watched is the table's. */
export abstract class TableState implements State {
  /** What this node knows of the state. */
  readonly table: StateTable

  constructor(clock: Clock) {
    this.table = new StateTable(clock)
  }

  /** `State.get`. */
  get(key: string): StateEntry | undefined {
    return this.table.get(key)
  }

  /** `State.entries`. */
  entries(prefix: string): StateEntry[] {
    return this.table.entries(prefix)
  }

  /** `State.watch`. */
  watch(prefix: string, watcher: StateWatcher): () => void {
    return this.table.watch(prefix, watcher)
  }

  /** `State.set`. */
  abstract set(key: string, value: string, expiresAt?: number): Promise<void>

  /** `State.delete`. */
  abstract delete(key: string): Promise<boolean>
}

function bytesOf(key: string, value: string): number {
  return Buffer.byteLength(key) + Buffer.byteLength(value)
}
