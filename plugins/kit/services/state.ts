/** A key of the state, and what stands under it. */
export interface StateEntry {
  /** The key. Its first part, up to a slash, is the name of the plugin that it belongs to: `ban/user/eve`. */
  readonly key: string
  /** What stands under it: text, of the plugin's own making. */
  readonly value: string
  /** When it ends, by the broker's clock: milliseconds since the Unix epoch; `Infinity`: never. */
  readonly expiresAt: number
}

/** Is told of each change: the entry that stands under the key from now on; null: none does, because it was deleted or has expired. */
export type StateWatcher = (key: string, entry: StateEntry | null) => void

/**
 * The `state` service: a few small things that all nodes of a cluster know and that outlive the broker, such as bans. Each node has all of it in memory, so that reading costs
 * nothing and goes on while the store is away; what another node has changed is known here a moment later. At most 10,000 keys and 8 MiB, a key of at most 1,024 bytes, a value
 * of at most 4,096: it is no place for what clients fill.
 */
export interface State {
  /** What stands under a key, as this node knows it; `undefined`: nothing does, or it has expired. */
  get(key: string): StateEntry | undefined
  /** All entries whose keys begin so, in no order. */
  entries(prefix: string): StateEntry[]
  /**
   * Puts a value under a key, in place of what stood there; `expiresAt` (by the broker's clock, default: never) takes it away again. Resolves when it is kept, and `get` shows it. Rejects
   * with `StoreAwayError` where the store does not answer (the change may be made all the same, and then shows), with `StoreFullError` where there is no room, with `MessageRefusedError`
   * where key or value is too long or the store refuses this one.
   */
  set(key: string, value: string, expiresAt?: number): Promise<void>
  /** Takes a key away; resolves to whether there was one, and rejects as `set` does. */
  delete(key: string): Promise<boolean>
  /** Has each change of keys that begin so told, whoever has made it, from now on; returns what ends that. What there is already, `entries` shows; what the store holds at the start is told, too, when it is read. */
  watch(prefix: string, watcher: StateWatcher): () => void
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** Small things that all nodes know and that are kept: `memory`, `disk` and `redis` own it. */
    state: State
  }
}
