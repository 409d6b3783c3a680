import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'

// What the broker answers to CONNECT (3.2), and that it keeps clients to what it has told them.

const { Connack } = PacketType

test('sends CONNACK before anything else, also where messages wait [MQTT-3.2.0-1]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 1)
  first.disconnect()
  await first.closed
  const writer = await connect()
  await writer.publish('a', 'x', { qos: 1 })
  const again = open(5)
  again.send(connectPacket({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } }))
  await again.next(PacketType.Publish)
  expect(again.heard.map(packet => packet.type)).toEqual([Connack, PacketType.Publish])
})

test('sends one CONNACK and no other [MQTT-3.2.0-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('a')
  client.send(connectPacket({ version: 5 }))
  await client.closed
  expect(client.heard.filter(packet => packet.type === Connack)).toHaveLength(1)
})

test('sets none of the seven reserved bits beside Session Present [MQTT-3.2.2-1]', async () => {
  const { open } = await startBroker()
  const flags: number[] = []
  for (const cleanStart of [true, false]) {
    const client = open(5)
    client.stream.once('data', (bytes: Buffer) => flags.push(bytes[2]!))
    await client.connect({ clientId: 'c', cleanStart, properties: { sessionExpiry: 100 } })
    client.disconnect()
    await client.closed
  }
  expect(flags).toEqual([0, 1])
})

test('says Session Present 0 after Clean Start, though a session was there [MQTT-3.2.2-2]', async () => {
  const { connect, open } = await startBroker()
  await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  expect(await open(5).connect({ clientId: 'c', cleanStart: true })).toMatchObject({ reasonCode: 0, sessionPresent: false })
})

test('says Session Present 1 where a session goes on, without subscriptions too, and 0 where none does [MQTT-3.2.2-3]', async () => {
  const { connect, open } = await startBroker()
  const present: boolean[] = []
  present.push((await open(5).connect({ clientId: 'c', cleanStart: false })).sessionPresent)
  const client = await connect({ version: 5, clientId: 'd', properties: { sessionExpiry: 100 } })
  client.drop()
  await settled()
  present.push((await open(5).connect({ clientId: 'd', cleanStart: false })).sessionPresent)
  await settled()
  // The connection before had no Session Expiry Interval, so its session ended with it.
  present.push((await open(5).connect({ clientId: 'd', cleanStart: false })).sessionPresent)
  expect(present).toEqual([false, true, false])
})

test('says Session Present 0 with a refusal, and closes [MQTT-3.2.2-6] [MQTT-3.2.2-7]', async () => {
  const { connect, open, hooks } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  first.disconnect()
  await first.closed
  hooks.onConnect.tap('test', () => ReasonCode.ServerBusy)
  const client = open(5)
  expect(await client.connect({ clientId: 'c', cleanStart: false })).toMatchObject({
    reasonCode: ReasonCode.ServerBusy,
    sessionPresent: false,
  })
  await client.closed
})

const connectCodes = [
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
]
for (const hook of ['onAuthenticate', 'onConnect'] as const) {
  test(`answers with the codes of CONNACK only, whatever a plugin says in ${hook} [MQTT-3.2.2-8]`, async () => {
    const { open, hooks } = await startBroker()
    let code: ReasonCode = ReasonCode.UnspecifiedError
    hooks[hook].tap('test', () => code)
    for (const reason of new Set(Object.values(ReasonCode))) {
      if (reason < 0x80) continue
      code = reason
      const { reasonCode } = await open(5).connect()
      expect(reasonCode).toBe(connectCodes.includes(reason) ? reason : ReasonCode.UnspecifiedError)
    }
  })
}

test('gives a refusal’s reason, reference and user properties on', async () => {
  const { open, hooks } = await startBroker()
  hooks.onConnect.tap('test', () => ({
    reasonCode: ReasonCode.UseAnotherServer,
    reasonString: 'full',
    serverReference: 'other:1883',
    userProperties: [
      ['a', '1'],
      ['a', '1'],
    ],
  }))
  expect((await open(5).connect()).properties).toEqual({
    reasonString: 'full',
    serverReference: 'other:1883',
    userProperties: [
      ['a', '1'],
      ['a', '1'],
    ],
  })
})

const refusals = [
  ['reason string [MQTT-3.2.2-19]', { reasonString: 'x'.repeat(200) }],
  ['user properties [MQTT-3.2.2-20]', { userProperties: [['x'.repeat(100), 'y'.repeat(100)]] as [string, string][] }],
] as const
for (const [what, more] of refusals) {
  test(`leaves the ${what} out of a CONNACK that would be larger than the client accepts`, async () => {
    const { open, hooks } = await startBroker()
    hooks.onConnect.tap('test', () => ({ reasonCode: ReasonCode.ServerBusy, ...more }))
    const small = await open(5).connect({ properties: { maximumPacketSize: 100 } })
    const large = await open(5).connect({ properties: { maximumPacketSize: 300 } })
    expect(small).toMatchObject({ reasonCode: ReasonCode.ServerBusy, properties: undefined })
    expect(large).toMatchObject({ reasonCode: ReasonCode.ServerBusy, properties: more })
  })
}

// ---- the properties of a CONNACK that admits

test('tells what differs from the defaults of MQTT 5, and nothing else', async () => {
  const { open } = await startBroker()
  const { properties } = await open(5).connect()
  expect(properties).toEqual({ receiveMaximum: 1000, maximumPacketSize: 2 * 1024 * 1024, topicAliasMaximum: 32 })
})

test('tells the limits that the config sets', async () => {
  const mqtt = {
    receiveMaximum: 65_535,
    maximumPacketSize: 1000,
    topicAliasMaximum: 7,
    sessionExpiryMax: '60s',
    serverKeepAlive: '30s',
  } as const
  const { open } = await startBroker({ mqtt, retain: false, shareTopic: false })
  const { properties } = await open(5).connect({ keepAlive: 10, properties: { sessionExpiry: 61 } })
  expect(properties).toEqual({
    maximumPacketSize: 1000,
    topicAliasMaximum: 7,
    sessionExpiry: 60,
    serverKeepAlive: 30,
    retainAvailable: 0,
    sharedSubscriptionAvailable: 0,
  })
})

test('tells the session expiry only where it is not the one asked for', async () => {
  const { open } = await startBroker({ mqtt: { sessionExpiryMax: '60s' } })
  const told = async (sessionExpiry: number) => (await open(5).connect({ properties: { sessionExpiry } })).properties?.sessionExpiry
  expect([await told(0), await told(59), await told(60), await told(0xffffffff)]).toEqual([undefined, undefined, undefined, 60])
})

test('ends a session when the expiry that it told is over', async () => {
  const { connect, open, advance } = await startBroker({ mqtt: { sessionExpiryMax: '60s' } })
  const client = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 1000 } })
  client.drop()
  await settled()
  await advance(61_000)
  expect((await open(5).connect({ clientId: 'c', cleanStart: false })).sessionPresent).toBe(false)
})

test('tells a client without an id the one it got [MQTT-3.2.2-16]', async () => {
  const { open } = await startBroker()
  const ids = [await open(5).connect({ clientId: '' }), await open(5).connect({ clientId: '' })].map(
    packet => packet.properties?.assignedClientId,
  )
  expect(ids[0]).toMatch(/^[0-9A-Za-z-]+$/)
  expect(ids[1]).not.toBe(ids[0])
})

test('sends no properties to clients of 3.1.1', async () => {
  const { open } = await startBroker()
  const client = open(4)
  const bytes = new Promise(resolve => client.stream.once('data', resolve))
  client.send(connectPacket({ version: 4 }))
  expect(await bytes).toEqual(Buffer.from('20020000', 'hex'))
})

// ---- what follows from what was told

test('refuses a retained will where it keeps no retained messages [MQTT-3.2.2-13]', async () => {
  const { open } = await startBroker({ retain: false })
  const client = open(5)
  expect((await client.connect({ will: { topic: 'w', retain: true } })).reasonCode).toBe(ReasonCode.RetainNotSupported)
  await client.closed
  expect((await open(5).connect({ will: { topic: 'w' } })).reasonCode).toBe(ReasonCode.Success)
})

for (const qos of [0, 1, 2] as const) {
  test(`ends a client that retains at QoS ${qos} though it was told Retain Available 0 [MQTT-3.2.2-14]`, async () => {
    const { connect } = await startBroker({ retain: false })
    const reader = await connect()
    await reader.subscribe('a')
    const client = await connect({ version: 5 })
    client.sendPublish('a', 'x', { qos, retain: true })
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.RetainNotSupported)
    expect(await reader.payloads()).toEqual([])
  })
}

test('ends a client that sends a larger packet than it was told, before its body has come [MQTT-3.2.2-15]', async () => {
  const { connect } = await startBroker({ mqtt: { maximumPacketSize: 200 } })
  const client = await connect({ version: 5 })
  await client.publish('a', 'x'.repeat(191), { qos: 1 }) // beside 3 bytes of header, 3 of topic, 2 of packet id, 1 of properties
  client.sendBytes('30 c701') // PUBLISH of 199 more bytes, 202 in all
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.PacketTooLarge)
})

test('closes on a CONNECT that is too large [MQTT-3.2.2-15]', async () => {
  const { open } = await startBroker({ mqtt: { maximumPacketSize: 200 } })
  const client = open(5)
  client.send(connectPacket({ version: 5, clientId: 'x'.repeat(300) }))
  await client.closed
  expect(client.heard).toEqual([])
})

test('ends a client that uses a higher topic alias than it was told [MQTT-3.2.2-17]', async () => {
  const { connect } = await startBroker({ mqtt: { topicAliasMaximum: 5 } })
  const client = await connect({ version: 5 })
  await client.publish('a', 'x', { qos: 1, properties: { topicAlias: 5 } })
  client.sendPublish('a', 'x', { properties: { topicAlias: 6 } })
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.TopicAliasInvalid)
})

test('ends a client that uses a topic alias though it was told of none [MQTT-3.2.2-18]', async () => {
  const { open } = await startBroker({ mqtt: { topicAliasMaximum: 0 } })
  const client = open(5)
  expect((await client.connect()).properties?.topicAliasMaximum).toBeUndefined()
  client.sendPublish('a', 'x', { properties: { topicAlias: 1 } })
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.TopicAliasInvalid)
})

test('keeps a client to the keep-alive that it was told, not to its own [MQTT-3.2.2-21] [MQTT-3.1.2-21]', async () => {
  const { open, advance } = await startBroker({ mqtt: { serverKeepAlive: '10s' } })
  for (const keepAlive of [0, 5, 1000]) {
    const client = open(5)
    expect((await client.connect({ keepAlive })).properties?.serverKeepAlive).toBe(10)
    await advance(14_500)
    expect(client.isClosed).toBe(false)
    await advance(1000)
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
  }
})

test('keeps a client to its own keep-alive where it told none [MQTT-3.2.2-22]', async () => {
  const { open, advance } = await startBroker()
  const client = open(5)
  expect((await client.connect({ keepAlive: 20 })).properties?.serverKeepAlive).toBeUndefined()
  await advance(29_500)
  expect(client.isClosed).toBe(false)
  await advance(1000)
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
})

test('lets no packet but AUTH and DISCONNECT come between CONNECT with an authentication method and CONNACK [MQTT-3.1.2-30]', async () => {
  const { open, connect, hooks } = await startBroker()
  hooks.onAuth.tap('test', () => ({ continue: true }))
  const reader = await connect()
  await reader.subscribe('#')
  for (const type of [PacketType.Pingreq, PacketType.Publish] as const) {
    const client = open(5)
    client.send(connectPacket({ version: 5, properties: { authenticationMethod: 'm' } }))
    await client.next(PacketType.Auth)
    if (type === PacketType.Pingreq) client.send({ type })
    else client.sendPublish('a', 'x')
    await client.closed
    expect(client.heard.filter((packet): packet is ConnackPacket => packet.type === Connack && packet.reasonCode === 0)).toEqual([])
  }
  expect(await reader.payloads()).toEqual([])
})

test('lets a client leave in the middle of its authentication [MQTT-3.1.2-30]', async () => {
  const { open, hooks, broker } = await startBroker()
  hooks.onAuth.tap('test', () => ({ continue: true }))
  const client = open(5)
  client.send(connectPacket({ version: 5, properties: { authenticationMethod: 'm' } }))
  await client.next(PacketType.Auth)
  client.stream.write(encodePacket({ type: PacketType.Disconnect, reasonCode: 0, properties: undefined }, 5))
  await client.closed
  expect(broker.clients.size).toBe(0)
})
