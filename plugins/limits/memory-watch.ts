import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import { cachesOf } from '../kit/bounded-cache.ts'
import type { MemoryPressure } from '../kit/services/memory-pressure.ts'
import type { LimitLog } from './limit-log.ts'
import { collectGarbage, type MemoryUse } from './memory-use.ts'

export interface MemoryThresholds {
  /** Percent. */
  readonly refuseAt: number
  readonly pauseAt: number
  readonly dropAt: number
  readonly disconnectAt: number
}

const doing = [
  'all is well again',
  'caches are emptied and new clients refused',
  'publishers are slowed',
  'QoS 0 messages are dropped',
  'the heaviest clients are disconnected',
] as const

const Stage = { Refuse: 1, Pause: 2, Drop: 3, Disconnect: 4 } as const

/** Percent that the use must fall below a threshold before its stage is over, or it would come and go with every look. */
const backBy = 5
/** Who keeps less than this is not worth disconnecting. */
export const heavyBytes = 65_536
/** So many at most are disconnected at once, and then it takes a while until their memory is free. */
const disconnectsMax = 100
const settleMs = 3000
/** Garbage counts as used until it is collected. That is done before a stage begins, and now and then while one lasts. */
const collectBeforeMs = 10_000
const collectDuringMs = 60_000

const name = 'limits.memory'

/** Sheds load in stages as the memory fills. It only ever looks at its interval; between, others ask which stage it is. */
export class MemoryWatch implements MemoryPressure {
  /** New clients are not let in. */
  refuses: boolean
  /** Publishers are slowed, at least: `publish` is to be asked. */
  slows: boolean
  readonly #broker: Broker
  readonly #log: LimitLog
  readonly #thresholds: readonly number[]
  readonly #measure: () => MemoryUse
  readonly #paused: Set<Client>
  #stage: number
  #disconnectedAt: number
  #collectedAt: number

  constructor({ refuseAt, pauseAt, dropAt, disconnectAt }: MemoryThresholds, broker: Broker, log: LimitLog, measure: () => MemoryUse) {
    this.refuses = false
    this.slows = false
    this.#broker = broker
    this.#log = log
    this.#thresholds = [refuseAt, pauseAt, dropAt, disconnectAt]
    this.#measure = measure
    this.#paused = new Set()
    this.#stage = 0
    this.#disconnectedAt = Number.NEGATIVE_INFINITY
    this.#collectedAt = Number.NEGATIVE_INFINITY
  }

  /** Looks at the memory, and does what its stage asks for. */
  look(): void {
    const { used, max } = this.#measure()
    const percent = (used / max) * 100
    const stage = this.#stageAt(percent)
    // What can be made anew goes first; before the stage begins it is seen whether that was enough.
    if (stage > 0) for (const cache of cachesOf(this.#broker)) cache.clear()
    const collects = this.#wantsCollection(stage)
    if (collects) {
      this.#collectedAt = this.#broker.clock.now()
      collectGarbage()
    }
    // The next look sees what is left; only where that might be too late everybody is held up meanwhile.
    if (!collects || stage < this.#stage || stage === Stage.Disconnect) this.#enter(stage, percent)
    // Each look lets each of them send one message more, so that the acknowledgements behind it are read too.
    for (const client of this.#paused) {
      this.#paused.delete(client)
      client.resumeReading(name)
    }
    if (this.#stage === Stage.Disconnect && !collects) this.#disconnect(used - (max * this.#thresholds[Stage.Disconnect - 1]!) / 100)
  }

  #stageAt(percent: number): number {
    const reached = (back: number): number => this.#thresholds.filter(threshold => percent >= threshold - back).length
    const up = reached(0)
    return up >= this.#stage ? up : Math.min(this.#stage, reached(backBy))
  }

  #wantsCollection(stage: number): boolean {
    if (stage === 0 && this.#stage === 0) return false
    const now = this.#broker.clock.now()
    const passed = now - this.#collectedAt
    if (stage > this.#stage) return passed >= collectBeforeMs
    // Who was disconnected since has left garbage behind.
    if (this.#disconnectedAt >= this.#collectedAt && now - this.#disconnectedAt >= settleMs) return true
    return passed >= collectDuringMs
  }

  #enter(stage: number, percent: number): void {
    if (stage === this.#stage) return
    const level = stage > this.#stage ? 'warn' : 'info'
    this.#stage = stage
    this.refuses = stage >= Stage.Refuse
    this.slows = stage >= Stage.Pause
    this.#broker.log[level]({ stage, percent: Math.round(percent) }, `limits: memory at ${Math.round(percent)} %: ${doing[stage]}`)
  }

  /** A client publishes while it `slows`. */
  publish(client: Client, qos: 0 | 1 | 2): PublishVerdict | undefined {
    const who = () => ({ clientId: client.clientId })
    if (qos === 0 && this.#stage >= Stage.Drop) {
      this.#log.hit('memoryDropped', 'QoS 0 messages are dropped: the broker is short of memory', who)
      return 'drop'
    }
    if (this.#paused.has(client)) return undefined
    this.#log.hit('memoryPaused', 'publishers are slowed: the broker is short of memory', who)
    client.pauseReading(name)
    this.#paused.add(client)
    return undefined
  }

  #disconnect(excess: number): void {
    const { clock, clients } = this.#broker
    const now = clock.now()
    if (now - this.#disconnectedAt < settleMs) return
    const heavy: { client: Client; bytes: number }[] = []
    for (const client of clients) {
      const bytes = client.heldBytes
      if (bytes >= heavyBytes && !client.closed) heavy.push({ client, bytes })
    }
    heavy.sort((a, b) => b.bytes - a.bytes)
    let freed = 0
    for (const { client, bytes } of heavy.slice(0, disconnectsMax)) {
      if (freed > excess) return
      freed += bytes
      this.#disconnectedAt = now
      const { clientId, remoteAddress: address } = client
      this.#log.hit('memoryDisconnected', 'clients are disconnected: the broker is short of memory', () => ({ clientId, address, bytes }))
      client.close(ReasonCode.QuotaExceeded, 'the broker is short of memory')
      // What it has not read would else be kept for the time that a good-bye may take.
      if (client.transport.bufferedBytes > 0) client.transport.destroy()
    }
  }
}
