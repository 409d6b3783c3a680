import assert from 'node:assert/strict'
import { Message, type MessageFields } from '../../../core/messages/message.ts'
import type { QoS } from '../../../core/protocol/constants.ts'
import type { Subscription } from '../../../core/routing/subscription.ts'
import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type QueueEntry,
  type QueueLimits,
  type SessionKey,
  SessionLostError,
  type SessionStore,
  type StoredWill,
} from '../../../core/sessions/session-store.ts'
import { ManualClock } from '../../../presets/testing/manual-clock.ts'

/**
 * What an owner may leave out. `user`: sessions belong to nobody, so `userOnly` refuses nothing. `keepWill`, `totals`, `peek`, `list`, `inspect`: the verb
 * of that name is not there.
 */
export type SessionsFeature = 'user' | 'keepWill' | 'totals' | 'peek' | 'list' | 'inspect'

/** An owner of the `sessions` service that is to be proven. */
export interface SessionsOwner {
  /** Completes "sessions kept …". */
  readonly name: string
  /** What it leaves out: said in the titles, and its tests are left out. Default: nothing. */
  readonly lacks?: readonly SessionsFeature[]
  /** Makes one that holds nothing yet, on a clock that only the suite moves. The suite calls `open`. */
  create(clock: ManualClock): SessionStore | Promise<SessionStore>
  /**
   * Takes an owner from its broker as `kill -9` would, without a word, and returns another on what it kept; left out where nothing
   * is kept that long. Everything that was answered before must be there.
   */
  reopen?(store: SessionStore, clock: ManualClock): SessionStore | Promise<SessionStore>
  /**
   * Takes from a store all that it has kept, while it is in use, as an administrator's hand or a server that comes back empty would; left out
   * where nobody can. Whatever is asked of the store afterwards makes it notice, and call `emptied`.
   */
  empty?(store: SessionStore): void | Promise<void>
  /** Frees what a test's last owner holds: files, connections. */
  dispose?(store: SessionStore): void | Promise<void>
}

/** One test's own owner, with what it says by itself, and short ways to call it. */
export class SessionsHarness {
  readonly clock = new ManualClock()
  store!: SessionStore
  /** What came through `dropped`: client id, payload, reason. */
  readonly dropped: string[] = []
  /** The very messages of it. */
  readonly droppedMessages: Message[] = []
  /** What came through `lost`. */
  readonly lost: SessionKey[] = []
  /** How often `emptied` was called. */
  emptied = 0
  readonly #owner: SessionsOwner
  readonly #limits: QueueLimits
  readonly #epochs = new Map<string, number>()

  constructor(owner: SessionsOwner, limits: Partial<QueueLimits>) {
    this.#owner = owner
    this.#limits = { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest', ...limits }
  }

  async create(): Promise<void> {
    this.store = await this.#owner.create(this.clock)
    await this.#open()
  }

  async reopen(): Promise<void> {
    this.store = await this.#owner.reopen!(this.store, this.clock)
    await this.#open()
  }

  async empty(): Promise<void> {
    await this.#owner.empty!(this.store)
  }

  async dispose(): Promise<void> {
    await this.#owner.dispose?.(this.store)
  }

  async #open(): Promise<void> {
    await this.store.open(
      {
        dropped: (clientId, message, reason) => {
          this.dropped.push(`${clientId} ${message.payload} ${reason}`)
          this.droppedMessages.push(message)
        },
        lost: ({ clientId, epoch }) => void this.lost.push({ clientId, epoch }),
        appended: () => {},
        emptied: () => {
          this.emptied += 1
        },
      },
      this.#limits,
    )
  }

  /** Claims `c`, or whom the request names; later targets carry its epoch. */
  async claim(request: Partial<ClaimRequest> = {}): Promise<Claim & SessionKey> {
    const full = { clientId: 'c', node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 60_000, will: null, ...request }
    const given = await this.store.claim(full)
    this.#epochs.set(full.clientId, given.epoch)
    return { ...given, clientId: full.clientId }
  }

  /** A reference for `c` at QoS 1 that waits, unless the fields say otherwise. */
  target(fields: Partial<AppendTarget> = {}): AppendTarget {
    const { clientId = 'c' } = fields
    const epoch = this.#epochs.get(clientId) ?? 0
    return { clientId, qos: 1, retain: false, identifiers: null, group: null, packetId: 0, epoch, ...fields }
  }

  async append(payload: string, ...targets: Partial<AppendTarget>[]): Promise<void> {
    await this.store.append(
      messageOf(payload),
      targets.map(fields => this.target(fields)),
      null,
    )
  }

  async page(session: SessionKey, position = 0, limit = 100): Promise<readonly QueueEntry[]> {
    return await this.store.page(session, position, limit)
  }

  async payloads(session: SessionKey): Promise<string[]> {
    return (await this.page(session)).map(({ message }) => message.payload.toString())
  }

  /** Packet identifier and release of each entry. */
  async flight(session: SessionKey): Promise<[number, boolean][]> {
    return (await this.page(session)).map(({ packetId, released }) => [packetId, released])
  }

  /** What has come due by now: `will w`, `expired c`. */
  async due(limit = 100): Promise<string[]> {
    const found = await this.store.expire(this.clock.now(), limit)
    return found.map(one => (one.kind === 'will' ? `will ${one.will.message.payload}` : `expired ${one.session.clientId}`))
  }
}

/** A verb must have been refused because its epoch is no longer the newest: by a promise, never by a throw. */
export async function assertLost(done: unknown): Promise<void> {
  assert.ok(done instanceof Promise, 'a verb with a stale epoch answers with a promise')
  await assert.rejects(done, error => error instanceof SessionLostError)
}

export function messageOf(payload: string | Buffer, fields: Partial<MessageFields> = {}): Message {
  const given = {
    topic: 't',
    qos: 2,
    retain: false,
    origin: 'client',
    clientId: 'publisher',
    username: 'user',
    receivedAt: Date.UTC(2020, 8, 18),
  } as const
  return new Message({ ...given, payload: Buffer.from(payload), ...fields })
}

/** All that a message says, to be compared. */
export function saysOf(message: Message): object {
  const { topic, qos, retain, origin, clientId, username, receivedAt, properties, expiresAt } = message
  const payload = message.payload.toString('base64')
  return { topic, payload, qos, retain, origin, clientId, username, receivedAt, properties, expiresAt }
}

export function willOf(payload: string, delayMs: number, fields: Partial<StoredWill> = {}): StoredWill {
  return { message: messageOf(payload), delayMs, username: null, rights: null, ...fields }
}

export function subscriptionOf(filter: string, qos: QoS = 1, fields: Partial<Subscription> = {}): Subscription {
  return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0, ...fields }
}
