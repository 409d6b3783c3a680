import { MessageRefusedError, StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { StateEntry } from '../kit/services/state.ts'
import { TableState } from '../kit/state-table.ts'
import type { Rows } from './operation.ts'
import { setState } from './operations/set-state.ts'
import { stateField } from './script/layout.ts'
import { isRefusal } from './verdicts.ts'
import type { Writes } from './writes.ts'

/** How often it is looked whether other nodes have changed the state, should their word have been lost. */
export const lookAtStateMs = 2000

// What a value says first: in which format it is.
const valueFormat = 1

/** An entry, and what stands in Redis of it. */
interface KeptEntry extends StateEntry {
  readonly kept: string
}

/**
 * The `state` service on Redis: one hash, which each node has in memory. A field counts the changes; who finds that it is not what it was reads the hash again. A node that
 * has made a change tells the others by the cluster's log; a look every two seconds finds what was not told.
 */
export class RedisState extends TableState {
  readonly #writes: Writes
  // Of the hash, as it was read or written last: -1: it has not been read.
  #version = -1
  #looking: Promise<void> | null = null
  #lookAgain = false
  /** Tells the other nodes that something has changed. */
  onChanged: () => Promise<void> = async () => {}

  constructor(writes: Writes, clock: Clock) {
    super(clock)
    this.#writes = writes
    // All nodes do so, and each takes away only what it has seen there.
    this.table.onExpired = entries => {
      for (const { key, kept } of entries as readonly KeptEntry[]) this.#forget(key, kept)
    }
  }

  override async set(key: string, value: string, expiresAt = Number.POSITIVE_INFINITY): Promise<void> {
    const fault = this.table.fault(key, value)
    if (fault !== null) throw fault
    const entry: KeptEntry = { key, value, expiresAt, kept: this.#encode(value, expiresAt) }
    await this.#changed(await this.#write(key, entry.kept), () => this.table.put(entry))
  }

  override async delete(key: string): Promise<boolean> {
    const written = await this.#write(key, '')
    await this.#changed(written, () => void this.table.remove(key))
    return written.existed
  }

  /** Another node has changed something. */
  noted(): void {
    void this.look()
  }

  /** Reads the state where it is not what it was; resolves when that is done, or cannot be done just now. Whoever asks while that goes on, gets what is read after. */
  look(): Promise<void> {
    if (this.#looking !== null) this.#lookAgain = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    do {
      this.#lookAgain = false
      await this.#read()
    } while (this.#lookAgain)
  }

  async #read(): Promise<void> {
    const { writers } = this.#writes
    const key = writers.keys.state
    const before = this.#version
    const [version] = await this.#ask(['hget', key, stateField.version])
    if (version === undefined) return
    const found = version === null ? 0 : Number(String(version))
    if (found === this.#version) return
    const [fields] = await this.#ask(['hgetall', key])
    if (fields === undefined) return
    const { entries, at } = this.#decodeAll(fields as Buffer[])
    // What this node has written meanwhile stands in the hash only if it was read afterwards.
    if (this.#version > before && at < this.#version) return void (this.#lookAgain = true)
    if (at < this.#version) await this.#restore(new Set(entries.map(one => one.key)))
    else {
      this.#version = at
      this.table.replace(entries)
    }
  }

  /**
   * Redis has lost changes: a fail-over, or its database was emptied. What this node knows and Redis does not is written again, and nothing is forgotten: a ban must not end by
   * that. What was taken away and is there again, stays until somebody takes it away.
   */
  async #restore(there: ReadonlySet<string>): Promise<void> {
    const missing = this.table.entries('').filter(({ key }) => !there.has(key)) as KeptEntry[]
    const written = await Promise.allSettled(missing.map(({ key, kept }) => this.#write(key, kept)))
    if (written.some(({ status }) => status === 'rejected')) return
    this.#version = -1
    this.#lookAgain = true
    if (missing.length > 0) await this.onChanged().catch(() => {})
  }

  // `undefined`: Redis does not answer, or refuses it, which is counted and said.
  async #ask(command: readonly [string, ...string[]]): Promise<unknown[]> {
    const { link, refusals, keys } = this.#writes.writers
    try {
      const [reply] = await link.send(keys.state, [command], false)
      if (!(reply instanceof Error)) return [reply]
      if (isRefusal(reply)) refusals.refuse(reply, keys.state)
    } catch {
      // Whoever connects again asks again.
    }
    return []
  }

  #write(key: string, value: string, only = ''): Promise<Written> {
    const { keys } = this.#writes.writers
    const state = keys.state
    const written = this.#writes.write(state, out => setState.write(out, { state, name: key, value, only }), writtenOf, {
      bytes: 200 + key.length + value.length,
      refusable: value !== '',
      // Whoever waits for it is told that Redis is away; if it is done after all, a look shows it.
      late: () => this.noted(),
    })
    return written.catch((error: Error) => {
      if (error instanceof StoreAwayError || error instanceof StoreFullError || error instanceof MessageRefusedError) throw error
      throw new StoreAwayError(`Redis is away: ${error.message}`)
    })
  }

  /** What was written is shown here, in order with what others have written, and told to them. */
  async #changed({ version }: Written, show: () => void): Promise<void> {
    if (version === this.#version + 1) {
      this.#version = version
      show()
    } else if (version > this.#version) {
      await this.look()
      // Redis has gone again: what was written holds here all the same.
      if (version > this.#version) show()
    }
    await this.onChanged().catch(() => {})
  }

  /** It has expired; should somebody have put something else there meanwhile, that stays. */
  #forget(key: string, kept: string): void {
    this.#write(key, '', kept).then(
      ({ version }) => {
        if (version === this.#version + 1) this.#version = version
      },
      () => {},
    )
  }

  #encode(value: string, expiresAt: number): string {
    const { shift } = this.#writes.writers.time
    return JSON.stringify([valueFormat, Number.isFinite(expiresAt) ? Math.round(expiresAt + shift) : null, value])
  }

  #decodeAll(fields: readonly Buffer[]): { entries: KeptEntry[]; at: number } {
    const { time, refusals, keys } = this.#writes.writers
    const now = time.now()
    const entries: KeptEntry[] = []
    let at = 0
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const name = String(fields[i])
      if (name === stateField.version) at = Number(String(fields[i + 1]))
      if (!name.startsWith(stateField.key)) continue
      const key = name.slice(stateField.key.length)
      const kept = String(fields[i + 1])
      try {
        const [format, until, value] = JSON.parse(kept) as [number, number | null, string]
        if (format !== valueFormat) throw new Error(`format ${format}; this version reads ${valueFormat}`)
        const known = this.table.get(key) as KeptEntry | undefined
        if (until !== null && until <= now) this.#forget(key, kept)
        else if (known?.kept === kept) entries.push(known)
        else entries.push({ key, value, expiresAt: until === null ? Number.POSITIVE_INFINITY : until - time.shift, kept })
      } catch (error) {
        refusals.unreadable(error as Error, `${keys.state} ${key}`)
      }
    }
    return { entries, at }
  }
}

interface Written {
  /** How often the state has changed, this time included; 0: nothing was changed. */
  readonly version: number
  readonly existed: boolean
}

function writtenOf(rows: Rows): Written {
  const [version, existed] = (rows?.[0]?.values ?? []) as [number, number]
  return { version: Number(version ?? 0), existed: Number(existed ?? 0) === 1 }
}
