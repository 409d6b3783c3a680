import { PacketType, type QoS } from '../../core/protocol/constants.ts'
import type { AckPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { MessageRefusedError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Waiting } from '../kit/backlog.ts'
import { encodeClientPacket } from '../kit/client-packets.ts'
import { Fifo } from '../kit/fifo.ts'
import { reasonName } from '../kit/reason-name.ts'
import type { Flight } from './flight.ts'
import type { OutLane } from './out-lane.ts'
import type { OutParcel } from './out-parcel.ts'
import type { RemoteLimits } from './remote-limits.ts'
import type { RemoteLink } from './remote-link.ts'
import type { AckMode } from './rules.ts'
import { Suspects } from './suspects.ts'
import { trailOf, withTrail } from './trail.ts'

export interface OutgoingOptions {
  /** Packet identifiers that are used: 1 to this. */
  readonly window: number
  /** By which bridges know this broker. */
  readonly id: string
  /** The first pause, and the longest, between attempts at a message for which the other broker has no room. */
  pauses(): { readonly retryMin: number; readonly retryMax: number }
}

/** What becomes of messages. */
export interface OutgoingEvents {
  /** The other broker will never take it. `held`: its publisher still waits, and is told. */
  refused(lane: OutLane, parcel: OutParcel, reason: string, why: string, held: boolean): void
  /** Its time was over before it could be sent. */
  expired(parcel: OutParcel): void
}

const idMax = 65_535

/**
 * What goes out over one connection: the lanes' messages, as many at once as the other broker takes, each with its packet identifier until it is answered. When the connection
 * has gone, all that were not answered are sent again over the next, in their order, with the same identifiers where the other broker still has the session.
 */
export class Outgoing {
  readonly #clock: Clock
  readonly #options: OutgoingOptions
  readonly #events: OutgoingEvents
  readonly #lanes: Map<AckMode, OutLane>
  // By packet identifier, in the order in which they were sent first.
  readonly #flights: Map<number, Flight>
  readonly #again: Fifo<Flight>
  readonly #suspects: Suspects
  #link: RemoteLink | null
  #limits: RemoteLimits
  #onWire: number
  #lastId: number
  #turn: number
  // No connection before this one, in this process, has said what became of the identifiers of an earlier one.
  #isFirst: boolean
  // It was asked to forget all of them, and has not answered yet.
  #asks: boolean
  // Identifiers are from this on.
  #base: number
  // Identifiers that the other broker may still hold, until its PUBCOMP: a message that bore one of them would be taken for a repeat.
  readonly #unsettled: Set<number>
  // The other broker has no room: nothing is sent before this fires.
  #pause: Timer | null
  #pauseMs: number
  #idle: (() => void) | null
  #stopping: boolean
  sent: number
  repeated: number

  constructor(clock: Clock, options: OutgoingOptions, events: OutgoingEvents) {
    this.#clock = clock
    this.#options = options
    this.#events = events
    this.#lanes = new Map()
    this.#flights = new Map()
    this.#again = new Fifo()
    this.#unsettled = new Set()
    this.#suspects = new Suspects()
    this.#link = null
    this.#limits = { version: 5, window: 1, maximumQoS: 2, retain: true, maximumPacketSize: Number.POSITIVE_INFINITY }
    this.#onWire = 0
    this.#lastId = 0
    this.#turn = 0
    this.#isFirst = true
    this.#asks = false
    this.#base = 0
    this.#pause = null
    this.#pauseMs = options.pauses().retryMin
    this.#idle = null
    this.#stopping = false
    this.sent = 0
    this.repeated = 0
  }

  add(lane: OutLane): void {
    this.#lanes.set(lane.mode, lane)
  }

  laneOf(mode: AckMode): OutLane | undefined {
    return this.#lanes.get(mode)
  }

  get lanes(): Iterable<OutLane> {
    return this.#lanes.values()
  }

  /** When the oldest that waits, or is on its way, was received; 0: none does. */
  get oldest(): number {
    for (const { record } of this.#flights.values()) return record.parcel.message.receivedAt
    const waiting = [...this.#lanes.values()].map(({ oldest }) => oldest).filter(at => at > 0)
    return waiting.length === 0 ? 0 : Math.min(...waiting)
  }

  /** Whether the connection is up. */
  get isUp(): boolean {
    return this.#link !== null
  }

  /** Messages that wait, those on their way among them. */
  get waiting(): number {
    let waiting = 0
    for (const lane of this.#lanes.values()) waiting += lane.waiting
    return waiting
  }

  /** `receipt` null: nobody waits for it. */
  offer(mode: AckMode, parcel: OutParcel, receipt: Waiting | null): void {
    this.#lanes.get(mode)!.offer(parcel, receipt)
  }

  /** The connection is up. `sessionPresent`: the other broker knows which identifiers it has. */
  attach(link: RemoteLink, limits: RemoteLimits, sessionPresent: boolean): void {
    this.#link = link
    this.#limits = limits
    this.#onWire = 0
    // Of a process before this one it may hold identifiers of QoS 2 whose PUBREL never came. It has those messages, and must not take new ones for repeats.
    if (this.#isFirst) for (let packetId = 1; packetId <= this.#options.window; packetId++) this.#unsettled.add(packetId)
    this.#asks = this.#isFirst && sessionPresent
    this.#isFirst = false
    if (!sessionPresent) this.#unsettled.clear()
    for (const packetId of this.#unsettled) this.#release(packetId)
    for (const flight of this.#flights.values()) {
      // What it had said that it has may have gone with its session.
      if (!sessionPresent) flight.released = false
      flight.onWire = false
      this.#again.push(flight)
    }
    this.pump()
  }

  /** The connection has gone. */
  detach(): void {
    if (this.#link === null) return
    this.#link = null
    if (this.#asks) this.#useOthers()
    this.#again.clear()
    const fate = this.#suspects.detached([...this.#flights.values()].filter(({ onWire }) => onWire))
    if (fate === null) return
    const { left, blamed, back } = fate
    if (left !== null) this.#flights.delete(left.packetId)
    if (blamed !== null) this.#blame(blamed)
    if (back.length === 0) return
    const others = [...this.#flights.values()]
    this.#flights.clear()
    for (const flight of [...back, ...others]) this.#flights.set(flight.packetId, flight)
  }

  /** Sends what waits, as much as the other broker takes. */
  pump(): void {
    const link = this.#link
    if (link === null || this.#pause !== null) return
    const window = this.#suspects.probing ? 1 : this.#limits.window
    while (!link.isFull && this.#onWire < window) {
      const flight = this.#again.shift()
      if (flight !== undefined) {
        if (this.#flights.get(flight.packetId) === flight) this.#send(flight, true)
        continue
      }
      if (this.#flights.size + this.#suspects.size + this.#unsettled.size >= this.#options.window) break
      if (!this.#sendNext()) break
    }
    if (this.#flights.size === 0) this.#idle?.()
  }

  /** PUBACK, PUBREC or PUBCOMP. */
  answered({ type, packetId, reasonCode }: AckPacket): void {
    const flight = this.#flights.get(packetId)
    if (flight === undefined || !flight.onWire) {
      if (type === PacketType.Pubcomp) {
        this.#asks = false
        if (this.#unsettled.delete(packetId)) this.pump()
      } else if (type === PacketType.Pubrec) this.#forgetId(packetId)
      return
    }
    if (type === PacketType.Pubrec && flight.qos === 2 && reasonCode < 0x80) {
      this.#progress(flight)
      flight.released = true
      this.#release(packetId)
      return
    }
    const isOver = type === PacketType.Puback ? flight.qos === 1 : type === PacketType.Pubrec ? flight.qos === 2 : flight.released
    if (!isOver) return
    if (type !== PacketType.Pubcomp && reasonCode === ReasonCode.QuotaExceeded && flight.record.receipt === null)
      return this.#putOff(flight)
    this.#take(flight)
    this.#progress(flight)
    if (type !== PacketType.Pubcomp && reasonCode >= 0x80) this.#refused(flight, reasonCode)
    else this.#arrived(flight)
    this.pump()
  }

  /** Resolves when nothing is on its way any more, or after so long. */
  async settle(timeoutMs: number): Promise<void> {
    this.#stopping = true
    this.pump()
    if (this.#link === null || this.#flights.size === 0) return
    let timer: Timer | null = null
    await new Promise<void>(resolve => {
      this.#idle = resolve
      timer = this.#clock.after(timeoutMs, resolve)
    })
    timer!.cancel()
    this.#idle = null
  }

  /** What is in memory alone goes to the disk. */
  async leave(): Promise<void> {
    this.#pause?.cancel()
    const flights = [...this.#flights.values(), ...this.#suspects.all()]
    this.#flights.clear()
    for (const lane of this.#lanes.values()) await lane.leave(flights.filter(flight => flight.lane === lane).map(({ record }) => record))
  }

  #sendNext(): boolean {
    const lanes = [...this.#lanes.values()]
    for (let tried = 0; tried < lanes.length; tried++) {
      const lane = lanes[this.#turn++ % lanes.length]!
      // What is on disk is safe.
      const record = this.#stopping && lane.mode === 'local' ? undefined : lane.next()
      if (record === undefined) continue
      const qos = Math.min(record.parcel.qos, this.#limits.maximumQoS) as QoS
      const flight: Flight = { lane, record, packetId: qos === 0 ? 0 : this.#nextId(), qos, released: false, onWire: false }
      if (qos > 0) this.#flights.set(flight.packetId, flight)
      this.#send(flight, false)
      return true
    }
    return false
  }

  #send(flight: Flight, again: boolean): void {
    const { packetId, record } = flight
    const { parcel } = record
    const { message } = parcel
    if (flight.released) {
      flight.onWire = true
      this.#onWire += 1
      return this.#release(packetId)
    }
    const left = message.expiresAt === Number.POSITIVE_INFINITY ? undefined : Math.ceil((message.expiresAt - this.#clock.now()) / 1000)
    if (left !== undefined && left <= 0) {
      this.#take(flight)
      this.#end(flight)
      this.#events.expired(parcel)
      record.receipt?.release(undefined, flight.lane.at)
      if (again && flight.qos === 2) this.#forgetId(packetId)
      return
    }
    const { maximumQoS, maximumPacketSize } = this.#limits
    flight.qos = Math.min(parcel.qos, maximumQoS) as QoS
    const bytes = this.#encoded(flight, left, again && flight.qos > 0)
    if (typeof bytes === 'string' || bytes.length > maximumPacketSize) {
      this.#take(flight)
      const why = typeof bytes === 'string' ? bytes : `it has ${bytes.length} bytes, and the other broker takes ${maximumPacketSize}`
      return this.#refuse(flight, 'TOO_LARGE', why)
    }
    this.#link!.sendBytes(bytes)
    if (again) this.repeated += 1
    if (flight.qos === 0) return this.#arrived(flight)
    flight.onWire = true
    this.#onWire += 1
  }

  // The packet, or why there can be none.
  #encoded({ packetId, qos, record }: Flight, left: number | undefined, dup: boolean): Buffer | string {
    const { message, topic, retain } = record.parcel
    const { version, retain: retains } = this.#limits
    const trail = trailOf(message)
    const { id } = this.#options
    const properties = version === 5 ? withTrail(message.properties, trail.includes(id) ? trail : [...trail, id]) : undefined
    if (properties !== undefined && left !== undefined) properties.messageExpiry = left
    try {
      const { payload } = message
      return encodeClientPacket(
        { type: PacketType.Publish, topic, payload, qos, retain: retain && retains, dup, packetId: qos === 0 ? 0 : packetId, properties },
        version,
      )
    } catch (error) {
      return (error as Error).message
    }
  }

  /** It closes the connection on PUBREL for an identifier that it does not know: others are used, as far from those as chance has it. */
  #useOthers(): void {
    this.#asks = false
    this.#unsettled.clear()
    const { window } = this.#options
    this.#base = window + (this.#clock.random(2).readUInt16BE() % (idMax - 2 * window))
  }

  /** The other broker is to forget an identifier that no message bears any more. */
  #forgetId(packetId: number): void {
    this.#unsettled.add(packetId)
    this.#release(packetId)
  }

  #release(packetId: number): void {
    this.#link?.send({ type: PacketType.Pubrel, packetId, reasonCode: 0, properties: undefined })
  }

  /** It is not on its way any more. */
  #take(flight: Flight): void {
    if (flight.onWire) this.#onWire -= 1
    flight.onWire = false
    if (this.#flights.get(flight.packetId) === flight) this.#flights.delete(flight.packetId)
  }

  #arrived(flight: Flight): void {
    this.sent += 1
    this.#end(flight)
    flight.record.receipt?.release(undefined, flight.lane.at)
  }

  #end({ lane, record }: Flight): void {
    lane.end(record)
  }

  #refused(flight: Flight, reasonCode: number): void {
    if (reasonCode === ReasonCode.QuotaExceeded) {
      this.#end(flight)
      flight.record.receipt?.release(new StoreFullError('the broker at the other end of the bridge has no room for it'), flight.lane.at)
      return
    }
    this.#refuse(flight, reasonName(reasonCode), `the other broker refuses it with 0x${reasonCode.toString(16)}`)
  }

  #refuse(flight: Flight, reason: string, why: string): void {
    const { lane, record } = flight
    this.#events.refused(lane, record.parcel, reason, why, record.receipt !== null)
    this.#end(flight)
    record.receipt?.release(new MessageRefusedError(why), lane.at)
  }

  /** The other broker has no room now: the message is sent again by and by, and nothing before it. */
  #putOff(flight: Flight): void {
    this.#onWire -= 1
    flight.onWire = false
    this.#again.push(flight)
    if (this.#pause !== null) return
    this.#pause = this.#clock.after(this.#pauseMs, () => {
      this.#pause = null
      this.pump()
    })
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#options.pauses().retryMax)
  }

  // Something gets through: those that were left out are tried once more.
  #progress(flight: Flight): void {
    this.#pauseMs = this.#options.pauses().retryMin
    for (const suspect of this.#suspects.passed(flight)) {
      this.#flights.set(suspect.packetId, suspect)
      suspect.onWire = false
      this.#again.push(suspect)
    }
  }

  #blame(flight: Flight): void {
    this.#take(flight)
    if (flight.qos === 2) this.#unsettled.add(flight.packetId)
    this.#refuse(flight, 'CLOSED', 'the other broker closes the connection on it, and takes others')
  }

  #nextId(): number {
    let packetId: number
    do {
      this.#lastId = (this.#lastId % this.#options.window) + 1
      packetId = this.#base + this.#lastId
    } while (this.#flights.has(packetId) || this.#suspects.has(packetId) || this.#unsettled.has(packetId))
    return packetId
  }
}
