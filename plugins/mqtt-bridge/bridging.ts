import { isDeepStrictEqual } from 'node:util'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { PacketType, type QoS } from '../../core/protocol/constants.ts'
import type { AckPacket } from '../../core/protocol/packets.ts'
import type { Rights } from '../../core/publisher.ts'
import { MessageRefusedError } from '../../core/sessions/session-store.ts'
import type { Waiting } from '../kit/backlog.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { ByTopic } from '../kit/by-topic.ts'
import type { ParkedOnDisk } from '../kit/parked-rows.ts'
import { BridgeConnection, type ConnectionSide } from './bridge-connection.ts'
import { figuresOf } from './bridging-figures.ts'
import type { BridgingFigures, BridgingParts } from './bridging-parts.ts'
import { ConnectionLines } from './connection-lines.ts'
import { Incoming } from './incoming.ts'
import { OutLane } from './out-lane.ts'
import type { OutParcel } from './out-parcel.ts'
import { Outgoing } from './outgoing.ts'
import { openParked } from './parked.ts'
import { Relay } from './relay.ts'
import { RetainedCarrier } from './retained-carrier.ts'
import type { AckMode, BridgeRule, BridgeRules, ConnectionOptions } from './rules.ts'
import { trailOf } from './trail.ts'

/** One connection to another broker with all that belongs to it: what waits for it, what comes from it, and what is said of it. */
export class Bridging {
  readonly name: string
  /** What this broker lets it do. */
  readonly admission: { readonly username: string | null; readonly rights: Rights }
  /** The topic name of its state, here and there. */
  readonly stateTopic: string
  /** For what goes at least once. Not opened where no rule says so and nothing waits. */
  readonly connection: BridgeConnection
  /** What goes exactly once; null: no rule says so. */
  readonly onceConnection: BridgeConnection | null
  readonly #relay: Relay | null
  readonly #parts: BridgingParts
  #options: ConnectionOptions
  readonly #at: string
  // In whose name messages from there are published here; what bears it is not sent back.
  readonly #clientId: string
  readonly #onceId: string
  readonly #out: ByTopic<BridgeRule>
  readonly #outgoing: Outgoing
  readonly #incoming: Incoming
  readonly #lines: ConnectionLines
  readonly #carrier: RetainedCarrier
  readonly #forget: () => void
  #isPlain: boolean
  // Went to the disk before they are routed: when they are there.
  readonly #kept: WeakMap<Message, Promise<unknown>>
  #parked: ParkedOnDisk<OutParcel> | null
  #refused: number
  #awayDrops: number

  /** `at`: where it stands in the config. */
  constructor(parts: BridgingParts, options: ConnectionOptions, at: string, rules: BridgeRules) {
    const { broker, id, maxHops } = parts
    const { name, window } = options
    this.name = name
    this.#parts = parts
    this.#options = options
    this.#at = at
    this.#clientId = `bridge:${name}`
    this.#onceId = `bridge:${name}:once`
    this.#kept = new WeakMap()
    this.#parked = null
    this.#refused = 0
    this.#awayDrops = 0
    const out = rules.out.filter(({ once }) => !once)
    const asks = rules.in.filter(({ once }) => !once)
    const once: BridgeRules = { out: rules.out.filter(rule => rule.once), in: rules.in.filter(rule => rule.once) }
    this.#out = new ByTopic<BridgeRule>(out)
    this.#lines = new ConnectionLines(name, broker.clock, broker.log)
    this.#outgoing = new Outgoing(
      broker.clock,
      { window, id, pauses: () => this.#options },
      {
        refused: (lane, parcel, reason, why, held) => this.#refuse(lane.mode, parcel, `${reason}: ${why}`, held),
        expired: ({ message }) => broker.drop(this.#clientId, message, 'expired'),
      },
    )
    const username = options.localUsername ?? null
    const rights = { authorizedPub: rules.in.map(({ lands }) => lands), authorizedSub: rules.out.map(({ filter }) => filter) }
    this.admission = { username, rights }
    this.#incoming = new Incoming(
      broker,
      asks,
      { publisher: { clientId: this.#clientId, username, rights }, id, maxHops },
      {
        dropped: (message, reason, why) => this.#dropped(message, reason, why),
        failed: error =>
          this.connection.breakOff(new Error(`this broker cannot keep what comes from there: ${error.message}`, { cause: error })),
      },
    )
    this.#carrier = new RetainedCarrier(
      broker,
      out.filter(({ retained }) => retained),
      {
        offer: (message, rule) => this.#carry(message, rule),
        waiting: () => this.#outgoing.waiting,
        failed: error => parts.report(error),
      },
    )
    const clientId = options.clientId ?? `mqttx-${id}-${name}`
    const shared = { broker, at, id, locate: (file: string) => parts.locate(file) }
    this.stateTopic = options.notificationTopic ?? `$SYS/broker/connection/${clientId}/state`
    this.#isPlain = out.length + asks.length > 0 || once.out.length + once.in.length === 0
    const saysThere = options.notifications === 'both' ? this.stateTopic : null
    this.connection = new BridgeConnection({
      ...shared,
      options,
      clientId,
      stateTopic: this.#isPlain ? saysThere : null,
      asks,
      lines: this.#lines,
      side: this.#side(),
    })
    this.#relay = once.out.length + once.in.length === 0 ? null : this.#newRelay(once)
    this.onceConnection =
      this.#relay === null
        ? null
        : new BridgeConnection({
            ...shared,
            options: this.#onceOptions(options),
            clientId: `${clientId}.once`,
            stateTopic: this.#isPlain ? null : saysThere,
            asks: once.in,
            lines: new ConnectionLines(`${name}.once`, broker.clock, broker.log),
            side: this.#isPlain ? this.#relay : this.#said(this.#relay),
          })
    const forgets = [
      addCache(broker, `mqttBridge.${name}.out`, () => this.#out),
      addCache(broker, `mqttBridge.${name}.in`, () => this.#incoming),
    ]
    this.#forget = () => {
      for (const forget of forgets) forget()
    }
    for (const { ack } of out) this.#lane(ack)
  }

  /** Takes up what an earlier run has left, and connects. */
  start(): void {
    const { queues } = this.#parts
    for (const queue of queues?.names() ?? []) {
      const [kind, name, mode] = queue.split(' ')
      if (kind === 'mqtt' && name === this.name) this.#lane(mode as AckMode)
    }
    this.#parked = openParked(this.#parts, this.#options, (mode, row) => this.#lane(mode as AckMode).takeBack(row))
    this.#say('0')
    const resends = this.#options.parked === 'resend' && (this.#parked?.length ?? 0) > 0
    this.#isPlain ||= resends || this.#outgoing.waiting > 0
    if (this.#isPlain) this.connection.open()
    this.#relay?.prepare()
  }

  /** The files that its options name may have changed. */
  reread(): void {
    for (const connection of [this.connection, this.onceConnection]) {
      try {
        connection?.reread()
      } catch (error) {
        this.#parts.broker.log.error(
          { bridge: this.name, err: error },
          `mqttBridge ${this.name}: its files have changed and are not taken up`,
        )
      }
    }
  }

  /** Takes up what has changed of the options that its connections go by, and connects anew. */
  follow(options: ConnectionOptions): void {
    if (isDeepStrictEqual(options, this.#options)) return
    this.#options = options
    this.connection.follow(options)
    this.onceConnection?.follow(this.#onceOptions(options))
  }

  // It passes to this broker what comes, as it comes.
  #onceOptions(options: ConnectionOptions): ConnectionOptions {
    return { ...options, receiveMaximum: Math.min(options.receiveMaximum, this.#parts.broker.settings.mqtt.receiveMaximum) }
  }

  /** All its connections are up. */
  get isUp(): boolean {
    return (!this.#isPlain || this.connection.isUp) && this.onceConnection?.isUp !== false
  }

  /** Whether messages with this client id come from the other broker. */
  owns(clientId: string): boolean {
    return clientId === this.#clientId || clientId === this.#onceId
  }

  #newRelay(rules: BridgeRules): Relay {
    const { broker, own, id, maxHops } = this.#parts
    const { connectTimeout, retryMin, outgoingRetain } = this.#options
    const { username } = this.admission
    const options = { clientId: this.#onceId, username, id, maxHops, answerMs: connectTimeout, retryMs: retryMin, outgoingRetain }
    return new Relay(broker, own, rules, options, {
      refused: (parcel, why) => this.#refuse('local', parcel, why, false),
      dropped: (message, reason, why) => this.#dropped(message, reason, why),
      broken: error => this.onceConnection!.breakOff(error),
      prepared: () => this.onceConnection!.open(),
      unprepared: error => this.#lines.away('this broker', error),
    })
  }

  /**
   * A message of QoS 2 that is about to be routed. Its identifier is remembered by another store than the queue on disk: where the broker is killed between the two, the repeat of its
   * publisher is taken for one that was routed. So it goes to the disk first. Null: it need not; else resolves when it is there.
   */
  keepFirst(message: Message): Promise<void> | null {
    if (message.qos < 2 || this.owns(message.clientId)) return null
    const rules = this.#out.of(message.topic).filter(({ ack, qos }) => ack === 'local' && qos > 0)
    if (rules.length === 0 || this.#goesInCircles(message)) return null
    const kept = rules.map(rule => {
      const topic = rule.nameOf(message.topic, message.clientId)
      if (topic === null) return undefined
      return new Promise<void>((resolve, reject) => {
        const release = (error?: Error): void => (error === undefined ? resolve() : reject(error))
        this.#send(message, rule, topic, { holdAs: () => {}, release })
      })
    })
    const all = Promise.all(kept)
    this.#kept.set(message, all)
    // Whoever routes the message hears why it is not kept.
    return all.then(
      () => {},
      () => {},
    )
  }

  /** A message that is being routed. */
  offer(message: Message, receipt: Receipt): void {
    if (message.clientId === this.#clientId) this.#incoming.routed(message)
    if (this.owns(message.clientId)) return
    const rules = this.#out.of(message.topic)
    if (rules.length === 0) return
    if (message.retain) this.#carrier.overtaken(message.topic)
    if (this.#goesInCircles(message)) return
    receipt.matched = true
    const kept = message.qos === 2 ? this.#kept.get(message) : undefined
    if (kept !== undefined) {
      const release = receipt.hold('mqttBridge')
      kept.then(() => release(), release)
    }
    const names: string[] = []
    for (const rule of rules) {
      const topic = rule.nameOf(message.topic, message.clientId)
      if (topic === null) {
        this.#unnamed(message, rule, receipt)
        continue
      }
      if (kept !== undefined && rule.ack === 'local' && rule.qos > 0) continue
      if (rules.length > 1) {
        if (names.includes(topic)) continue
        names.push(topic)
      }
      this.#send(message, rule, topic, receipt)
    }
  }

  #send(message: Message, rule: BridgeRule, topic: string, receipt: Waiting | null): void {
    const { outgoingRetain, queueQos0 } = this.#options
    const qos = Math.min(message.qos, rule.qos) as QoS
    if (qos === 0 && !queueQos0 && !this.#outgoing.isUp) {
      this.#awayDrops += 1
      return this.#parts.broker.drop(this.#clientId, message, 'mqttBridgeAway')
    }
    this.#outgoing.offer(rule.ack, { message, topic, qos, retain: message.retain && outgoingRetain }, qos === 0 ? null : receipt)
  }

  #goesInCircles(message: Message): boolean {
    if (message.properties?.userProperties === undefined || trailOf(message).length < this.#parts.maxHops) return false
    this.#dropped(message, 'mqttBridgeLoop', 'it has passed too many bridges (mqttBridge.maxHops)')
    return true
  }

  #unnamed(message: Message, { at, ack }: BridgeRule, receipt: Receipt): void {
    const why = `${at}.to comes to no topic name`
    this.#dropped(message, 'mqttBridgeRefused', why)
    if (ack !== 'none' && message.qos > 0) receipt.hold('mqttBridge')(new MessageRefusedError(why))
  }

  #carry(message: Message, rule: BridgeRule): void {
    if (this.owns(message.clientId) || this.#goesInCircles(message)) return
    const topic = rule.nameOf(message.topic, message.clientId)
    if (topic !== null) this.#send(message, rule, topic, null)
  }

  /** The same, and the state of the connection is said. */
  #said(side: ConnectionSide): ConnectionSide {
    return {
      packet: packet => side.packet(packet),
      drained: () => side.drained(),
      up: (link, limits, sessionPresent) => {
        this.#say('1')
        side.up(link, limits, sessionPresent)
      },
      down: () => {
        side.down()
        this.#say('0')
      },
    }
  }

  #side(): ConnectionSide {
    const incoming = this.#incoming
    const outgoing = this.#outgoing
    return this.#said({
      up: (link, limits, sessionPresent) => {
        incoming.attach(link, sessionPresent)
        outgoing.attach(link, limits, sessionPresent)
        this.#carrier.connected(sessionPresent)
      },
      packet: packet => {
        if (packet.type === PacketType.Publish) incoming.publish(packet)
        else if (packet.type === PacketType.Pubrel) incoming.released(packet.packetId)
        else outgoing.answered(packet as AckPacket)
      },
      drained: () => outgoing.pump(),
      down: () => {
        incoming.detach()
        outgoing.detach()
        this.#carrier.disconnected()
      },
    })
  }

  #say(state: '0' | '1'): void {
    const { broker, report } = this.#parts
    if (this.#options.notifications === 'none') return
    broker.publish({ topic: this.stateTopic, payload: state, qos: 1, retain: true }).catch(report)
  }

  #lane(mode: AckMode): OutLane {
    const known = this.#outgoing.laneOf(mode)
    if (known !== undefined) return known
    const { queues, broker, report } = this.#parts
    // What waits for the other broker's own acknowledgement its publisher has.
    const queue = mode === 'remote' ? null : (queues?.open(`mqtt ${this.name} ${mode}`, this.#options.queueBytes) ?? null)
    const lane = new OutLane(mode, this.#options, this.#at, queue, {
      arrived: () => this.#outgoing.pump(),
      full: ({ message }, why) => {
        broker.drop(this.#clientId, message, 'mqttBridgeFull')
        this.#lines.dropped(message, 'is dropped', why)
      },
      failed: report,
    })
    this.#outgoing.add(lane)
    return lane
  }

  /** The other broker will never take it. `held`: its publisher is told; otherwise it has its acknowledgement, and the message is parked. */
  #refuse(mode: AckMode, parcel: OutParcel, why: string, held: boolean): void {
    const { message } = parcel
    this.#refused += 1
    if (!held && message.qos > 0 && this.#options.parked !== 'drop' && this.#parked?.park(mode, parcel, why) === true)
      return this.#lines.dropped(message, 'is parked', why)
    this.#parts.broker.drop(this.#clientId, message, 'mqttBridgeRefused')
    this.#lines.dropped(message, 'is dropped', why)
  }

  #dropped(message: Message, reason: 'mqttBridgeRefused' | 'mqttBridgeLoop', why: string): void {
    if (reason === 'mqttBridgeLoop') this.#parts.loops.count += 1
    else this.#refused += 1
    this.#parts.broker.drop(this.#clientId, message, reason)
    this.#lines.dropped(message, 'goes nowhere', why)
  }

  figures(): BridgingFigures {
    return figuresOf({
      outgoing: this.#outgoing,
      incoming: this.#incoming,
      relay: this.#relay,
      parked: this.#parked,
      refused: this.#refused,
      awayDrops: this.#awayDrops,
      connects: this.connection.connects + (this.onceConnection?.connects ?? 0),
      now: this.#parts.broker.clock.now(),
    })
  }

  /** Waits so long until what is on its way has got there; what is left goes to the disk. */
  async stop(timeoutMs: number): Promise<void> {
    this.#carrier.disconnected()
    await this.#outgoing.settle(timeoutMs)
    this.onceConnection?.stop()
    this.#relay?.stop()
    this.connection.stop()
    await this.#outgoing.leave()
    this.#lines.stop()
    this.#forget()
  }
}
