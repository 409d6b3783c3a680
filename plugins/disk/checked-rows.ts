import type { Row, RowStore } from '../kit/services/row-store.ts'
import type { DamagedRows } from './damaged-rows.ts'
import { namedError } from './disk-errors.ts'
import { checkedValue, sumBytes, withSums } from './row-sums.ts'

/** A row, or what is known of one that is damaged: its key alone, if even that. */
export interface FoundRow {
  readonly key: Buffer
  /** Null: the checksum is not that of key and value. */
  readonly value: Buffer | null
}

/**
 * The rows of a folder, each with a checksum behind its value, which nobody above here sees. A row whose checksum is wrong is said and left out, as if it were not there; a read that
 * fails is said and throws.
 */
export class CheckedRows {
  readonly #rows: RowStore
  readonly #plain: Buffer
  readonly #damage: DamagedRows

  /** `plain`: the one row that has no checksum, since older versions read it. */
  constructor(rows: RowStore, plain: Buffer, damage: DamagedRows) {
    this.#rows = rows
    this.#plain = plain
    this.#damage = damage
  }

  /** What stands under a key. */
  get(key: Buffer): Buffer | undefined {
    const stored = this.#read(() => this.#rows.get(key))
    return stored === undefined ? undefined : (this.#checked(key, stored) ?? undefined)
  }

  /** Bytes of the value under a key, damaged or not; `undefined` where there is none, or where that cannot be read. */
  sizeOf(key: Buffer): number | undefined {
    try {
      const stored = this.#read(() => this.#rows.get(key))
      return stored === undefined ? undefined : Math.max(0, stored.length - sumBytes)
    } catch {
      return undefined
    }
  }

  /** Whole rows from `start` up to but without `end`, in order. It is read out in the same call. */
  *range(start: Buffer, end: Buffer, limit?: number): Iterable<Row> {
    for (const { key, value } of this.found(start, end, limit)) if (value !== null) yield { key, value }
  }

  /** All rows of a range, those that are damaged, too. */
  *found(start: Buffer, end: Buffer, limit?: number): Iterable<FoundRow> {
    const rows = this.#read(() => this.#rows.range(start, end, limit)[Symbol.iterator]())
    let isOpen = false
    try {
      for (;;) {
        isOpen = false
        const { done, value: row } = this.#read(() => rows.next())
        if (done === true) return
        isOpen = true
        yield { key: row.key, value: this.#checked(row.key, row.value) }
      }
    } finally {
      if (isOpen) rows.return?.()
    }
  }

  /** The keys of these rows alone, of damaged ones, too. */
  keys(start: Buffer, end: Buffer, limit: number): Iterable<Buffer> {
    return this.#read(() => this.#rows.keys(start, end, limit))
  }

  /** As that of a row store: with checksums. */
  async commit(keys: readonly Buffer[], values: readonly (Buffer | null)[], bytes: number): Promise<void> {
    const summed = withSums(keys, values)
    const plainAt = keys.findIndex(key => key.length === this.#plain.length && key.equals(this.#plain))
    if (plainAt !== -1) summed[plainAt] = values[plainAt]!
    await this.#rows.commit(keys, summed, bytes + keys.length * sumBytes)
    this.#damage.written(keys)
  }

  space(): ReturnType<RowStore['space']> {
    return this.#rows.space()
  }

  #checked(key: Buffer, stored: Buffer): Buffer | null {
    const value = checkedValue(key, stored)
    if (value === null) this.#damage.found(key)
    return value
  }

  #read<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      const named = namedError(error as Error)
      this.#damage.unreadable(named)
      throw named
    }
  }
}
