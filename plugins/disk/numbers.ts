import type { CheckedRows } from './checked-rows.ts'
import type { GroupCommit } from './group-commit.ts'
import { entryKeyBytes, Kind, readNumber, singleKey } from './keys.ts'
import { decodeValue, encodeValue } from './records.ts'

const key = singleKey(1)
// Numbers set aside at a time; what is not used of them when a broker ends is left out.
const block = 1_000_000

/**
 * Numbers that rise for ever, over restarts too: sessions, epochs and the positions in all queues come from here. A batch that
 * uses one beyond those set aside sets aside more, so nothing on disk has a number that could be given again.
 */
export class Numbers {
  #last: number
  #aside: number

  constructor(database: CheckedRows, commit: GroupCommit) {
    const row = database.get(key)
    this.#last = row === undefined ? highest(database) : decodeValue(row, 'the next free number')
    this.#aside = this.#last
    commit.beforeBatch(() => {
      if (this.#last <= this.#aside) return
      this.#aside = this.#last + block
      commit.put(key, encodeValue(this.#aside))
    })
  }

  next(): number {
    this.#last += 1
    return this.#last
  }
}

// The row is damaged, or there is nothing yet: the highest number that something whole still has.
function highest(database: CheckedRows): number {
  let found = 0
  for (const { key } of database.range(Buffer.from([Kind.Single + 1]), Buffer.from([0xff]))) {
    if (key[0] === Kind.State || key[0] === Kind.Retained) continue
    found = Math.max(found, readNumber(key, 1))
    if (key[0] === Kind.Queue && key.length >= entryKeyBytes) found = Math.max(found, readNumber(key, 7))
  }
  return found
}
