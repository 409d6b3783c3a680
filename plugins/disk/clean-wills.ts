import type { Claim, StoredWill } from '../../core/sessions/session-store.ts'
import { encodeWill } from '../kit/stored-message.ts'
import { Kind, numberKey, textKey } from './keys.ts'
import { readWill } from './read-stored.ts'
import { countBytes, countBytesOf, readCount, writeCount } from './records.ts'
import type { StoreParts } from './store-parts.ts'

/** A will of a session that ended with its connection and with its broker. */
export interface OrphanedWill {
  readonly clientId: string
  readonly key: Buffer
  /** Null: it could not be read. */
  readonly will: StoredWill | null
  /** Called when it has been handed on: it goes from the disk. */
  done(): void
}

const what = 'a will of a session that ends with its connection'

/** The wills of sessions that end with their connection: a row each, under the run of the broker that kept it. Those of earlier runs are due. */
export class CleanWills {
  readonly #parts: StoreParts
  readonly #run: number
  // Of earlier runs, by client id: the newest row of each.
  readonly #orphaned: Map<string, Buffer>

  constructor(parts: StoreParts, run: number) {
    this.#parts = parts
    this.#run = run
    this.#orphaned = new Map()
    for (const { key, value } of parts.database.range(numberKey(Kind.CleanWill, 0), numberKey(Kind.CleanWill, run))) {
      const clientId = clientIdOf(value)
      const older = this.#orphaned.get(clientId)
      if (older !== undefined) parts.commit.remove(older)
      this.#orphaned.set(clientId, key)
    }
  }

  /** Keeps the will of a client that is connected to a node, in place of one before; null forgets it. */
  keep(clientId: string, node: string, will: StoredWill | null): void {
    const { commit } = this.#parts
    const key = Buffer.concat([numberKey(Kind.CleanWill, this.#run), textKey(Buffer.from(`${node}\0${clientId}`))])
    if (will === null) commit.remove(key)
    else commit.put(key, encode(clientId, will))
  }

  /** How many are due. */
  get due(): number {
    return this.#orphaned.size
  }

  /** One that is due, as often as there is one. */
  next(): OrphanedWill | undefined {
    for (const clientId of this.#orphaned.keys()) return this.#of(clientId)
    return undefined
  }

  /** A claim, which hands out the will of its client id where there is one; where it fails, the will stays due. */
  withClaim(clientId: string, claim: Claim | Promise<Claim>): Claim | Promise<Claim> {
    const orphaned = this.#of(clientId)
    if (orphaned === undefined) return claim
    const withWill = (given: Claim): Claim => {
      // It goes from the disk behind what the broker does with it, as everything that is handed on.
      process.nextTick(orphaned.done)
      return { ...given, orphanedWill: orphaned.will }
    }
    if (!(claim instanceof Promise)) return withWill(claim)
    return claim.then(withWill, error => {
      this.#orphaned.set(clientId, orphaned.key)
      throw error
    })
  }

  /** The will of a client id that is due, which goes from the disk behind what is done with it; null: there is none. */
  handOut(clientId: string): StoredWill | null {
    const orphaned = this.#of(clientId)
    if (orphaned !== undefined) process.nextTick(orphaned.done)
    return orphaned?.will ?? null
  }

  // Nobody else gets it afterwards.
  #of(clientId: string): OrphanedWill | undefined {
    const key = this.#orphaned.get(clientId)
    if (key === undefined) return undefined
    this.#orphaned.delete(clientId)
    const { database, commit, log } = this.#parts
    const done = (): void => commit.remove(key)
    const row = database.get(key)
    const will = row === undefined ? null : readWill(log, clientId, row.subarray(countBytesOf(row, what) + readCount(row, what)))
    return { clientId, key, will, done }
  }
}

function encode(clientId: string, will: StoredWill): Buffer {
  const bytes = encodeWill(will)
  const clientIdBytes = Buffer.byteLength(clientId)
  const row = Buffer.allocUnsafe(countBytes + clientIdBytes + bytes.length)
  writeCount(row, clientIdBytes)
  row.write(clientId, countBytes)
  row.set(bytes, countBytes + clientIdBytes)
  return row
}

function clientIdOf(row: Buffer): string {
  const start = countBytesOf(row, what)
  return row.toString('utf8', start, start + readCount(row, what))
}
