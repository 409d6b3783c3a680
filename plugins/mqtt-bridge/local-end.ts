import { duplexPair } from 'node:stream'
import type { Broker } from '../../core/broker.ts'
import type { Transport } from '../../core/connection/transport.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnectPacket, Packet } from '../../core/protocol/packets.ts'
import { reasonName } from '../kit/reason-name.ts'
import { StreamTransport } from '../kit/transports/stream-transport.ts'
import { RemoteLink } from './remote-link.ts'
import type { BridgeRule } from './rules.ts'
import { subscribePacket } from './session.ts'

/** The transports of the bridge's own clients: whoever is asked who they are lets them in. */
export type OwnTransports = WeakSet<Transport>

/** What is told of a local end. */
export interface LocalEvents {
  /** It is connected and subscribed. */
  ready(link: RemoteLink): void
  packet(packet: Packet): void
  drained(): void
  closed(error: Error): void
}

export interface LocalOptions {
  readonly clientId: string
  readonly username: string | null
  /** Messages that this broker may have on their way to it at once. */
  readonly window: number
  readonly answerMs: number
}

const never = 0xffffffff
const packetIds = { subscribe: 1, unsubscribe: 2 } as const

/**
 * Connects to this broker as a client of its own, with a session that it keeps, and brings what the session is subscribed to in step with the rules. The session holds what
 * goes out while nobody is connected.
 */
export function openLocalEnd(
  broker: Broker,
  own: OwnTransports,
  { clientId, username, window, answerMs }: LocalOptions,
  rules: readonly BridgeRule[],
  events: LocalEvents,
): RemoteLink | null {
  const [ours, theirs] = duplexPair()
  const transport = new StreamTransport(theirs, {
    protocol: 'memory',
    listener: 'mqttBridge',
    remoteAddress: 'memory',
    allowAnonymous: true,
  })
  own.add(transport)
  // A pair in memory ends when either end is destroyed, and each has to hear of the other's.
  theirs.on('close', () => ours.destroy())
  ours.on('close', () => theirs.destroy())
  const accepted = broker.accept(transport)
  if (accepted === null) {
    theirs.on('error', () => {})
    ours.destroy()
    return null
  }
  transport.listen(accepted)
  const connect: ConnectPacket = {
    type: PacketType.Connect,
    version: 5,
    bridge: false,
    clientId,
    cleanStart: false,
    keepAlive: 0,
    username: username ?? undefined,
    password: undefined,
    will: undefined,
    properties: { sessionExpiry: never, receiveMaximum: window },
  }
  let isReady = false
  const ready = (): void => {
    isReady = true
    events.ready(link)
  }
  const link: RemoteLink = new RemoteLink(
    ours,
    connect,
    { clock: broker.clock, answerMs, maximumPacketSize: 268_435_460 },
    {
      connack({ reasonCode }) {
        if (reasonCode !== 0) return link.destroy(new Error(`this broker refuses the bridge's own client with ${reasonName(reasonCode)}`))
        const wanted = rules.map(({ filter }) => filter)
        const stale = [...(broker.sessionOf(clientId)?.subscriptions.keys() ?? [])].filter(filter => !wanted.includes(filter))
        if (stale.length > 0)
          link.send({ type: PacketType.Unsubscribe, packetId: packetIds.unsubscribe, filters: stale, properties: undefined })
        if (rules.length === 0) return ready()
        link.send(subscribePacket(rules, packetIds.subscribe))
      },
      packet(packet) {
        if (packet.type === PacketType.Suback) {
          const refused = packet.reasonCodes.find(code => code >= 0x80)
          if (refused !== undefined)
            return link.destroy(new Error(`this broker refuses the bridge a subscription with ${reasonName(refused)}`))
          if (!isReady) ready()
        } else if (packet.type === PacketType.Disconnect)
          link.destroy(new Error(`this broker closed the connection of the bridge with ${reasonName(packet.reasonCode)}`))
        else events.packet(packet)
      },
      drained: () => events.drained(),
      closed: error => events.closed(error),
    },
  )
  return link
}
