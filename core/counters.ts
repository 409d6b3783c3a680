import type { DeclaredCounter, DeclaredCounts, DropCounts, LimitCounts, PluginCounts, RefusedPublishCounts } from './counter-names.ts'
import type { Figures } from './figures.ts'

/** What the broker counts, always: plain fields, because they are raised for every packet. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `declare` makes the fields of plugins before anybody counts.
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
  readonly dropped: DropCounts = {
    slowReader: 0,
    queueFull: 0,
    expired: 0,
    tooLarge: 0,
    filtered: 0,
    refused: 0,
    offline: 0,
    noMember: 0,
    sessionEnded: 0,
    cleared: 0,
    storeFailed: 0,
    notAuthorized: 0,
  } as DropCounts
  /** How often a limit took effect. */
  readonly limited: LimitCounts = {
    heartbeat: 0,
    userProperties: 0,
    packetSize: 0,
    topicLevels: 0,
    topicLength: 0,
    subscriptions: 0,
    sharedSubscriptions: 0,
    receiveMaximum: 0,
    clientIdOwner: 0,
    clientIds: 0,
    uncheckedRights: 0,
  } as LimitCounts
  /** Publishes that could not be kept, so that their publishers were told so or get no acknowledgement, by reason. */
  readonly refusedPublishes: RefusedPublishCounts = { storeFull: 0, storeAway: 0, messageRefused: 0 }
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

  /**
   * Adds what a plugin counts, before it is applied; what is there already stays. Two plugins may count one thing. Plain fields like core's own: V8 keeps
   * an object fast that grows by some 15 fields, and the built-in plugins add 14 to the one that grows most.
   */
  declare({ limits = [], dropReasons = [], counters = {} }: DeclaredCounts, figures: Figures): void {
    for (const limit of limits) this.limited[limit] ??= 0
    for (const reason of dropReasons) this.dropped[reason] ??= 0
    const own = this as unknown as Record<string, number>
    for (const [name, { figure, help = '' }] of Object.entries<DeclaredCounter>(counters)) {
      if (name in this) continue
      own[name] = 0
      if (figure !== undefined) figures.add({ name: figure, help, type: 'counter', read: () => [{ value: own[name]! }] })
    }
  }
}

// What plugins declare are fields too.
export interface Counters extends PluginCounts {}
