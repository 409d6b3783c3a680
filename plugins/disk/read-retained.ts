import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { RetainedCursor, RetainedPage, RetainedStore } from '../kit/services/retained.ts'
import type { RowReader } from '../kit/services/row-store.ts'
import type { CheckedRows } from './checked-rows.ts'
import { bytesKey, sizeKey } from './disk-retained.ts'
import { shiftOf } from './folder-time.ts'
import { retainedKey } from './keys.ts'
import { readMessage } from './read-stored.ts'
import { decodeValue } from './records.ts'
import { RetainedWalk } from './retained-walk.ts'
import { checkedValue } from './row-sums.ts'

type SummedRows = Pick<CheckedRows, 'get' | 'keys'>

/** Retained messages that another worker keeps, read where they lie: what that one has answered for is to be seen here. */
export class ReadRetained implements RetainedStore {
  readonly #clock: Clock
  readonly #log: Log
  #rows: RowReader | null = null
  /** Told of topics whose messages have expired. */
  onExpired: (topics: readonly string[]) => Promise<void> = async () => {}

  // A damaged row is left out; the worker that keeps it says so.
  readonly #summed: SummedRows = {
    get: key => {
      const stored = this.#rows!.get(key)
      return stored === undefined ? undefined : (checkedValue(key, stored) ?? undefined)
    },
    keys: (start, end, limit) => this.#rows!.keys(start, end, limit),
  }

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  attach(rows: RowReader): void {
    this.#rows = rows
  }

  get size(): number {
    return this.#read(rows => decodeValue(rows.get(sizeKey), 'the number of retained messages'))
  }

  get bytes(): number {
    return this.#read(rows => decodeValue(rows.get(bytesKey), 'the bytes of retained messages'))
  }

  has(topic: string): boolean {
    return this.#read(rows => rows.get(retainedKey(topic)) !== undefined)
  }

  set(): Promise<never> {
    return Promise.reject(new Error('another worker keeps the retained messages'))
  }

  match(filter: string): RetainedCursor {
    const walk = new RetainedWalk(this.#summed, filter)
    return { next: limit => this.#page(walk, limit) }
  }

  #page(walk: RetainedWalk, limit: number): RetainedPage | Promise<RetainedPage> {
    const now = this.#clock.now()
    const messages: Message[] = []
    const expired: string[] = []
    const done = this.#read(rows => {
      const shift = shiftOf(rows, this.#clock)
      const page = walk.next(limit)
      for (const key of page.rows) {
        const value = rows.get(key)
        const message = value === undefined ? undefined : readMessage(this.#log, value, shift)
        if (message === undefined) continue
        if (message.expiresAt > now) messages.push(message)
        else expired.push(message.topic)
      }
      return page.done
    })
    const page = { messages, done }
    if (expired.length === 0) return page
    const answer = (): RetainedPage => page
    return this.onExpired(expired).then(answer, answer)
  }

  /** Reads what has been committed by now; nothing of it is held afterwards, so that the other worker can use what it gives up. */
  #read<T>(read: (rows: SummedRows) => T): T {
    const rows = this.#rows
    if (rows === null) throw new Error('the retained messages are not open yet')
    rows.refresh()
    try {
      return read(this.#summed)
    } finally {
      rows.refresh()
    }
  }

  async close(): Promise<void> {
    await this.#rows?.close()
  }
}
