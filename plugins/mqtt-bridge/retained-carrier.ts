import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import type { BridgeRule } from './rules.ts'

export interface CarrierEvents {
  /** One that is retained here, by one of the rules. */
  offer(message: Message, rule: BridgeRule): void
  /** How many messages wait to be sent. */
  waiting(): number
  failed(error: Error): void
}

// Messages that are read in one go, and those that wait to be sent before more are read.
const pageSize = 200
const waitingMax = 1000
const pauseMs = 20

/** Carries retained messages that are here already to the other broker, once for each session there. */
export class RetainedCarrier {
  readonly #broker: Broker
  readonly #rules: readonly BridgeRule[]
  readonly #events: CarrierEvents
  // Topic names whose retained message has changed since a page was asked for: the page may hold what was there before.
  readonly #overtaken: Set<string>
  #isReading: boolean
  // Of how many connections, so that a walk sees that its own has gone.
  #connection: number
  #carried: boolean

  constructor(broker: Broker, rules: readonly BridgeRule[], events: CarrierEvents) {
    this.#broker = broker
    this.#rules = rules
    this.#events = events
    this.#overtaken = new Set()
    this.#isReading = false
    this.#connection = 0
    // Where the other broker knows the session, an earlier run has carried them.
    this.#carried = true
  }

  connected(sessionPresent: boolean): void {
    this.#connection += 1
    if (!sessionPresent) this.#carried = false
    if (!this.#carried) this.#walk(this.#connection).catch(error => this.#events.failed(error as Error))
  }

  disconnected(): void {
    this.#connection += 1
  }

  /** A message that is to be retained is being routed, and goes its own way. */
  overtaken(topic: string): void {
    if (this.#isReading) this.#overtaken.add(topic)
  }

  async #walk(connection: number): Promise<void> {
    const retained = this.#broker.services.find('retained')
    for (const rule of retained === undefined ? [] : this.#rules) {
      const cursor = retained!.match(rule.filter)
      for (;;) {
        while (this.#events.waiting() > waitingMax) {
          await new Promise<void>(resolve => this.#broker.clock.after(pauseMs, resolve))
          if (connection !== this.#connection) return
        }
        this.#isReading = true
        this.#overtaken.clear()
        const page = await cursor.next(pageSize)
        this.#isReading = false
        if (connection !== this.#connection) return
        for (const message of page.messages) if (!this.#overtaken.has(message.topic)) this.#events.offer(message, rule)
        if (page.done) break
      }
    }
    this.#carried = true
  }
}
