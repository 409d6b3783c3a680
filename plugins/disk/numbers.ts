import type { RowStore } from '../kit/services/row-store.ts'
import type { GroupCommit } from './group-commit.ts'
import { singleKey } from './keys.ts'
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

  constructor(database: RowStore, commit: GroupCommit) {
    this.#last = decodeValue(database.get(key), 'the next free number')
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
