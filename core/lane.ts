import type { Client } from './client.ts'
import { handlePacket } from './handlers/index.ts'
import { completePublish, handlePublish, type PendingPublish } from './handlers/publish.ts'
import { PacketType } from './protocol/constants.ts'
import type { InboundPublish } from './protocol/inbound-publish.ts'
import type { Packet, PublishPacket } from './protocol/packets.ts'

/** A packet that waits for its turn; a publish is a copy of its own. */
type Waiting = Exclude<Packet, PublishPacket> | InboundPublish
type Entry = { readonly packet: Waiting; readonly publish: null } | { readonly packet: null; readonly publish: PendingPublish }

/**
 * The order in which one client's packets take effect. While a verdict is awaited everything behind it waits here; the
 * verdicts of several publishes may overlap, but they are routed and acknowledged as they came. Bounded by not reading.
 */
export class Lane {
  readonly #client: Client
  #entries: Entry[]
  #bytes: number
  // A handler is not done yet: CONNECT, SUBSCRIBE…
  #busy: boolean
  // Entries that are packets not yet begun; only while there are none may the next publish's verdict be asked for.
  #packets: number

  constructor(client: Client) {
    this.#client = client
    this.#entries = []
    this.#bytes = 0
    this.#busy = false
    this.#packets = 0
  }

  get idle(): boolean {
    return !this.#busy && this.#entries.length === 0
  }

  /** A publish that is to be judged need not wait for the publishes before it. */
  get judging(): boolean {
    return !this.#busy && this.#packets === 0
  }

  get full(): boolean {
    return this.#entries.length >= this.#client.broker.settings.mqtt.receiveMaximum || this.#bytes > laneBytesMax
  }

  /** Keeps a packet until its turn; what it holds of the read buffer is copied. */
  wait(packet: Waiting): void {
    this.#entries.push({ packet: packet.type === PacketType.Publish ? packet.clone() : own(packet), publish: null })
    this.#packets += 1
    if (packet.type === PacketType.Publish) this.#bytes += packet.payloadLength
    if (this.full) this.#client.hold('lane')
  }

  /** Keeps the place of a publish whose verdict is awaited, or which stands behind such a one. */
  pend(publish: PendingPublish): void {
    this.#entries.push({ packet: null, publish })
    this.#bytes += publish.message.payloadLength
    if (this.full) this.#client.hold('lane')
  }

  /** Everything behind waits until a handler is done. */
  block(done: Promise<void>): void {
    this.#busy = true
    done.then(
      () => {
        this.#busy = false
        this.drain()
      },
      error => {
        this.#busy = false
        this.#client.fail(error)
      },
    )
  }

  /** Goes on as far as it can. */
  drain(): void {
    try {
      this.#drain()
    } catch (error) {
      this.#client.fail(error)
    }
    if (this.#entries.length === 0) this.#bytes = 0
    if (!this.full) this.#client.release('lane')
  }

  #drain(): void {
    const client = this.#client
    while (!this.#busy && this.#entries.length > 0) {
      const { packet, publish } = this.#entries[0]!
      if (publish !== null) {
        if (!publish.decided) return
        this.#entries.shift()
        this.#bytes -= publish.message.payloadLength
        completePublish(client, publish.message, publish.packetId, publish.qos, publish.verdict)
        continue
      }
      // A connection that has ended still routes what was judged, but begins nothing new.
      if (client.closed) {
        this.#entries.length = 0
        this.#packets = 0
        return
      }
      this.#packets -= 1
      if (packet.type === PacketType.Publish) {
        this.#bytes -= packet.payloadLength
        this.#entries.shift()
        const pending = handlePublish(client, packet)
        // It takes its own place again: at the front, before what stands behind it.
        if (pending !== null) {
          this.#entries.unshift({ packet: null, publish: pending })
          this.#bytes += pending.message.payloadLength
        }
        continue
      }
      this.#entries.shift()
      const done = handlePacket(client, packet)
      if (done !== undefined) this.block(done)
    }
  }
}

const laneBytesMax = 1_048_576

/** Copies what a packet holds of the read buffer. */
export function own<P extends Exclude<Packet, PublishPacket>>(packet: P): P {
  if (packet.type === PacketType.Connect) {
    if (packet.password !== undefined) packet.password = Buffer.from(packet.password)
    if (packet.will !== undefined) {
      packet.will.payload = Buffer.from(packet.will.payload)
      if (packet.will.properties?.correlationData !== undefined)
        packet.will.properties.correlationData = Buffer.from(packet.will.properties.correlationData)
    }
  }
  const properties = 'properties' in packet ? packet.properties : undefined
  if (properties?.correlationData !== undefined) properties.correlationData = Buffer.from(properties.correlationData)
  if (properties?.authenticationData !== undefined) properties.authenticationData = Buffer.from(properties.authenticationData)
  return packet
}
