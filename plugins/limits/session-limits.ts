import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import type { ConnectPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { LimitLog } from './limit-log.ts'

interface SessionOptions {
  readonly maxSessions: number | null
  readonly maxSessionsPerUser: number | null
}

const pageSize = 1000

/** How many sessions there may be, in all and of each user. */
export class SessionLimits {
  #options: SessionOptions
  readonly #broker: Broker
  readonly #log: LimitLog
  // Sessions that outlive their connection and belong to a user who has a name, and how many each user has. Only where that is limited.
  readonly #userOf: Map<string, string>
  readonly #counts: Map<string, number>

  constructor(options: SessionOptions, broker: Broker, log: LimitLog) {
    this.#options = options
    this.#broker = broker
    this.#log = log
    this.#userOf = new Map()
    this.#counts = new Map()
  }

  /** Whether any of it is asked for. */
  get used(): boolean {
    return this.#options.maxSessions !== null || this.#options.maxSessionsPerUser !== null
  }

  /** Other limits from now on, by which no session has to go. */
  change(options: SessionOptions): void {
    const before = this.#options
    this.#options = options
    if (before.maxSessionsPerUser === null && options.maxSessionsPerUser !== null) {
      for (const client of this.#broker.clients) this.connected(client)
    }
  }

  /** Takes up whose the stored sessions are, where the store can say so. */
  async load(): Promise<void> {
    if (this.#options.maxSessionsPerUser === null) return
    const store = this.#broker.services.find('sessions')
    if (store?.list === undefined) return
    for (let from: string | null = null; ; ) {
      const page = await store.list(from, pageSize)
      for (const { clientId, user } of page.sessions) if (user != null) this.#count(clientId, user)
      from = page.next
      if (from === null) return
    }
  }

  /** `onConnect`. */
  async connect({ clientId, username, remoteAddress: address }: Client, packet: ConnectPacket): Promise<Refusal | undefined> {
    const { maxSessions, maxSessionsPerUser } = this.#options
    const lasts = packet.version === 5 ? (packet.properties?.sessionExpiry ?? 0) > 0 : !packet.cleanStart
    const { totals } = this.#broker
    if (maxSessions !== null && totals.sessions >= maxSessions && !(await this.#isKnown(clientId))) {
      const reasonString = 'the broker has as many sessions as it takes'
      this.#log.hit('sessions', `clients are refused: ${reasonString}`, () => ({ clientId, address }))
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString }
    }
    if (maxSessionsPerUser === null || username === null || !lasts || this.#userOf.get(clientId) === username) return undefined
    if ((this.#counts.get(username) ?? 0) < maxSessionsPerUser) return undefined
    const reasonString = 'this user has as many sessions as one may have'
    this.#log.hit('sessionsPerUser', `clients are refused: ${reasonString}`, () => ({ clientId, username, address }))
    return { reasonCode: ReasonCode.QuotaExceeded, reasonString }
  }

  async #isKnown(clientId: string): Promise<boolean> {
    if (this.#broker.clientOf(clientId) !== undefined) return true
    const entries = await this.#broker.services.get('sessions').peek?.(clientId, 0, 1)
    return entries != null
  }

  /** `onConnected`. */
  connected({ clientId, session, username }: Client): void {
    if (this.#options.maxSessionsPerUser !== null && session?.durable === true) this.#count(clientId, username)
  }

  /** `onSessionExpired`. */
  ended(clientId: string): void {
    this.#count(clientId, null)
  }

  #count(clientId: string, user: string | null): void {
    const before = this.#userOf.get(clientId)
    if (before === user) return
    if (before !== undefined) {
      const left = this.#counts.get(before)! - 1
      if (left > 0) this.#counts.set(before, left)
      else this.#counts.delete(before)
      this.#userOf.delete(clientId)
    }
    if (user === null) return
    this.#userOf.set(clientId, user)
    this.#counts.set(user, (this.#counts.get(user) ?? 0) + 1)
  }
}
