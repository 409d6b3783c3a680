import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'

for (const qos of [0, 1, 2] as const) {
  test(`keeps a retained message with its QoS ${qos} and sends it to new subscriptions with RETAIN 1 [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-8]`, async () => {
    const { connect } = await startBroker()
    await (await connect()).publish('a/b', 'kept', { qos, retain: true })
    for (const filter of ['a/b', 'a/+', 'a/#', '#', '+/b', 'a/b/#']) {
      const reader = await connect()
      await reader.subscribe(filter, 2)
      expect(await reader.receive(), filter).toMatchObject({ topic: 'a/b', qos, retain: true, dup: false, payload: Buffer.from('kept') })
      expect(await reader.rest()).toEqual([])
    }
  })
}

test('sends the retained message of each topic that matches, and of no other [MQTT3-3.3.1-6]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  for (const topic of ['a/b', 'a/c', 'a', 'a/b/c', 'b', '/a/b', 'a//', '$own/a'])
    await writer.publish(topic, topic, { qos: 1, retain: true })
  const retained = async (filter: string) => {
    const reader = await connect()
    await reader.subscribe(filter)
    return (await reader.payloads()).sort()
  }
  expect(await retained('a/+')).toEqual(['a/b', 'a/c'])
  expect(await retained('a/#')).toEqual(['a', 'a//', 'a/b', 'a/b/c', 'a/c'])
  expect(await retained('+/+')).toEqual(['a/b', 'a/c'])
  expect(await retained('+/a/+')).toEqual(['/a/b'])
  expect(await retained('a/+/+')).toEqual(['a//', 'a/b/c'])
  expect(await retained('+')).toEqual(['a', 'b'])
  expect(await retained('#')).toEqual(['/a/b', 'a', 'a//', 'a/b', 'a/b/c', 'a/c', 'b'])
  expect(await retained('$own/#')).toEqual(['$own/a'])
})

test('lowers the QoS of a retained message to what was granted [MQTT3-3.8.4-6]', async () => {
  const { connect } = await startBroker()
  await (await connect()).publish('a', 'x', { qos: 2, retain: true })
  const reader = await connect()
  await reader.subscribe('a', 1)
  expect(await reader.receive()).toMatchObject({ qos: 1, retain: true })
})

test('keeps the last retained message of a topic only, at QoS 0 too [MQTT3-3.3.1-5] [MQTT3-3.3.1-7]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  await writer.publish('a', 'old', { qos: 2, retain: true })
  await writer.publish('a', 'new', { qos: 0, retain: true })
  await writer.rest()
  const reader = await connect()
  await reader.subscribe('a', 2)
  expect(await reader.message()).toMatchObject({ qos: 0, payload: Buffer.from('new') })
  expect(await reader.rest()).toEqual([])
})

test('sends a retained message with RETAIN 0 to subscriptions that were there before [MQTT3-3.3.1-9]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a', 2)
  await (await connect()).publish('a', 'x', { qos: 1, retain: true })
  expect(await reader.receive()).toMatchObject({ retain: false })
})

test('sends an empty retained message on, and removes what was retained [MQTT3-3.3.1-10]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  const writer = await connect()
  await reader.subscribe('a')
  await writer.publish('a', 'x', { qos: 1, retain: true })
  await writer.publish('a', '', { qos: 1, retain: true })
  expect(await reader.payloads()).toEqual(['x', ''])
  const late = await connect()
  await late.subscribe('a')
  expect(await late.rest()).toEqual([])
})

test('does not keep an empty retained message [MQTT3-3.3.1-11]', async () => {
  const { connect, running } = await startBroker()
  await (await connect()).publish('never used', '', { qos: 1, retain: true })
  const reader = await connect()
  await reader.subscribe('#')
  expect(await reader.rest()).toEqual([])
  expect(running.broker.services.get('retained').size).toBe(0)
})

test('neither keeps a message without RETAIN nor lets it touch what is kept [MQTT3-3.3.1-12]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  await writer.publish('a', 'kept', { qos: 1, retain: true })
  await writer.publish('a', 'passing', { qos: 1 })
  await writer.publish('a', '', { qos: 1 })
  await writer.publish('b', 'passing', { qos: 1 })
  const reader = await connect()
  await reader.subscribe('#')
  expect(await reader.payloads()).toEqual(['kept'])
})

test('sends no retained messages to a subscription that is resumed with its session', async () => {
  const { connect } = await startBroker()
  const first = await connect({ clientId: 'reader', cleanStart: false })
  await first.subscribe('a', 1)
  first.disconnect()
  await first.ended()
  await (await connect()).publish('a', 'x', { retain: true, qos: 1 })
  const again = await connect({ clientId: 'reader', cleanStart: false })
  expect(await again.receive()).toMatchObject({ retain: false })
  expect(await again.rest()).toEqual([])
})
