import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { startBroker } from '../support/broker.ts'
import { onLaterStore } from '../support/later-store.ts'
import { connectBytes, packet, text } from './bytes.ts'

// What holds for a store that answers at once holds for one across a network.

test('resumes a session from a store that answers later: what was in flight again, then what waits, then what is new [MQTT3-4.4.0-1] [MQTT3-4.6.0-1]', async () => {
  const { connect } = await startBroker(onLaterStore({ mqtt: { inflightMax: 2 } }))
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  const writer = await connect()
  for (const word of ['one', 'two', 'three']) await writer.publish('a', word, { qos: 1 })
  const sent = [await first.message(), await first.message()]
  first.drop()
  await writer.publish('a', 'four', { qos: 1 })
  const again = await connect({ clientId: 'reader', cleanStart: false })
  for (let i = 5; i < 20; i++) writer.sendPublish('a', `${i}`, { qos: 1 })
  const got: PublishPacket[] = []
  for (let i = 1; i < 20; i++) got.push(await again.receive())
  const expected = ['one', 'two', 'three', 'four', ...Array.from({ length: 15 }, (_, i) => `${i + 5}`)]
  expect(got.map(({ payload }) => payload.toString())).toEqual(expected)
  expect(got.map(({ dup }) => dup)).toEqual(expected.map((_word, i) => i < 2))
  expect(got.slice(0, 2).map(({ packetId }) => packetId)).toEqual(sent.map(({ packetId }) => packetId))
})

test('says PUBREL again from a store that answers later [MQTT3-4.4.0-1]', async () => {
  const { connect } = await startBroker(onLaterStore())
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 2)
  await (await connect()).publish('a', 'x', { qos: 2 })
  const { packetId } = await first.message()
  first.ack(PacketType.Pubrec, packetId)
  await first.next(PacketType.Pubrel)
  first.drop()
  const again = await connect({ clientId: 'reader', cleanStart: false })
  expect(await again.next(PacketType.Pubrel)).toMatchObject({ packetId })
  expect(again.heard.map(({ type }) => type)).toEqual([PacketType.Connack, PacketType.Pubrel])
})

test('answers everything, publishes in their order, where the store answers later [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]', async () => {
  const { connect } = await startBroker(onLaterStore())
  const client = await connect({ cleanStart: false })
  client.sendBytes(
    [
      packet('82', '0001', text('a'), '02'),
      packet('32', text('b'), '0002', '78'),
      packet('34', text('b'), '0003', '78'),
      packet('32', text('b'), '0004', '78'),
      packet('34', text('b'), '0005', '78'),
      packet('a2', '0006', text('a')),
    ].join(''),
  )
  await client.next(PacketType.Unsuback)
  while (client.heard.filter(({ type }) => type === PacketType.Pubrec).length < 2) await client.next(PacketType.Pubrec)
  const answers = client.heard.flatMap(packet => ('packetId' in packet ? [`${packet.type} ${packet.packetId}`] : []))
  expect(answers.filter(answer => answer.startsWith('4') || answer.startsWith('5'))).toEqual(['4 2', '5 3', '4 4', '5 5'])
  expect(answers).toContain('9 1')
  expect(answers).toContain('11 6')
  for (const packetId of [3, 5]) client.ack(PacketType.Pubrel, packetId)
  expect(await client.next(PacketType.Pubcomp)).toMatchObject({ packetId: 3 })
  expect(await client.next(PacketType.Pubcomp)).toMatchObject({ packetId: 5 })
})

for (const { how, keepAlive } of [
  { how: 'breaks off', keepAlive: 0 },
  { how: 'is silent for too long', keepAlive: 10 },
]) {
  test(`publishes the will of a stored session that ${how}, at once, where the store answers later [MQTT3-3.1.2-8]`, async () => {
    const broker = await startBroker(onLaterStore())
    const reader = await broker.connect()
    await reader.subscribe('will')
    const client = await broker.connect({ cleanStart: false, keepAlive, will: { topic: 'will', payload: Buffer.from('gone') } })
    if (keepAlive === 0) client.drop()
    else await broker.advance(15_500)
    expect((await reader.message()).payload.toString()).toBe('gone')
  })
}

test('publishes the will of a stored session that is taken over while the store has much to do [MQTT3-3.1.2-8]', async () => {
  const { connect, clock } = await startBroker(onLaterStore())
  const reader = await connect()
  await reader.subscribe('will')
  const busy = await connect({ cleanStart: false })
  await busy.subscribe('a', 1)
  await connect({ clientId: 'same', cleanStart: false, will: { topic: 'will', payload: Buffer.from('gone') } })
  const writer = await connect()
  for (let i = 0; i < 50; i++) writer.sendPublish('a', 'x', { qos: 1 })
  await writer.rest()
  clock.advance(1000)
  const second = await connect({ clientId: 'same', cleanStart: false })
  expect((await reader.message()).payload.toString()).toBe('gone')
  second.disconnect()
  await second.ended()
  expect(await reader.payloads()).toEqual([])
})

test('leaves one owner, whose session it is, where many connections claim a client id and the store answers later [MQTT3-3.1.4-2]', async () => {
  const { open, connect, broker } = await startBroker(onLaterStore())
  const all = Array.from({ length: 10 }, () => open())
  for (const client of all) client.sendBytes(connectBytes({ flags: '00' }, text('same')))
  const last = all.pop()!
  await Promise.all(all.map(client => client.closed))
  await last.subscribe('a', 1)
  await (await connect()).publish('a', 'x', { qos: 1 })
  expect(await last.receive()).toMatchObject({ payload: Buffer.from('x') })
  expect([...broker.clients].filter(client => client.clientId === 'same')).toHaveLength(1)
})

test('publishes a QoS 2 message once that is sent again while the store still writes it [MQTT3-4.3.3-2]', async () => {
  const { connect } = await startBroker(onLaterStore())
  const reader = await connect()
  await reader.subscribe('a', 2)
  const writer = await connect({ cleanStart: false })
  for (const dup of [false, true]) writer.sendPublish('a', 'once', { qos: 2, packetId: 5, dup })
  await writer.next(PacketType.Pubrec)
  await writer.next(PacketType.Pubrec)
  writer.ack(PacketType.Pubrel, 5)
  writer.ack(PacketType.Pubrel, 5)
  await writer.next(PacketType.Pubcomp)
  await writer.next(PacketType.Pubcomp)
  expect(await reader.payloads()).toEqual(['once'])
})

test('takes a QoS 2 identifier for a new message behind PUBCOMP, where the store answers later [MQTT3-4.3.3-2]', async () => {
  const { connect } = await startBroker(onLaterStore())
  const reader = await connect({ cleanStart: false })
  await reader.subscribe('a', 2)
  const writer = await connect({ cleanStart: false })
  for (const word of ['one', 'two', 'three']) {
    await writer.publish('a', word, { qos: 2, packetId: 5 })
    expect(await reader.receive()).toMatchObject({ payload: Buffer.from(word), dup: false })
  }
})
