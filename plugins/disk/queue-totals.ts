import type { CheckedRows } from './checked-rows.ts'
import { formatByte, formatOf } from './format.ts'
import type { GroupCommit } from './group-commit.ts'
import { Kind, numberKey, singleKey } from './keys.ts'

const totalsKey = singleKey(3)

/**
 * What all queues hold together. A broker that stops in order leaves it in a row, which the next one removes, so that no commit has to write it anew.
 * Where there is none, because the broker was killed or an older version wrote the folder, queues are counted one by one, and this is the sum of those that were.
 */
export class QueueTotals {
  readonly #commit: GroupCommit
  #stopping: boolean
  /** Entries, in flight or not. */
  messages: number
  /** By `queuedBytes`. */
  bytes: number
  /** Every queue was counted. */
  complete: boolean
  /** The queues are being counted, or were. */
  counting: Promise<void> | null

  constructor(database: CheckedRows, commit: GroupCommit) {
    this.#commit = commit
    this.#stopping = false
    this.messages = 0
    this.bytes = 0
    this.counting = null
    const row = database.get(totalsKey)
    if (row !== undefined) {
      formatOf(row, 'the total of all queues')
      this.messages = row.readDoubleBE(1)
      this.bytes = row.readDoubleBE(9)
      commit.remove(totalsKey)
    }
    this.complete = row !== undefined || !hasQueues(database)
    commit.beforeBatch(() => {
      if (this.#stopping) this.#write()
    })
  }

  add(messages: number, bytes: number): void {
    this.messages += messages
    this.bytes += bytes
  }

  /** A queue was counted that was not before. */
  counted(messages: number, bytes: number): void {
    if (!this.complete) this.add(messages, bytes)
  }

  /** The broker stops in order: from now on each batch says how much there is. */
  stop(): void {
    this.#stopping = this.complete
    if (this.complete) this.#write()
  }

  #write(): void {
    const row = Buffer.allocUnsafe(17)
    row[0] = formatByte
    row.writeDoubleBE(this.messages, 1)
    row.writeDoubleBE(this.bytes, 9)
    this.#commit.put(totalsKey, row)
  }
}

function hasQueues(database: CheckedRows): boolean {
  for (const _row of database.range(numberKey(Kind.Queue, 0), numberKey((Kind.Queue + 1) as Kind, 0), 1)) return true
  return false
}
