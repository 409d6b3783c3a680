import type { Hooks } from '../../core/hooks.ts'
import { Stage } from '../../core/hooks.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { Properties } from '../../core/protocol/packets.ts'
import { isTopicFilter, matches } from '../../core/routing/topic.ts'

/** A message that the broker has accepted, or that a client of the kit has got. */
export interface ReceivedMessage {
  /** The topic name. */
  readonly topic: string
  /** The payload: any bytes. */
  readonly payload: Buffer
  /** The QoS that the message was published with. */
  readonly qos: QoS
  /** The message was published with the RETAIN flag. */
  readonly retain: boolean
  /** The client id of the publisher; empty for the broker itself, and where a client has got the message, which nobody tells whose it is. */
  readonly clientId: string
  /** What MQTT 5 carries with it. */
  readonly properties: Properties | undefined
}

// A test that publishes without end must not eat the memory of its suite.
const keptMax = 100_000

/** All messages that a broker has accepted, or a client has got, for those who wait for them. */
export class Received {
  readonly messages: ReceivedMessage[] = []
  readonly #read = new Map<string, number>()
  readonly #waiting = new Set<() => void>()

  /** All that a broker accepts. */
  static of(hooks: Hooks): Received {
    const received = new Received()
    hooks.onRoute.tap({ name: 'testing', stage: Stage.Observe }, ({ topic, payload, qos, retain, clientId, properties }) =>
      received.add({ topic, payload, qos, retain, clientId, properties }),
    )
    return received
  }

  add(message: ReceivedMessage): void {
    if (this.messages.length >= keptMax) throw new Error(`more than ${keptMax} messages in one test; stop the broker in between`)
    this.messages.push(message)
    for (const look of [...this.#waiting]) look()
  }

  /**
   * The next message that matches the filter and was not given out for it yet, whether it has come already or comes within `timeoutMs` of
   * real time.
   */
  async next(filter: string, timeoutMs: number): Promise<ReceivedMessage> {
    if (!isTopicFilter(filter)) throw new TypeError(`received: ${JSON.stringify(filter)} is no topic filter`)
    const found = this.#take(filter)
    if (found !== undefined) return found
    return await new Promise((resolve, reject) => {
      const look = (): void => {
        const message = this.#take(filter)
        if (message === undefined) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(message)
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        const came = [...new Set(this.messages.map(({ topic }) => topic))].slice(-10).join(', ')
        reject(new Error(`no message to ${filter} within ${timeoutMs} ms; ${came === '' ? 'none came at all' : `there came ${came}`}`))
      }, timeoutMs)
      this.#waiting.add(look)
    })
  }

  #take(filter: string): ReceivedMessage | undefined {
    for (let index = this.#read.get(filter) ?? 0; index < this.messages.length; index++) {
      if (!matches(filter, this.messages[index]!.topic)) continue
      this.#read.set(filter, index + 1)
      return this.messages[index]
    }
    this.#read.set(filter, this.messages.length)
    return undefined
  }
}
