import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { settled, startBroker } from '../support/broker.ts'
import { onLaterStore } from '../support/later-store.ts'

const options = { version: 5, clientId: 'offline', cleanStart: false, properties: { sessionExpiry: 3600, receiveMaximum: 7 } } as const

test.each([
  ['in memory', {}],
  ['that answers later', onLaterStore()],
] as const)(
  '10,000 messages for an offline session come in order, never more at once than its window, from a store %s',
  async (_name, config) => {
    const { connect, broker } = await startBroker(config)
    const before = await connect(options)
    await before.subscribe('a', 1)
    before.drop()
    await settled()
    const writes: Promise<void>[] = []
    for (let i = 0; i < 10_000; i++) writes.push(broker.publish({ topic: 'a', payload: String(i), qos: 1 }))
    await Promise.all(writes)
    const after = await connect(options)
    let unacknowledged = 0
    for (let i = 0; i < 10_000; i++) {
      const { payload, packetId, dup } = await after.message()
      expect([payload.toString(), dup]).toEqual([String(i), false])
      unacknowledged += 1
      expect(unacknowledged).toBeLessThanOrEqual(7)
      if (unacknowledged < 7 && i < 9999) continue
      // The window is full: acknowledged at once, it is filled once more.
      for (let id = packetId - unacknowledged + 1; id <= packetId; id++) after.ack(PacketType.Puback, id > 0 ? id : id + 65_535)
      unacknowledged = 0
    }
    expect(await after.payloads()).toEqual([])
  },
)

test.each([
  ['dropNewest', ['0', '1', '2']],
  ['dropOldest', ['2', '3', '4']],
] as const)('a full queue says what it drops: %s', async (queueFull, left) => {
  const { connect, broker, hooks } = await startBroker({ mqtt: { queueMessagesMax: 3, queueFull } })
  const dropped: string[] = []
  hooks.onDrop.tap('test', (clientId, message, reason) => void dropped.push(`${clientId} ${message.payload} ${reason}`))
  const before = await connect(options)
  await before.subscribe('a', 1)
  before.drop()
  await settled()
  for (let i = 0; i < 5; i++) await broker.publish({ topic: 'a', payload: String(i), qos: 1 })
  const after = await connect(options)
  expect([await after.receive(), await after.receive(), await after.receive()].map(({ payload }) => payload.toString())).toEqual(left)
  expect(dropped).toHaveLength(2)
  expect(broker.counters.dropped.queueFull).toBe(2)
})

test('keeps QoS 0 for an offline session only where it is told to', async () => {
  for (const queueQoS0 of [false, true]) {
    const { connect, broker } = await startBroker({ mqtt: { queueQoS0 } })
    const before = await connect(options)
    await before.subscribe('a', 0)
    before.drop()
    await settled()
    await broker.publish({ topic: 'a', payload: 'x' })
    const after = await connect(options)
    expect(await after.payloads()).toEqual(queueQoS0 ? ['x'] : [])
  }
})
