import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet, PublishPacket } from '../../core/protocol/packets.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

const publishes = (packets: Packet[]) => packets.filter((packet): packet is PublishPacket => packet.type === PacketType.Publish)
const words = (packets: Packet[]) => publishes(packets).map(({ payload }) => payload.toString())
const ids = (packets: Packet[], type: number) =>
  packets.flatMap(packet => (packet.type === type && 'packetId' in packet ? packet.packetId : []))

test('sends QoS 0 with DUP 0 and without a packet identifier [MQTT3-4.3.1-1] [MQTT3-2.3.1-5] [MQTT3-3.3.1-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 0)
  const bytes: Buffer[] = []
  reader.stream.on('data', chunk => bytes.push(chunk))
  const writer = await connect()
  writer.sendPublish('a', 'x', { qos: 1, packetId: 77 })
  await writer.next(PacketType.Puback)
  await reader.message()
  expect(Buffer.concat(bytes).toString('hex')).toBe('3004 0001 61 78'.replaceAll(' ', ''))
})

test('sends QoS 1 with DUP 0 and an unused identifier, and holds it until PUBACK [MQTT3-4.3.2-1] [MQTT3-2.3.1-1] [MQTT3-2.3.1-4]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 1)
  const writer = await connect()
  for (let i = 0; i < 50; i++) await writer.publish('a', `${i}`, { qos: 1, packetId: 1 })
  const got = publishes(await reader.rest())
  expect(got.every(({ qos, dup, packetId }) => qos === 1 && !dup && packetId !== 0)).toBe(true)
  expect(new Set(got.map(({ packetId }) => packetId)).size).toBe(50)
  for (const { packetId } of got.slice(1)) reader.ack(PacketType.Puback, packetId)
  await writer.publish('a', 'last', { qos: 1 })
  expect((await reader.message()).packetId).not.toBe(got[0]!.packetId)
})

test('gives no identifier twice while 65,535 messages wait for their acknowledgement [MQTT3-2.3.1-4]', async () => {
  const { connect, broker } = await startBroker({ mqtt: { inflightMax: 65_535 } })
  const reader = await connect()
  await reader.subscribe('a', 1)
  for (let i = 0; i < 65_536; i++) broker.publish({ topic: 'a', payload: '', qos: 1 })
  const ids = new Set<number>()
  for (let i = 0; i < 65_535; i++) ids.add((await reader.message()).packetId)
  expect(ids.size).toBe(65_535)
  expect(publishes(await reader.rest())).toEqual([])
  reader.ack(PacketType.Puback, 40_000)
  expect(await reader.message()).toMatchObject({ packetId: 40_000, dup: false })
})

test('sends QoS 2 with DUP 0, PUBREL after PUBREC under its identifier, and is done at PUBCOMP [MQTT3-4.3.3-1] [MQTT3-2.3.1-6]', async () => {
  const { connect, hooks } = await startBroker()
  const acked: string[] = []
  hooks.onAcked.tap('test', (_client, message) => void acked.push(message.payload.toString()))
  const reader = await connect()
  await reader.subscribe('a', 2)
  await (await connect()).publish('a', 'x', { qos: 2, packetId: 600 })
  const { packetId, qos, dup } = await reader.message()
  expect({ qos, dup }).toEqual({ qos: 2, dup: false })
  reader.ack(PacketType.Pubrec, packetId)
  expect(await reader.next(PacketType.Pubrel)).toMatchObject({ packetId })
  expect(acked).toEqual([])
  reader.ack(PacketType.Pubcomp, packetId)
  await reader.rest()
  expect(acked).toEqual(['x'])
})

test('says PUBREL in the order of the PUBRECs [MQTT3-4.6.0-4]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect()
  for (let i = 0; i < 3; i++) await writer.publish('a', 'x', { qos: 2 })
  const [first, second, third] = publishes(await reader.rest()).map(({ packetId }) => packetId) as [number, number, number]
  for (const packetId of [second, third, first]) reader.ack(PacketType.Pubrec, packetId)
  expect(ids(await reader.rest(), PacketType.Pubrel)).toEqual([second, third, first])
})

for (const qos of [1, 2] as const) {
  test(`sends unacknowledged QoS ${qos} messages again on the next connection: DUP, old identifiers, old order [MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT3-4.6.0-1]`, async () => {
    const { connect } = await startBroker()
    const first = await connect({ clientId: 'reader', cleanStart: false })
    await first.subscribe('a', qos)
    const writer = await connect()
    for (const word of ['one', 'two', 'three', 'four']) await writer.publish('a', word, { qos })
    const sent = publishes(await first.rest())
    const done = sent.splice(1, 1)[0]!
    first.ack(qos === 1 ? PacketType.Puback : PacketType.Pubrec, done.packetId)
    if (qos === 2) {
      await first.next(PacketType.Pubrel)
      first.ack(PacketType.Pubcomp, done.packetId)
    }
    await first.rest()
    first.drop()

    const again = await connect({ clientId: 'reader', cleanStart: false })
    await writer.publish('a', 'five', { qos })
    const got = publishes(await again.rest())
    expect(got.map(({ payload, dup }) => `${payload} ${dup}`)).toEqual(['one true', 'three true', 'four true', 'five false'])
    expect(got.slice(0, 3).map(({ packetId }) => packetId)).toEqual(sent.map(({ packetId }) => packetId))
    expect(sent.map(({ packetId }) => packetId)).not.toContain(got[3]!.packetId)
  })
}

test('sends PUBREL again, and not the message, where PUBREC came before the connection broke off [MQTT3-4.4.0-1] [MQTT3-4.3.3-1]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 2)
  await (await connect()).publish('a', 'x', { qos: 2 })
  const { packetId } = await first.message()
  first.ack(PacketType.Pubrec, packetId)
  await first.next(PacketType.Pubrel)
  first.drop()

  const second = await connect({ clientId: 'reader', cleanStart: false })
  const heard = await second.rest()
  expect(heard).toMatchObject([{ type: PacketType.Pubrel, packetId }])
  second.ack(PacketType.Pubcomp, packetId)
  await second.rest()
  second.drop()

  const third = await connect({ clientId: 'reader', cleanStart: false })
  expect(await third.rest()).toEqual([])
})

test('sends nothing again while the connection lasts [MQTT3-4.4.0-1]', async () => {
  const { connect, advance } = await startBroker()
  const reader = await connect({ cleanStart: false })
  await reader.subscribe('a', 1)
  await (await connect()).publish('a', 'x', { qos: 1 })
  await reader.message()
  await advance(3_600_000)
  expect(await reader.rest()).toEqual([])
})

test('sends again in the old order where the packet identifiers have begun anew in between [MQTT3-4.6.0-1]', async () => {
  const { connect, broker } = await startBroker()
  const reader = await connect({ cleanStart: false, clientId: 'reader' })
  await reader.subscribe('a', 1)
  const { window } = broker.roster.get('reader')!
  // As if so many messages had been sent.
  window!.close(window!.reopen(65_532))
  const writer = await connect()
  for (let i = 1; i <= 6; i++) await writer.publish('a', `${i}`, { qos: 1 })
  await reader.rest()
  reader.drop()
  await reader.closed
  const again = await connect({ cleanStart: false, clientId: 'reader' })
  const got = []
  for (let i = 0; i < 6; i++) got.push(await again.receive())
  expect(got.map(({ payload, packetId, dup }) => [String(payload), packetId, dup])).toEqual([
    ['1', 65_533, true],
    ['2', 65_534, true],
    ['3', 65_535, true],
    ['4', 1, true],
    ['5', 2, true],
    ['6', 3, true],
  ])
})

test('sends a message with DUP 0 though it came with DUP 1 [MQTT3-3.3.1-3]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect()
  for (const qos of [1, 2] as const) {
    await writer.publish('a', 'x', { qos, dup: true })
    expect(await reader.receive()).toMatchObject({ qos, dup: false })
  }
})

for (const qos of [0, 1, 2] as const) {
  test(`brings the QoS ${qos} messages of a topic to each subscriber in the order in which they came [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]`, async () => {
    const { connect } = await startBroker({ mqtt: { inflightMax: 10 } })
    const clean = await connect()
    const stored = await connect({ cleanStart: false })
    for (const reader of [clean, stored]) await reader.subscribe('a/#', qos)
    const writer = await connect()
    const expected = Array.from({ length: 100 }, (_, i) => `${i}`)
    for (const word of expected) writer.sendPublish('a/b', word, { qos })
    await writer.rest()
    for (const reader of [clean, stored]) {
      expect(await receiveAll(reader, expected.length)).toEqual(expected)
    }
  })
}

test('keeps at most as many messages in flight as it is told to, and goes on as they are acknowledged', async () => {
  const { connect } = await startBroker({ mqtt: { inflightMax: 2 } })
  const reader = await connect()
  await reader.subscribe('a', 1)
  const writer = await connect()
  for (const word of ['one', 'two', 'three', 'four']) await writer.publish('a', word, { qos: 1 })
  const got = publishes(await reader.rest())
  expect(words(got)).toEqual(['one', 'two'])
  reader.ack(PacketType.Puback, got[0]!.packetId)
  expect(words(await reader.rest())).toEqual(['three'])
})

/** Acknowledges whatever comes, as it comes, until this many messages have. */
async function receiveAll(reader: TestClient, count: number): Promise<string[]> {
  const got: string[] = []
  for (let at = 0; got.length < count; await settled()) {
    for (; at < reader.heard.length; at++) {
      const packet = reader.heard[at]!
      if (packet.type === PacketType.Pubrel) reader.ack(PacketType.Pubcomp, packet.packetId)
      if (packet.type !== PacketType.Publish) continue
      got.push(packet.payload.toString())
      if (packet.qos > 0) reader.ack(packet.qos === 1 ? PacketType.Puback : PacketType.Pubrec, packet.packetId)
    }
  }
  return got
}
