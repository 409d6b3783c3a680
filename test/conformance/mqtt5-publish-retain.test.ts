import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

// Retained messages in MQTT 5 (3.3.1.3), with all subscription options.

interface Scene extends TestBroker {
  writer: TestClient
  /** A new client that has subscribed, and what came to it at once. */
  arrive(filter: string, options?: Parameters<TestClient['subscribe']>[2], qos?: 0 | 1 | 2): Promise<PublishPacket[]>
}

async function scene(config: Parameters<typeof startBroker>[0] = {}): Promise<Scene> {
  const broker = await startBroker(config)
  const writer = await broker.connect({ version: 5, clientId: 'writer' })
  return {
    ...broker,
    writer,
    async arrive(filter, options = {}, qos = 0) {
      const client = await broker.connect({ version: 5 })
      await client.subscribe(filter, qos, options)
      return published(client)
    },
  }
}

async function published(client: TestClient): Promise<PublishPacket[]> {
  return (await client.rest()).filter(packet => packet.type === PacketType.Publish)
}

const texts = (packets: PublishPacket[]) => packets.map(({ topic, payload }) => `${topic}=${payload}`).sort()

// ---- keeping

test('keeps the last message with the retain flag for those who come later [MQTT-3.3.1-5]', async () => {
  const { writer, arrive } = await scene()
  await writer.publish('a', 'old', { qos: 1, retain: true })
  await writer.publish('a', 'new', { qos: 2, retain: true })
  await writer.publish('b', 'other', { qos: 0, retain: true })
  await writer.rest()
  expect(texts(await arrive('#'))).toEqual(['a=new', 'b=other'])
  expect(texts(await arrive('a'))).toEqual(['a=new'])
})

test('replaces a retained message by one at another QoS [MQTT-3.3.1-5]', async () => {
  const { writer, arrive } = await scene()
  await writer.publish('a', 'QoS 2', { qos: 2, retain: true })
  await writer.publish('a', 'QoS 0', { qos: 0, retain: true })
  await writer.rest()
  expect(await arrive('a', {}, 2)).toMatchObject([{ qos: 0, payload: Buffer.from('QoS 0') }])
})

test('keeps a retained message that a plugin of the broker published itself [MQTT-3.3.1-5]', async () => {
  const { broker, arrive } = await scene()
  await broker.publish({ topic: 'a', payload: 'x', qos: 1, retain: true })
  expect(texts(await arrive('a'))).toEqual(['a=x'])
})

test('brings an empty message to its subscribers and removes the retained one [MQTT-3.3.1-6]', async () => {
  const { writer, connect, arrive } = await scene()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a', 1, { retainAsPublished: true })
  await writer.publish('a', 'x', { qos: 1, retain: true })
  await writer.publish('a', '', { qos: 1, retain: true })
  expect(await published(reader)).toMatchObject([{ payload: Buffer.from('x') }, { payload: Buffer.alloc(0), retain: true }])
  expect(await arrive('a')).toEqual([])
})

test('keeps no empty message [MQTT-3.3.1-7]', async () => {
  const { writer, arrive, broker } = await scene()
  await writer.publish('a', '', { qos: 1, retain: true })
  expect(await arrive('a')).toEqual([])
  expect(broker.services.get('retained').size).toBe(0)
})

test('neither keeps a message without the retain flag nor removes or replaces the kept one [MQTT-3.3.1-8]', async () => {
  const { writer, arrive } = await scene()
  await writer.publish('a', 'kept', { qos: 1, retain: true })
  await writer.publish('a', 'passes', { qos: 1 })
  await writer.publish('a', '', { qos: 1 })
  await writer.publish('b', 'passes', { qos: 1 })
  expect(texts(await arrive('#'))).toEqual(['a=kept'])
})

test('keeps no message that was refused or dropped', async () => {
  const { writer, arrive, hooks } = await scene()
  hooks.onPublish.tap('test', (_publisher, { topic }) =>
    topic === 'no' ? ReasonCode.NotAuthorized : topic === 'drop' ? 'drop' : undefined,
  )
  await writer.publish('no', 'x', { qos: 1, retain: true })
  await writer.publish('drop', 'x', { qos: 1, retain: true })
  expect(await arrive('#')).toEqual([])
})

test('keeps retained messages beyond the session of who published them', async () => {
  const { writer, arrive } = await scene()
  await writer.publish('a', 'x', { qos: 1, retain: true })
  writer.disconnect()
  await writer.closed
  expect(texts(await arrive('a'))).toEqual(['a=x'])
})

test('sends no retained message whose expiry is over, and the others with what is left of theirs', async () => {
  const { writer, arrive, advance } = await scene()
  await writer.publish('a', 'short', { qos: 1, retain: true, properties: { messageExpiry: 10 } })
  await writer.publish('b', 'long', { qos: 1, retain: true, properties: { messageExpiry: 100 } })
  await advance(30_000)
  expect(await arrive('#')).toMatchObject([{ topic: 'b', properties: { messageExpiry: 70 } }])
})

// ---- the options of a subscription

for (const [retainHandling, sentFirst, sentAgain, statement] of [
  [0, 1, 1, '[MQTT-3.3.1-9]'],
  [1, 1, 0, '[MQTT-3.3.1-10]'],
  [2, 0, 0, '[MQTT-3.3.1-11]'],
] as const) {
  test(`sends retained messages at the first and at a further SUBSCRIBE as Retain Handling ${retainHandling} says ${statement}`, async () => {
    const { writer, connect } = await scene()
    await writer.publish('a', 'x', { qos: 1, retain: true })
    const client = await connect({ version: 5 })
    await client.subscribe('a', 1, { retainHandling })
    expect(await published(client)).toHaveLength(sentFirst)
    await client.subscribe('a', 0, { retainHandling })
    expect(await published(client)).toHaveLength(sentAgain)
    await client.unsubscribe('a')
    await client.subscribe('a', 1, { retainHandling })
    expect(await published(client)).toHaveLength(sentFirst)
  })
}

test('counts a subscription of a session that goes on as one that exists [MQTT-3.3.1-10]', async () => {
  const { writer, connect } = await scene()
  await writer.publish('a', 'x', { qos: 1, retain: true })
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 1, { retainHandling: 2 })
  const second = await connect({ version: 5, clientId: 'c', cleanStart: false })
  await second.subscribe('a', 1, { retainHandling: 1 })
  expect(await published(second)).toEqual([])
})

test('counts a filter that the same SUBSCRIBE names before as one that exists [MQTT-3.3.1-10]', async () => {
  const { writer, connect } = await scene()
  await writer.publish('a', 'x', { qos: 1, retain: true })
  const client = await connect({ version: 5 })
  expect(await client.subscribe(['a', 'a'], 0, { retainHandling: 1 })).toEqual([0, 0])
  expect(await published(client)).toHaveLength(1)
})

test('sets the retain flag on what was kept, whatever Retain As Published says, and on nothing else without it [MQTT-3.3.1-12]', async () => {
  const { writer, connect } = await scene()
  await writer.publish('a', 'kept', { qos: 1, retain: true })
  const client = await connect({ version: 5 })
  await client.subscribe('a', 1, { retainAsPublished: false })
  await writer.publish('a', 'with the flag', { qos: 1, retain: true })
  await writer.publish('a', 'without', { qos: 1 })
  expect((await published(client)).map(packet => packet.retain)).toEqual([true, false, false])
})

test('leaves the retain flag as it was published where a subscription wants that [MQTT-3.3.1-13]', async () => {
  const { writer, connect } = await scene()
  const client = await connect({ version: 5 })
  await client.subscribe('a', 1, { retainAsPublished: true })
  await client.subscribe('$share/g/b', 1, { retainAsPublished: true })
  for (const topic of ['a', 'b']) {
    await writer.publish(topic, 'with the flag', { qos: 1, retain: true })
    await writer.publish(topic, 'without', { qos: 0 })
  }
  await writer.rest()
  expect((await published(client)).map(packet => packet.retain)).toEqual([true, false, true, false])
})

for (const retainAsPublished of [false, true]) {
  test(`keeps the retain flag right for a session that is away, Retain As Published ${retainAsPublished} [MQTT-3.3.1-12] [MQTT-3.3.1-13]`, async () => {
    const { writer, connect } = await scene()
    const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
    await first.subscribe('a', 1, { retainAsPublished })
    first.drop()
    await settled()
    await writer.publish('a', 'x', { qos: 1, retain: true })
    const second = await connect({ version: 5, clientId: 'c', cleanStart: false })
    expect(await published(second)).toMatchObject([{ retain: retainAsPublished }])
  })
}

for (const [published, granted] of [
  [0, 2],
  [1, 0],
  [2, 1],
  [2, 2],
] as const) {
  const qos = Math.min(published, granted)
  test(`sends a retained message of QoS ${published} to a subscription of QoS ${granted} at QoS ${qos}`, async () => {
    const { writer, arrive } = await scene()
    await writer.publish('a', 'x', { qos: published, retain: true })
    await writer.rest()
    expect(await arrive('a', {}, granted)).toMatchObject([{ qos, retain: true }])
  })
}

test('names the subscription’s identifier with a retained message', async () => {
  const { writer, arrive } = await scene()
  await writer.publish('a', 'x', { qos: 1, retain: true, properties: { contentType: 't' } })
  expect(await arrive('a', { properties: { subscriptionIdentifiers: [9] } })).toMatchObject([
    { properties: { contentType: 't', subscriptionIdentifiers: [9] } },
  ])
})

test('sends a client with No Local none of the retained messages that it published itself [MQTT-3.8.3-3]', async () => {
  const { writer, connect } = await scene()
  const other = await connect({ version: 5 })
  await writer.publish('own', 'x', { qos: 1, retain: true })
  await other.publish('foreign', 'x', { qos: 1, retain: true })
  await writer.subscribe('#', 0, { noLocal: true })
  expect(texts(await published(writer))).toEqual(['foreign=x'])
  await writer.subscribe('#', 0, { noLocal: false })
  expect(texts(await published(writer))).toEqual(['foreign=x', 'own=x'])
})

test('sends no retained message for a shared subscription, nor for a refused one', async () => {
  const { writer, connect, hooks } = await scene()
  hooks.onSubscribe.tap('test', (_client, { filter }) => (filter === 'a' ? ReasonCode.NotAuthorized : undefined))
  await writer.publish('a', 'x', { qos: 1, retain: true })
  const client = await connect({ version: 5 })
  expect(await client.subscribe(['$share/g/a', 'a'])).toEqual([0, ReasonCode.NotAuthorized])
  expect(await published(client)).toEqual([])
})

test('finds the retained messages of every filter', async () => {
  const { writer, arrive, broker } = await scene()
  for (const topic of ['a', 'a/', 'a/b', 'a/b/c', '/a', '/', 'b', '$x/a']) await writer.publish(topic, '', { qos: 0 })
  for (const topic of ['a', 'a/', 'a/b', 'a/b/c', '/a', '/', 'b', '$x/a']) await broker.publish({ topic, payload: 'x', retain: true })
  const found = async (filter: string) => (await arrive(filter)).map(packet => packet.topic).sort()
  expect(await found('#')).toEqual(['/', '/a', 'a', 'a/', 'a/b', 'a/b/c', 'b'])
  expect(await found('+')).toEqual(['a', 'b'])
  expect(await found('a/#')).toEqual(['a', 'a/', 'a/b', 'a/b/c'])
  expect(await found('a/+')).toEqual(['a/', 'a/b'])
  expect(await found('+/+')).toEqual(['/', '/a', 'a/', 'a/b'])
  expect(await found('+/a')).toEqual(['/a'])
  expect(await found('$x/#')).toEqual(['$x/a'])
  expect(await found('c')).toEqual([])
})

test('sends thousands of retained messages once each, however small the window', async () => {
  const { broker, connect } = await scene()
  const count = 2500
  for (let i = 0; i < count; i++) await broker.publish({ topic: `t/${i}`, payload: 'x', qos: 1, retain: true })
  const client = await connect({ version: 5, properties: { receiveMaximum: 3 } })
  await client.subscribe('t/+', 1)
  const topics = new Set<string>()
  for (let i = 0; i < count; i++) topics.add((await client.receive()).topic)
  expect(topics.size).toBe(count)
  expect(await published(client)).toEqual([])
})

test('serves subscriptions and messages as before where it keeps no retained messages', async () => {
  const { writer, connect } = await scene({ retain: false })
  const client = await connect({ version: 5 })
  await client.subscribe('a', 1, { retainHandling: 0, retainAsPublished: true })
  await writer.publish('a', 'x', { qos: 1 })
  expect(await published(client)).toMatchObject([{ retain: false }])
})
