import type { Broker } from '../broker.ts'
import { OperatorError } from '../errors.ts'
import type { Publisher } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import { ReasonCode } from '../reason.ts'
import type { Session } from './session.ts'
import type { StoredSubscriber } from './session-store.ts'

const retryMs = 250

/**
 * Looks the durable subscribers of a topic up in the store before each message to it, in place of keeping all of them in memory
 * (`enableInnerCache: false`). What it finds stands in the routing table for as long as the message may need it.
 */
export class SubscriberLookup {
  readonly #broker: Broker
  readonly #find: (topic: string) => Promise<readonly StoredSubscriber[]>
  // Sessions without a connection that are known by looking up, and when they were last asked for; the oldest first.
  readonly #passing = new Map<Session, number>()
  // All who publish to a topic in one turn of the event loop ask once.
  #asking = new Map<string, Promise<void>>()

  static on(broker: Broker): SubscriberLookup {
    const { sessions } = broker
    if (sessions.subscribersOf === undefined) {
      throw new OperatorError(
        'ERR_CONFIG',
        'enableInnerCache: false looks subscribers up, which this store of sessions cannot; leave it true',
      )
    }
    return new SubscriberLookup(broker, topic => sessions.subscribersOf!(topic))
  }

  private constructor(broker: Broker, find: (topic: string) => Promise<readonly StoredSubscriber[]>) {
    this.#broker = broker
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
    const broker = this.#broker
    const client = message.origin === 'client' ? broker.clientOf(clientId) : undefined
    const until = broker.clock.now() + broker.settings.mqtt.receiptTimeout
    for (;;) {
      try {
        await this.known(message.topic)
        break
      } catch (error) {
        if (message.qos === 0) break
        broker.troubles.say(error)
      }
      await new Promise<void>(resolve => broker.clock.after(retryMs, resolve))
      if (client === undefined || broker.clock.now() < until) continue
      client.close(ReasonCode.ServerBusy, 'the subscribers of the message could not be looked up in time')
      return
    }
    then()
  }

  #take(topic: string, found: readonly StoredSubscriber[]): void {
    const { roster, now } = this.#broker
    for (const session of roster.refresh(topic, found)) {
      this.#passing.delete(session)
      this.#passing.set(session, now)
    }
  }

  /** Forgets those that no message can be waiting for any more. Called now and then. */
  sweep(): void {
    const { roster, now, settings } = this.#broker
    for (const [session, askedAt] of this.#passing) {
      if (now - askedAt < 2 * settings.mqtt.receiptTimeout) break
      this.#passing.delete(session)
      roster.pass(session)
    }
  }
}
