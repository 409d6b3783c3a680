import { DropCounts, LimitCounts, type PluginCounts, RefusedPublishCounts } from './counter-names.ts'

/** What the broker counts, always: plain fields, because they are raised for every packet. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the fields of plugins are made before anybody counts.
export class Counters {
  /** Connections opened since the start. */
  connections = 0
  /** Connections opened since the start that were not let in: their listener had no place left, or `onAccept` said no. */
  connectionsRefused = 0
  /** Connections that passed CONNECT and are there now, and the most there were. */
  connected = 0
  /** The most clients that were connected at once since the start. */
  connectedMax = 0
  /** Packets that came from clients, of any type. */
  packetsReceived = 0
  /** Packets that went to clients, of any type. */
  packetsSent = 0
  /** Bytes that came from clients. */
  bytesReceived = 0
  /** Bytes that went to clients. */
  bytesSent = 0
  /** PUBLISH packets, by QoS. */
  readonly receivedByQoS: [number, number, number] = [0, 0, 0]
  /** PUBLISH packets that went to clients, by QoS. */
  readonly sentByQoS: [number, number, number] = [0, 0, 0]
  /** Messages that did not reach a subscriber, by reason. */
  readonly dropped = new DropCounts()
  /** How often a limit took effect. */
  readonly limited = new LimitCounts()
  /** Publishes that could not be kept, so that their publishers were told so or get no acknowledgement, by reason. */
  readonly refusedPublishes = new RefusedPublishCounts()
  /** Connections closed for breaking the protocol. */
  protocolErrors = 0
  /** Filters of SUBSCRIBE packets that were refused. */
  subscriptionsRefused = 0
  /** Taps that failed. */
  tapErrors = 0

  /** PUBLISH packets that came from clients. */
  get publishReceived(): number {
    const [zero, one, two] = this.receivedByQoS
    return zero + one + two
  }

  /** PUBLISH packets that went to clients. */
  get publishSent(): number {
    const [zero, one, two] = this.sentByQoS
    return zero + one + two
  }

  /** Messages that did not reach a subscriber, all reasons together. */
  get droppedTotal(): number {
    let total = 0
    for (const count of Object.values(this.dropped)) total += count
    return total
  }
}

// What plugins declare are fields too.
export interface Counters extends PluginCounts {}
