import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import type { RetainedPage, RetainedStore } from '../../plugins/kit/services/retained.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { type Config, definePlugin } from '../../presets/index.ts'
import { allPublishes } from '../conformance/heard.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

const topicsOf = (count: number) => Array.from({ length: count }, (_, i) => `r/${String(i).padStart(5, '0')}`)

async function keep({ broker }: TestBroker, count: number, size: number, qos: 0 | 1 | 2 = 1): Promise<string[]> {
  const topics = topicsOf(count)
  for (const topic of topics) await broker.publish({ topic, payload: Buffer.alloc(size, topic), qos, retain: true })
  return topics
}

type Next = () => RetainedPage | Promise<RetainedPage>

/** For `startBroker`: retained messages in memory whose pages are read as `read` says. */
function onRetained(read: (next: Next, filter: string) => RetainedPage | Promise<RetainedPage>): Config {
  const plugin = definePlugin({
    name: 'testStore',
    provides: ['sessions', 'retained'],
    apply({ services, clock }) {
      const store = new MemoryRetained(clock)
      const wrapped: RetainedStore = {
        set: message => store.set(message),
        get size() {
          return store.size
        },
        match(filter) {
          const cursor = store.match(filter)
          return { next: limit => read(() => cursor.next(limit), filter) }
        },
      }
      services.provide('sessions', new MemorySessions(clock), 'testStore')
      services.provide('retained', wrapped, 'testStore')
    },
  })
  return { memory: false, plugins: [plugin()] }
}

/** Sends a SUBSCRIBE and waits for nothing. */
function subscribe(client: TestClient, filters: string[], qos: 0 | 1 | 2): void {
  const subscriptions = filters.map(filter => ({ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }))
  client.send({ type: PacketType.Subscribe, packetId: client.nextId(), subscriptions, properties: undefined })
}

/** Receives so many messages and acknowledges those of QoS 1. */
async function receive(client: TestClient, count: number): Promise<PublishPacket[]> {
  const packets: PublishPacket[] = []
  while (packets.length < count) {
    const packet = await client.message()
    if (packet.qos === 1) client.ack(PacketType.Puback, packet.packetId)
    packets.push(packet)
  }
  return packets
}

const sorted = (packets: readonly PublishPacket[]) => packets.map(({ topic }) => topic).sort()

for (const [count, size, qos] of [
  [3000, 20, 0],
  [3000, 20, 1],
  [200, 50_000, 0],
  [200, 50_000, 1],
  [5, 2_000_000, 0],
] as const) {
  for (const sessionExpiry of [0, 100]) {
    test(`sends ${count} retained messages of ${size} bytes at QoS ${qos}, each once, and drops none: session expiry ${sessionExpiry}`, async () => {
      const started = await startBroker()
      const { connect, broker } = started
      const topics = await keep(started, count, size)
      const client = await connect({ version: 5, properties: { sessionExpiry, receiveMaximum: 50 } })
      subscribe(client, ['r/#'], qos)
      const packets = await receive(client, count)
      expect(sorted(packets)).toEqual(topics)
      expect(packets.every(({ retain }) => retain)).toBe(true)
      expect(await client.rest()).toEqual([])
      expect(broker.counters.droppedTotal).toBe(0)
    })
  }
}

test('sends a reader that stops reading no more than it takes, and the rest when it reads again, none lost', async () => {
  const started = await startBroker({ mqtt: { writeBufferMax: 100_000 } })
  const { connect, broker } = started
  const topics = await keep(started, 3000, 2000, 0)
  const client = await connect({ version: 5, clientId: 'slow' })
  client.stream.pause()
  subscribe(client, ['r/+'], 0)
  await settled()
  const { outbox } = broker.clientOf('slow')!
  const owed = outbox.pendingBytes
  const sent = broker.counters.publishSent
  expect(owed).toBeLessThan(100_000 + 65_536)
  expect(sent).toBeLessThan(500)
  for (let i = 0; i < 20; i++) await settled()
  expect([outbox.pendingBytes, broker.counters.publishSent]).toEqual([owed, sent])
  client.stream.resume()
  expect(sorted(await receive(client, 3000))).toEqual(topics)
  expect(broker.counters.droppedTotal).toBe(0)
})

test('sends a reader that acknowledges nothing what its window takes, and goes on with each acknowledgement', async () => {
  const started = await startBroker()
  const { connect, broker } = started
  const topics = await keep(started, 1000, 20)
  const client = await connect({ version: 5, clientId: 'slow', properties: { receiveMaximum: 3 } })
  await client.subscribe('r/+', 1)
  expect(await allPublishes(client)).toHaveLength(3)
  expect(broker.clientOf('slow')!.session!.queue?.length ?? 0).toBeLessThan(3)
  const heard = await allPublishes(client)
  for (const { packetId } of heard) client.ack(PacketType.Puback, packetId)
  const seen = new Set(heard.map(({ topic }) => topic))
  for (const { topic } of await receiveAfter(client, 997)) seen.add(topic)
  expect([...seen].sort()).toEqual(topics)
})

/** Receives what comes behind what was looked at with `rest`. */
async function receiveAfter(client: TestClient, count: number): Promise<PublishPacket[]> {
  const packets: PublishPacket[] = []
  for (let at = client.heard.findLastIndex(({ type }) => type === PacketType.Pingresp) + 1; packets.length < count; at++) {
    while (client.heard.length <= at) await settled()
    const packet = client.heard[at]!
    if (packet.type !== PacketType.Publish) continue
    packets.push(packet)
    client.ack(PacketType.Puback, packet.packetId)
  }
  return packets
}

test('lets others have their turn between two pages', async () => {
  const started = await startBroker({ retain: { pageSize: 10 } })
  const { connect } = started
  await keep(started, 5000, 20)
  const client = await connect({ version: 5 })
  const other = await connect({ version: 5 })
  subscribe(client, ['r/#'], 0)
  await client.next(PacketType.Suback)
  await other.rest()
  const before = client.heard.filter(({ type }) => type === PacketType.Publish).length
  expect(before).toBeLessThan(5000)
  expect(await receive(client, 5000)).toHaveLength(5000)
})

test('serves several filters of one SUBSCRIBE side by side, to the end', async () => {
  const started = await startBroker()
  const { connect } = started
  const topics = await keep(started, 300, 10_000)
  const client = await connect({ version: 5 })
  subscribe(client, ['r/#', '#', '+/+'], 0)
  expect(sorted(await receive(client, 900))).toEqual([...topics, ...topics, ...topics].sort())
})

for (const [how, leave] of [
  [
    'unsubscribes',
    async (client: TestClient) => client.send({ type: PacketType.Unsubscribe, packetId: 9, filters: ['r/#'], properties: undefined }),
  ],
  ['goes', async (client: TestClient) => client.drop()],
] as const) {
  test(`reads no further for a client that ${how}`, async () => {
    let pages = 0
    const started = await startBroker({
      ...onRetained(async next => {
        pages += 1
        return next()
      }),
      retain: { pageSize: 2 },
    })
    const { connect, advance } = started
    await keep(started, 2000, 2000)
    const client = await connect({ version: 5 })
    client.stream.pause()
    subscribe(client, ['r/#'], 0)
    await settled()
    await leave(client)
    await advance(0)
    const read = pages
    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThan(500)
    client.stream.resume()
    for (let i = 0; i < 20; i++) await settled()
    expect(pages - read).toBeLessThanOrEqual(1)
  })
}

test('begins anew where a filter is subscribed to again in the middle, and does not send the rest twice', async () => {
  const started = await startBroker()
  const { connect } = started
  const topics = await keep(started, 1000, 1000)
  const client = await connect({ version: 5 })
  client.stream.pause()
  for (let i = 0; i < 50; i++) subscribe(client, ['r/#'], 0)
  await settled()
  client.stream.resume()
  for (let i = 0; i < 100; i++) await settled()
  const packets = await allPublishes(client)
  expect([...new Set(sorted(packets))]).toEqual(topics)
  expect(sorted(packets.slice(-1000))).toEqual(topics)
  expect(packets.length).toBeLessThan(10_000)
})

test('brings what is published in the middle, and never an older state of a topic behind a newer one', async () => {
  const started = await startBroker({ retain: { pageSize: 10 } })
  const { connect, broker } = started
  const topics = await keep(started, 100, 20_000)
  const client = await connect({ version: 5 })
  client.stream.pause()
  subscribe(client, ['r/#'], 1)
  await settled()
  for (const topic of topics) broker.publish({ topic, payload: 'new', qos: 1, retain: true })
  client.stream.resume()
  const last = new Map<string, string>()
  for (let i = 0; i < 200; i++) await settled()
  for (const { topic, payload } of await allPublishes(client)) last.set(topic, payload.toString())
  expect([...last.keys()].sort()).toEqual(topics)
  expect(new Set(last.values())).toEqual(new Set(['new']))
})

test('says in CONNACK where it is off, and serves everything else', async () => {
  const { connect } = await startBroker({ retain: false })
  const client = await connect({ version: 5 })
  expect(client.heard[0]).toMatchObject({ properties: { retainAvailable: 0 } })
  expect(await client.subscribe('t', 1)).toEqual([1])
})

test('brings no older state behind a newer one where the store answers later', async () => {
  const asked: (() => void)[] = []
  const started = await startBroker(
    onRetained(async next => {
      const page = next()
      await new Promise<void>(resolve => asked.push(resolve))
      return page
    }),
  )
  const { connect, broker } = started
  await keep(started, 3, 10)
  const client = await connect({ version: 5 })
  await client.subscribe('r/#', 1)
  await broker.publish({ topic: 'r/00001', payload: 'new', qos: 1, retain: true })
  asked.shift()!()
  const packets = await receive(client, 3)
  expect(packets.map(({ topic, retain }) => [topic, retain])).toEqual([
    ['r/00001', false],
    ['r/00000', true],
    ['r/00002', true],
  ])
  expect(await client.rest()).toEqual([])
})

test('goes on with the next filter, and says what failed, where the store cannot be read', async () => {
  const started = await startBroker(onRetained((next, filter) => (filter === 'r/+' ? Promise.reject(new Error('store away')) : next())))
  const { connect, hooks } = started
  const errors: string[] = []
  hooks.onError.tap('test', error => {
    errors.push(error.message)
  })
  await keep(started, 2, 10)
  const client = await connect({ version: 5 })
  subscribe(client, ['r/+', 'r/#'], 0)
  expect(await receive(client, 2)).toHaveLength(2)
  expect(errors).toEqual(['store away'])
})
