import type { Client } from '../../core/connection/client.ts'
import type { StateEntry } from '../kit/services/state.ts'
import { NetworkSet } from './network-set.ts'
import type { BanRow } from './verbs.ts'

/** What the keys of bans begin with. */
export const banPrefix = 'ban/'

// What a value says first: in which format it is.
const valueFormat = 1

/** The bans, by what they go by. */
export class BanList {
  readonly #ids = new Map<string, BanRow>()
  readonly #users = new Map<string, BanRow>()
  readonly #networks = new NetworkSet<BanRow>()

  /** How many there are. */
  get size(): number {
    return this.#ids.size + this.#users.size + this.#networks.size
  }

  /** All of them. */
  *[Symbol.iterator](): IterableIterator<BanRow> {
    yield* this.#ids.values()
    yield* this.#users.values()
    yield* this.#networks
  }

  /** The state has changed: a ban has begun, has another end, or (`entry` null) is over. Returns the ban. */
  changed(key: string, entry: StateEntry | null): BanRow | null {
    const slash = key.indexOf('/', banPrefix.length)
    const by = key.slice(banPrefix.length, slash)
    const name = key.slice(slash + 1)
    const bans = by === 'id' ? this.#ids : by === 'user' ? this.#users : by === 'address' ? this.#networks : null
    if (bans === null) return null
    const ban = entry === null ? null : readBan(by as BanRow['by'], name, entry)
    if (ban === null) bans.delete(name)
    else bans.set(name, ban)
    return ban
  }

  /** By which ban an address may not connect. */
  ofAddress(address: string): BanRow | undefined {
    return this.#networks.find(address)
  }

  /** By which ban a client may not connect. */
  of({ clientId, username, remoteAddress }: Pick<Client, 'clientId' | 'username' | 'remoteAddress'>): BanRow | undefined {
    return this.#ids.get(clientId) ?? (username === null ? undefined : this.#users.get(username)) ?? this.#networks.find(remoteAddress)
  }
}

/** What the state keeps of a ban. */
export function writeBan({ bannedAt, actor, reason }: Pick<BanRow, 'bannedAt' | 'actor' | 'reason'>): string {
  return JSON.stringify([valueFormat, bannedAt, actor, reason])
}

// What a newer version has written is a ban all the same.
function readBan(by: BanRow['by'], name: string, { value, expiresAt }: StateEntry): BanRow {
  const endsAt = Number.isFinite(expiresAt) ? Math.round(expiresAt) : null
  try {
    const [format, bannedAt, actor, reason] = JSON.parse(value) as [number, number | null, string | null, string | null]
    if (format === valueFormat) return { by, name, endsAt, bannedAt, actor, reason }
  } catch {
    // Said below.
  }
  return { by, name, endsAt, bannedAt: null, actor: null, reason: null }
}
