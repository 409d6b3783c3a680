import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { PacketType, type QoS } from '../../core/protocol/constants.ts'
import type { AckPacket, PublishPacket } from '../../core/protocol/packets.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { FaultBroker } from './fault-broker.ts'
import { onDisk, onRedis } from './fault-stores.ts'
import type { FaultStore } from './faults.ts'

const built = beforeAllBuilt()

const durable = (clientId: string, more: ConnectOptions & { sessionExpiry?: number; receiveMaximum?: number } = {}): ConnectOptions => {
  const { sessionExpiry = 3600, receiveMaximum = 100, ...rest } = more
  return { version: 5, clientId, cleanStart: false, properties: { sessionExpiry, receiveMaximum }, ...rest }
}

describe.each([
  ['disk', onDisk],
  ['redis', () => onRedis()],
] as const)('after kill -9 and a new start, on %s,', (_name, create) => {
  let store: FaultStore
  let folder: string
  let broker: FaultBroker

  beforeAll(async () => {
    store = await create()
    folder = mkdtempSync(join(tmpdir(), 'mqttx-recovery-'))
    broker = await FaultBroker.start(built.path('presets/bin.js'), folder, store.args)
  })
  afterAll(async () => {
    await broker?.kill()
    await store?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function restart(): Promise<void> {
    await broker.kill()
    broker = await FaultBroker.start(built.path('presets/bin.js'), folder, store.args)
  }

  async function connect(options: ConnectOptions = {}): Promise<TestClient & { sessionPresent: boolean }> {
    const socket = connectSocket({ port: broker.port, host: '127.0.0.1', noDelay: true })
    onTestFinished(() => void socket.destroy())
    const client = new TestClient(socket, options.version ?? 5)
    const { sessionPresent } = await client.connect({ version: 5, ...options })
    return Object.assign(client, { sessionPresent })
  }

  async function leave(client: TestClient): Promise<void> {
    client.disconnect()
    await client.closed
  }

  test('subscriptions are what they were, with all their options and identifiers', async () => {
    const reader = await connect(durable('subscriptions'))
    await reader.subscribe('plain/+', 1)
    await reader.subscribe('named/#', 2, { noLocal: true, retainAsPublished: true, properties: { subscriptionIdentifiers: [77] } })
    await reader.subscribe('$share/group/shared', 1)
    await reader.subscribe('gone', 1)
    await reader.unsubscribe('gone')
    await restart()
    const back = await connect(durable('subscriptions'))
    expect(back.sessionPresent).toBe(true)
    const writer = await connect()
    for (const topic of ['gone', 'plain/a', 'named/a', 'shared'])
      await writer.publish(topic, topic, { qos: 2, retain: topic === 'named/a' })
    const came = await received(back, 3)
    expect(came.map(({ topic, qos, retain, properties }) => [topic, qos, retain, properties?.subscriptionIdentifiers])).toEqual([
      ['plain/a', 1, false, undefined],
      ['named/a', 2, true, [77]],
      ['shared', 1, false, undefined],
    ])
    await back.publish('named/own', 'not to oneself', { qos: 1 })
    expect(await back.payloads()).toEqual([])
    await writer.publish('named/a', '', { retain: true, qos: 1 })
    await leave(back)
  })

  test('ten thousand messages come in their order, a window at a time, what was in flight first with DUP and the same identifiers', async () => {
    const count = 10_000
    const reader = await connect(durable('queue', { receiveMaximum: 20 }))
    await reader.subscribe('queue/#', 2)
    const writer = await connect()
    for (let from = 0; from < count; from += 500) {
      for (let i = from; i < from + 500; i++) writer.sendPublish(`queue/${i % 3}`, String(i), { qos: ((i % 2) + 1) as QoS })
      await acknowledged(writer, 500)
    }
    const inFlight = []
    for (let i = 0; i < 20; i++) inFlight.push(await reader.message())
    await restart()
    const back = await connect(durable('queue', { receiveMaximum: 20 }))
    const again = []
    for (let i = 0; i < 20; i++) again.push(await back.message())
    expect(again.map(({ packetId, payload, dup, qos }) => [packetId, String(payload), dup, qos])).toEqual(
      inFlight.map(({ packetId, payload, qos }) => [packetId, String(payload), true, qos]),
    )
    // Nothing more comes before the window frees.
    expect(await back.payloads()).toEqual([])
    const order = again.map(({ payload }) => String(payload))
    for (const { qos, packetId } of again) back.ack(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId)
    const rest = await received(back, count - 20)
    expect(rest.filter(({ dup }) => dup)).toEqual([])
    order.push(...rest.map(({ payload }) => String(payload)))
    expect(new Set(order).size).toBe(count)
    for (const topic of [0, 1, 2]) {
      const own = order.map(Number).filter(i => i % 3 === topic)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
    await leave(back)
  })

  test('a half-done QoS 2 exchange goes on, on both sides', async () => {
    const reader = await connect(durable('half-reader'))
    await reader.subscribe('half', 2)
    const writer = await connect(durable('half-writer'))
    writer.sendPublish('half', 'once', { qos: 2, packetId: 9 })
    await writer.next(PacketType.Pubrec)
    const message = await reader.message()
    reader.ack(PacketType.Pubrec, message.packetId)
    await reader.next(PacketType.Pubrel)
    await restart()
    const readerBack = await connect(durable('half-reader'))
    // The broker had the PUBREC: it repeats the PUBREL and not the message.
    expect((await readerBack.next<AckPacket>(PacketType.Pubrel)).packetId).toBe(message.packetId)
    const writerBack = await connect(durable('half-writer'))
    writerBack.sendPublish('half', 'once', { qos: 2, packetId: 9, dup: true })
    await writerBack.next(PacketType.Pubrec)
    writerBack.ack(PacketType.Pubrel, 9)
    expect((await writerBack.next<AckPacket>(PacketType.Pubcomp)).reasonCode).toBe(0)
    readerBack.ack(PacketType.Pubcomp, message.packetId)
    expect(await readerBack.payloads()).toEqual([])
    // The identifier is free: under it the next message is a new one.
    await writerBack.publish('half', 'twice', { qos: 2, packetId: 9 })
    expect(String((await readerBack.receive()).payload)).toBe('twice')
    await Promise.all([leave(readerBack), leave(writerBack)])
  })

  test('retained messages are there, with their properties, and those that were taken away are not', async () => {
    const writer = await connect()
    await writer.publish('kept/one', 'state', {
      qos: 1,
      retain: true,
      properties: { contentType: 'text/plain', userProperties: [['a', 'b']] },
    })
    await writer.publish('kept/two', 'state', { qos: 1, retain: true })
    await writer.publish('kept/two', '', { qos: 1, retain: true })
    await restart()
    const reader = await connect()
    await reader.subscribe('kept/#', 1)
    const { topic, retain, properties } = await reader.receive()
    expect([topic, retain, properties?.contentType, properties?.userProperties]).toEqual(['kept/one', true, 'text/plain', [['a', 'b']]])
    expect(await reader.payloads()).toEqual([])
  })

  test('a will whose connection died with the broker is published, and one that is delayed is when its time has come', async () => {
    const watcher = await connect(durable('watcher'))
    await watcher.subscribe('wills/#', 1)
    const will = (topic: string, willDelay: number) => ({ topic, payload: Buffer.from('will'), qos: 1 as const, properties: { willDelay } })
    await connect(durable('now', { will: will('wills/now', 0) }))
    await connect(durable('soon', { will: will('wills/soon', 1) }))
    const late = await connect(durable('late', { will: will('wills/late', 3600) }))
    await restart()
    const back = await connect(durable('watcher'))
    const came = [await back.receive(), await back.receive()].map(({ topic }) => topic)
    expect(came).toEqual(['wills/now', 'wills/soon'])
    // Whoever comes back in time takes a delayed will along.
    const lateBack = await connect(durable('late'))
    expect([late.isClosed, lateBack.sessionPresent]).toEqual([true, true])
    expect(await back.payloads()).toEqual([])
    await leave(back)
  })

  test('the will of a session that ended with the broker is published once it is back: once, and none that is void', async () => {
    const watcher = await connect(durable('clean-watcher'))
    await watcher.subscribe('clean-wills/#', 1)
    const willOf = (clientId: string) => ({
      topic: `clean-wills/${clientId}`,
      payload: Buffer.from('offline'),
      qos: 1 as const,
      retain: true,
    })
    const clean = async (clientId: string, more: ConnectOptions = {}) => {
      const client = await connect({ clientId, cleanStart: true, ...more })
      // Behind the will, which no CONNACK waits for.
      await client.publish(`clean-wills/${clientId}`, 'online', { qos: 1, retain: true })
      return client
    }
    await clean('clean-5', { will: willOf('clean-5') })
    await clean('clean-4', { version: 4, will: willOf('clean-4') })
    await leave(await clean('left', { will: willOf('left') }))
    await clean('changed', { will: willOf('changed') })
    await clean('changed')
    expect((await received(watcher, 6)).map(({ topic, payload }) => `${topic.slice(12)} ${payload}`)).toEqual([
      'clean-5 online',
      'clean-4 online',
      'left online',
      'changed online',
      'changed offline',
      'changed online',
    ])
    // Behind its acknowledgements.
    await watcher.subscribe('other', 1)
    await restart()
    const back = await connect(durable('clean-watcher'))
    expect((await received(back, 2)).map(({ topic, payload }) => `${topic.slice(12)} ${payload}`).sort()).toEqual([
      'clean-4 offline',
      'clean-5 offline',
    ])
    await back.subscribe('other', 1)
    await restart()
    // Whoever comes back is told what is retained, and nothing is sent twice.
    const again = await connect(durable('clean-watcher'))
    await again.subscribe('clean-wills/#', 1)
    expect((await received(again, 4)).map(({ topic, payload, retain }) => `${topic.slice(12)} ${payload} ${retain}`).sort()).toEqual([
      'changed online true',
      'clean-4 offline true',
      'clean-5 offline true',
      'left online true',
    ])
    await clean('clean-5')
    expect((await received(again, 1)).map(({ payload }) => String(payload))).toEqual(['online'])
    await leave(again)
  })

  test('the clocks of session and message expiry have gone on', async () => {
    const gone = await connect(durable('short', { sessionExpiry: 1 }))
    await gone.subscribe('clock', 1)
    await leave(gone)
    const reader = await connect(durable('clock'))
    await reader.subscribe('clock', 1)
    await leave(reader)
    const writer = await connect()
    await writer.publish('clock', 'short', { qos: 1, properties: { messageExpiry: 1 } })
    await writer.publish('clock', 'long', { qos: 1, properties: { messageExpiry: 600 } })
    const published = Date.now()
    await restart()
    // What is waited for is the time of day itself.
    while (Date.now() < published + 2100) await new Promise(resolve => setTimeout(resolve, 50))
    const back = await connect(durable('clock'))
    const { payload, properties } = await back.receive()
    expect(String(payload)).toBe('long')
    expect(properties?.messageExpiry).toBeLessThan(600)
    expect(properties?.messageExpiry).toBeGreaterThan(500)
    expect((await connect(durable('short', { sessionExpiry: 1 }))).sessionPresent).toBe(false)
    await leave(back)
  })
})

/** The next so many messages, each acknowledged as its QoS asks, whatever comes between them. */
async function received(client: TestClient, count: number): Promise<PublishPacket[]> {
  const messages: PublishPacket[] = []
  const released = new Set<number>()
  while (messages.length < count || released.size > 0) {
    const packet = await client.next()
    if (packet.type === PacketType.Pubrel) {
      client.ack(PacketType.Pubcomp, packet.packetId)
      released.delete(packet.packetId)
    }
    if (packet.type !== PacketType.Publish) continue
    messages.push(packet)
    if (packet.qos > 0) client.ack(packet.qos === 1 ? PacketType.Puback : PacketType.Pubrec, packet.packetId)
    if (packet.qos === 2) released.add(packet.packetId)
  }
  return messages
}

/** Finishes the handshakes of so many messages that were sent. */
async function acknowledged(client: TestClient, count: number): Promise<void> {
  for (let open = count; open > 0; ) {
    const packet = await client.next()
    if (packet.type === PacketType.Pubrec) client.ack(PacketType.Pubrel, packet.packetId)
    if (packet.type === PacketType.Puback || packet.type === PacketType.Pubcomp) open -= 1
  }
}
