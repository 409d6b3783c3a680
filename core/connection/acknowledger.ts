import { MqttError } from '../errors.ts'
import type { Message } from '../messages/message.ts'
import type { Receipt } from '../messages/receipt.ts'
import { PacketType, type QoS } from '../protocol/constants.ts'
import type { Properties } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import { MessageRefusedError, StoreFullError } from '../sessions/session-store.ts'
import { AckQueue } from './ack-queue.ts'
import type { Connection } from './connection.ts'

/** Sees to the acknowledgements of what one client publishes, and that it keeps to the broker's Receive Maximum. */
export class Acknowledger {
  readonly #client: Connection
  /** Acknowledgements that wait for receipts, and those that stand behind them. */
  readonly queue: AckQueue
  #quotaUsed = 0
  // Repeats of messages that are still being kept, and since when there were any.
  #joins = 0
  #joinedAt = 0

  constructor(client: Connection) {
    this.#client = client
    this.queue = new AckQueue(this)
  }

  /** Publishes of QoS 1 and 2 that have no acknowledgement yet. */
  get open(): number {
    return this.#quotaUsed
  }

  /** Counts a QoS 1 or 2 publish against Receive Maximum; false where it repeats one that is known, which is answered here. */
  accept(qos: QoS, packetId: number): boolean {
    const session = this.#client.session!
    if (qos === 2) {
      const known = session.received?.get(packetId)
      if (known !== undefined) {
        this.#repeat(packetId, known)
        return false
      }
    }
    const { receiveMaximum } = this.#client.host.settings.mqtt
    if (this.#quotaUsed >= receiveMaximum && (this.#client.version === 5 || qos === 2)) {
      throw new MqttError(ReasonCode.ReceiveMaximumExceeded, `more than ${receiveMaximum} publishes without their acknowledgements`) // [MQTT-3.3.4-9]
    }
    this.#quotaUsed += 1
    if (qos === 2) {
      session.received ??= new Map()
      session.received.set(packetId, 'pending')
      this.#client.usedInbound?.add(packetId)
    }
    return true
  }

  // A QoS 2 message sent again joins the first one's outcome [MQTT-4.3.3-10].
  #repeat(packetId: number, known: 'pending' | number): void {
    if (known !== 'pending') {
      this.queue.push(2, packetId, known, undefined, null, 0)
      return
    }
    this.#join(packetId, reasonCode => {
      if (reasonCode === null) this.#client.close(ReasonCode.ServerUnavailable, 'the message could not be kept')
      else this.write(2, packetId, reasonCode, undefined)
    })
  }

  /** Calls back when the PUBREC of a message that is still being kept has been written; never where it gets none. */
  afterPubrec(packetId: number, callback: () => void): void {
    this.#join(packetId, reasonCode => {
      if (reasonCode !== null) callback()
    })
  }

  #join(packetId: number, callback: (reasonCode: number | null) => void): void {
    const session = this.#client.session!
    session.joined ??= new Map()
    const joined = session.joined.get(packetId) ?? []
    if (joined.length >= this.limit)
      throw new MqttError(ReasonCode.ReceiveMaximumExceeded, `packet identifier ${packetId} comes again and again`)
    joined.push(reasonCode => {
      this.#joins -= 1
      if (!this.#client.closed) callback(reasonCode)
    })
    session.joined.set(packetId, joined)
    if (this.#joins === 0) this.#joinedAt = this.now
    this.#joins += 1
    this.#client.host.withholding.add(this)
  }

  /** PUBACK or PUBREC, when the receipt has settled and those before it have left. */
  acknowledge(
    qos: 1 | 2,
    packetId: number,
    reasonCode: number,
    properties: Properties | undefined,
    receipt: Receipt | null,
    message: Message,
  ): void {
    if (this.queue.length === 0 && (receipt === null || receipt.settled) && receipt?.error === undefined) {
      this.write(qos, packetId, reasonCode, properties)
    } else {
      if (this.queue.length === 0) this.#client.host.withholding.add(this)
      this.queue.push(qos, packetId, reasonCode, properties, receipt, message.payloadLength)
    }
  }

  /** Called now and then while acknowledgements are kept back: a store that hangs, or a plugin, does not keep them for ever. */
  watch(now: number): void {
    const client = this.#client
    const { host } = client
    if (client.closed || (this.queue.length === 0 && this.#joins === 0)) {
      host.withholding.delete(this)
      return
    }
    const time = now - host.settings.mqtt.receiptTimeout
    const late = this.queue.overdue(time)
    if (late === null && (this.#joins === 0 || this.#joinedAt >= time)) return
    this.#giveUp(ReasonCode.ServerUnavailable, 'was not kept in time', late === null ? {} : { heldBy: late.holders })
  }

  // A store that hangs costs every publisher its connection at once.
  #giveUp(reasonCode: ReasonCode, what: string, fields: object): void {
    const { host, clientId } = this.#client
    const count = host.unkeptLines.pass(what)
    if (count > 0)
      host.log.warn({ clientId, count, ...fields }, `a message ${what}; its publisher is disconnected so that it sends it again`)
    this.#client.close(reasonCode, `the message ${what}`)
  }

  /** Writes PUBACK or PUBREC now. */
  write(qos: 1 | 2, packetId: number, reasonCode: number, properties: Properties | undefined): void {
    const client = this.#client
    if (qos === 1) {
      this.#quotaFreed()
    } else {
      const { received } = client.session!
      if (reasonCode >= 0x80) {
        received?.delete(packetId)
        this.#quotaFreed()
      } else {
        // A repeat may be answered after PUBCOMP: the identifier is free then, and stays so.
        if (received?.has(packetId)) received.set(packetId, reasonCode)
      }
    }
    client.sender.publishAck(qos, packetId, reasonCode, properties)
    if (qos === 2) this.#tellJoined(packetId, reasonCode)
  }

  /** PUBCOMP: the identifier is free again. */
  complete(session: KnownSession, packetId: number): void {
    // A PUBREL that came twice frees one place.
    if (session.received?.delete(packetId) === true) this.#quotaFreed()
    this.#client.sender.ack(PacketType.Pubcomp, packetId, ReasonCode.Success)
  }

  /**
   * The store did not keep a message. Where it is full an MQTT 5 client is told so in the acknowledgement, whose reason code is
   * returned, and may go on; else there is none (`null`), and the client sends it again on its next connection.
   */
  unkept(qos: 1 | 2, packetId: number, error: Error): ReasonCode | null {
    const client = this.#client
    const { host } = client
    const full = error instanceof StoreFullError
    host.counters.refusedPublishes[full ? 'storeFull' : error instanceof MessageRefusedError ? 'messageRefused' : 'storeAway'] += 1
    if (full && client.version === 5 && !client.closed) {
      if (qos === 2) this.#forgetKept(packetId)
      return ReasonCode.QuotaExceeded
    }
    if (error instanceof MessageRefusedError && !client.closed && (client.version === 5 || host.settings.mqtt.deniedPublish !== 'close')) {
      // Before MQTT 5 an acknowledgement cannot say no, and without one it would come again and again.
      if (client.version !== 5) return ReasonCode.Success
      if (qos === 2) this.#forgetKept(packetId)
      return error.reasonCode
    }
    if (qos === 2) this.abandon(packetId)
    // The first of many that were on their way says it for all of them.
    if (client.closed) return null
    this.#giveUp(full ? ReasonCode.QuotaExceeded : ReasonCode.ServerUnavailable, 'could not be kept', { err: error })
    return null
  }

  /** A QoS 2 message gets no answer at all: when it comes again, it is a new one. */
  abandon(packetId: number): void {
    const session = this.#client.session!
    if (session.received?.get(packetId) !== 'pending') return
    session.received.delete(packetId)
    this.#forgetKept(packetId)
    this.#tellJoined(packetId, null)
  }

  // The identifier may have been kept though something else about its message was not.
  #forgetKept(packetId: number): void {
    const session = this.#client.session!
    if (session.durable) session.write(this.#client.host.sessions.forget(session, packetId))
  }

  #tellJoined(packetId: number, reasonCode: number | null): void {
    const { joined } = this.#client.session!
    const others = joined?.get(packetId)
    if (others === undefined) return
    joined!.delete(packetId)
    for (const answer of others) answer(reasonCode)
  }

  /** So many acknowledgements wait that nothing more is read, or no longer. */
  crowded(full: boolean): void {
    if (full) this.#client.pauseFor('acks')
    else this.#client.resumeFor('acks')
  }

  get now(): number {
    return this.#client.host.now
  }

  /** Acknowledgements that may wait before the client is not read any further. */
  get limit(): number {
    return this.#client.host.settings.mqtt.receiveMaximum
  }

  #quotaFreed(): void {
    if (this.#quotaUsed > 0) this.#quotaUsed -= 1
  }
}
