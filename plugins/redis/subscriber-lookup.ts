import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Publisher } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { StoredSubscriber } from '../../core/sessions/session-store.ts'

const retryMs = 250

/**
 * Looks the durable subscribers of a topic up in the store before each message to it, in place of keeping all of them in memory
 * (`enableInnerCache: false`). What it finds stands in the routing table for as long as the message may need it.
 */
export class SubscriberLookup {
  readonly #broker: Broker
  readonly #find: (topic: string) => Promise<readonly StoredSubscriber[]>
  // Sessions without a connection that are known by looking up, and when they were last asked for; the oldest first.
  readonly #lookedUp = new Map<Session, number>()
  // All who publish to a topic in one turn of the event loop ask once.
  #asking = new Map<string, Promise<void>>()

  constructor(broker: Broker, find: (topic: string) => Promise<readonly StoredSubscriber[]>) {
    this.#broker = broker
    this.#find = find
  }

  /**
   * Resolves when a message may be matched. At QoS 0 that is at once where the store is away. At QoS 1 and 2 it waits: a client that has to
   * wait longer than for any acknowledgement (`mqtt.receiptTimeout`) is disconnected, and sends the message again; nothing answers it, for it is
   * not known who has to have it. Where nobody waits who could send it again (`publisher` null), an error says why it cannot be matched.
   */
  async before(message: Message, publisher: Publisher | null): Promise<Error | undefined> {
    const { clock, settings } = this.#broker
    const client = publisher !== null && message.origin === 'client' ? this.#broker.clientOf(publisher.clientId) : undefined
    const until = clock.now() + settings.mqtt.receiptTimeout
    for (;;) {
      try {
        await this.#known(message.topic)
        return undefined
      } catch (error) {
        if (publisher === null) return error as Error
        if (message.qos === 0) return undefined
        this.#broker.report(error)
      }
      await new Promise<void>(resolve => clock.after(retryMs, resolve))
      if (client === undefined || clock.now() < until) continue
      client.close(ReasonCode.ServerBusy, 'the subscribers of the message could not be looked up in time')
      // The connection has ended, so nothing of it goes on.
      return new Promise<never>(() => {})
    }
  }

  /** Resolves when the routing table has every durable subscriber of the topic; rejects where the store cannot tell. */
  #known(topic: string): Promise<void> {
    let asked = this.#asking.get(topic)
    if (asked === undefined) {
      if (this.#asking.size === 0) setImmediate(() => (this.#asking = new Map()))
      asked = this.#find(topic).then(found => this.#note(topic, found))
      this.#asking.set(topic, asked)
    }
    return asked
  }

  #note(topic: string, found: readonly StoredSubscriber[]): void {
    const { now } = this.#broker
    for (const session of this.#broker.refreshSessions(topic, found)) {
      this.#lookedUp.delete(session)
      this.#lookedUp.set(session, now)
    }
  }

  /** Forgets those that no message can be waiting for any more. Called now and then. */
  sweep(): void {
    const { now, settings } = this.#broker
    for (const [session, askedAt] of this.#lookedUp) {
      if (now - askedAt < 2 * settings.mqtt.receiptTimeout) break
      this.#lookedUp.delete(session)
      this.#broker.forgetSession(session)
    }
  }
}
