import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'

for (const qos of [0, 1, 2] as const) {
  test(`brings a QoS ${qos} message to a subscriber`, async () => {
    const { connect } = await startBroker()
    const reader = await connect()
    const writer = await connect()
    expect(await reader.subscribe('a/+', 2)).toEqual([2])
    await writer.publish('a/b', 'hello', { qos })
    const message = await reader.receive()
    expect(message).toMatchObject({ topic: 'a/b', qos, retain: false, dup: false })
    expect(message.payload.toString()).toBe('hello')
  })
}

test('brings a QoS 0 message to subscribers of every version at once', async () => {
  const { connect } = await startBroker()
  const readers = [await connect({ version: 5 }), await connect({ version: 4 }), await connect({ version: 3 })]
  for (const reader of readers) await reader.subscribe('a', 0)
  const writer = await connect()
  await writer.publish('a', 'first')
  await writer.publish('a', 'second')
  for (const reader of readers) {
    expect((await reader.receive()).payload.toString()).toBe('first')
    expect((await reader.receive()).payload.toString()).toBe('second')
  }
})

test('forwards what a plugin changed in the properties, whichever way it changed them', async () => {
  const { connect, hooks } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a', 0)
  hooks.onPublish.tap('changer', (_publisher, message) => {
    if (message.properties !== undefined) message.properties.contentType = 'text/plain'
    else message.properties = { responseTopic: 'answers' }
  })
  const writer = await connect({ version: 5 })
  await writer.publish('a', 'x', { properties: { contentType: 'nonsense' } })
  await writer.publish('a', 'y')
  expect((await reader.receive()).properties).toEqual({ contentType: 'text/plain' })
  expect((await reader.receive()).properties).toEqual({ responseTopic: 'answers' })
})

test('lets nobody publish to what is no topic name: no plugin that changes it, and not the broker itself', async () => {
  const { connect, hooks, running } = await startBroker()
  const errors: string[] = []
  hooks.onError.tap('test', error => void errors.push(error.message))
  hooks.onPublish.tap('changer', (_publisher, message) => {
    message.topic = `${message.topic}/#`
  })
  hooks.onDeliver.tap('changer', (_client, delivery) => {
    delivery.topic = '+'
  })
  const reader = await connect({ version: 5 })
  await reader.subscribe('#', 0)
  const ack = await (await connect({ version: 5 })).publish('a', 'x', { qos: 1 })
  expect(ack).toMatchObject({ reasonCode: 0x83 })
  await running.publish({ topic: 'b', payload: 'x' })
  await expect(running.publish({ topic: 'b/+', payload: 'x' })).rejects.toThrow('"b/+" is not a topic name')
  expect(await reader.rest()).toEqual([])
  expect(errors).toEqual([expect.stringContaining('"a" to "a/#"'), expect.stringContaining('"b" to "+"')])
})
