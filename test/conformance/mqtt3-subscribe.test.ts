import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket, SubackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import { packet, text } from './bytes.ts'

test('answers SUBSCRIBE with SUBACK under its packet identifier [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-2.3.1-7]', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  for (const id of ['0001', 'abcd', 'ffff']) {
    client.sendBytes(packet('82', id, text('a'), '01'))
    expect(await client.next(PacketType.Suback)).toMatchObject({ packetId: Number.parseInt(id, 16), reasonCodes: [1] })
  }
})

test('grants the QoS that was asked for, one return code for each filter, in their order [MQTT3-3.8.4-5] [MQTT3-3.9.3-1]', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onAuthorize.tap('test', (_publisher, action, topic) => !(action === 'subscribe' && topic === 'secret'))
  const client = await connect()
  client.sendBytes(packet('82', '0001', text('a'), '02', text('secret'), '01', text('b/#'), '00', text('+'), '01'))
  expect(await client.next(PacketType.Suback)).toMatchObject({ reasonCodes: [2, 0x80, 0, 1] })
})

test('says 0x80 for every kind of refusal, and subscribes to nothing of it [MQTT3-3.8.4-5] [MQTT3-3.9.3-2]', async () => {
  const { connect, hooks } = await startBroker({ shareTopic: false })
  const refusals = [ReasonCode.NotAuthorized, ReasonCode.QuotaExceeded, ReasonCode.TopicFilterInvalid, false] as const
  hooks.onSubscribe.tap('test', (_client, { filter }) => refusals[Number(filter)])
  const writer = await connect()
  await writer.publish('0', 'retained', { qos: 1, retain: true })
  const client = await connect()
  expect(await client.subscribe(['0', '1', '2', '3', '$share/group/a'], 2)).toEqual([0x80, 0x80, 0x80, 0x80, 0x80])
  await writer.publish('1', 'x', { qos: 1 })
  expect(await client.payloads()).toEqual([])
})

test('says the QoS that a plugin lowered the subscription to, and keeps to it [MQTT3-3.8.4-5] [MQTT3-3.8.4-6]', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onSubscribe.tap('test', (_client, subscription) => {
    subscription.qos = 1
  })
  const client = await connect()
  expect(await client.subscribe('a', 2)).toEqual([1])
  await (await connect()).publish('a', 'x', { qos: 2 })
  expect(await client.receive()).toMatchObject({ qos: 1 })
})

for (const granted of [0, 1, 2] as const) {
  for (const published of [0, 1, 2] as const) {
    test(`sends QoS ${published} at the lower of it and the granted ${granted} [MQTT3-3.8.4-6]`, async () => {
      const { connect } = await startBroker()
      const reader = await connect()
      await reader.subscribe('a', granted)
      await (await connect()).publish('a', 'x', { qos: published })
      expect(await reader.receive()).toMatchObject({ qos: Math.min(published, granted) })
    })
  }
}

test('serves filters with wildcards [MQTT3-3.8.3-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  expect(await reader.subscribe(['a/+/c', 'b/#'], 0)).toEqual([0, 0])
  const writer = await connect()
  await writer.publish('a/x/c', 'one', { qos: 1 })
  await writer.publish('b/x/y', 'two', { qos: 1 })
  expect(await reader.payloads()).toEqual(['one', 'two'])
})

test('replaces a subscription by a new one to the same filter, and sends retained messages again [MQTT3-3.8.4-3]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  await writer.publish('a/b', 'kept', { qos: 1, retain: true })
  const reader = await connect()
  await reader.subscribe('a/+', 0)
  expect(await reader.receive()).toMatchObject({ qos: 0, retain: true })
  await reader.subscribe('a/+', 2)
  expect(await reader.receive()).toMatchObject({ qos: 1, retain: true })
  await writer.publish('a/b', 'new', { qos: 2 })
  expect(await reader.receive()).toMatchObject({ qos: 2, retain: false, payload: Buffer.from('new') })
  expect(await reader.rest()).toEqual([])
})

test('loses nothing while a subscription is replaced [MQTT3-3.8.4-3]', async () => {
  const { connect, hooks } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 0)
  hooks.onSubscribe.tapPromise('test', async () => undefined)
  const writer = await connect()
  for (let i = 0; i < 20; i++) {
    reader.sendBytes(packet('82', '0001', text('a'), '00'))
    await writer.publish('a', `${i}`, { qos: 1 })
  }
  expect(await reader.payloads()).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
})

test('takes a SUBSCRIBE of several filters for as many SUBSCRIBEs [MQTT3-3.8.4-4]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  await writer.publish('a', 'kept', { qos: 1, retain: true })
  const reader = await connect()
  reader.sendBytes(packet('82', '0001', text('a'), '00', text('+'), '01', text('a'), '01'))
  expect((await reader.next<SubackPacket>(PacketType.Suback)).reasonCodes).toEqual([0, 1, 1])
  expect(await reader.payloads()).toEqual(['kept', 'kept', 'kept'])
  await writer.publish('a', 'x', { qos: 1 })
  expect(await reader.receive()).toMatchObject({ qos: 1 })
})

test('sends a message once at the highest QoS of the filters that match [MQTT3-3.3.5-1]', async () => {
  const { connect } = await startBroker()
  const clean = await connect()
  const stored = await connect({ cleanStart: false })
  for (const reader of [clean, stored]) {
    await reader.subscribe('a/b', 0)
    await reader.subscribe('a/+', 2)
    await reader.subscribe('#', 1)
  }
  await (await connect()).publish('a/b', 'x', { qos: 2 })
  for (const reader of [clean, stored]) {
    expect(await reader.receive()).toMatchObject({ qos: 2 })
    expect(await reader.rest()).toEqual([])
  }
})

test('brings a message to its publisher too, where that has subscribed', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  await client.subscribe('a')
  await client.publish('a', 'x')
  expect(await client.payloads()).toEqual(['x'])
})

test('sends only messages whose topics match a filter, under their own names [MQTT3-3.3.2-3]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe(['a/+', 'b'], 0)
  const writer = await connect()
  for (const topic of ['a/b', 'a', 'b', 'b/c', 'a/b/c', 'A/b', 'c']) await writer.publish(topic, topic, { qos: 1 })
  const got = (await reader.rest()) as PublishPacket[]
  expect(got.map(({ topic }) => topic)).toEqual(['a/b', 'b'])
})

test('answers UNSUBSCRIBE with UNSUBACK under its identifier, without a payload [MQTT3-3.10.4-4] [MQTT3-2.3.1-7]', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  const bytes: Buffer[] = []
  client.stream.on('data', chunk => bytes.push(chunk))
  client.sendBytes(packet('a2', 'abcd', text('a')))
  await client.next(PacketType.Unsuback)
  expect(Buffer.concat(bytes).toString('hex')).toBe('b002abcd')
})

test('answers UNSUBSCRIBE from what nobody had subscribed to [MQTT3-3.10.4-5]', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  await client.subscribe('a')
  await client.unsubscribe('never')
  await (await connect()).publish('a', 'x', { qos: 1 })
  expect(await client.payloads()).toEqual(['x'])
})

test('compares filters of UNSUBSCRIBE character by character, wildcards too [MQTT3-3.10.4-1]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe(['a/b', 'A/b', 'a/+'], 0)
  const writer = await connect()
  await reader.unsubscribe('a/#', '+/b', 'a/B', '#')
  await writer.publish('a/b', 'one', { qos: 1 })
  expect(await reader.payloads()).toEqual(['one'])
  await reader.unsubscribe('a/+')
  await writer.publish('a/c', 'two', { qos: 1 })
  await writer.publish('a/b', 'three', { qos: 1 })
  expect(await reader.payloads()).toEqual(['three'])
  await reader.unsubscribe('a/b')
  await writer.publish('a/b', 'four', { qos: 1 })
  await writer.publish('A/b', 'five', { qos: 1 })
  expect(await reader.payloads()).toEqual(['five'])
})

test('adds no message behind UNSUBACK, in this session or when it is resumed [MQTT3-3.10.4-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ clientId: 'reader', cleanStart: false })
  await reader.subscribe(['a', 'b'], 1)
  await reader.unsubscribe('a')
  const writer = await connect()
  await writer.publish('a', 'x', { qos: 1 })
  expect(await reader.payloads()).toEqual([])
  reader.drop()
  await writer.publish('a', 'x', { qos: 1 })
  const again = await connect({ clientId: 'reader', cleanStart: false })
  expect(await again.payloads()).toEqual([])
})

for (const cleanStart of [true, false]) {
  test(`finishes the handshakes that have begun when a ${cleanStart ? 'clean' : 'stored'} session unsubscribes [MQTT3-3.10.4-3]`, async () => {
    const { connect, hooks } = await startBroker()
    const acked: string[] = []
    hooks.onAcked.tap('test', (_client, message) => void acked.push(message.payload.toString()))
    const reader = await connect({ cleanStart })
    await reader.subscribe('a', 2)
    const writer = await connect()
    await writer.publish('a', 'one', { qos: 1 })
    await writer.publish('a', 'two', { qos: 2 })
    const one = await reader.message()
    const two = await reader.message()
    await reader.unsubscribe('a')
    reader.ack(PacketType.Puback, one.packetId)
    reader.ack(PacketType.Pubrec, two.packetId)
    expect(await reader.next(PacketType.Pubrel)).toMatchObject({ packetId: two.packetId })
    reader.ack(PacketType.Pubcomp, two.packetId)
    await reader.rest()
    expect(acked).toEqual(['one', 'two'])
  })
}

test('sends what had begun again, though the session has unsubscribed meanwhile [MQTT3-3.10.4-3]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  await (await connect()).publish('a', 'begun', { qos: 1 })
  await first.message()
  await first.unsubscribe('a')
  first.drop()
  const again = await connect({ clientId: 'reader', cleanStart: false })
  expect(await again.receive()).toMatchObject({ dup: true, payload: Buffer.from('begun') })
})

test('takes an UNSUBSCRIBE of several filters for as many, and answers once [MQTT3-3.10.4-6]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe(['a', 'b', 'c'], 0)
  reader.sendBytes(packet('a2', '0009', text('a'), text('never'), text('c'), text('a')))
  expect(await reader.rest()).toMatchObject([{ type: PacketType.Unsuback, packetId: 9 }])
  const writer = await connect()
  for (const topic of ['a', 'b', 'c']) await writer.publish(topic, topic, { qos: 1 })
  expect(await reader.payloads()).toEqual(['b'])
})

test('answers a filter that is good 3.1.1 but no shared subscription with 0x80, and goes on', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  expect(await client.subscribe(['$share/only', '$share//a', '$share/+/a', '$share/group/a'], 1)).toEqual([0x80, 0x80, 0x80, 1])
  await client.unsubscribe('$share/only', '$share/group/a')
  expect(await client.rest()).toEqual([])
})
