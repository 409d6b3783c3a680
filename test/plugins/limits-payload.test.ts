import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'

test('limits.maxPayload refuses messages and wills with more bytes, and takes those that fit', async () => {
  const { open, connect, broker } = await startBroker({ limits: { maxPayload: 4 } })
  const reader = await connect()
  await reader.subscribe('#', 1)
  const client = await connect({ version: 5 })
  expect(await client.publish('a', 'four', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  expect(await client.publish('a', 'fives', { qos: 1 })).toMatchObject({ reasonCode: 0x97 })
  expect(await client.publish('a', 'fives', { qos: 2 })).toMatchObject({ reasonCode: 0x97 })
  client.sendPublish('a', 'fives')
  await client.rest()
  const old = await connect({ version: 4 })
  await old.publish('a', 'fives', { qos: 1 })
  expect(await reader.payloads()).toEqual(['four'])
  expect((await open(5).connect({ will: { topic: 'w', payload: Buffer.from('fives') } })).reasonCode).toBe(0x95)
  expect((await open(4).connect({ will: { topic: 'w', payload: Buffer.from('fives') } })).reasonCode).toBe(5)
  expect((await open(5).connect({ will: { topic: 'w', payload: Buffer.from('four') } })).reasonCode).toBe(0)
  expect(broker.counters.limited.payload).toBe(6)
})

test('limits.maxPayload comes, and goes, while the broker runs', async () => {
  const { connect, running } = await startBroker()
  const client = await connect({ version: 5 })
  const answer = async () => (await client.publish('a', 'fives', { qos: 1 }))?.reasonCode
  // 0x10: nobody is subscribed.
  expect(await answer()).toBe(0x10)
  await running.reload('limits', { maxPayload: 4 })
  expect(await answer()).toBe(0x97)
  await running.reload('limits', { maxPayload: null })
  expect(await answer()).toBe(0x10)
})
