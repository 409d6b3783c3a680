import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'

test('a tap that fails at every message does not fill the log: the rest is counted in one line, and onError hears of each', async () => {
  const { lines, plugin } = keptLog()
  const { hooks, broker, connect, advance } = await startBroker({ log: false, plugins: [plugin] })
  let heard = 0
  hooks.onError.tap('counts', () => {
    heard += 1
  })
  hooks.onPublish.tap('broken', () => {
    throw new Error('not today')
  })
  const client = await connect({ version: 5 })
  for (let i = 0; i < 500; i++) await client.publish('a', '', { qos: 1 })
  const ofTap = () => lines.filter(({ level, message }) => level === 'error' && message.includes('broken'))
  expect(ofTap().length).toBe(20)
  expect([heard, broker.counters.tapErrors]).toEqual([500, 500])
  await advance(10_000)
  expect(ofTap().at(-1)).toMatchObject({ fields: { count: 480 }, message: expect.stringMatching(/^broken at onPublish: 480 more/) })
  await client.publish('a', '', { qos: 1 })
  expect(ofTap().length).toBe(22)
})

test('what was left out is said before the broker has stopped', async () => {
  const { lines, plugin } = keptLog()
  const { running } = await startBroker({ log: false, plugins: [plugin] })
  for (let i = 0; i < 30; i++) running.broker.report(new RangeError(`number ${i}`))
  expect(lines.filter(({ level }) => level === 'error')).toHaveLength(20)
  await running.stop()
  expect(lines.filter(({ level }) => level === 'error').at(-1)?.message).toMatch(/^RangeError: 10 more/)
})
