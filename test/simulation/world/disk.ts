import type { OpenRowStore, Row, RowStore, RowStores } from '../../../plugins/kit/services/row-store.ts'
import type { Chance } from './chance.ts'
import type { Party, World } from './world.ts'

/** What a disk does for a while. */
export interface DiskFault {
  /** `error`: commits fail with a code; `full`: what takes room does; `slow`: a commit takes up to `ms`; `read`: a look fails. */
  readonly kind: 'error' | 'full' | 'slow'
  readonly code: string
  readonly until: number
}

const size = 1e9
const syncMs = 3

/** A disk of one machine: rows in order, one commit after another. It outlives the node; what was not synced when the machine died may be there as a whole, or not at all. */
export class SimDisk {
  readonly #world: World
  readonly #chance: Chance
  readonly #values = new Map<string, Buffer>()
  // Sorted; a letter of latin1 is a byte.
  #keys: string[] = []
  #bytes = 0
  #openBy: object | null = null
  #underWay: { readonly keys: readonly Buffer[]; readonly values: readonly (Buffer | null)[] } | null = null
  fault: DiskFault | null = null
  /** Commits that were kept. */
  commits = 0

  constructor(world: World, chance: Chance) {
    this.#world = world
    this.#chance = chance
  }

  /** The node that had it open is dead. `isSynced`: never mind what was under way. */
  crashed(): void {
    const under = this.#underWay
    this.#underWay = null
    this.#openBy = null
    const kept = under !== null && this.#chance.percent(50)
    if (kept) this.#apply(under.keys, under.values)
    if (under !== null) this.#world.note(`disk: the last commit is ${kept ? 'there' : 'gone'}`)
  }

  /** As plugins see it. `touch`: called at each thing that the node wants of it. */
  stores(party: Party, touch: () => void): RowStores {
    return {
      verify: () => {},
      open: async (): Promise<OpenRowStore> => {
        touch()
        if (party.isGone) return never()
        if (this.#openBy !== null) throw new Error('the simulated disk is open twice')
        const owner = {}
        this.#openBy = owner
        await this.#wait(party, 1)
        return {
          rows: this.#rows(party, touch),
          recovered: null,
          close: async () => {
            if (this.#openBy === owner) this.#openBy = null
          },
        }
      },
    }
  }

  #rows(party: Party, touch: () => void): RowStore {
    return {
      get: key => this.#values.get(textOf(key)),
      first: () => this.#slice(0, 1)[0],
      has: key => this.#values.has(textOf(key)),
      range: (start, end, limit = Number.POSITIVE_INFINITY) => this.#range(start, end, limit),
      keys: (start, end, limit) => this.#range(start, end, limit).map(({ key }) => key),
      commit: (keys, values) => {
        touch()
        return this.#commit(party, touch, keys, values)
      },
      isThere: () => true,
      space: () => ({ free: this.#isFault('full') ? 0 : size - this.#bytes, size }),
    }
  }

  async #commit(party: Party, touch: () => void, keys: readonly Buffer[], values: readonly (Buffer | null)[]): Promise<void> {
    if (party.isGone) return never()
    this.#underWay = { keys, values }
    await this.#wait(party, this.#isFault('slow') ? 3000 : syncMs)
    touch()
    if (party.isGone) return never()
    this.#underWay = null
    if (this.#isFault('error')) throw this.#error(this.fault!.code)
    if (this.#isFault('full') && values.some(value => value !== null && value.length > 40)) throw this.#error('ENOSPC')
    this.#apply(keys, values)
    this.commits += 1
  }

  #isFault(kind: DiskFault['kind']): boolean {
    return this.fault !== null && this.fault.kind === kind && this.fault.until > this.#world.now
  }

  #error(code: string): Error {
    return Object.assign(new Error(`${code}: simulated`), { code })
  }

  #wait(party: Party, max: number): Promise<void> {
    return new Promise(resolve => void this.#world.after(0.02 + this.#chance.latency(max), party, `disk ${party.name}`, resolve))
  }

  #apply(keys: readonly Buffer[], values: readonly (Buffer | null)[]): void {
    for (let i = 0; i < keys.length; i++) {
      const key = textOf(keys[i]!)
      const value = values[i]!
      const before = this.#values.get(key)
      this.#bytes += (value?.length ?? 0) - (before?.length ?? 0)
      if (value === null) {
        if (!this.#values.delete(key)) continue
        this.#keys.splice(this.#at(key), 1)
      } else {
        if (before === undefined) this.#keys.splice(this.#at(key), 0, key)
        this.#values.set(key, Buffer.from(value))
      }
    }
  }

  // Where the first key stands that is not less.
  #at(key: string): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  #range(start: Buffer, end: Buffer, limit: number): Row[] {
    const from = this.#at(textOf(start))
    return this.#slice(from, Math.min(this.#at(textOf(end)), from + limit))
  }

  #slice(from: number, to: number): Row[] {
    return this.#keys.slice(from, to).map(key => ({ key: Buffer.from(key, 'latin1'), value: this.#values.get(key)! }))
  }
}

function textOf(key: Buffer): string {
  return key.toString('latin1')
}

function never(): Promise<never> {
  return new Promise(() => {})
}
