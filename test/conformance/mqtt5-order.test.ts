import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket, ConnackPacket, PublishPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { allPayloads } from './heard.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

/** Receives so many messages, acknowledging each as its QoS asks while the others come. */
async function receive(client: TestClient, count: number): Promise<string[]> {
  const payloads: string[] = []
  for (let at = 0; payloads.length < count; at++) {
    while (client.heard.length === at) await settled()
    const packet = client.heard[at]!
    if (packet.type === PacketType.Pubrel) client.ack(PacketType.Pubcomp, packet.packetId)
    if (packet.type !== PacketType.Publish) continue
    payloads.push(packet.payload.toString())
    if (packet.qos > 0) client.ack(packet.qos === 1 ? PacketType.Puback : PacketType.Pubrec, packet.packetId)
  }
  return payloads
}

for (const qos of [0, 1, 2] as const) {
  test(`brings the QoS ${qos} messages of one client on one topic to plain subscribers in the order they came [MQTT-4.6.0-5] [MQTT-4.6.0-6]`, async () => {
    const { connect } = await startBroker()
    const wide = await connect({ version: 5 })
    const narrow = await connect({ version: 5, properties: { receiveMaximum: 2 } })
    await wide.subscribe('a/b', qos)
    await narrow.subscribe('a/#', qos)
    const writer = await connect({ version: 5 })
    for (const payload of numbers(300)) {
      const { packetId } = writer.sendPublish('a/b', payload, { qos })
      if (qos === 2) writer.ack(PacketType.Pubrel, packetId)
    }
    expect(await receive(wide, 300)).toEqual(numbers(300))
    expect(await receive(narrow, 300)).toEqual(numbers(300))
  })
}

test('keeps the order of one topic where verdicts take different times [MQTT-4.6.0-5]', async () => {
  const { connect, hooks } = await startBroker()
  const waiting: (() => void)[] = []
  hooks.onPublish.tapPromise('slow', (_publisher, { payload }) => {
    if (Number(payload) % 2 === 1) return Promise.resolve(undefined)
    return new Promise<undefined>(resolve => waiting.push(() => resolve(undefined)))
  })
  const reader = await connect({ version: 5 })
  await reader.subscribe('t', 1)
  const writer = await connect({ version: 5 })
  for (const payload of numbers(10)) writer.sendPublish('t', payload, { qos: 1 })
  await settled()
  // The latest verdict first.
  for (const answer of waiting.reverse()) answer()
  expect(await receive(reader, 10)).toEqual(numbers(10))
})

test('keeps the order of one topic over the end of a connection: in flight, waiting, sent while away, live [MQTT-4.6.0-5] [MQTT-4.4.0-1]', async () => {
  const { connect, advance } = await startBroker()
  const options = { version: 5, clientId: 'me', cleanStart: false, properties: { sessionExpiry: 100, receiveMaximum: 3 } } as const
  const first = await connect(options)
  const writer = await connect()
  await first.subscribe('t', 1)
  for (const payload of ['0', '1', '2', '3', '4']) await writer.publish('t', payload, { qos: 1 })
  expect(await allPayloads(first)).toEqual(['0', '1', '2'])
  first.drop()
  await advance(0)
  for (const payload of ['5', '6']) await writer.publish('t', payload, { qos: 1 })
  const second = await connect(options)
  for (const payload of ['7', '8', '9']) writer.sendPublish('t', payload, { qos: 1 })
  expect(await receive(second, 10)).toEqual(numbers(10))
})

test('acknowledges QoS 1 and 2 in the order in which the messages came [MQTT-4.6.0-2] [MQTT-4.6.0-3]', async () => {
  const { connect, hooks } = await startBroker()
  const waiting: (() => void)[] = []
  hooks.onPublish.tapPromise('slow', () => new Promise<undefined>(resolve => waiting.push(() => resolve(undefined))))
  const writer = await connect({ version: 5 })
  for (const packetId of [7, 3, 9]) writer.sendPublish('t', '', { qos: 1, packetId })
  for (const packetId of [8, 4, 1]) writer.sendPublish('t', '', { qos: 2, packetId })
  await settled()
  for (const answer of waiting.reverse()) answer()
  await writer.rest()
  const ids = (client: TestClient, type: number) =>
    client.heard.flatMap(packet => (packet.type === type ? [(packet as AckPacket).packetId] : []))
  expect(ids(writer, PacketType.Puback)).toEqual([7, 3, 9])
  expect(ids(writer, PacketType.Pubrec)).toEqual([8, 4, 1])
})

test('sends PUBRELs in the order in which the PUBRECs came [MQTT-4.6.0-4]', async () => {
  const { connect, broker } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('t', 2)
  for (const payload of numbers(3)) await broker.publish({ topic: 't', payload, qos: 2 })
  const sent = [await reader.message(), await reader.message(), await reader.message()].map(({ packetId }) => packetId)
  const answered = [sent[1]!, sent[2]!, sent[0]!]
  for (const packetId of answered) reader.ack(PacketType.Pubrec, packetId)
  const released: number[] = []
  for (let i = 0; i < 3; i++) released.push((await reader.next<AckPacket>(PacketType.Pubrel)).packetId)
  expect(released).toEqual(answered)
})

test('resends in the order in which it sent first, though the identifiers have wrapped round [MQTT-4.6.0-1]', async () => {
  const { connect, broker } = await startBroker()
  const options = { version: 5, clientId: 'me', cleanStart: false, properties: { sessionExpiry: 100, receiveMaximum: 1000 } } as const
  const first = await connect(options)
  await first.subscribe('t', 1)
  // Brings the identifiers close to their end.
  for (let round = 0; round < 82; round++) {
    for (let i = 0; i < 799; i++) broker.publish({ topic: 't', payload: '', qos: 1 })
    for (let i = 0; i < 799; i++) first.ack(PacketType.Puback, (await first.message()).packetId)
    await first.rest()
  }
  for (const payload of numbers(40)) await broker.publish({ topic: 't', payload, qos: 1 })
  const sent: PublishPacket[] = []
  for (let i = 0; i < 40; i++) sent.push(await first.message())
  expect(sent.at(-1)!.packetId).toBeLessThan(sent[0]!.packetId)
  first.drop()
  const second = await connect(options)
  const again: PublishPacket[] = []
  for (let i = 0; i < 40; i++) again.push(await second.message())
  expect(again.map(({ packetId }) => packetId)).toEqual(sent.map(({ packetId }) => packetId))
  expect(again.map(({ payload }) => payload.toString())).toEqual(numbers(40))
  expect(again.every(({ dup }) => dup)).toBe(true)
})

for (const sessionExpiry of [0, 100]) {
  const kind = sessionExpiry === 0 ? 'clean' : 'stored'
  test(`sends a client no more QoS 1 and 2 messages at once than its Receive Maximum, and goes on as they are acknowledged: ${kind} session [MQTT-4.9.0-1] [MQTT-4.9.0-2]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect({ version: 5, properties: { receiveMaximum: 2, sessionExpiry } })
    const writer = await connect()
    await reader.subscribe('t', 2)
    for (const payload of numbers(6)) await writer.publish('t', payload, { qos: payload === '1' || payload === '3' ? 2 : 1 })
    expect(await allPayloads(reader)).toEqual(['0', '1'])
    const [zero, one] = reader.heard.filter((packet): packet is PublishPacket => packet.type === PacketType.Publish)
    reader.ack(PacketType.Puback, zero!.packetId)
    expect(await allPayloads(reader)).toEqual(['0', '1', '2'])
    // PUBREC frees nothing yet, PUBCOMP does.
    reader.ack(PacketType.Pubrec, one!.packetId)
    expect(await allPayloads(reader)).toEqual(['0', '1', '2'])
    reader.ack(PacketType.Pubcomp, one!.packetId)
    expect(await allPayloads(reader)).toEqual(['0', '1', '2', '3'])
    // PUBREC with an error frees it at once.
    const three = reader.heard.findLast((packet): packet is PublishPacket => packet.type === PacketType.Publish)
    reader.ack(PacketType.Pubrec, three!.packetId, 0x80)
    expect(await allPayloads(reader)).toEqual(['0', '1', '2', '3', '4'])
  })
}

test('does not let a client win quota by acknowledging what it never got [MQTT-4.9.0-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  const writer = await connect()
  await reader.subscribe('t', 1)
  for (const packetId of [1, 2, 3, 40_000]) reader.ack(PacketType.Puback, packetId)
  for (const payload of numbers(3)) await writer.publish('t', payload, { qos: 1 })
  expect(await allPayloads(reader)).toEqual(['0'])
})

test('answers everything else, and sends QoS 0, while the Receive Maximum is used up [MQTT-4.9.0-3]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  const writer = await connect()
  await reader.subscribe('t', 1)
  for (const payload of numbers(3)) await writer.publish('t', payload, { qos: 1 })
  expect(await allPayloads(reader)).toEqual(['0'])
  expect(await reader.subscribe('zero', 0)).toEqual([0])
  expect(await reader.publish('elsewhere', '', { qos: 2 })).toMatchObject({ reasonCode: 0x10 })
  expect(await reader.unsubscribe('never')).toEqual([0x11])
  await writer.publish('zero', 'now')
  expect(await allPayloads(reader)).toEqual(['0', 'now'])
  reader.disconnect()
  expect(await reader.ended()).toBe(undefined)
})

test('starts with the Receive Maximum of the new connection when a session is resumed [MQTT-4.9.0-1]', async () => {
  const { connect, broker } = await startBroker()
  const options = { version: 5, clientId: 'me', cleanStart: false } as const
  const first = await connect({ ...options, properties: { sessionExpiry: 100, receiveMaximum: 5 } })
  await first.subscribe('t', 1)
  for (const payload of numbers(8)) await broker.publish({ topic: 't', payload, qos: 1 })
  expect(await allPayloads(first)).toEqual(numbers(5))
  first.drop()
  const second = await connect({ ...options, properties: { sessionExpiry: 100, receiveMaximum: 2 } })
  expect(await allPayloads(second)).toEqual(numbers(2))
  for (const packet of second.heard) if (packet.type === PacketType.Publish) second.ack(PacketType.Puback, packet.packetId)
  expect(await allPayloads(second)).toEqual(numbers(4))
})

const violations: [what: string, code: number, bytes: string][] = [
  ['a second CONNECT', ReasonCode.ProtocolError, '10 0f 00 04 4d 51 54 54 05 02 00 00 00 00 02 6d 65'],
  ['packet type 0', ReasonCode.MalformedPacket, '00 00'],
  ['CONNACK', ReasonCode.ProtocolError, '20 03 00 00 00'],
  ['SUBACK', ReasonCode.ProtocolError, '90 04 00 01 00 00'],
  ['UNSUBACK', ReasonCode.ProtocolError, 'b0 04 00 01 00 00'],
  ['PINGRESP', ReasonCode.ProtocolError, 'd0 00'],
  ['a remaining length of five bytes', ReasonCode.MalformedPacket, '30 80 80 80 80 01'],
  ['packet identifier 0 in SUBSCRIBE', ReasonCode.ProtocolError, '82 07 00 00 00 00 01 61 00'],
  ['packet identifier 0 in UNSUBSCRIBE', ReasonCode.ProtocolError, 'a2 06 00 00 00 00 01 61'],
  ['a property that SUBSCRIBE does not have', ReasonCode.MalformedPacket, '82 09 00 01 02 01 01 00 01 61 00'],
  ['an unknown property', ReasonCode.MalformedPacket, '82 09 00 01 02 7f 01 00 01 61 00'],
  ['Subscription Identifier 0', ReasonCode.ProtocolError, '82 09 00 01 02 0b 00 00 01 61 00'],
  ['two Subscription Identifiers', ReasonCode.ProtocolError, '82 0b 00 01 04 0b 01 0b 02 00 01 61 00'],
  ['a SUBSCRIBE that ends behind its filter', ReasonCode.MalformedPacket, '82 06 00 01 00 00 01 61'],
  ['an empty filter', ReasonCode.MalformedPacket, '82 06 00 01 00 00 00 00'],
  ['a DISCONNECT with bytes behind its end', ReasonCode.MalformedPacket, 'e0 03 00 00 00'],
]
for (const [what, code, bytes] of violations) {
  test(`closes with DISCONNECT 0x${code.toString(16)} on ${what}, and no other connection notices [MQTT-4.13.1-1] [MQTT-4.13.2-1]`, async () => {
    const { connect } = await startBroker()
    const other = await connect()
    const client = await connect({ version: 5 })
    client.sendBytes(bytes)
    expect(await client.ended()).toMatchObject({ reasonCode: code })
    expect(await other.rest()).toEqual([])
  })
}

test('closes behind a CONNACK that says no [MQTT-4.13.2-1]', async () => {
  const { open } = await startBroker({ allowAnonymous: false })
  const client = open(5)
  const connack: ConnackPacket = await client.connect()
  expect(connack).toMatchObject({ reasonCode: ReasonCode.NotAuthorized, sessionPresent: false })
  expect(await client.ended()).toBe(undefined)
})
