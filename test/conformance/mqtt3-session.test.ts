import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startBroker } from '../support/broker.ts'

test('says session present 0 to a clean session, also where one was stored [MQTT3-3.2.2-1]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'a', cleanStart: false })
  first.disconnect()
  expect(await open().connect({ clientId: 'a', cleanStart: true })).toMatchObject({ reasonCode: 0, sessionPresent: false })
})

test('says session present 1 where the session is stored, though it has no subscription [MQTT3-3.2.2-2]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'a', cleanStart: false })
  first.disconnect()
  await first.ended()
  expect(await open().connect({ clientId: 'a', cleanStart: false })).toMatchObject({ reasonCode: 0, sessionPresent: true })
})

test('says session present 0 where no session is stored [MQTT3-3.2.2-3]', async () => {
  const { connect, open } = await startBroker()
  expect(await open().connect({ clientId: 'new', cleanStart: false })).toMatchObject({ reasonCode: 0, sessionPresent: false })
  const clean = await connect({ clientId: 'was clean' })
  clean.disconnect()
  await clean.ended()
  expect(await open().connect({ clientId: 'was clean', cleanStart: false })).toMatchObject({ reasonCode: 0, sessionPresent: false })
})

test('resumes a session with its subscriptions, without end to its life [MQTT3-3.1.2-4] [MQTT3-4.1.0-1]', async () => {
  const { connect, advance } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe(['a/+', 'b'], 1)
  first.drop()
  await advance(24 * 3_600_000)
  const again = await connect({ clientId: 'reader', cleanStart: false })
  const writer = await connect()
  await writer.publish('a/x', 'one', { qos: 1 })
  await writer.publish('b', 'two', { qos: 1 })
  expect(await again.payloads()).toEqual(['one', 'two'])
})

test('keeps QoS 1 and QoS 2 messages for a session without a connection, in order [MQTT3-3.1.2-5] [MQTT3-4.5.0-1]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 2)
  first.disconnect()
  await first.ended()
  const writer = await connect()
  await writer.publish('a', 'zero')
  await writer.publish('a', 'one', { qos: 1 })
  await writer.publish('a', 'two', { qos: 2 })
  const again = await connect({ clientId: 'reader', cleanStart: false })
  expect(await again.receive()).toMatchObject({ qos: 1, dup: false, retain: false, payload: Buffer.from('one') })
  expect(await again.receive()).toMatchObject({ qos: 2, dup: false, retain: false, payload: Buffer.from('two') })
  expect(await again.rest()).toEqual([])
})

test('discards a stored session when its client begins a clean one [MQTT3-3.1.2-6] [MQTT3-3.1.4-3]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  first.disconnect()
  await first.ended()
  const writer = await connect()
  await writer.publish('a', 'for the old session', { qos: 1 })

  const clean = await connect({ clientId: 'reader', cleanStart: true })
  await writer.publish('a', 'for nobody', { qos: 1 })
  expect(await clean.payloads()).toEqual([])
  clean.disconnect()
  await clean.ended()

  const later = open()
  expect(await later.connect({ clientId: 'reader', cleanStart: false })).toMatchObject({ sessionPresent: false })
  await writer.publish('a', 'for nobody', { qos: 1 })
  expect(await later.payloads()).toEqual([])
})

test('ends a clean session with its connection [MQTT3-3.1.2-6]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ clientId: 'reader' })
  await first.subscribe('a', 1)
  first.drop()
  const writer = await connect()
  await writer.publish('a', 'lost', { qos: 1 })
  const again = await connect({ clientId: 'reader', cleanStart: false })
  await writer.publish('a', 'lost', { qos: 1 })
  expect(await again.payloads()).toEqual([])
})

test('does not take up QoS 2 identifiers of a session before, when a clean one begins [MQTT3-3.1.2-6]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  const first = await connect({ clientId: 'writer', cleanStart: false })
  first.sendPublish('a', 'old', { qos: 2, packetId: 7 })
  await first.next(PacketType.Pubrec)
  first.drop()
  const again = await connect({ clientId: 'writer', cleanStart: true })
  again.sendPublish('a', 'new', { qos: 2, packetId: 7 })
  await again.next(PacketType.Pubrec)
  expect(await reader.payloads()).toEqual(['old', 'new'])
})

test('keeps retained messages when the session of their publisher ends [MQTT3-3.1.2-7]', async () => {
  const { connect } = await startBroker()
  const writer = await connect({ clientId: 'writer', cleanStart: false })
  await writer.publish('a', 'kept', { qos: 1, retain: true })
  writer.disconnect()
  await writer.ended()
  const clean = await connect({ clientId: 'writer', cleanStart: true })
  clean.disconnect()
  await clean.ended()
  const reader = await connect()
  await reader.subscribe('a')
  expect(await reader.payloads()).toEqual(['kept'])
})

test('keeps a session for as long as its connection, whatever a limit on the expiry says [MQTT3-4.1.0-2]', async () => {
  const { connect, advance } = await startBroker({ mqtt: { sessionExpiryMax: '10s' } })
  const reader = await connect({ clientId: 'reader', cleanStart: false })
  await reader.subscribe('a', 1)
  await advance(3_600_000)
  const writer = await connect()
  await writer.publish('a', 'still there', { qos: 1 })
  expect(await reader.payloads()).toEqual(['still there'])
})

test('goes on with a session that another connection takes over [MQTT3-3.1.2-4]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  const second = open()
  expect(await second.connect({ clientId: 'reader', cleanStart: false })).toMatchObject({ sessionPresent: true })
  await (await connect()).publish('a', 'x', { qos: 1 })
  expect(await second.payloads()).toEqual(['x'])
})

test('discards the session of a connection that a clean one takes over [MQTT3-3.1.2-6]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  const second = open()
  expect(await second.connect({ clientId: 'reader', cleanStart: true })).toMatchObject({ sessionPresent: false })
  await (await connect()).publish('a', 'x', { qos: 1 })
  expect(await second.payloads()).toEqual([])
})
