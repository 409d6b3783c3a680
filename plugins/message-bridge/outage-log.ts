import type { BridgeReport } from '../../core/hooks.ts'
import type { Log } from '../../core/log.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { BridgeTarget } from '../kit/services/bridge-target.ts'

const dropsEveryMs = 10_000
const stillAwayEveryMs = 60_000

/** Says what an operator has to know of a target: that it is away and why, that it is back, and what was dropped. One line for each, not one for each message. */
export class OutageLog {
  readonly #target: BridgeTarget
  readonly #clock: Clock
  readonly #log: Log
  // Lanes that cannot send just now.
  readonly #failing: Set<string>
  #awaySince: number
  #saidAt: number
  #said: string
  // Drops that are not said yet, by why.
  readonly #drops: Map<string, number>
  #timer: Timer | null

  constructor(target: BridgeTarget, clock: Clock, log: Log) {
    this.#target = target
    this.#clock = clock
    this.#log = log
    this.#failing = new Set()
    this.#awaySince = 0
    this.#saidAt = 0
    this.#said = ''
    this.#drops = new Map()
    this.#timer = null
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
    if (!isNew && now - this.#saidAt < stillAwayEveryMs) return
    this.#saidAt = now
    this.#said = error.message
    this.#log.error(
      { target: name, waiting, err: error },
      `messageBridge: ${name} at ${place} takes no messages: ${error.message}; they wait and are sent again`,
    )
  }

  /** The first of a kind at once, the others counted. */
  dropped(reason: string, why: string): void {
    const known = this.#drops.get(why)
    if (known !== undefined) {
      this.#drops.set(why, known + 1)
      return
    }
    // Why is a text of ours, but may name topics, of which a client may make up many.
    if (this.#drops.size >= 20) return
    this.#drops.set(why, 0)
    this.#log.warn({ target: this.#target.name, reason }, `messageBridge: a message for ${this.#target.name} is dropped: ${why}`)
    this.#timer ??= this.#clock.after(dropsEveryMs, () => this.#tell())
  }

  stop(): void {
    this.#tell()
  }

  #tell(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const [why, count] of this.#drops) {
      if (count > 0) this.#log.warn({ target: this.#target.name, count }, `messageBridge: ${count} more messages were dropped: ${why}`)
    }
    this.#drops.clear()
  }
}
