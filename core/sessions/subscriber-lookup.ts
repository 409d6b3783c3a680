import type { Client } from '../connection/client.ts'
import { OperatorError } from '../errors.ts'
import type { Message } from '../messages/message.ts'
import type { Settings } from '../options/settings.ts'
import type { Publisher } from '../publisher.ts'
import { ReasonCode } from '../reason.ts'
import type { Clock } from '../time/clock.ts'
import type { KnownSession } from './known-session.ts'
import type { SessionStore, StoredSubscriber } from './session-store.ts'

const retryMs = 250

/** What is used of the broker here. */
export interface LookupHost {
  readonly settings: Settings
  readonly clock: Clock
  /** The coarse clock. */
  readonly now: number
  readonly sessions: SessionStore
  connectionOf(clientId: string): Client | undefined
  /** What the store says of a topic's durable subscribers; returns those without a connection here. */
  refreshSessions(topic: string, found: readonly StoredSubscriber[]): KnownSession[]
  /** A session that was looked up is needed no longer. */
  forgetLookedUp(session: KnownSession): void
  report(error: unknown): void
}

/**
 * Looks the durable subscribers of a topic up in the store before each message to it, in place of keeping all of them in memory
 * (`enableInnerCache: false`). What it finds stands in the routing table for as long as the message may need it.
 */
export class SubscriberLookup {
  readonly #host: LookupHost
  readonly #find: (topic: string) => Promise<readonly StoredSubscriber[]>
  // Sessions without a connection that are known by looking up, and when they were last asked for; the oldest first.
  readonly #passing = new Map<KnownSession, number>()
  // All who publish to a topic in one turn of the event loop ask once.
  #asking = new Map<string, Promise<void>>()

  static on(host: LookupHost): SubscriberLookup {
    const { sessions } = host
    if (sessions.subscribersOf === undefined) {
      throw new OperatorError(
        'ERR_CONFIG',
        'enableInnerCache: false looks subscribers up, which this store of sessions cannot; leave it true',
      )
    }
    return new SubscriberLookup(host, topic => sessions.subscribersOf!(topic))
  }

  private constructor(host: LookupHost, find: (topic: string) => Promise<readonly StoredSubscriber[]>) {
    this.#host = host
    this.#find = find
  }

  /** Resolves when the routing table has every durable subscriber of the topic; rejects where the store cannot tell. */
  known(topic: string): Promise<void> {
    let asked = this.#asking.get(topic)
    if (asked === undefined) {
      if (this.#asking.size === 0) setImmediate(() => (this.#asking = new Map()))
      asked = this.#find(topic).then(found => this.#take(topic, found))
      this.#asking.set(topic, asked)
    }
    return asked
  }

  /**
   * Calls back when a message that nothing speaks against may be routed. At QoS 0 that is at once where the store is away. At QoS 1 and 2 it
   * waits: a client that has to wait longer than for any acknowledgement (`mqtt.receiptTimeout`) is disconnected, and sends it again; nothing
   * answers it, for it is not known who has to have it.
   */
  async before({ clientId }: Publisher, message: Message, then: () => void): Promise<void> {
    const host = this.#host
    const client = message.origin === 'client' ? host.connectionOf(clientId) : undefined
    const until = host.clock.now() + host.settings.mqtt.receiptTimeout
    for (;;) {
      try {
        await this.known(message.topic)
        break
      } catch (error) {
        if (message.qos === 0) break
        host.report(error)
      }
      await new Promise<void>(resolve => host.clock.after(retryMs, resolve))
      if (client === undefined || host.clock.now() < until) continue
      client.close(ReasonCode.ServerBusy, 'the subscribers of the message could not be looked up in time')
      return
    }
    then()
  }

  #take(topic: string, found: readonly StoredSubscriber[]): void {
    const { now } = this.#host
    for (const session of this.#host.refreshSessions(topic, found)) {
      this.#passing.delete(session)
      this.#passing.set(session, now)
    }
  }

  /** Forgets those that no message can be waiting for any more. Called now and then. */
  sweep(): void {
    const { now, settings } = this.#host
    for (const [session, askedAt] of this.#passing) {
      if (now - askedAt < 2 * settings.mqtt.receiptTimeout) break
      this.#passing.delete(session)
      this.#host.forgetLookedUp(session)
    }
  }
}
