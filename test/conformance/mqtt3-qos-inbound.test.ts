import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet, PublishPacket } from '../../core/protocol/packets.ts'
import { settled, startBroker } from '../support/broker.ts'

const publishes = (packets: Packet[]) => packets.filter((packet): packet is PublishPacket => packet.type === PacketType.Publish)
const words = (packets: Packet[]) => publishes(packets).map(({ payload }) => payload.toString())
const ids = (packets: Packet[], type: number) =>
  packets.flatMap(packet => (packet.type === type && 'packetId' in packet ? packet.packetId : []))

test('answers a QoS 0 PUBLISH with nothing [MQTT3-3.3.4-1]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  writer.sendPublish('a', 'x')
  expect(await writer.rest()).toEqual([])
})

test('answers a QoS 1 PUBLISH with PUBACK under its packet identifier [MQTT3-3.3.4-1] [MQTT3-2.3.1-6] [MQTT3-4.3.2-2]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  for (const packetId of [1, 256, 65_535]) {
    writer.sendPublish('a', 'x', { qos: 1, packetId })
    expect(await writer.next(PacketType.Puback)).toMatchObject({ packetId })
  }
})

test('takes a QoS 1 PUBLISH behind its PUBACK for a new message, whatever DUP says [MQTT3-4.3.2-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 1)
  const writer = await connect()
  for (const dup of [false, true, false]) {
    writer.sendPublish('a', 'x', { qos: 1, packetId: 5, dup })
    await writer.next(PacketType.Puback)
  }
  expect(await reader.payloads()).toEqual(['x', 'x', 'x'])
})

test('answers QoS 2 with PUBREC, and PUBREL with PUBCOMP, under one identifier [MQTT3-3.3.4-1] [MQTT3-2.3.1-6] [MQTT3-4.3.3-2]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  writer.sendPublish('a', 'x', { qos: 2, packetId: 500 })
  expect(await writer.next(PacketType.Pubrec)).toMatchObject({ packetId: 500 })
  writer.ack(PacketType.Pubrel, 500)
  expect(await writer.next(PacketType.Pubcomp)).toMatchObject({ packetId: 500 })
})

test('publishes a QoS 2 message once that is sent again before its PUBREL, and says PUBREC again [MQTT3-4.3.3-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect()
  for (const dup of [false, true, true]) {
    writer.sendPublish('a', 'once', { qos: 2, packetId: 5, dup })
    await writer.next(PacketType.Pubrec)
  }
  expect(words(await reader.rest())).toEqual(['once'])
})

test('publishes a QoS 2 message once that is sent again on the next connection [MQTT3-4.3.3-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const first = await connect({ clientId: 'writer', cleanStart: false })
  first.sendPublish('a', 'once', { qos: 2, packetId: 5 })
  await first.next(PacketType.Pubrec)
  first.drop()
  const again = await connect({ clientId: 'writer', cleanStart: false })
  again.sendPublish('a', 'once', { qos: 2, packetId: 5, dup: true })
  await again.next(PacketType.Pubrec)
  again.ack(PacketType.Pubrel, 5)
  await again.next(PacketType.Pubcomp)
  expect(words(await reader.rest())).toEqual(['once'])
})

test('publishes a QoS 2 message once that is sent again while a plugin still judges it [MQTT3-4.3.3-2]', async () => {
  const { connect, hooks } = await startBroker()
  let decide = () => {}
  hooks.onPublish.tapPromise('test', () => new Promise(resolve => (decide = () => resolve(undefined))))
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect()
  writer.sendPublish('a', 'once', { qos: 2, packetId: 5 })
  writer.sendPublish('a', 'once', { qos: 2, packetId: 5, dup: true })
  await settled()
  decide()
  await writer.next(PacketType.Pubrec)
  await writer.next(PacketType.Pubrec)
  expect(words(await reader.rest())).toEqual(['once'])
})

test('takes a QoS 2 PUBLISH behind its PUBCOMP for a new message [MQTT3-4.3.3-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect()
  await writer.publish('a', 'first', { qos: 2, packetId: 5 })
  await writer.publish('a', 'second', { qos: 2, packetId: 5, dup: true })
  expect(words(await reader.rest())).toEqual(['first', 'second'])
})

test('answers PUBREL of an unknown identifier with PUBCOMP, and PUBREC of one with PUBREL', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  client.ack(PacketType.Pubrel, 9)
  expect(await client.next(PacketType.Pubcomp)).toMatchObject({ packetId: 9 })
  client.ack(PacketType.Pubrec, 9)
  expect(await client.next(PacketType.Pubrel)).toMatchObject({ packetId: 9 })
  client.ack(PacketType.Puback, 9)
  client.ack(PacketType.Pubcomp, 9)
  expect(await client.rest()).toEqual([])
})

test('acknowledges QoS 1 messages in the order in which they came [MQTT3-4.6.0-2]', async () => {
  const { connect, hooks } = await startBroker()
  const verdicts: (() => void)[] = []
  hooks.onPublish.tapPromise('test', () => new Promise(resolve => verdicts.push(() => resolve(undefined))))
  const writer = await connect()
  for (const packetId of [3, 1, 2]) writer.sendPublish('a', 'x', { qos: 1, packetId })
  await settled()
  for (const decide of verdicts.reverse()) decide()
  expect(ids(await writer.rest(), PacketType.Puback)).toEqual([3, 1, 2])
})

test('answers QoS 2 messages with PUBREC in the order in which they came [MQTT3-4.6.0-3]', async () => {
  const { connect, hooks } = await startBroker()
  const verdicts: (() => void)[] = []
  hooks.onPublish.tapPromise('test', () => new Promise(resolve => verdicts.push(() => resolve(undefined))))
  const writer = await connect()
  for (const packetId of [3, 1, 2]) writer.sendPublish('a', 'x', { qos: 2, packetId })
  await settled()
  for (const decide of verdicts.reverse()) decide()
  expect(ids(await writer.rest(), PacketType.Pubrec)).toEqual([3, 1, 2])
})

test('keeps acknowledgements in order where the first message is kept later than the second [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]', async () => {
  const { connect, hooks } = await startBroker()
  const receipts: (() => void)[] = []
  hooks.onRoute.tap('test', (_message, _route, receipt) => {
    receipt.hold()
    receipts.push(() => receipt.release())
  })
  const writer = await connect()
  for (const packetId of [1, 2]) writer.sendPublish('a', 'x', { qos: 1, packetId })
  for (const packetId of [3, 4]) writer.sendPublish('a', 'x', { qos: 2, packetId })
  await settled()
  for (const release of receipts.reverse()) release()
  const heard = await writer.rest()
  expect(ids(heard, PacketType.Puback)).toEqual([1, 2])
  expect(ids(heard, PacketType.Pubrec)).toEqual([3, 4])
})

for (const cleanStart of [true, false]) {
  test(`takes a QoS 2 message again that could not be kept the first time: ${cleanStart ? 'clean' : 'stored'} session [MQTT3-4.8.0-2]`, async () => {
    const { connect, hooks } = await startBroker()
    let failures = 1
    hooks.onRoute.tap('test', (_message, _route, receipt) => {
      if (failures-- <= 0) return
      receipt.hold()
      setImmediate(() => receipt.release(new Error('the disk is full')))
    })
    const first = await connect({ clientId: 'writer', cleanStart })
    for (const packetId of [5, 6]) first.sendPublish('a', 'x', { qos: 2, packetId })
    await first.ended()
    const again = await connect({ clientId: 'writer', cleanStart })
    for (const packetId of [5, 6]) again.sendPublish('a', 'x', { qos: 2, packetId, dup: true })
    expect(await again.next(PacketType.Pubrec)).toMatchObject({ packetId: 5 })
    expect(await again.next(PacketType.Pubrec)).toMatchObject({ packetId: 6 })
  })
}

test('takes a QoS 2 identifier for a new message behind PUBCOMP, though a repeat of the old one is still being answered [MQTT3-4.3.3-2]', async () => {
  const { connect, hooks } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect()
  writer.sendPublish('a', 'old', { qos: 2, packetId: 5 })
  await writer.next(PacketType.Pubrec)
  let release = () => {}
  hooks.onRoute.tap('test', ({ topic }, _route, receipt) => {
    if (topic !== 'slow') return
    receipt.hold()
    release = () => receipt.release()
  })
  writer.sendPublish('slow', 'x', { qos: 1, packetId: 4 })
  writer.sendPublish('a', 'old', { qos: 2, packetId: 5, dup: true })
  writer.ack(PacketType.Pubrel, 5)
  await writer.next(PacketType.Pubcomp)
  release()
  await writer.next(PacketType.Pubrec)
  await writer.publish('a', 'new', { qos: 2, packetId: 5 })
  expect(words(await reader.rest())).toEqual(['old', 'new'])
})

test('answers a PUBREL that does not wait for its PUBREC behind it, and loses no message under that identifier later [MQTT3-4.3.3-2]', async () => {
  const { connect, hooks } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  let release = () => {}
  hooks.onRoute.tap('test', (message, _route, receipt) => {
    if (message.payload.toString() !== 'old') return
    receipt.hold()
    release = () => receipt.release()
  })
  const writer = await connect({ clientId: 'writer', cleanStart: false })
  writer.sendPublish('a', 'old', { qos: 2, packetId: 5 })
  writer.ack(PacketType.Pubrel, 5)
  expect(await writer.rest()).toEqual([])
  release()
  await writer.next(PacketType.Pubcomp)
  await writer.publish('a', 'new', { qos: 2, packetId: 5 })
  expect(words(await reader.rest())).toEqual(['old', 'new'])
  expect(writer.heard.slice(2).map(({ type }) => type)).toEqual([
    PacketType.Pubrec,
    PacketType.Pubcomp,
    PacketType.Pubrec,
    PacketType.Pubcomp,
  ])
})

test('bounds the repeats of one QoS 2 message that wait for its outcome', async () => {
  const { connect, hooks } = await startBroker({ mqtt: { receiveMaximum: 10 } })
  hooks.onRoute.tap('test', (_message, _route, receipt) => receipt.hold())
  const writer = await connect()
  for (let i = 0; i < 20; i++) writer.sendPublish('a', 'x', { qos: 2, packetId: 5, dup: i > 0 })
  await writer.ended()
})
