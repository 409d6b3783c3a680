import type { DropReason } from './hooks.ts'

/** The limits of `docs/limits.md`, each with its counter. */
export type LimitName =
  | 'connections'
  | 'connectionsPerAddress'
  | 'connectionsPerUser'
  | 'connectRate'
  | 'connectRatePerAddress'
  | 'messageRate'
  | 'byteRate'
  | 'topicRate'
  | 'heartbeat'
  | 'packetTimeout'
  | 'keepAlive'
  | 'packetSize'
  | 'topicLevels'
  | 'topicLength'
  | 'subscriptions'
  | 'receiveMaximum'
  | 'memoryRefused'
  | 'memoryPaused'
  | 'memoryDropped'
  | 'memoryDisconnected'

/** What the broker counts, always: plain fields, because they are raised for every packet. */
export class Counters {
  /** Connections opened since the start. */
  connections = 0
  /** Of these, the ones that were not let in: no place left at their listener, or `onAccept` said no. */
  connectionsRefused = 0
  /** TLS handshakes that failed, and client certificates that were refused. */
  handshakesFailed = 0
  /** Connections that passed CONNECT and are there now, and the most there were. */
  connected = 0
  connectedMax = 0
  packetsReceived = 0
  packetsSent = 0
  bytesReceived = 0
  bytesSent = 0
  /** PUBLISH packets, by QoS. */
  readonly receivedByQoS: [number, number, number] = [0, 0, 0]
  readonly sentByQoS: [number, number, number] = [0, 0, 0]
  /** Messages that did not reach a subscriber, by reason. */
  readonly dropped: Record<DropReason, number> = {
    slowReader: 0,
    queueFull: 0,
    expired: 0,
    tooLarge: 0,
    filtered: 0,
    refused: 0,
    offline: 0,
    noMember: 0,
    sessionEnded: 0,
    storeFailed: 0,
    notAuthorized: 0,
    bridgeFull: 0,
    bridgeRefused: 0,
  }
  /** How often a limit took effect. */
  readonly limited: Record<LimitName, number> = {
    connections: 0,
    connectionsPerAddress: 0,
    connectionsPerUser: 0,
    connectRate: 0,
    connectRatePerAddress: 0,
    messageRate: 0,
    byteRate: 0,
    topicRate: 0,
    heartbeat: 0,
    packetTimeout: 0,
    keepAlive: 0,
    packetSize: 0,
    topicLevels: 0,
    topicLength: 0,
    subscriptions: 0,
    receiveMaximum: 0,
    memoryRefused: 0,
    memoryPaused: 0,
    memoryDropped: 0,
    memoryDisconnected: 0,
  }
  /** Attempts to connect that authentication refused. */
  authFailed = 0
  /** Attempts that had to wait, because too many from their address had failed; and those refused because too many waited. */
  authSlowed = 0
  authTurnedAway = 0
  /** Connections closed for breaking the protocol. */
  protocolErrors = 0
  /** Taps that failed. */
  tapErrors = 0

  get publishReceived(): number {
    const [zero, one, two] = this.receivedByQoS
    return zero + one + two
  }

  get publishSent(): number {
    const [zero, one, two] = this.sentByQoS
    return zero + one + two
  }

  get droppedTotal(): number {
    let total = 0
    for (const count of Object.values(this.dropped)) total += count
    return total
  }
}
