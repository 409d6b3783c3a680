import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Clock } from '../../core/time/clock.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import { reasonName } from '../kit/reason-name.ts'
import type { BridgeRule } from './rules.ts'

const dropsEveryMs = 10_000
const stillAwayEveryMs = 60_000

/** Says what an operator has to know of one connection: that it is up, that it is not and why, and which messages go nowhere. A line for each kind, not for each message. */
export class ConnectionLines {
  readonly #name: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #awayLines: LineThrottle
  readonly #dropLines: LineThrottle
  #awaySince: number
  #said: string

  constructor(name: string, clock: Clock, log: Log) {
    this.#name = name
    this.#clock = clock
    this.#log = log
    this.#awaySince = 0
    this.#said = ''
    this.#awayLines = new LineThrottle(clock, { everyMs: stillAwayEveryMs })
    this.#dropLines = new LineThrottle(clock, {
      everyMs: dropsEveryMs,
      kindsMax: 20,
      others: 'for other reasons',
      more: (count, why) => log.warn({ bridge: name, count }, `mqttBridge ${name}: ${count} more messages: ${why}`),
    })
  }

  connected(place: string, sessionPresent: boolean): void {
    const seconds = this.#awaySince === 0 ? 0 : Math.round((this.#clock.now() - this.#awaySince) / 1000)
    const after = this.#awaySince === 0 ? '' : ` again, after ${seconds} s`
    this.#awaySince = 0
    this.#said = ''
    this.#awayLines.forget('away')
    const session = sessionPresent ? 'the session goes on' : 'a new session'
    this.#log.info({ bridge: this.#name }, `mqttBridge ${this.#name}: connected to ${place}${after}; ${session}`)
  }

  renewed(place: string, why: string): void {
    this.#log.info({ bridge: this.#name }, `mqttBridge ${this.#name}: ${why}; connecting to ${place} anew`)
  }

  away(place: string, error: Error): void {
    if (this.#awaySince === 0) this.#awaySince = this.#clock.now()
    if (error.message !== this.#said) this.#awayLines.forget('away')
    if (this.#awayLines.pass('away') === 0) return
    this.#said = error.message
    this.#log.error(
      { bridge: this.#name },
      `mqttBridge ${this.#name}: not connected to ${place}: ${error.message}; it is tried again, and messages wait`,
    )
  }

  notSubscribed({ at, filter }: BridgeRule, code: number): void {
    this.#log.error(
      { bridge: this.#name, filter },
      `mqttBridge ${this.#name}: the other broker refuses the subscription to ${filter} with ${reasonName(code)}; give the user the right, or take ${at} out`,
    )
  }

  /** The first of a kind at once, the others counted. */
  dropped({ clientId, topic }: Message, what: string, why: string): void {
    if (this.#dropLines.pass(`${what}: ${why}`) === 0) return
    this.#log.warn({ bridge: this.#name, clientId, topic }, `mqttBridge ${this.#name}: a message ${what}: ${why}`)
  }

  stop(): void {
    this.#dropLines.flush()
  }
}
