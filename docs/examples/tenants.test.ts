import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { tenants } from './tenants.ts'

test('a tenant sees its own tree by short names, and nobody else sees it but the operator', async t => {
  const broker = await createTestBroker({ plugins: [tenants({ operators: ['root'] })] })
  t.after(() => broker.stop())
  const [meter, app, rival] = [
    await broker.client('meter', { username: 'acme:meter' }),
    await broker.client('app', { username: 'acme:app' }),
    await broker.client('rival', { username: 'rival:app' }),
  ]
  const operator = await broker.client('operator', { username: 'root' })
  for (const client of [app, rival, operator]) await client.subscribe('#', 1)
  await meter.publish('state', 'on', { qos: 1, properties: { responseTopic: 'answers' } })
  await rival.publish('state', 'off', { qos: 1 })
  const { topic, properties } = await app.received()
  assert.deepEqual([topic, properties?.responseTopic], ['state', 'answers'])
  assert.deepEqual([(await operator.received()).topic, (await operator.received()).topic], ['tenants/acme/state', 'tenants/rival/state'])
  assert.deepEqual([String((await rival.received()).payload), rival.messages.length, app.messages.length], ['off', 1, 1])
  assert.equal(await app.unsubscribe('#'), 0)
})

test('a user name that names no tenant is refused', async t => {
  const broker = await createTestBroker({ plugins: [tenants()] })
  t.after(() => broker.stop())
  for (const username of ['alice', 'a/b:c', '+:c', undefined])
    await assert.rejects(broker.client('a', username === undefined ? {} : { username }), /0x87/)
})
