import type { Bench } from 'tinybench'
import { entryKey } from '../../../plugins/disk/keys.ts'
import { checkedValue, withSums } from '../../../plugins/disk/row-sums.ts'

// What the checksum of a row costs when it is written, and when it is read. A commit to LMDB takes some 3 µs of processor time a message (plugins/disk/database.ts).

export const title = 'checksums of rows on disk: a batch of 1,000 and one that is read'

export function add(bench: Bench): void {
  for (const size of [12, 100, 1000]) {
    const keys = Array.from({ length: 1000 }, (_, i) => entryKey(7, i))
    const values = keys.map(() => Buffer.alloc(size, 7))
    const stored = withSums(keys, values)[0]!
    bench.add(`1,000 rows of ${size} bytes are written`, () => void withSums(keys, values))
    bench.add(`a row of ${size} bytes is read`, () => void checkedValue(keys[0]!, stored))
  }
}
