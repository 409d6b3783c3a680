import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { ConnectOptions } from '../support/client.ts'
import { Gate } from '../support/gated-store.ts'
import { onLaterStore } from '../support/later-store.ts'

const durable = (clientId: string, receiveMaximum = 10): ConnectOptions => ({
  version: 5,
  clientId,
  cleanStart: false,
  properties: { sessionExpiry: 3600, receiveMaximum },
})

const stores = [
  ['in memory', {}],
  ['that answers later', onLaterStore()],
] as const

/** Publishes as fast as acknowledgements come, and says how many came. */
async function pour({ connect }: TestBroker, count: number): Promise<{ readonly acks: () => number }> {
  const writer = await connect({ version: 5 })
  for (let i = 0; i < count; i++) writer.sendPublish('a', String(i), { qos: 1, packetId: i + 1 })
  const acks = () => writer.heard.filter(({ type }) => type === PacketType.Puback).length
  await still(acks)
  return { acks }
}

/** Waits until a count does not change any more. */
async function still(count: () => number): Promise<void> {
  for (let before = -1, same = 0; same < 10; before = count()) {
    await settled()
    same = count() === before ? same + 1 : 0
  }
}

test.each(stores)(
  'publishers are slowed before a stored queue of a connected reader is full, and go on when it reads, on a store %s',
  async (_what, config) => {
    const broker = await startBroker({ ...config, mqtt: { queueMessagesMax: 100 } })
    const reader = await broker.connect(durable('reader'))
    await reader.subscribe('a', 1)
    const writer = await pour(broker, 95)
    // Half of the queue and one more: the rest is withheld.
    expect(writer.acks()).toBeLessThan(60)
    expect(writer.acks()).toBeGreaterThan(40)
    for (let i = 0; i < 95; i++) expect((await reader.receive()).payload.toString()).toBe(String(i))
    await still(writer.acks)
    expect(writer.acks()).toBe(95)
    expect(broker.broker.counters.dropped.queueFull).toBe(0)
  },
)

test.each(stores)('publishers are slowed too where the queue was long when the reader came back, on a store %s', async (_what, config) => {
  const broker = await startBroker({ ...config, mqtt: { queueMessagesMax: 100 } })
  const before = await broker.connect(durable('reader'))
  await before.subscribe('a', 1)
  before.drop()
  await before.closed
  await settled()
  // Nobody is slowed for a reader that is not there.
  expect((await pour(broker, 60)).acks()).toBe(60)
  const reader = await broker.connect(durable('reader'))
  const writer = await pour(broker, 5)
  expect(writer.acks()).toBe(0)
  for (let i = 0; i < 65; i++) await reader.receive()
  await still(writer.acks)
  expect(writer.acks()).toBe(5)
})

test('a reader that acknowledges nothing slows nobody any longer, and then its stored queue drops what it has no room for', async () => {
  const broker = await startBroker({ mqtt: { queueMessagesMax: 20 } })
  const reader = await broker.connect(durable('reader'))
  await reader.subscribe('a', 1)
  const writer = await pour(broker, 30)
  expect(writer.acks()).toBeLessThan(15)
  await broker.advance(11_000)
  expect(writer.acks()).toBe(30)
  expect(broker.broker.counters.dropped.queueFull).toBe(10)
})

test.each(stores)(
  'a connected session whose stored queue is full is disconnected where that is the policy, on a store %s',
  async (_what, config) => {
    const broker = await startBroker({ ...config, mqtt: { queueMessagesMax: 20, queueFull: 'disconnect' } })
    const reader = await broker.connect(durable('reader'))
    await reader.subscribe('a', 1)
    for (let i = 0; i < 21; i++) await Promise.race([broker.broker.publish({ topic: 'a', payload: String(i), qos: 1 }), settled()])
    expect((await reader.ended())?.reasonCode).toBe(ReasonCode.QuotaExceeded)
    const again = await broker.connect(durable('reader', 100))
    for (let i = 0; i < 20; i++) expect((await again.receive()).payload.toString()).toBe(String(i))
  },
)

test('a message that the store leaves out of a full queue is not sent either, and its window slot is free', async () => {
  const broker = await startBroker({ mqtt: { queueMessagesMax: 2 } })
  const reader = await broker.connect(durable('reader'))
  await reader.subscribe('a', 1)
  const dropped: string[] = []
  broker.hooks.onDrop.tap('test', (_clientId, message) => void dropped.push(message.payload.toString()))
  for (const text of ['1', '2', '3']) void broker.broker.publish({ topic: 'a', payload: text, qos: 1 })
  expect(await reader.payloads()).toEqual(['1', '2'])
  expect(dropped).toEqual(['3'])
})

test.each(stores)(
  'QoS 0 that is kept for an offline session comes in order with the rest, also with what is published meanwhile, on a store %s',
  async (_what, config) => {
    const broker = await startBroker({ ...config, mqtt: { queueQoS0: true } })
    const before = await broker.connect(durable('reader', 2))
    await before.subscribe('a', 1)
    before.drop()
    await before.closed
    await settled()
    const publish = (i: number) => broker.broker.publish({ topic: 'a', payload: String(i), qos: i % 2 === 0 ? 0 : 1 })
    for (let i = 0; i < 10; i++) await publish(i)
    const reader = await broker.connect(durable('reader', 2))
    const texts: string[] = []
    for (let i = 10; i < 20; i++) {
      await publish(i)
      texts.push((await reader.receive()).payload.toString())
    }
    while (texts.length < 20) texts.push((await reader.receive()).payload.toString())
    expect(texts).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
  },
)

test.each(stores)(
  'messages that a plugin filters do not hold up those behind them in a stored queue, on a store %s',
  async (_what, config) => {
    const broker = await startBroker(config)
    broker.hooks.onDeliver.tap('test', (_client, delivery) => (delivery.payload.toString().startsWith('no') ? false : undefined))
    const before = await broker.connect(durable('reader', 1))
    await before.subscribe('a', 1)
    before.drop()
    await before.closed
    await settled()
    for (const text of ['no 1', 'no 2', 'no 3', 'yes']) await broker.broker.publish({ topic: 'a', payload: text, qos: 1 })
    const reader = await broker.connect(durable('reader', 1))
    expect((await reader.receive()).payload.toString()).toBe('yes')
  },
)

test('a message for a session that ends in the same moment is a drop', async () => {
  const gate = new Gate()
  const broker = await startBroker(gate.config)
  const dropped: string[] = []
  broker.hooks.onDrop.tap('test', (clientId, message, reason) => void dropped.push(`${clientId} ${message.payload} ${reason}`))
  const reader = await broker.connect(durable('reader'))
  await reader.subscribe('a', 1)
  reader.disconnect(0, { sessionExpiry: 10 })
  await reader.closed
  await settled()
  // The store has ended it, and its answer is on the way, when the message is routed.
  gate.hold('expire', 'append')
  broker.clock.sleep(12_000)
  const published = broker.broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  expect(gate.waiting).toEqual(['expire', 'append'])
  gate.release()
  await published
  expect(dropped).toEqual(['reader x sessionEnded'])
})
