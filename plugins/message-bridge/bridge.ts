import type { SyncHook } from 'tapable'
import type { Broker } from '../../core/broker.ts'
import { OperatorError } from '../../core/errors.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { MessageRefusedError } from '../../core/sessions/session-store.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { ParkedOnDisk } from '../kit/parked-rows.ts'
import { SendingLane } from '../kit/sending-lane.ts'
import {
  type BridgeRecord,
  type BridgeReport,
  type BridgeTarget,
  type BridgeTargets,
  RecordsRefusedError,
} from '../kit/services/bridge-target.ts'
import type { DurableQueue, Queues } from '../kit/services/queues.ts'
import { type LineSubject, TargetLines } from '../kit/target-lines.ts'
import { fnv1a } from '../kit/text-hash.ts'
import { BridgeRoutes } from './bridge-routes.ts'
import { type Parcel, parcelCodec } from './parcel.ts'
import { type AckMode, type BridgeOptions, checkNames, type Rule } from './rules.ts'

/** What is known of one target's lanes together. */
export interface BridgeFigures {
  readonly sent: number
  readonly waiting: number
  /** Bytes. */
  readonly waitingBytes: number
  readonly repeated: number
  readonly droppedFull: number
  readonly droppedRefused: number
  /** Refused though they were acknowledged, and kept; and their bytes. */
  readonly parked: number
  readonly parkedBytes: number
  /** Milliseconds since the oldest message that waits was received; 0 where none does. */
  readonly lagMs: number
}

// Reasons that are counted each by itself, as a plugin may make up many.
const reasonsMax = 100
// A key is stored behind its length, of two bytes.
const keyMax = 16_000
const waitsFor = { none: 'nothing', local: 'disk', kafka: 'system' } as const
const cureOfParked = 'see to what they were refused for, then set messageBridge.parked to resend, or to drop'

type BridgeLane = SendingLane<Parcel, BridgeRecord>

/** Rules on one side, lanes on the other. */
export class Bridge implements BridgeTargets {
  readonly onBridged: SyncHook<[BridgeReport]>
  readonly #broker: Broker
  readonly #options: BridgeOptions
  readonly #targets: Map<string, BridgeTarget>
  // By target, ack mode and number; those that only an earlier config used among them, until they are empty.
  readonly #lanes: Map<string, BridgeLane>
  #lanesOf: ReadonlyMap<Rule, readonly BridgeLane[]>
  readonly #logs: Map<string, TargetLines>
  readonly #parked: Map<string, ParkedOnDisk<Parcel>>
  // By target, how many messages were refused for which reason.
  readonly #refused: Map<string, Map<string, number>>
  #parks: BridgeOptions['parked']
  #queues: Queues | undefined
  #routes: BridgeRoutes | null

  constructor(broker: Broker, options: BridgeOptions, onBridged: SyncHook<[BridgeReport]>) {
    this.onBridged = onBridged
    this.#broker = broker
    this.#options = options
    this.#targets = new Map()
    this.#lanes = new Map()
    this.#lanesOf = new Map()
    this.#logs = new Map()
    this.#parked = new Map()
    this.#refused = new Map()
    this.#parks = options.parked
    this.#routes = null
    addCache(broker, 'messageBridge', () => this.#routes)
  }

  add(target: BridgeTarget): void {
    if (this.#targets.has(target.name)) {
      throw new OperatorError('ERR_BRIDGE_TWICE', `messageBridge: two plugins bring a target ${target.name}; turn one of them off`)
    }
    this.#targets.set(target.name, target)
  }

  has(target: string): boolean {
    return this.#targets.has(target)
  }

  get targets(): Iterable<BridgeTarget> {
    return this.#targets.values()
  }

  /** Makes the lanes and takes up what an earlier run has left on disk. All targets are there. */
  start(queues: Queues | undefined, rules: readonly Rule[]): void {
    this.#queues = queues
    this.follow(rules)
    for (const name of queues?.names() ?? []) {
      const [kind, target, ack, number] = name.split(' ')
      if (kind === 'parked') this.parked(target!)
      if (kind !== 'bridge' || this.#lanes.has(`${target} ${ack} ${number}`)) continue
      if (this.#targets.has(target!)) this.#lane(target!, ack as AckMode, Number(number))
      else this.#leftOver(name, target!)
    }
    this.parks(this.#parks)
  }

  parked(target: string): ParkedOnDisk<Parcel> | null {
    let parked = this.#parked.get(target)
    if (parked !== undefined) return parked
    if (this.#queues === undefined || !this.#targets.has(target)) return null
    const queue = this.#queues.open(`parked ${target}`, this.#options.parkedBytes)
    parked = new ParkedOnDisk(queue, this.#broker.clock, parcelCodec, (lane, row) => {
      const [, ack, number] = lane.split(' ')
      return this.#lane(target, ack as AckMode, Number(number)).takeBack(row)
    })
    this.#parked.set(target, parked)
    return parked
  }

  /** What becomes of messages that are refused though they were acknowledged, from now on, and of those that are parked already. */
  parks(how: BridgeOptions['parked']): void {
    this.#parks = how
    for (const [target, parked] of this.#parked) {
      const { length } = parked
      if (length === 0) continue
      const { log } = this.#broker
      if (how === 'keep') {
        log.warn({ target, parked: length }, `messageBridge: ${length} messages that ${target} refused are parked; ${cureOfParked}`)
        continue
      }
      const what = how === 'resend' ? 'are sent once more' : 'are dropped'
      const done = how === 'resend' ? parked.resend() : parked.drop()
      done.then(
        count => log.warn({ target, count }, `messageBridge: ${count} messages that ${target} refused ${what} (messageBridge.parked)`),
        error => this.#broker.report(error as Error),
      )
    }
  }

  /** Refuses rules that nobody could go by. All targets are there. `hasQueue`: somebody keeps queues on disk. */
  check(rules: readonly Rule[], hasQueue: boolean): void {
    const unknown = rules.filter(({ target }) => !this.#targets.has(target))
    if (unknown.length > 0) {
      const names = [...this.#targets.keys()].join(', ')
      throw new OperatorError(
        'ERR_CONFIG',
        unknown.map(({ at, target }) => `${at}.target: there is no ${target}; there are ${names}; add the plugin that brings it`),
      )
    }
    checkNames(rules, this.#targets)
    const local = rules.find(({ ack }) => ack === 'local')
    if (local !== undefined && !hasQueue) {
      throw new OperatorError('ERR_CONFIG', `${local.at}: ack local needs a queue on disk; add the section diskQueue, or set ack: kafka`)
    }
  }

  /** Goes by these rules from now on; what waits by others goes on. Throws where they are wrong, and then it goes by those that it had. */
  follow(rules: readonly Rule[]): void {
    this.check(rules, this.#queues !== undefined)
    this.#lanesOf = new Map(
      rules.map(rule => [rule, Array.from({ length: this.#options.lanes }, (_, number) => this.#lane(rule.target, rule.ack, number))]),
    )
    this.#routes = new BridgeRoutes(rules, this.#targets, this.#broker.log)
  }

  /** A message that is being routed. */
  offer(message: Message, receipt: Receipt): void {
    const { topic, clientId } = message
    for (const { rule, topic: fixed } of this.#routes!.of(topic)) {
      const { json, headers } = rule
      const lanes = this.#lanesOf.get(rule)!
      const name = fixed ?? this.#routes!.name(rule, topic, clientId)
      const key = rule.key.fill(topic, clientId) || topic
      const parcel: Parcel = { message, topic: name, key, json, headers }
      if (name === '')
        this.#refuse(
          rule,
          parcel,
          receipt,
          `${rule.at}.to comes to no name that ${rule.target} takes, or by a client's words to one that begins with _; write a prefix: to: 'mqtt.{topic}'`,
        )
      else if (key.length > keyMax)
        this.#refuse(rule, parcel, receipt, `${rule.at}.key comes to more than ${keyMax} characters; shorten it`)
      else lanes[lanes.length === 1 ? 0 : fnv1a(key) % lanes.length]!.offer(parcel, receipt)
    }
  }

  // Nobody has an acknowledgement for it yet, so nothing has to be parked.
  #refuse({ target, ack }: Rule, parcel: Parcel, receipt: Receipt, why: string): void {
    this.#dropped(target, parcel, new RecordsRefusedError([0], why, { reason: 'NAME' }))
    if (ack === 'none' || parcel.message.qos === 0) return
    receipt.hold()
    receipt.release(new MessageRefusedError(why))
  }

  figures(target: string): BridgeFigures {
    const parked = this.#parked.get(target)
    const figures = {
      sent: 0,
      waiting: 0,
      waitingBytes: 0,
      repeated: 0,
      droppedFull: 0,
      droppedRefused: 0,
      parked: 0,
      parkedBytes: 0,
      lagMs: 0,
    }
    figures.parked = parked?.length ?? 0
    figures.parkedBytes = parked?.bytes ?? 0
    const now = this.#broker.clock.now()
    for (const [name, lane] of this.#lanes) {
      if (!name.startsWith(`${target} `)) continue
      figures.sent += lane.sent
      figures.waiting += lane.waiting
      figures.waitingBytes += lane.bytes
      figures.repeated += lane.repeated
      figures.droppedFull += lane.full
      figures.droppedRefused += lane.refused
      if (lane.oldest > 0) figures.lagMs = Math.max(figures.lagMs, now - lane.oldest)
    }
    return figures
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map(lane => lane.stop(this.#options.stopTimeout)))
    for (const log of this.#logs.values()) log.stop()
    for (const target of this.#targets.values()) await target.close?.()
  }

  #lane(target: string, mode: AckMode, number: number): BridgeLane {
    const name = `${target} ${mode} ${number}`
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const { queueBytes } = this.#options
    // What waits for Kafka's own acknowledgement its publisher has.
    const queue: DurableQueue | null = mode === 'kafka' ? null : (this.#queues?.open(`bridge ${name}`, queueBytes) ?? null)
    const system = this.#targets.get(target)!
    const log = this.#logOf(system)
    const lane = new SendingLane(
      { ...this.#options, waitsFor: waitsFor[mode], at: 'messageBridge' },
      this.#broker.clock,
      parcelCodec,
      system.createSender(),
      queue,
      {
        full: (parcel, why) => {
          this.#broker.drop(`bridge:${target}`, parcel.message, 'bridgeFull')
          log.dropped(subjectOf(parcel), 'bridgeFull', why)
        },
        parks: (parcel, error) => this.#park(target, name, parcel, error),
        refused: (parcel, error) => this.#dropped(target, parcel, error),
        reported: report => {
          log.reported(name, report)
          this.onBridged.call({ target, ...report })
        },
        failed: error => this.#broker.report(error),
      },
    )
    this.#lanes.set(name, lane)
    return lane
  }

  #logOf(target: BridgeTarget): TargetLines {
    let log = this.#logs.get(target.name)
    if (log === undefined) {
      log = new TargetLines(
        { plugin: 'messageBridge', at: 'messageBridge', what: ['message', 'messages'], name: target.name, place: target.place },
        this.#broker.clock,
        this.#broker.log,
      )
      this.#logs.set(target.name, log)
    }
    return log
  }

  #park(target: string, lane: string, parcel: Parcel, error: RecordsRefusedError): boolean {
    if (this.#parks === 'drop') return false
    const parked = this.parked(target)
    if (parked === null) return false
    if (!parked.park(lane, parcel, `${error.reason}: ${error.message}`)) {
      this.#logOf(this.#targets.get(target)!).parkedFull()
      return false
    }
    this.#count(target, error.reason)
    this.#logOf(this.#targets.get(target)!).parked(subjectOf(parcel), error)
    return true
  }

  #dropped(target: string, parcel: Parcel, error: RecordsRefusedError): void {
    this.#count(target, error.reason)
    this.#broker.drop(`bridge:${target}`, parcel.message, 'bridgeRefused')
    this.#logOf(this.#targets.get(target)!).dropped(subjectOf(parcel), error.reason, error.message)
  }

  #count(target: string, reason: string): void {
    let reasons = this.#refused.get(target)
    if (reasons === undefined) this.#refused.set(target, (reasons = new Map()))
    const own = reasons.has(reason) || reasons.size < reasonsMax ? reason : 'OTHER'
    reasons.set(own, (reasons.get(own) ?? 0) + 1)
  }

  /** How many messages a target refused for which reason, since the start. */
  refusals(target: string): ReadonlyMap<string, number> {
    return this.#refused.get(target) ?? new Map()
  }

  #leftOver(name: string, target: string): void {
    const { length } = this.#queues!.open(name, this.#options.queueBytes)
    if (length === 0) return
    this.#broker.log.warn(
      { target, waiting: length },
      `messageBridge: ${length} messages wait on disk for ${target}, which is not there; add the plugin that brings it`,
    )
  }
}

function subjectOf({ topic, message }: Parcel): LineSubject {
  return { clientId: message.clientId, topic: message.topic, to: topic }
}
