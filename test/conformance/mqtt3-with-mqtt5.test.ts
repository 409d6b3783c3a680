import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Properties } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { packet, text } from './bytes.ts'

const properties: Properties = {
  payloadFormat: 1,
  contentType: 'text/plain',
  responseTopic: 'answers',
  correlationData: Buffer.from('7'),
  messageExpiry: 60,
  userProperties: [['name', 'value']],
}

for (const qos of [0, 1, 2] as const) {
  test(`brings a QoS ${qos} message of an MQTT 5 client to a 3.1.1 client without its properties`, async () => {
    const { connect } = await startBroker()
    const reader = await connect()
    await reader.subscribe('a', 2)
    const bytes: Buffer[] = []
    reader.stream.on('data', chunk => bytes.push(chunk))
    const writer = await connect({ version: 5 })
    await writer.publish('a', 'hello', { qos, properties })
    await reader.receive()
    const [header, id] = qos === 0 ? ['30', ''] : qos === 1 ? ['32', '0001'] : ['34', '0001']
    expect(
      Buffer.concat(bytes)
        .toString('hex')
        .startsWith(packet(header, text('a'), id, Buffer.from('hello').toString('hex'))),
    ).toBe(true)
  })

  test(`brings a QoS ${qos} message of a 3.1.1 client to an MQTT 5 client, without properties`, async () => {
    const { connect } = await startBroker()
    const reader = await connect({ version: 5 })
    await reader.subscribe('a', 2)
    await (await connect()).publish('a', 'hello', { qos })
    expect(await reader.receive()).toMatchObject({ topic: 'a', qos, properties: undefined, payload: Buffer.from('hello') })
  })
}

test('brings one message to a 3.1.1, an MQTT 5 and an MQTT 3.1 client on one topic, each in its own form', async () => {
  const { connect } = await startBroker()
  const readers = [await connect({ version: 3 }), await connect({ version: 4 }), await connect({ version: 5 })]
  for (const reader of readers) await reader.subscribe('a/#', 1)
  await (await connect({ version: 5 })).publish('a/b', 'hello', { qos: 1, properties })
  for (const reader of readers) {
    const message = await reader.receive()
    expect(message).toMatchObject({ topic: 'a/b', qos: 1, payload: Buffer.from('hello') })
    expect(message.properties).toEqual(reader.version === 5 ? properties : undefined)
  }
})

test('resolves a topic alias before a 3.1.1 client gets the message', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a/long/topic')
  const writer = await connect({ version: 5 })
  await writer.publish('a/long/topic', 'one', { properties: { topicAlias: 3 } })
  await writer.publish('', 'two', { qos: 1, properties: { topicAlias: 3 } })
  expect(await reader.rest()).toMatchObject([
    { topic: 'a/long/topic', payload: Buffer.from('one') },
    { topic: 'a/long/topic', payload: Buffer.from('two') },
  ])
})

test('sends a 3.1.1 client the retained message of an MQTT 5 client, and an MQTT 5 client that with its properties', async () => {
  const { connect } = await startBroker()
  await (await connect({ version: 5 })).publish('a', 'kept', { qos: 1, retain: true, properties })
  const old = await connect()
  await old.subscribe('a', 1)
  expect(await old.receive()).toMatchObject({ retain: true, properties: undefined, payload: Buffer.from('kept') })
  const five = await connect({ version: 5 })
  await five.subscribe('a', 1)
  expect(await five.receive()).toMatchObject({ retain: true, properties, payload: Buffer.from('kept') })
})

test('drops a message of an MQTT 5 client that has expired before a 3.1.1 client comes back for it', async () => {
  const { connect, advance } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  first.drop()
  const writer = await connect({ version: 5 })
  await writer.publish('a', 'short', { qos: 1, properties: { messageExpiry: 10 } })
  await writer.publish('a', 'long', { qos: 1, properties: { messageExpiry: 100 } })
  await advance(20_000)
  const again = await connect({ clientId: 'reader', cleanStart: false })
  expect(await again.payloads()).toEqual(['long'])
})

test('hands a session from a 3.1.1 connection to an MQTT 5 connection of the same client id, and back', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  first.drop()
  const writer = await connect()
  await writer.publish('a', 'one', { qos: 1 })
  const five = open(5)
  expect(await five.connect({ clientId: 'reader', cleanStart: false, properties: { sessionExpiry: 3600 } })).toMatchObject({
    sessionPresent: true,
  })
  expect(await five.receive()).toMatchObject({ payload: Buffer.from('one') })
  five.drop()
  await writer.publish('a', 'two', { qos: 1 })
  const back = open(4)
  expect(await back.connect({ clientId: 'reader', cleanStart: false })).toMatchObject({ sessionPresent: true })
  expect(await back.receive()).toMatchObject({ payload: Buffer.from('two') })
})

test('gives a 3.1.1 client no subscription identifiers of a session that an MQTT 5 connection began', async () => {
  const { connect } = await startBroker()
  const five = await connect({ clientId: 'reader', version: 5, cleanStart: false, properties: { sessionExpiry: 3600 } })
  await five.subscribe('a', 1, { properties: { subscriptionIdentifiers: [7] } })
  five.drop()
  await (await connect()).publish('a', 'x', { qos: 1 })
  const old = await connect({ clientId: 'reader', cleanStart: false })
  expect(await old.receive()).toMatchObject({ properties: undefined, payload: Buffer.from('x') })
})

test('tells an MQTT 5 client with DISCONNECT that a 3.1.1 client took its client id over, and a 3.1.1 client nothing', async () => {
  const { connect } = await startBroker()
  const five = await connect({ clientId: 'same', version: 5 })
  const four = await connect({ clientId: 'same', version: 4 })
  expect(await five.ended()).toMatchObject({ reasonCode: ReasonCode.SessionTakenOver })
  await connect({ clientId: 'same', version: 5 })
  await four.ended()
  expect(four.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
})

test('refuses AUTH from a 3.1.1 client', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  client.sendBytes('f0 00')
  expect(await client.ended()).toBeUndefined()
})

test('serves shared subscriptions of a 3.1.1 and an MQTT 5 client as one group', async () => {
  const { connect } = await startBroker()
  const members = [await connect(), await connect({ version: 5 })]
  for (const member of members) expect(await member.subscribe('$share/group/a', 1)).toEqual([1])
  const writer = await connect()
  for (let i = 0; i < 10; i++) await writer.publish('a', `${i}`, { qos: 1 })
  const got = await Promise.all(members.map(member => member.payloads()))
  expect(got.flat().sort()).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
  for (const one of got) expect(one.length).toBeGreaterThan(0)
})

const five = { clientId: 'reader', version: 5, cleanStart: false, properties: { sessionExpiry: 3600 } } as const
const old = { clientId: 'reader', version: 4, cleanStart: false } as const

test('the options of an MQTT 5 subscription do nothing while a 3.1.1 client has the session, and work again afterwards [MQTT3-3.3.1-9]', async () => {
  const { connect } = await startBroker()
  const writer = await connect({ version: 5 })
  const options = { noLocal: true, retainAsPublished: true, properties: { subscriptionIdentifiers: [7] } }
  const first = await connect(five)
  await first.subscribe('a/#', 1, options)
  await first.subscribe('$share/g/s', 1, { retainAsPublished: true })
  first.drop()
  await first.closed
  // Stored while nobody was connected.
  await writer.publish('a/stored', 'x', { qos: 1, retain: true })
  await writer.publish('s', 'x', { qos: 1, retain: true })
  const third = await connect(old)
  const seen = async (client: TestClient, count: number) => {
    const seen: string[] = []
    while (seen.length < count) {
      const { topic, retain } = await client.receive()
      seen.push(`${topic} ${retain}`)
    }
    return seen
  }
  expect(await seen(third, 2)).toEqual(['a/stored false', 's false'])
  // Live, and its own.
  await writer.publish('a/live', 'x', { qos: 1, retain: true })
  await writer.publish('s', 'x', { qos: 1, retain: true })
  third.sendPublish('a/own', 'x', { qos: 0 })
  expect(await seen(third, 3)).toEqual(['a/live false', 's false', 'a/own false'])
  third.drop()
  await third.closed
  const again = await connect(five)
  await again.publish('a/own', 'x', { qos: 1 })
  await writer.publish('a/live', 'x', { qos: 1, retain: true })
  expect(await seen(again, 1)).toEqual(['a/live true'])
})

test('a 3.1.1 client that takes up an MQTT 5 client’s replay of retained messages gets its own of them, too', async () => {
  const { connect, broker } = await startBroker({ retain: { pageSize: 1 } })
  for (let i = 0; i < 4; i++) await broker.publish({ topic: `r/${i}`, payload: 'x', qos: 1, retain: true })
  const first = await connect({ ...five, properties: { sessionExpiry: 3600, receiveMaximum: 1 } })
  await first.publish('r/own', 'x', { qos: 1, retain: true })
  await first.subscribe('r/#', 1, { noLocal: true })
  await first.message()
  first.drop()
  await first.closed
  const third = await connect(old)
  const topics = new Set<string>()
  while (topics.size < 5) topics.add((await third.receive()).topic)
  expect(topics).toContain('r/own')
})

// A mosquitto broker that bridges sets the highest bit of the protocol level.
test.each([
  ['3.1', '10 10 0006 4d5149736470 83 00 0000 0002 6272', 3],
  ['3.1.1', '10 0e 0004 4d515454 84 00 0000 0002 6272', 4],
] as const)('a bridge of MQTT %s is not sent what it publishes, and RETAIN comes as published', async (_name, bytes, version) => {
  const { open, connect, broker } = await startBroker()
  const other = await connect({ version: 5 })
  await other.publish('before', 'other', { qos: 1, retain: true })
  const begin = async () => {
    const bridge = open(version)
    bridge.sendBytes(bytes)
    expect(await bridge.next(PacketType.Connack)).toMatchObject({ reasonCode: 0 })
    return bridge
  }
  const seen = async (bridge: TestClient, count: number) => {
    const seen: string[] = []
    while (seen.length < count) {
      const { topic, payload, retain } = await bridge.receive()
      seen.push(`${topic} ${payload} ${retain}`)
    }
    return seen
  }
  const bridge = await begin()
  expect(broker.clientOf('br')?.bridge).toBe(true)
  await bridge.publish('own', 'bridge', { qos: 1, retain: true })
  await bridge.subscribe('#', 1)
  expect(await seen(bridge, 1)).toEqual(['before other true'])
  for (const qos of [0, 1] as const) await bridge.publish('own', 'bridge', { qos, retain: true })
  await other.publish('state', 'kept', { qos: 1, retain: true })
  await other.publish('event', 'gone', { qos: 1 })
  expect(await seen(bridge, 2)).toEqual(['state kept true', 'event gone false'])
  // While it is away, RETAIN is stored as it was published.
  bridge.drop()
  await bridge.closed
  await other.publish('state', 'later', { qos: 1, retain: true })
  await other.publish('event', 'later', { qos: 1 })
  const again = await begin()
  expect(await seen(again, 2)).toEqual(['state later true', 'event later false'])
  expect(await again.payloads()).toEqual([])
})
