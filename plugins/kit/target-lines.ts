import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { LineThrottle } from './line-throttle.ts'
import type { BridgeReport, RecordsRefusedError } from './services/bridge-target.ts'

/** Of which system lines speak, and how. */
export interface TargetLinesOptions {
  /** The plugin, with which each line begins: `messageBridge`. */
  readonly plugin: string
  /** What the plugin calls the system: `kafka`. */
  readonly name: string
  /** Where the system is: `localhost:9092`. */
  readonly place: string
  /** What goes there, in the singular and in the plural: `message`, `messages`. */
  readonly what: readonly [one: string, many: string]
  /** Where the options that park messages stand in the config: `messageBridge`. */
  readonly at: string
}

/** What a line about one message names. */
export interface LineSubject {
  /** The client id that it is about. */
  readonly clientId: string
  /** The topic name that it was published to; undefined: it was not. */
  readonly topic?: string | undefined
  /** Where it was to go in the system, where that has several places. */
  readonly to?: string | undefined
}

const dropsEveryMs = 10_000
const stillAwayEveryMs = 60_000

/** Says what an operator has to know of a system that messages go to: that it is away and why, that it is back, and what was dropped. One line for each, not one for each message. */
export class TargetLines {
  readonly #target: TargetLinesOptions
  readonly #clock: Clock
  readonly #log: Log
  // Lanes that cannot send just now.
  readonly #failing: Set<string>
  readonly #outageLines: LineThrottle
  #awaySince: number
  #said: string
  readonly #dropLines: LineThrottle

  constructor(target: TargetLinesOptions, clock: Clock, log: Log) {
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
        log.warn({ target: target.name, count }, `${target.plugin}: ${count} more ${target.what[1]} were refused or dropped: ${why}`),
    })
  }

  /** After each batch, however it went. */
  reported(lane: string, { error, waiting, sent }: Omit<BridgeReport, 'target'>): void {
    const { plugin, name, place, what } = this.#target
    const now = this.#clock.now()
    if (error === null) {
      if (sent === 0 || !this.#failing.delete(lane) || this.#failing.size > 0) return
      const seconds = Math.round((now - this.#awaySince) / 1000)
      this.#log.info(
        { target: name, waiting },
        `${plugin}: ${name} at ${place} takes ${what[1]} again, after ${seconds} s; what waited is sent in order`,
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
      `${plugin}: ${name} at ${place} takes no ${what[1]}: ${error.message}; they wait and are sent again`,
    )
  }

  /** The first of a kind at once, the others counted. */
  dropped(subject: LineSubject, reason: string, why: string): void {
    this.#say(subject, reason, 'is dropped', why)
  }

  /** Refused though it was acknowledged, and kept. */
  parked(subject: LineSubject, { reason, message }: RecordsRefusedError): void {
    this.#say(subject, reason, 'is parked', message)
  }

  /** No room for more of those. */
  parkedFull(): void {
    const { plugin, name, what, at } = this.#target
    if (this.#dropLines.pass('parkedFull') === 0) return
    this.#log.error(
      { target: name },
      `${plugin}: no more ${what[1]} that were refused can be parked (${at}.parkedBytes), so they are dropped; set ${at}.parked to resend, or to drop`,
    )
  }

  #say({ clientId, topic, to }: LineSubject, reason: string, what: string, why: string): void {
    const place = to === undefined ? '' : ` topic ${to}:`
    if (this.#dropLines.pass(`${reason}${place} ${why}`) === 0) return
    const { plugin, name, what: kind } = this.#target
    this.#log.warn(
      { target: name, reason, clientId, topic, ...(to === undefined ? {} : { to }) },
      `${plugin}: ${aOrAn(kind[0])} for ${name} ${what}: ${reason},${place} ${why}`,
    )
  }

  /** Says what was counted and not yet said. */
  stop(): void {
    this.#dropLines.flush()
  }
}

function aOrAn(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`
}
