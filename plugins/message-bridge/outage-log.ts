import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import type { BridgeReport, BridgeTarget, RecordsRefusedError } from '../kit/services/bridge-target.ts'
import type { Parcel } from './parcel.ts'

const dropsEveryMs = 10_000
const stillAwayEveryMs = 60_000
const parkedFull =
  'no more messages that were refused can be parked (messageBridge.parkedBytes), so they are dropped; set messageBridge.parked to resend, or to drop'

/** Says what an operator has to know of a target: that it is away and why, that it is back, and what was dropped. One line for each, not one for each message. */
export class OutageLog {
  readonly #target: BridgeTarget
  readonly #clock: Clock
  readonly #log: Log
  // Lanes that cannot send just now.
  readonly #failing: Set<string>
  readonly #outageLines: LineThrottle
  #awaySince: number
  #said: string
  readonly #dropLines: LineThrottle

  constructor(target: BridgeTarget, clock: Clock, log: Log) {
    this.#target = target
    this.#clock = clock
    this.#log = log
    this.#failing = new Set()
    this.#outageLines = new LineThrottle(clock, { everyMs: stillAwayEveryMs })
    this.#awaySince = 0
    this.#said = ''
    // Why is a text of ours, but may name topics, of which a client may make up many.
    this.#dropLines = new LineThrottle(clock, {
      everyMs: dropsEveryMs,
      kindsMax: 20,
      others: 'for other reasons',
      more: (count, why) =>
        log.warn({ target: target.name, count }, `messageBridge: ${count} more messages were refused or dropped: ${why}`),
    })
  }

  reported(lane: string, { error, waiting, sent }: Omit<BridgeReport, 'target'>): void {
    const { name, place } = this.#target
    const now = this.#clock.now()
    if (error === null) {
      if (sent === 0 || !this.#failing.delete(lane) || this.#failing.size > 0) return
      const seconds = Math.round((now - this.#awaySince) / 1000)
      this.#log.info(
        { target: name, waiting },
        `messageBridge: ${name} at ${place} takes messages again, after ${seconds} s; what waited is sent in order`,
      )
      return
    }
    if (this.#failing.size === 0) this.#awaySince = now
    const isNew = this.#failing.size === 0 || error.message !== this.#said
    this.#failing.add(lane)
    if (isNew) this.#outageLines.forget('away')
    if (this.#outageLines.pass('away') === 0) return
    this.#said = error.message
    this.#log.error(
      { target: name, waiting, err: error },
      `messageBridge: ${name} at ${place} takes no messages: ${error.message}; they wait and are sent again`,
    )
  }

  /** The first of a kind at once, the others counted. */
  dropped(parcel: Parcel, reason: string, why: string): void {
    this.#say(parcel, reason, 'is dropped', why)
  }

  /** Refused though it was acknowledged, and kept. */
  parked(parcel: Parcel, { reason, message }: RecordsRefusedError): void {
    this.#say(parcel, reason, 'is parked', message)
  }

  /** No room for more of those. */
  parkedFull(): void {
    if (this.#dropLines.pass(parkedFull) === 0) return
    this.#log.error({ target: this.#target.name }, `messageBridge: ${parkedFull}`)
  }

  #say({ topic, message }: Parcel, reason: string, what: string, why: string): void {
    if (this.#dropLines.pass(`${reason} ${topic}: ${why}`) === 0) return
    const { name } = this.#target
    this.#log.warn(
      { target: name, reason, clientId: message.clientId, topic: message.topic, to: topic },
      `messageBridge: a message for ${name} ${what}: ${reason}, topic ${topic}: ${why}`,
    )
  }

  stop(): void {
    this.#dropLines.flush()
  }
}
