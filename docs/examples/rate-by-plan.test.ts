import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { rateByPlan } from './rate-by-plan.ts'

const plans = { free: { perSecond: 1, burst: 2, over: 'refuse' }, paid: { perSecond: 10, burst: 2, over: 'slow' } } as const
const start = () => createTestBroker({ plugins: [rateByPlan({ plans, users: { alice: 'paid' }, default: 'free' })] })

test('a plan that refuses: all clients of a user share one budget, and coming again brings no new one', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const [a, b] = [await broker.client('a', { username: 'bob' }), await broker.client('b', { username: 'bob' })]
  const codes = []
  for (const client of [a, b, a]) codes.push(await client.publish('t', 'x', { qos: 1 }))
  a.disconnect()
  const again = await broker.client('a', { username: 'bob' })
  codes.push(await again.publish('t', 'x', { qos: 1 }))
  await broker.advance(1000)
  codes.push(await again.publish('t', 'x', { qos: 1 }))
  assert.deepEqual(codes, [0x10, 0x10, 0x97, 0x97, 0x10])
  assert.equal(broker.running.broker.counters.limited.plan, 2)
})

test('a plan that slows: nothing is refused, and what comes too fast comes later', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const alice = await broker.client('c', { username: 'alice' })
  for (const mark of ['1', '2', '3']) await alice.publish('t', mark, { qos: 1 })
  const late = alice.publish('t', '4', { qos: 1 })
  await broker.advance(50)
  assert.equal(broker.messages.length, 3)
  await broker.advance(60)
  assert.equal(await late, 0x10)
})

test('plans change while the broker runs; one that is not there is an error that names it', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const client = await broker.client('d')
  await broker.running.reload('rateByPlan', {
    plans: { ...plans, free: { ...plans.free, perSecond: 100, burst: 100 } },
    users: {},
    default: 'free',
  })
  await broker.advance(1000)
  for (let i = 0; i < 50; i++) assert.equal(await client.publish('t', 'x', { qos: 1 }), 0x10)
  await assert.rejects(createTestBroker({ plugins: [rateByPlan({ plans, default: 'gold' })] }), /there is no plan gold/)
})
