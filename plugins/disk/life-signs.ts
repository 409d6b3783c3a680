import type { Clock, Timer } from '../../core/time/clock.ts'
import { Kind, numberKey, readNumber } from './keys.ts'
import { decodeValue, encodeValue } from './records.ts'
import type { StoreParts } from './store-parts.ts'

// With every batch, but no oftener than this; and every so often by itself while somebody is connected.
const withBatchMs = 1000
const aloneMs = 5000

/**
 * When this run of the broker was last seen alive, on disk. After a crash the sessions that had a connection expire, and leave their
 * wills, as if it had ended then. A run that was stopped in order leaves no row.
 */
export class LifeSigns {
  readonly #parts: StoreParts
  readonly #clock: Clock
  readonly #last: Map<number, number>
  readonly #timer: Timer
  #written: number
  /** The number of this run. */
  readonly run: number

  constructor(parts: StoreParts, clock: Clock, isConnected: () => boolean) {
    const { database, commit, numbers } = parts
    this.#parts = parts
    this.#clock = clock
    this.#last = new Map()
    for (const { key, value } of database.range(numberKey(Kind.Life, 0), numberKey((Kind.Life + 1) as Kind, 0))) {
      this.#last.set(readNumber(key, 1), decodeValue(value, 'a sign of life'))
    }
    this.run = numbers.next()
    this.#written = Number.NEGATIVE_INFINITY
    commit.beforeBatch(() => {
      if (clock.now() - this.#written >= withBatchMs) this.#write()
    })
    this.#timer = clock.every(aloneMs, () => {
      if (isConnected()) this.#write()
    })
  }

  /** A run before this one was not stopped in order. */
  get broken(): boolean {
    return this.#last.size > 0
  }

  /** When a run of before was last seen alive. */
  lastOf(run: number): number {
    // Where that is damaged nobody knows: then no session ends before its time.
    return this.#last.get(run) ?? this.#parts.time.now()
  }

  /** Leaves out the runs of which no session is left. */
  keepOnly(runs: ReadonlySet<number>): void {
    for (const run of this.#last.keys()) {
      if (runs.has(run)) continue
      this.#last.delete(run)
      this.#parts.commit.remove(numberKey(Kind.Life, run))
    }
  }

  /** This run ends; `inOrder`: no session has a connection any more. */
  stop(inOrder: boolean): void {
    this.#timer.cancel()
    this.#written = Number.POSITIVE_INFINITY
    if (inOrder) this.#parts.commit.remove(numberKey(Kind.Life, this.run))
  }

  #write(): void {
    this.#written = this.#clock.now()
    this.#parts.commit.put(numberKey(Kind.Life, this.run), encodeValue(this.#written + this.#parts.time.shift))
  }
}
