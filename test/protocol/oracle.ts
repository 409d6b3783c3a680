import mqtt from 'mqtt-packet'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { Packet, Properties, UserProperty } from '../../core/protocol/packets.ts'

/** This project's packets in the words of npm's mqtt-packet, and back: an independent codec as an oracle. */

type Theirs = mqtt.Packet & Record<string, unknown>

const names = {
  payloadFormat: 'payloadFormatIndicator',
  messageExpiry: 'messageExpiryInterval',
  contentType: 'contentType',
  responseTopic: 'responseTopic',
  correlationData: 'correlationData',
  sessionExpiry: 'sessionExpiryInterval',
  assignedClientId: 'assignedClientIdentifier',
  serverKeepAlive: 'serverKeepAlive',
  authenticationMethod: 'authenticationMethod',
  authenticationData: 'authenticationData',
  requestProblemInformation: 'requestProblemInformation',
  willDelay: 'willDelayInterval',
  requestResponseInformation: 'requestResponseInformation',
  responseInformation: 'responseInformation',
  serverReference: 'serverReference',
  reasonString: 'reasonString',
  receiveMaximum: 'receiveMaximum',
  topicAliasMaximum: 'topicAliasMaximum',
  topicAlias: 'topicAlias',
  maximumQoS: 'maximumQoS',
  retainAvailable: 'retainAvailable',
  maximumPacketSize: 'maximumPacketSize',
  wildcardSubscriptionAvailable: 'wildcardSubscriptionAvailable',
  subscriptionIdentifierAvailable: 'subscriptionIdentifiersAvailable',
  sharedSubscriptionAvailable: 'sharedSubscriptionAvailable',
} as const satisfies Partial<Record<keyof Properties, string>>

// mqtt-packet reads and writes these as booleans.
const booleans = new Set([
  'payloadFormat',
  'requestProblemInformation',
  'requestResponseInformation',
  'retainAvailable',
  'wildcardSubscriptionAvailable',
  'subscriptionIdentifierAvailable',
  'sharedSubscriptionAvailable',
])

function propertiesToTheirs(properties: Properties | undefined): Record<string, unknown> | undefined {
  if (properties === undefined) return undefined
  const theirs: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'userProperties') theirs.userProperties = userToTheirs(value as UserProperty[])
    else if (name === 'subscriptionIdentifiers')
      theirs.subscriptionIdentifier = (value as number[]).length === 1 ? (value as number[])[0] : value
    else theirs[names[name as keyof typeof names]] = booleans.has(name) ? value === 1 : value
  }
  return theirs
}

// Their form is an object of name to one or several values, which forgets the order between names.
function userToTheirs(properties: readonly UserProperty[]): Record<string, string | string[]> {
  const theirs: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of properties) {
    const before = theirs[name]
    theirs[name] = before === undefined ? value : [...[before].flat(), value]
  }
  return theirs
}

function sortedUser(properties: readonly UserProperty[]): UserProperty[] {
  const order = [...new Set(properties.map(([name]) => name))].sort()
  return order.flatMap(name => properties.filter(([other]) => other === name))
}

export function toTheirs(packet: Packet, version: ProtocolVersion): Theirs {
  const five = version === 5
  const properties = 'properties' in packet ? propertiesToTheirs(packet.properties) : undefined
  const common = { ...(properties === undefined ? {} : { properties }) }
  switch (packet.type) {
    case PacketType.Connect: {
      const { clientId, cleanStart, keepAlive, username, password, will } = packet
      return {
        cmd: 'connect',
        protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
        protocolVersion: version,
        ...(packet.bridge ? { bridgeMode: true } : {}),
        clientId,
        clean: cleanStart,
        keepalive: keepAlive,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password }),
        ...(will === undefined
          ? {}
          : {
              will: {
                topic: will.topic,
                payload: will.payload,
                qos: will.qos,
                retain: will.retain,
                properties: propertiesToTheirs(will.properties),
              },
            }),
        ...common,
      } as unknown as Theirs
    }
    case PacketType.Publish: {
      const { topic, payload, qos, retain, dup, packetId } = packet
      return {
        cmd: 'publish',
        topic,
        payload,
        qos,
        retain,
        dup,
        ...(qos > 0 ? { messageId: packetId } : {}),
        ...common,
      } as unknown as Theirs
    }
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp: {
      const cmd = ({ 4: 'puback', 5: 'pubrec', 6: 'pubrel', 7: 'pubcomp' } as const)[packet.type]
      return { cmd, messageId: packet.packetId, ...(five ? { reasonCode: packet.reasonCode } : {}), ...common } as unknown as Theirs
    }
    case PacketType.Subscribe: {
      const subscriptions = packet.subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
        topic: filter,
        qos,
        ...(five ? { nl: noLocal, rap: retainAsPublished, rh: retainHandling } : {}),
      }))
      return { cmd: 'subscribe', messageId: packet.packetId, subscriptions, ...common } as unknown as Theirs
    }
    case PacketType.Unsubscribe:
      return { cmd: 'unsubscribe', messageId: packet.packetId, unsubscriptions: packet.filters, ...common } as unknown as Theirs
    case PacketType.Connack: {
      const code = five ? { reasonCode: packet.reasonCode } : { returnCode: packet.reasonCode }
      return { cmd: 'connack', sessionPresent: packet.sessionPresent, ...code, ...common } as unknown as Theirs
    }
    case PacketType.Suback:
      return { cmd: 'suback', messageId: packet.packetId, granted: packet.reasonCodes, ...common } as unknown as Theirs
    case PacketType.Unsuback:
      return {
        cmd: 'unsuback',
        messageId: packet.packetId,
        ...(five ? { granted: packet.reasonCodes } : {}),
        ...common,
      } as unknown as Theirs
    case PacketType.Pingreq:
      return { cmd: 'pingreq' } as Theirs
    case PacketType.Pingresp:
      return { cmd: 'pingresp' } as Theirs
    case PacketType.Disconnect:
    case PacketType.Auth: {
      const cmd = packet.type === PacketType.Auth ? 'auth' : 'disconnect'
      return { cmd, ...(five ? { reasonCode: packet.reasonCode } : {}), ...common } as unknown as Theirs
    }
  }
}

/** A packet with what the oracle cannot tell apart made the same: the order between user properties of different names. */
export function comparable(packet: Packet): Packet {
  const copy = structuredClone(packet) as Packet & { properties?: Properties; will?: { properties?: Properties; payload: Buffer } }
  for (const properties of [copy.properties, copy.will?.properties]) {
    if (properties?.userProperties !== undefined) properties.userProperties = sortedUser(properties.userProperties)
  }
  return normal(copy) as Packet
}

/** A packet to compare: buffers become hex, whatever they are views of, and what is undefined is left out. */
export function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).flatMap(([key, one]) => (one === undefined ? [] : [[key, normal(one)]])))
  }
  return value
}

export function theirBytes(packet: Packet, version: ProtocolVersion): Buffer {
  return mqtt.generate(toTheirs(packet, version), { protocolVersion: version })
}

/** What mqtt-packet reads in these bytes, packet by packet, without what it only remembers of the wire. */
export function theirReading(bytes: Buffer, version: ProtocolVersion): unknown[] {
  const parser = mqtt.parser({ protocolVersion: version })
  const packets: unknown[] = []
  parser.on('packet', packet => packets.push(theirNormal(packet as Theirs)))
  parser.on('error', error => {
    throw error
  })
  const left = parser.parse(bytes)
  if (left > 0) throw new Error(`the oracle left ${left} bytes unread`)
  return packets
}

/** A packet in their words, with defaults and leftovers of the wire taken away on both sides. */
export function theirNormal(packet: Theirs): unknown {
  const { length: _length, retain, dup, qos, topic, payload, ...rest } = packet
  const own = packet.cmd === 'publish' ? { retain, dup, qos, topic, payload: Buffer.from(payload as Buffer) } : {}
  const all: Record<string, unknown> = { ...rest, ...own }
  if (all.password !== undefined) all.password = Buffer.from(all.password as Buffer)
  if (packet.cmd === 'subscribe') {
    all.subscriptions = (rest.subscriptions as Record<string, unknown>[]).map(({ topic: filter, qos: asked, nl, rap, rh }) => ({
      filter,
      asked,
      nl: nl ?? false,
      rap: rap ?? false,
      rh: rh ?? 0,
    }))
  }
  return normal(all)
}
