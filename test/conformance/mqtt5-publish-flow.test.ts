import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'

// How many messages may be on the way at once, both ways (3.3.4, 4.9), and what a session resumes with.

const { Publish, Puback, Pubrec } = PacketType

// ---- receive maximum

test('ends a client that has more on the way than it was told [MQTT-3.3.4-7]', async () => {
  const { connect } = await startBroker({ mqtt: { receiveMaximum: 3 } })
  const client = await connect({ version: 5 })
  for (let i = 0; i < 3; i++) client.sendPublish('a', 'x', { qos: 2 })
  expect(await client.rest()).toHaveLength(3)
  client.sendPublish('a', 'x', { qos: 1 })
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.ReceiveMaximumExceeded)
})

test('counts neither QoS 0 nor what is finished against the receive maximum [MQTT-3.3.4-7]', async () => {
  const { connect, hooks } = await startBroker({ mqtt: { receiveMaximum: 2 } })
  hooks.onPublish.tap('test', (_publisher, { topic }) => (topic === 'no' ? ReasonCode.NotAuthorized : undefined))
  const client = await connect({ version: 5 })
  client.sendPublish('a', 'x', { qos: 2 })
  await client.next(Pubrec)
  for (let i = 0; i < 5; i++) {
    await client.publish('a', 'x')
    await client.publish('a', 'x', { qos: 1 })
    await client.publish('a', 'x', { qos: 2 })
    // A PUBREC with an error ends the handshake too.
    await client.publish('no', 'x', { qos: 2 })
  }
  expect(await client.rest()).toEqual([])
})

test('does not count a QoS 2 message twice that is sent again [MQTT-3.3.4-7]', async () => {
  const { connect } = await startBroker({ mqtt: { receiveMaximum: 1 } })
  const reader = await connect()
  await reader.subscribe('a')
  const client = await connect({ version: 5 })
  for (let i = 0; i < 3; i++) client.sendPublish('a', 'x', { qos: 2, packetId: 5, dup: i > 0 })
  expect(await client.rest()).toMatchObject([{ type: Pubrec }, { type: Pubrec }, { type: Pubrec }])
  expect(await reader.payloads()).toEqual(['x'])
})

for (const qos of [1, 2] as const) {
  test(`has no more QoS ${qos} messages on the way to a client than it accepts, and goes on in order [MQTT-3.3.4-9]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect({ version: 5, properties: { receiveMaximum: 2 } })
    await reader.subscribe('a', 2)
    const writer = await connect({ version: 5 })
    for (let i = 0; i < 6; i++) await writer.publish('a', `${i}`, { qos })
    const seen: string[] = []
    while (seen.length < 6) {
      const packets = (await reader.rest()).filter(packet => packet.type === Publish)
      expect(packets).toHaveLength(2)
      for (const { packetId, payload } of packets) {
        seen.push(payload.toString())
        if (qos === 1) reader.ack(Puback, packetId)
        else reader.ack(Pubrec, packetId)
      }
      if (qos === 1) continue
      // PUBREC frees nothing: only PUBCOMP does.
      expect((await reader.rest()).map(packet => packet.type)).toEqual([PacketType.Pubrel, PacketType.Pubrel])
      for (const { packetId } of packets) reader.ack(PacketType.Pubcomp, packetId)
    }
    expect(seen).toEqual(['0', '1', '2', '3', '4', '5'])
  })
}

test('frees the window by a PUBREC with an error too [MQTT-3.3.4-9]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('a', 2)
  const writer = await connect({ version: 5 })
  await writer.publish('a', '1', { qos: 2 })
  await writer.publish('a', '2', { qos: 2 })
  reader.ack(Pubrec, (await reader.message()).packetId, ReasonCode.QuotaExceeded)
  expect((await reader.message()).payload.toString()).toBe('2')
})

test('holds to the receive maximum of the new connection when a session goes on [MQTT-3.3.4-9]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100, receiveMaximum: 10 } })
  await first.subscribe('a', 1)
  const writer = await connect()
  for (let i = 0; i < 5; i++) await writer.publish('a', `${i}`, { qos: 1 })
  expect(await first.payloads()).toHaveLength(5)
  const second = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { receiveMaximum: 2 } })
  expect(await second.payloads()).toEqual(['0', '1'])
})

test('delays no other packet, QoS 0 too, while a client’s window is full [MQTT-3.3.4-10]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('a', 1)
  const writer = await connect({ version: 5 })
  await writer.publish('a', '1', { qos: 1 })
  await writer.publish('a', '2', { qos: 1 })
  expect(await reader.payloads()).toEqual(['1'])

  expect(await reader.subscribe('b', 1)).toEqual([1])
  expect(await reader.unsubscribe('b')).toEqual([0])
  expect((await reader.publish('c', 'x', { qos: 1 }))?.packetId).toBeGreaterThan(0)
  expect((await reader.publish('c', 'x', { qos: 2 }))?.packetId).toBeGreaterThan(0)
  await writer.publish('a', 'QoS 0', { qos: 0 })
  expect((await reader.message()).payload.toString()).toBe('QoS 0')
})

test('delays no PUBREL that a session owes, however small the window of the new connection [MQTT-3.3.4-10]', async () => {
  const { connect } = await startBroker()
  const count = 250
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 2)
  const writer = await connect({ version: 5 })
  for (let i = 0; i < count; i++) await writer.publish('a', `${i}`, { qos: 2 })
  const sent = (await first.rest()).flatMap(packet => (packet.type === Publish ? [packet.packetId] : []))
  // All but the first and the last have got as far as PUBREL.
  const owed = sent.slice(1, -1)
  for (const packetId of owed) first.ack(Pubrec, packetId)
  await first.rest()
  first.drop()
  await settled()

  const second = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { receiveMaximum: 1 } })
  const again = await second.rest()
  expect(again.filter(packet => packet.type === Publish)).toMatchObject([{ packetId: sent[0], dup: true }])
  expect(again.flatMap(packet => (packet.type === PacketType.Pubrel ? [packet.packetId] : []))).toEqual(owed)

  for (const packetId of owed) second.ack(PacketType.Pubcomp, packetId)
  second.ack(Pubrec, sent[0]!)
  await second.next(PacketType.Pubrel)
  second.ack(PacketType.Pubcomp, sent[0]!)
  expect(await second.receive()).toMatchObject({ packetId: sent.at(-1), dup: true })
  expect(await second.rest()).toEqual([])
})

for (const sending of ['in flight', 'waiting'] as const) {
  test(`leaves out what is too large for the new connection of a session: a message ${sending} [MQTT-3.1.2-25]`, async () => {
    const { connect } = await startBroker()
    const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
    await first.subscribe('a', 2)
    if (sending === 'waiting') first.drop()
    await settled()
    const writer = await connect({ version: 5 })
    for (const payload of ['small 1', 'x'.repeat(100), 'small 2', 'x'.repeat(100)]) await writer.publish('a', payload, { qos: 1 })
    first.drop()
    await settled()
    const second = await connect({
      version: 5,
      clientId: 'c',
      cleanStart: false,
      properties: { sessionExpiry: 100, maximumPacketSize: 40, receiveMaximum: 1 },
    })
    expect((await second.receive()).payload.toString()).toBe('small 1')
    expect((await second.receive()).payload.toString()).toBe('small 2')
    expect(await second.rest()).toEqual([])
    const third = await connect({ version: 5, clientId: 'c', cleanStart: false })
    expect(await third.payloads()).toEqual([])
  })
}
