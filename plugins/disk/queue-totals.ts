import type { Database } from './database.ts'
import { formatByte, formatOf } from './format.ts'
import type { GroupCommit } from './group-commit.ts'
import { Kind, numberKey, singleKey } from './keys.ts'
import { readEntryHead } from './records.ts'

const totalsKey = singleKey(3)

/** What all queues hold together: one row, written with each batch that changes it, so that it is true however the broker ends. */
export class QueueTotals {
  /** Entries, in flight or not. */
  messages: number
  /** By `queuedBytes`. */
  bytes: number

  constructor(database: Database, commit: GroupCommit) {
    this.messages = 0
    this.bytes = 0
    const row = database.get(totalsKey)
    if (row === undefined) this.#count(database)
    else {
      formatOf(row, 'the total of all queues')
      this.messages = row.readDoubleBE(1)
      this.bytes = row.readDoubleBE(9)
    }
    let writtenMessages = row === undefined ? -1 : this.messages
    let writtenBytes = this.bytes
    commit.beforeBatch(() => {
      if (this.messages === writtenMessages && this.bytes === writtenBytes) return
      writtenMessages = this.messages
      writtenBytes = this.bytes
      const written = Buffer.allocUnsafe(17)
      written[0] = formatByte
      written.writeDoubleBE(this.messages, 1)
      written.writeDoubleBE(this.bytes, 9)
      commit.put(totalsKey, written)
    })
  }

  add(messages: number, bytes: number): void {
    this.messages += messages
    this.bytes += bytes
  }

  // Format 1 kept no total: its entries are counted once, 1 µs each.
  #count(database: Database): void {
    for (const { key, value } of database.range(numberKey(Kind.Queue, 0), numberKey((Kind.Queue + 1) as Kind, 0))) {
      // Behind an entry may stand what became of it.
      if (key.length === 13) this.add(1, readEntryHead(value).bytes)
    }
  }
}
