import type { Clock } from '../../core/time/clock.ts'
import type { StateEntry } from '../kit/services/state.ts'
import { TableState } from '../kit/state-table.ts'
import { formatByte, formatOf } from './format.ts'
import { Kind, textKey } from './keys.ts'
import type { StoreParts } from './store-parts.ts'

/** The `state` service on disk: a row for each key, all of them in memory. */
export class DiskState extends TableState {
  // Given by `attach`, when the disk has been opened; not where another worker keeps the state.
  #parts!: StoreParts

  constructor(clock: Clock) {
    super(clock)
    this.table.onExpired = entries => {
      for (const { key } of entries) (this.#parts as StoreParts | undefined)?.commit.remove(rowKey(key))
    }
  }

  /** Takes up what the disk has; before anything else. */
  attach(parts: StoreParts): void {
    this.#parts = parts
    const entries: StateEntry[] = []
    for (const { key, value } of parts.database.range(Buffer.from([Kind.State]), Buffer.from([Kind.State + 1]))) {
      const entry = decode(key.toString('utf8', 1), value, parts.time.shift)
      if (entry.expiresAt > parts.time.now() - parts.time.shift) entries.push(entry)
      else parts.commit.remove(Buffer.from(key))
    }
    this.table.replace(entries)
  }

  override async set(key: string, value: string, expiresAt = Number.POSITIVE_INFINITY): Promise<void> {
    const { commit, time } = this.#parts
    const fault = this.table.fault(key, value) ?? commit.refusalOfNew
    if (fault !== null) throw fault
    commit.put(rowKey(key), encode(value, expiresAt + time.shift))
    await commit.kept()
    this.table.put({ key, value, expiresAt })
  }

  override async delete(key: string): Promise<boolean> {
    const { commit } = this.#parts
    const { refusalOfClaim } = commit
    if (refusalOfClaim !== null) throw refusalOfClaim
    commit.remove(rowKey(key))
    await commit.kept()
    return this.table.remove(key)
  }
}

function rowKey(key: string): Buffer {
  return Buffer.concat([Buffer.from([Kind.State]), textKey(Buffer.from(key))])
}

function encode(value: string, expiresAt: number): Buffer {
  const bytes = Buffer.allocUnsafe(9 + Buffer.byteLength(value))
  bytes[0] = formatByte
  bytes.writeDoubleBE(expiresAt, 1)
  bytes.write(value, 9)
  return bytes
}

function decode(key: string, bytes: Buffer, shift: number): StateEntry {
  formatOf(bytes, 'an entry of the state')
  return { key, value: bytes.toString('utf8', 9), expiresAt: bytes.readDoubleBE(1) - shift }
}
