import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Properties } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
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
