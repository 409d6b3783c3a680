import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket, UnsubackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { allPayloads } from './heard.ts'

async function unsubscribe(client: TestClient, filters: string[], packetId = client.nextId()): Promise<UnsubackPacket> {
  client.send({ type: PacketType.Unsubscribe, packetId, filters, properties: undefined })
  return client.next<UnsubackPacket>(PacketType.Unsuback)
}

for (const flags of ['a0', 'a1', 'a3', 'a6', 'aa']) {
  test(`closes with 0x81 if the first byte of UNSUBSCRIBE is 0x${flags} [MQTT-3.10.1-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`${flags} 06  00 01  00  00 01 61`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

for (const [name, filter] of [
  ['a surrogate', '00 03 ed a0 80'],
  ['a byte that begins nothing', '00 01 ff'],
  ['U+0000', '00 01 00'],
] as const) {
  test(`closes with 0x81 if a topic filter in UNSUBSCRIBE holds ${name} [MQTT-3.10.3-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`a2 ${filter.startsWith('00 03') ? '08' : '06'}  00 01  00  ${filter}`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

test('closes with 0x82 if UNSUBSCRIBE has no filter [MQTT-3.10.3-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendBytes('a2 03  00 01  00')
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
})

test('deletes the subscription whose filter is the same, character by character, and no other that matches the same topics [MQTT-3.10.4-1]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  const writer = await connect({ version: 5 })
  const filters = ['a/+', 'a/#', 'a/b', 'A/b', 'a/b/', '/a/b', 'a/\u00e9', 'a/e\u0301']
  await reader.subscribe(filters, 0)
  expect(await reader.unsubscribe('a/B', '#', '+/b', 'a/+/', 'a/e')).toEqual([0x11, 0x11, 0x11, 0x11, 0x11])
  expect(await reader.unsubscribe('a/+', 'a/#', 'a/e\u0301')).toEqual([0, 0, 0])
  for (const topic of ['a/x', 'a/b', 'A/b', 'a/b/', '/a/b', 'a/\u00e9', 'a/e\u0301']) await writer.publish(topic, topic, { qos: 1 })
  expect(await allPayloads(reader)).toEqual(['a/b', 'A/b', 'a/b/', '/a/b', 'a/\u00e9'])
})

for (const sessionExpiry of [0, 100]) {
  const kind = sessionExpiry === 0 ? 'a session that ends with its connection' : 'a stored session'
  test(`adds nothing more for a filter from UNSUBSCRIBE on, and completes what it had begun to send: ${kind} [MQTT-3.10.4-2] [MQTT-3.10.4-3]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect({ version: 5, properties: { sessionExpiry } })
    const writer = await connect()
    await reader.subscribe('t', 2)
    await writer.publish('t', 'begun', { qos: 2 })
    const { packetId } = await reader.message()
    await reader.unsubscribe('t')
    await writer.publish('t', 'late', { qos: 2 })
    reader.ack(PacketType.Pubrec, packetId)
    expect(await reader.next<AckPacket>(PacketType.Pubrel)).toMatchObject({ packetId, reasonCode: 0 })
    reader.ack(PacketType.Pubcomp, packetId)
    expect(await allPayloads(reader)).toEqual(['begun'])
  })
}

test('completes after a reconnect what it had begun to send before the UNSUBSCRIBE [MQTT-3.10.4-3]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'me', properties: { sessionExpiry: 100 } })
  const writer = await connect()
  await first.subscribe('t', 1)
  await writer.publish('t', 'begun', { qos: 1 })
  const { packetId } = await first.message()
  await first.unsubscribe('t')
  first.drop()
  const second = await connect({ version: 5, clientId: 'me', cleanStart: false })
  expect(await second.receive()).toMatchObject({ packetId, dup: true })
})

test('does not remember a deleted subscription in a stored session [MQTT-3.10.4-1]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'me', properties: { sessionExpiry: 100 } })
  await first.subscribe(['a', 'b'], 1)
  await first.unsubscribe('a')
  first.disconnect()
  await first.closed
  const writer = await connect()
  await writer.publish('a', 'a', { qos: 1 })
  await writer.publish('b', 'b', { qos: 1 })
  const second = await connect({ version: 5, clientId: 'me', cleanStart: false })
  expect(await allPayloads(second)).toEqual(['b'])
})

for (const packetId of [1, 0x0203, 65_535]) {
  test(`answers UNSUBSCRIBE with an UNSUBACK of its packet identifier ${packetId}, also where it deletes nothing [MQTT-3.10.4-4] [MQTT-3.10.4-5]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    expect(await unsubscribe(client, ['never'], packetId)).toMatchObject({ packetId, reasonCodes: [0x11] })
  })
}

test('handles several filters in one UNSUBSCRIBE as so many in a row, with one UNSUBACK and a code for each in order [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe(['a', 'b', '$share/g/c'], 1)
  const { reasonCodes } = await unsubscribe(client, ['x', 'b', 'c', '$share/g/c', 'b', 'a'])
  // The second `b` is gone by then.
  expect(reasonCodes).toEqual([0x11, 0, 0x11, 0, 0x11, 0])
  await client.rest()
  expect(client.heard.filter(({ type }) => type === PacketType.Unsuback)).toHaveLength(1)
})

test('sends no reason string or user property in UNSUBACK, so that none can make it too large [MQTT-3.11.2-1] [MQTT-3.11.2-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { maximumPacketSize: 20 } })
  await client.subscribe('t')
  expect(await unsubscribe(client, ['t', 'u'])).toMatchObject({ reasonCodes: [0, 0x11], properties: undefined })
})

test('answers PINGREQ with PINGRESP, each once [MQTT-3.12.4-1]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendBytes('c0 00  c0 00')
  await client.next(PacketType.Pingresp)
  await client.next(PacketType.Pingresp)
  expect(await client.rest()).toEqual([])
})

for (const bytes of ['c1 00', 'c8 00', 'c0 01 00']) {
  test(`closes with 0x81 if PINGREQ is ${bytes}`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(bytes)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}
