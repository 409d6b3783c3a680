import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'

// PUBLISH (3.3) but for flow control, retained messages and the properties that are passed on, which have files of their own.

const { Publish, Puback, Pubrec } = PacketType

// ---- the fixed header

for (const qos of [1, 2] as const) {
  test(`sends a QoS ${qos} message again with DUP, after a first time without [MQTT-3.3.1-1]`, async () => {
    const { connect } = await startBroker()
    const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
    await first.subscribe('a', qos)
    const writer = await connect()
    await writer.publish('a', 'x', { qos })
    const before = await first.message()
    first.drop()
    await settled()
    const second = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } })
    const again = await second.message()
    expect(before).toMatchObject({ dup: false, qos, payload: Buffer.from('x') })
    expect(again).toMatchObject({ dup: true, qos, packetId: before.packetId, payload: Buffer.from('x') })
  })
}

test('does not set DUP on what waited for its first sending [MQTT-3.3.1-1]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 1)
  first.drop()
  await settled()
  const writer = await connect()
  await writer.publish('a', 'x', { qos: 1 })
  const second = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } })
  expect((await second.message()).dup).toBe(false)
})

test('ends a client that sets DUP at QoS 0, and never does so itself [MQTT-3.3.1-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a', 0)
  const writer = await connect({ version: 5 })
  writer.sendPublish('a', 'dup at QoS 1', { qos: 1, dup: true })
  expect(await reader.message()).toMatchObject({ qos: 0, dup: false })
  writer.sendPublish('a', 'dup at QoS 0', { qos: 0, dup: true })
  expect((await writer.ended())?.reasonCode).toBe(ReasonCode.MalformedPacket)
  expect(await reader.payloads()).toEqual([])
})

for (const qos of [1, 2] as const) {
  test(`does not pass the DUP of a QoS ${qos} publisher on [MQTT-3.3.1-3]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect({ version: 5 })
    await reader.subscribe('a', 2)
    const writer = await connect({ version: 5 })
    await writer.publish('a', 'x', { qos, dup: true })
    expect(await reader.message()).toMatchObject({ qos, dup: false })
  })
}

test('ends a client that publishes at QoS 3 [MQTT-3.3.1-4]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendBytes('36 06 0001 61 0001 00')
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.MalformedPacket)
})

// ---- the topic name

for (const [what, bytes] of [
  ['ill-formed UTF-8', 'ff'],
  ['U+0000', '00'],
] as const) {
  test(`ends a client whose topic name holds ${what} [MQTT-3.3.2-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`30 04 0001 ${bytes} 00`)
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.MalformedPacket)
  })
}

test('ends a client whose PUBLISH has neither topic name nor alias [MQTT-3.3.2-1]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendBytes('30 03 0000 00')
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
})

for (const topic of ['#', 'a/#', '+', 'a/+/b', 'a+']) {
  test(`ends a client that publishes to "${topic}" [MQTT-3.3.2-2]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect()
    await reader.subscribe('#')
    const client = await connect({ version: 5 })
    client.sendPublish(topic, 'x')
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.TopicNameInvalid)
    expect(await reader.payloads()).toEqual([])
  })
}

test('sends a subscriber the topic name that was published, for each filter that matches it [MQTT-3.3.2-3]', async () => {
  const { connect } = await startBroker()
  const writer = await connect({ version: 5 })
  for (const filter of ['a/b', 'a/+', '+/b', 'a/#', '#', 'a/b/#', '$share/g/a/+']) {
    const reader = await connect({ version: 5 })
    await reader.subscribe(filter)
    await writer.publish('a/b', 'x')
    await writer.publish('a/b/c/d', 'only for #')
    expect(await reader.message()).toMatchObject({ topic: 'a/b' })
    reader.disconnect()
    await reader.closed
  }
})

// ---- message expiry

for (const qos of [1, 2] as const) {
  test(`throws a QoS ${qos} message away whose expiry is over before its sending begins [MQTT-3.3.2-5]`, async () => {
    const { connect, advance } = await startBroker()
    const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 1000 } })
    await first.subscribe('a', 2)
    first.drop()
    await settled()
    const writer = await connect({ version: 5 })
    await writer.publish('a', 'short', { qos, properties: { messageExpiry: 10 } })
    await writer.publish('a', 'long', { qos, properties: { messageExpiry: 100 } })
    await advance(11_000)
    const second = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 1000 } })
    expect(await second.payloads()).toEqual(['long'])
  })
}

test('throws a message away that expires while the window is full [MQTT-3.3.2-5]', async () => {
  const { connect, advance } = await startBroker()
  const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('a', 1)
  const writer = await connect({ version: 5 })
  await writer.publish('a', 'first', { qos: 1 })
  await writer.publish('a', 'expires', { qos: 1, properties: { messageExpiry: 10 } })
  await writer.publish('a', 'last', { qos: 1 })
  await advance(11_000)
  expect((await reader.receive()).payload.toString()).toBe('first')
  expect((await reader.receive()).payload.toString()).toBe('last')
})

test('takes the time that a message has waited off its expiry [MQTT-3.3.2-6]', async () => {
  const { connect, advance } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 1000 } })
  await first.subscribe('a', 1)
  const writer = await connect({ version: 5 })
  await writer.publish('a', 'at once', { qos: 1, properties: { messageExpiry: 100 } })
  expect((await first.receive()).properties).toEqual({ messageExpiry: 100 })
  first.drop()
  await settled()
  await writer.publish('a', 'waits', { qos: 1, properties: { messageExpiry: 100, contentType: 't' } })
  await advance(40_000)
  const second = await connect({ version: 5, clientId: 'c', cleanStart: false })
  expect((await second.receive()).properties).toEqual({ messageExpiry: 60, contentType: 't' })
})

test('passes the longest expiry on as it came', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('a')
  await client.publish('a', 'x', { properties: { messageExpiry: 0xffffffff } })
  expect((await client.message()).properties).toEqual({ messageExpiry: 0xffffffff })
})

// ---- topic aliases

test('takes every topic alias up to the maximum that it told [MQTT-3.3.2-12]', async () => {
  const { connect } = await startBroker({ mqtt: { topicAliasMaximum: 40 } })
  const reader = await connect()
  await reader.subscribe('#')
  const writer = await connect({ version: 5 })
  for (let topicAlias = 40; topicAlias > 0; topicAlias--) await writer.publish(`t/${topicAlias}`, 'first', { properties: { topicAlias } })
  for (let topicAlias = 1; topicAlias <= 40; topicAlias++) await writer.publish('', 'again', { properties: { topicAlias } })
  await writer.rest()
  const topics = (await reader.rest()).map(packet => (packet as PublishPacket).topic)
  expect(topics.slice(0, 40)).toEqual(Array.from({ length: 40 }, (_, i) => `t/${40 - i}`))
  expect(topics.slice(40)).toEqual(Array.from({ length: 40 }, (_, i) => `t/${i + 1}`))
})

test('lets an alias stand for another topic from then on, and passes no alias on', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('#')
  const writer = await connect({ version: 5 })
  await writer.publish('one', '1', { properties: { topicAlias: 1 } })
  await writer.publish('two', '2', { properties: { topicAlias: 1 } })
  await writer.publish('', '3', { properties: { topicAlias: 1 } })
  const topics: string[] = []
  for (let i = 0; i < 3; i++) {
    const { topic, properties } = await reader.message()
    topics.push(topic)
    expect(properties?.topicAlias).toBeUndefined()
  }
  expect(topics).toEqual(['one', 'two', 'two'])
})

test('remembers an alias also from a publish that it refuses', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onPublish.tap('test', (_publisher, message) => (message.payload.toString() === 'no' ? ReasonCode.NotAuthorized : undefined))
  const client = await connect({ version: 5 })
  await client.subscribe('a')
  expect((await client.publish('a', 'no', { qos: 1, properties: { topicAlias: 1 } }))?.reasonCode).toBe(ReasonCode.NotAuthorized)
  await client.publish('', 'yes', { properties: { topicAlias: 1 } })
  expect(await client.message()).toMatchObject({ topic: 'a', payload: Buffer.from('yes') })
})

test('keeps aliases right while verdicts are awaited', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onPublish.tapPromise('test', async () => settled())
  const client = await connect({ version: 5 })
  await client.subscribe('#')
  client.sendPublish('a', '1', { qos: 1, properties: { topicAlias: 1 } })
  client.sendPublish('', '2', { qos: 1, properties: { topicAlias: 1 } })
  client.sendPublish('b', '3', { qos: 1, properties: { topicAlias: 1 } })
  client.sendPublish('', '4', { qos: 1, properties: { topicAlias: 1 } })
  const topics: string[] = []
  for (let i = 0; i < 4; i++) topics.push((await client.next<PublishPacket>(Publish)).topic)
  expect(topics).toEqual(['a', 'a', 'b', 'b'])
})

test('forgets a client’s aliases with its connection, whatever becomes of its session [MQTT-3.3.2-7]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.publish('a', 'x', { qos: 1, properties: { topicAlias: 1 } })
  const second = await connect({ version: 5, clientId: 'c', cleanStart: false })
  second.sendPublish('', 'x', { properties: { topicAlias: 1 } })
  expect((await second.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
})

test('begins its own aliases anew with each connection [MQTT-3.3.2-7]', async () => {
  const { connect } = await startBroker()
  const topic = 'a/long/topic/name'
  const options = { version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100, topicAliasMaximum: 5 } } as const
  const first = await connect(options)
  await first.subscribe(topic, 1)
  const writer = await connect()
  await writer.publish(topic, '1', { qos: 1 })
  await writer.publish(topic, '2', { qos: 1 })
  expect(await first.receive()).toMatchObject({ topic, properties: { topicAlias: 1 } })
  expect(await first.receive()).toMatchObject({ topic: '', properties: { topicAlias: 1 } })
  const second = await connect(options)
  await writer.publish(topic, '3', { qos: 1 })
  expect(await second.receive()).toMatchObject({ topic, properties: { topicAlias: 1 } })
})

for (const [what, topicAlias, topic, code] of [
  ['topic alias 0 [MQTT-3.3.2-8]', 0, 'a', ReasonCode.TopicAliasInvalid],
  ['a topic alias above the maximum that it was told [MQTT-3.3.2-9]', 33, 'a', ReasonCode.TopicAliasInvalid],
  // 3.3.2.3.4 calls this one a Protocol Error, and names 0x82.
  ['a topic alias that stands for nothing yet', 1, '', ReasonCode.ProtocolError],
] as const) {
  test(`ends a client that uses ${what}`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendPublish(topic, 'x', { properties: { topicAlias } })
    expect((await client.ended())?.reasonCode).toBe(code)
  })
}

// ---- what is done with it

test('answers QoS 0 with nothing, QoS 1 with PUBACK and QoS 2 with PUBREC [MQTT-3.3.4-1]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.publish('a', 'x')
  expect(await client.rest()).toEqual([])
  client.sendPublish('a', 'x', { qos: 1, packetId: 7 })
  expect(await client.rest()).toMatchObject([{ type: Puback, packetId: 7 }])
  client.sendPublish('a', 'x', { qos: 2, packetId: 8 })
  expect(await client.rest()).toMatchObject([{ type: Pubrec, packetId: 8 }])
})

test('says in the acknowledgement that nobody has subscribed', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const codes = async () => [
    (await client.publish('a', 'x', { qos: 1 }))?.reasonCode,
    (await client.publish('a', 'x', { qos: 2 }))?.reasonCode,
  ]
  expect(await codes()).toEqual([ReasonCode.NoMatchingSubscribers, ReasonCode.NoMatchingSubscribers])
  await (await connect()).subscribe('a')
  expect(await codes()).toEqual([0, 0])
})

test('delivers at the highest QoS of all filters that match, at most at the message’s [MQTT-3.3.4-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a/+', 0)
  await reader.subscribe('a/b', 2)
  await reader.subscribe('#', 1)
  const writer = await connect({ version: 5 })
  for (const qos of [0, 1, 2] as const) {
    await writer.publish('a/b', `${qos}`, { qos })
    expect(await reader.receive()).toMatchObject({ qos })
  }
  await writer.publish('a/c', 'x', { qos: 2 })
  expect(await reader.receive()).toMatchObject({ qos: 1 })
  expect(await reader.payloads()).toEqual([])
})

test('names the identifiers of all filters that match in its one copy [MQTT-3.3.4-3] [MQTT-3.3.4-4]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a/+', 1, { properties: { subscriptionIdentifiers: [3] } })
  await reader.subscribe('a/b', 0, { properties: { subscriptionIdentifiers: [268_435_455] } })
  await reader.subscribe('#', 2)
  const writer = await connect({ version: 5 })
  await writer.publish('a/b', 'both', { qos: 1 })
  await writer.publish('a/c', 'one', { qos: 1 })
  await writer.publish('b', 'none', { qos: 1 })
  const identifiers: (number[] | undefined)[] = []
  for (let i = 0; i < 3; i++) identifiers.push((await reader.receive()).properties?.subscriptionIdentifiers?.sort((a, b) => a - b))
  expect(identifiers).toEqual([[3, 268_435_455], [3], undefined])
  expect(await reader.payloads()).toEqual([])
})

test('sends a copy for a shared subscription beside the plain one, each with its own identifier [MQTT-3.3.4-5]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a', 1, { properties: { subscriptionIdentifiers: [1] } })
  await reader.subscribe('$share/g/a', 1, { properties: { subscriptionIdentifiers: [2] } })
  await reader.publish('a', 'x')
  const identifiers = [await reader.receive(), await reader.receive()].map(packet => packet.properties?.subscriptionIdentifiers)
  expect(identifiers.sort()).toEqual([[1], [2]])
})

test('ends a client that publishes with a subscription identifier [MQTT-3.3.4-6]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendPublish('a', 'x', { properties: { subscriptionIdentifiers: [1] } })
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
})
