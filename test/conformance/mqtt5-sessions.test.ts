import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket, ConnackPacket } from '../../core/protocol/packets.ts'
import { startBroker } from '../support/broker.ts'
import { allPayloads, allPublishes } from './heard.ts'

const kept = { version: 5, clientId: 'me', cleanStart: false, properties: { sessionExpiry: 10 } } as const

test('keeps the session as long as the connection is open, however long that is, whatever its expiry [MQTT-4.1.0-1]', async () => {
  const { connect, advance } = await startBroker()
  const reader = await connect({ version: 5, clientId: 'clean' })
  const durable = await connect(kept)
  const writer = await connect()
  await reader.subscribe('t', 1)
  await durable.subscribe('t', 1)
  await advance(7 * 24 * 3_600_000)
  await writer.publish('t', 'still there', { qos: 1 })
  expect(await allPayloads(reader)).toEqual(['still there'])
  expect(await allPayloads(durable)).toEqual(['still there'])
})

test('discards the session when the connection is closed and the Session Expiry Interval has passed, not before [MQTT-4.1.0-2]', async () => {
  const { connect, advance, broker } = await startBroker()
  const first = await connect(kept)
  await first.subscribe('t', 1)
  first.drop()
  await advance(9000)
  const second = await connect(kept)
  expect(second.heard[0]).toMatchObject({ sessionPresent: true })
  second.disconnect()
  await second.closed
  await advance(11_000)
  expect(broker.router.size).toBe(0)
  const third = await connect(kept)
  expect(third.heard[0]).toMatchObject({ sessionPresent: false })
})

test('discards a session without expiry with its connection [MQTT-4.1.0-2]', async () => {
  const { connect, broker, advance } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('t', 1)
  client.drop()
  await advance(0)
  expect(broker.router.size).toBe(0)
})

test('keeps a session with the largest Session Expiry Interval for ever, and one of 50 days for 50 days [MQTT-4.1.0-2]', async () => {
  const { connect, advance, clock } = await startBroker()
  const day = 24 * 3600
  // As a machine that slept: tick by tick, a hundred days take twenty seconds.
  const pass = (days: number): Promise<void> => {
    clock.sleep(days * day * 1000)
    return advance(1)
  }
  const forEver = { version: 5, clientId: 'for-ever', cleanStart: false, properties: { sessionExpiry: 0xffffffff } } as const
  const days = { version: 5, clientId: 'days', cleanStart: false, properties: { sessionExpiry: 50 * day } } as const
  for (const options of [forEver, days]) {
    const client = await connect(options)
    client.disconnect()
    await client.closed
  }
  await pass(49)
  const still = await connect(days)
  expect(still.heard[0]).toMatchObject({ sessionPresent: true })
  still.disconnect()
  await still.closed
  await pass(51)
  const sessionPresent = async (options: typeof forEver | typeof days) =>
    ((await connect(options)).heard[0] as ConnackPacket).sessionPresent
  expect([await sessionPresent(forEver), await sessionPresent(days)]).toEqual([true, false])
})

test('resends what is not acknowledged when the session is resumed: PUBLISH with DUP and PUBREL, under their old identifiers and in order [MQTT-4.4.0-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6]', async () => {
  const { connect } = await startBroker()
  const first = await connect(kept)
  const writer = await connect()
  await first.subscribe('t', 2)
  await writer.publish('t', 'one', { qos: 1 })
  await writer.publish('t', 'two', { qos: 2 })
  await writer.publish('t', 'three', { qos: 2 })
  await writer.publish('t', 'four', { qos: 1 })
  const [one, two, three, four] = [await first.message(), await first.message(), await first.message(), await first.message()]
  first.ack(PacketType.Pubrec, two.packetId)
  await first.next(PacketType.Pubrel)
  first.drop()
  const second = await connect(kept)
  await second.rest()
  expect(second.heard.slice(1, -1)).toMatchObject([
    { type: PacketType.Publish, packetId: one.packetId, qos: 1, dup: true },
    { type: PacketType.Pubrel, packetId: two.packetId },
    { type: PacketType.Publish, packetId: three.packetId, qos: 2, dup: true },
    { type: PacketType.Publish, packetId: four.packetId, qos: 1, dup: true },
  ])
})

test('resends nothing while the connection is open, however long an acknowledgement takes [MQTT-4.4.0-1]', async () => {
  const { connect, advance } = await startBroker()
  const reader = await connect(kept)
  const writer = await connect()
  await reader.subscribe('t', 2)
  await writer.publish('t', 'one', { qos: 1 })
  await writer.publish('t', 'two', { qos: 2 })
  await advance(24 * 3_600_000)
  await reader.subscribe('other')
  expect(await allPayloads(reader)).toEqual(['one', 'two'])
})

for (const [name, type, qos] of [
  ['PUBACK', PacketType.Puback, 1],
  ['PUBREC', PacketType.Pubrec, 2],
] as const) {
  test(`takes a ${name} with 0x80 or above for an acknowledgement: the message is never sent again, its identifier is free [MQTT-4.4.0-2] [MQTT-4.8.2-6]`, async () => {
    const { connect } = await startBroker()
    const first = await connect({ ...kept, properties: { sessionExpiry: 10, receiveMaximum: 1 } })
    const writer = await connect()
    await first.subscribe('t', 2)
    await writer.publish('t', 'refused', { qos })
    await writer.publish('t', 'next', { qos })
    first.ack(type, (await first.message()).packetId, 0x97)
    expect((await first.message()).payload.toString()).toBe('next')
    first.drop()
    const second = await connect(kept)
    expect(await allPayloads(second)).toEqual(['next'])
    expect(second.heard.some(packet => packet.type === PacketType.Pubrel)).toBe(false)
  })
}

test('adds a message to every session with a matching subscription, connected or not, before it acknowledges it [MQTT-4.5.0-1]', async () => {
  const { connect } = await startBroker()
  const readers = []
  for (const [i, filter] of ['a/b', 'a/+', '#', 'x'].entries()) {
    const client = await connect({ version: 5, clientId: `parked-${i}`, properties: { sessionExpiry: 100 } })
    await client.subscribe(filter, 1)
    client.disconnect()
    await client.closed
  }
  const online = await connect({ version: 5 })
  await online.subscribe('a/#', 1)
  const writer = await connect({ version: 5 })
  expect(await writer.publish('a/b', 'm', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  readers.push(online)
  for (let i = 0; i < 4; i++) readers.push(await connect({ version: 5, clientId: `parked-${i}`, cleanStart: false }))
  const heard = []
  for (const reader of readers) heard.push(await allPayloads(reader))
  expect(heard).toEqual([['m'], ['m'], ['m'], ['m'], []])
})

test('sends a QoS 0 message once, without DUP [MQTT-4.3.1-1]', async () => {
  const { connect } = await startBroker()
  const reader = await connect(kept)
  const writer = await connect()
  await reader.subscribe('t', 2)
  await writer.publish('t', 'x', { qos: 0 })
  expect(await allPublishes(reader)).toMatchObject([{ qos: 0, dup: false, packetId: 0 }])
  reader.drop()
  expect(await allPublishes(await connect(kept))).toEqual([])
})

for (const qos of [1, 2] as const) {
  const ids = qos === 1 ? '[MQTT-4.3.2-1] [MQTT-4.3.2-2]' : '[MQTT-4.3.3-1] [MQTT-4.3.3-2]'
  test(`sends each new QoS ${qos} message without DUP under an identifier that is in use for no other, all the way round 65,535 ${ids}`, async () => {
    const { connect, broker } = await startBroker()
    const reader = await connect({ version: 5, properties: { receiveMaximum: 3 } })
    await reader.subscribe('t', qos)
    // One that is never acknowledged keeps its identifier out of use.
    await broker.publish({ topic: 't', payload: '', qos })
    const held = await reader.message()
    const used = new Set<number>()
    for (let round = 0; round < 66; round++) {
      for (let i = 0; i < 1000; i++) broker.publish({ topic: 't', payload: '', qos })
      for (let i = 0; i < 1000; i++) {
        const packet = await reader.message()
        expect(packet.dup || packet.packetId === held.packetId || packet.packetId === 0).toBe(false)
        used.add(packet.packetId)
        if (qos === 1) reader.ack(PacketType.Puback, packet.packetId)
        else reader.ack(PacketType.Pubrec, packet.packetId, 0x80)
      }
    }
    expect(used.size).toBeGreaterThan(60_000)
  })
}

test('sends a QoS 1 message again until PUBACK has come, over as many connections as it takes, and never after [MQTT-4.3.2-3]', async () => {
  const { connect } = await startBroker()
  const first = await connect(kept)
  const writer = await connect()
  await first.subscribe('t', 1)
  await writer.publish('t', 'x', { qos: 1 })
  const { packetId } = await first.message()
  first.drop()
  for (let i = 0; i < 3; i++) {
    const again = await connect(kept)
    expect(await again.message()).toMatchObject({ packetId, dup: true })
    again.drop()
  }
  const last = await connect(kept)
  last.ack(PacketType.Puback, (await last.message()).packetId)
  await last.rest()
  last.drop()
  expect(await allPublishes(await connect(kept))).toEqual([])
})

test('answers PUBACK under the identifier of the PUBLISH, and takes the same identifier after it for a new message, with DUP or without [MQTT-4.3.2-4] [MQTT-4.3.2-5]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  const writer = await connect({ version: 5 })
  await reader.subscribe('t', 0)
  for (const [payload, dup] of [
    ['one', false],
    ['two', false],
    ['three', true],
  ] as const) {
    writer.sendPublish('t', payload, { qos: 1, packetId: 77, dup })
    expect(await writer.next<AckPacket>(PacketType.Puback)).toMatchObject({ packetId: 77, reasonCode: 0 })
  }
  expect(await reader.payloads()).toEqual(['one', 'two', 'three'])
})

test('answers PUBREC with PUBREL of the same identifier, and completes the handshake after a reconnect too [MQTT-4.3.3-4] [MQTT-4.3.3-5]', async () => {
  const { connect } = await startBroker()
  const first = await connect(kept)
  const writer = await connect()
  await first.subscribe('t', 2)
  await writer.publish('t', 'x', { qos: 2 })
  const { packetId } = await first.message()
  first.ack(PacketType.Pubrec, packetId)
  expect(await first.next<AckPacket>(PacketType.Pubrel)).toMatchObject({ packetId, reasonCode: 0 })
  first.drop()
  const second = await connect(kept)
  expect(await second.next<AckPacket>(PacketType.Pubrel)).toMatchObject({ packetId, reasonCode: 0 })
  second.ack(PacketType.Pubcomp, packetId)
  await second.rest()
  second.drop()
  const third = await connect(kept)
  await third.rest()
  expect(third.heard.map(({ type }) => type)).toEqual([PacketType.Connack, PacketType.Pingresp])
})

test('does not let a message expire that has been sent once: it is sent again and its handshake goes on [MQTT-4.3.3-7] [MQTT-4.3.3-13]', async () => {
  const { connect, advance } = await startBroker()
  const first = await connect(kept)
  const writer = await connect({ version: 5 })
  await first.subscribe('t', 2)
  await writer.publish('t', 'sent', { qos: 2, properties: { messageExpiry: 1 } })
  const { packetId } = await first.message()
  first.drop()
  await advance(0)
  await writer.publish('t', 'never sent', { qos: 2, properties: { messageExpiry: 1 } })
  await advance(5000)
  const second = await connect(kept)
  expect(await second.receive()).toMatchObject({ packetId, dup: true })
  expect(await allPayloads(second)).toEqual(['sent'])
})

test('goes on with the handshake of a QoS 2 message from a client though the message has expired meanwhile [MQTT-4.3.3-13]', async () => {
  const { connect, advance } = await startBroker()
  const writer = await connect(kept)
  const { packetId } = writer.sendPublish('t', 'x', { qos: 2, properties: { messageExpiry: 1 } })
  await writer.next(PacketType.Pubrec)
  await advance(5000)
  writer.ack(PacketType.Pubrel, packetId)
  expect(await writer.next<AckPacket>(PacketType.Pubcomp)).toMatchObject({ packetId, reasonCode: 0 })
})

test('answers every repeat of a QoS 2 PUBLISH with PUBREC until PUBREL comes, and delivers it once, over a reconnect too [MQTT-4.3.3-8] [MQTT-4.3.3-10]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('t', 2)
  const first = await connect(kept)
  first.sendPublish('t', 'once', { qos: 2, packetId: 9 })
  expect(await first.next<AckPacket>(PacketType.Pubrec)).toMatchObject({ packetId: 9, reasonCode: 0 })
  first.sendPublish('t', 'once', { qos: 2, packetId: 9, dup: true })
  expect(await first.next<AckPacket>(PacketType.Pubrec)).toMatchObject({ packetId: 9 })
  first.drop()
  const second = await connect(kept)
  second.sendPublish('t', 'once', { qos: 2, packetId: 9, dup: true })
  expect(await second.next<AckPacket>(PacketType.Pubrec)).toMatchObject({ packetId: 9 })
  second.ack(PacketType.Pubrel, 9)
  await second.next(PacketType.Pubcomp)
  expect(await reader.payloads()).toEqual(['once'])
})

test('takes an identifier whose PUBREC said 0x80 or above for a new message [MQTT-4.3.3-9]', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onPublish.tap('test', (_publisher, { payload }) => (payload.toString() === 'no' ? 0x97 : undefined))
  const reader = await connect()
  await reader.subscribe('t', 2)
  const writer = await connect(kept)
  for (const [payload, reasonCode] of [
    ['no', 0x97],
    ['yes', 0],
  ] as const) {
    writer.sendPublish('t', payload, { qos: 2, packetId: 5 })
    expect(await writer.next<AckPacket>(PacketType.Pubrec)).toMatchObject({ packetId: 5, reasonCode })
  }
  expect(await reader.payloads()).toEqual(['yes'])
})

test('answers PUBREL with PUBCOMP of the same identifier, which then stands for a new message [MQTT-4.3.3-11] [MQTT-4.3.3-12]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('t', 0)
  const writer = await connect(kept)
  for (const dup of [false, false, true]) {
    writer.sendPublish('t', 'x', { qos: 2, packetId: 6, dup })
    await writer.next(PacketType.Pubrec)
    writer.ack(PacketType.Pubrel, 6)
    expect(await writer.next<AckPacket>(PacketType.Pubcomp)).toMatchObject({ packetId: 6, reasonCode: 0 })
  }
  expect(await reader.payloads()).toEqual(['x', 'x', 'x'])
})
