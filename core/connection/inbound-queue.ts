import { PacketType } from '../protocol/constants.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import { ManyFilters } from '../protocol/many-filters.ts'
import type { Packet, PublishPacket } from '../protocol/packets.ts'
import { propertyBytes, queuedBytes } from '../sessions/queue-policy.ts'
import type { Connection } from './connection.ts'
import type { PendingPublish } from './pending-publish.ts'

/** A packet that waits for its turn; a publish is a copy of its own. */
type InboundPacket = Exclude<Packet, PublishPacket> | InboundPublish | ManyFilters
// `bytes`: what it keeps in memory, noted once, because a plugin may change the message meanwhile.
type QueuedInbound =
  | { readonly packet: InboundPacket; readonly publish: null; readonly bytes: number }
  | { readonly packet: null; readonly publish: PendingPublish; readonly bytes: number }

/**
 * The order in which one client's packets take effect. While a verdict is awaited everything behind it waits here; the
 * verdicts of several publishes may overlap, but they are routed and acknowledged as they came. Bounded by not reading.
 */
export class InboundQueue {
  readonly #client: Connection
  #entries: QueuedInbound[] = []
  #bytes = 0
  // A handler is not done yet: CONNECT, SUBSCRIBE…
  #busy = false
  // Entries that are packets not yet begun; only while there are none may the next publish's verdict be asked for.
  #packets = 0

  constructor(client: Connection) {
    this.#client = client
  }

  get idle(): boolean {
    return !this.#busy && this.#entries.length === 0
  }

  /** What waits keeps so many bytes, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  /** A publish that is to be judged need not wait for the publishes before it. */
  get judging(): boolean {
    return !this.#busy && this.#packets === 0
  }

  get full(): boolean {
    return this.#entries.length >= this.#client.host.settings.mqtt.receiveMaximum || this.#bytes > bytesMax
  }

  /** Keeps a packet until its turn; a publish, which lies in the read buffer, is copied. */
  wait(packet: InboundPacket): void {
    const bytes = bytesOf(packet)
    this.#entries.push({ packet: packet.type === PacketType.Publish ? packet.clone() : packet, publish: null, bytes })
    this.#bytes += bytes
    this.#packets += 1
    if (this.full) this.#client.pauseFor('inbound')
  }

  /** Keeps the place of a publish whose verdict is awaited, or which stands behind such a one. */
  pend(publish: PendingPublish): void {
    const bytes = queuedBytes(publish.message)
    this.#entries.push({ packet: null, publish, bytes })
    this.#bytes += bytes
    if (this.full) this.#client.pauseFor('inbound')
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

  /** The connection has gone. A DISCONNECT that still waits has come all the same, so it ended well [MQTT-3.14.4-3]. */
  gone(): void {
    const client = this.#client
    const last = this.#entries.at(-1)?.packet
    if (last?.type !== PacketType.Disconnect || client.state !== 'connected') return
    try {
      client.handlers.packet(client, last)
    } catch (error) {
      client.fail(error)
    }
  }

  /** Goes on as far as it can. */
  drain(): void {
    try {
      this.#drain()
    } catch (error) {
      this.#client.fail(error)
    }
    if (!this.full) this.#client.resumeFor('inbound')
  }

  #drain(): void {
    const client = this.#client
    while (!this.#busy && this.#entries.length > 0) {
      const { packet, publish, bytes } = this.#entries[0]!
      if (publish !== null) {
        if (!publish.decided) return
        this.#entries.shift()
        this.#bytes -= bytes
        client.handlers.publish.complete(client, publish)
        if (client.host.router.spent) return this.block(client.host.turns.next())
        continue
      }
      // A connection that has ended still routes what was judged, but begins nothing new.
      if (client.closed) {
        this.#entries = []
        this.#bytes = 0
        this.#packets = 0
        return
      }
      this.#entries.shift()
      this.#bytes -= bytes
      this.#packets -= 1
      if (packet.type === PacketType.Publish) {
        const pending = client.handlers.publish.handle(client, packet)
        // It takes its own place again: at the front, before what stands behind it.
        if (pending !== null) {
          this.#entries.unshift({ packet: null, publish: pending, bytes })
          this.#bytes += bytes
        }
        continue
      }
      const done = packet instanceof ManyFilters ? client.handlers.manyFilters(client, packet) : client.handlers.packet(client, packet)
      if (done !== undefined) this.block(done)
    }
  }
}

const bytesMax = 1_048_576

/** What a packet that waits keeps in memory, roughly: SUBSCRIBE may hold two mebibytes of filters, any packet as much of properties. */
function bytesOf(packet: InboundPacket): number {
  if (packet instanceof ManyFilters) return packet.size
  let bytes = 'properties' in packet && packet.properties !== undefined ? propertyBytes(packet.properties) : 0
  if (packet.type === PacketType.Publish) bytes += packet.end - packet.start
  else if (packet.type === PacketType.Subscribe) for (const { filter } of packet.subscriptions) bytes += filter.length + 100
  else if (packet.type === PacketType.Unsubscribe) for (const filter of packet.filters) bytes += filter.length + 100
  return bytes
}
