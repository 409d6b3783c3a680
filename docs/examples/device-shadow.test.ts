import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { deviceShadow } from './device-shadow.ts'

const json = ({ payload }: { payload: Buffer }) => JSON.parse(payload.toString() || 'null') as unknown

test('what is desired while the device is away awaits it, and is gone when the device has reported it', async t => {
  const broker = await createTestBroker({ plugins: [deviceShadow()] })
  t.after(() => broker.stop())
  const app = await broker.client('app')
  await app.publish('shadow/lamp/update', '{"desired":{"on":true,"colour":{"r":1,"g":2}}}', { qos: 1 })
  // The acknowledgement has come, so it is so.
  const lamp = await broker.client('lamp')
  await lamp.subscribe('shadow/lamp/delta', 1)
  assert.deepEqual(json(await lamp.received()), { on: true, colour: { r: 1, g: 2 } })
  await lamp.publish('shadow/lamp/update', '{"reported":{"on":true,"colour":{"r":1}}}', { qos: 1 })
  assert.deepEqual(json(await lamp.received()), { colour: { g: 2 } })
  await app.publish('shadow/lamp/update', '{"desired":{"colour":null},"version":2}', { qos: 2 })
  assert.deepEqual(json(await lamp.received()), null)
  await app.subscribe('shadow/+/document', 1)
  assert.deepEqual(json(await app.received()), { desired: { on: true }, reported: { on: true, colour: { r: 1 } }, version: 3 })
})

test('updates at the same time are taken one after the other', async t => {
  const broker = await createTestBroker({ plugins: [deviceShadow()] })
  t.after(() => broker.stop())
  const clients = await Promise.all(Array.from({ length: 10 }, (_, i) => broker.client(`c${i}`)))
  await Promise.all(
    clients.map((client, i) => client.publish('shadow/d/update', JSON.stringify({ reported: { [`n${i}`]: i } }), { qos: 1 })),
  )
  await clients[0]!.subscribe('shadow/d/document', 1)
  const { reported, version } = json(await clients[0]!.received()) as { reported: object; version: number }
  assert.deepEqual([Object.keys(reported).length, version], [10, 10])
})

test('what is no update is rejected and says why; nobody else writes a document', async t => {
  const broker = await createTestBroker({ plugins: [deviceShadow({ bytesMax: '100B' })] })
  t.after(() => broker.stop())
  const client = await broker.client('a')
  await client.subscribe('shadow/d/rejected', 1)
  const large = JSON.stringify({ desired: { text: 'x'.repeat(100) } })
  for (const update of ['{', '[]', '{"desired":1}', '{"wanted":{}}', '{"desired":{},"version":7}', large]) {
    await client.publish('shadow/d/update', update, { qos: 1 })
    const { error } = json(await client.received()) as { error: string }
    assert.match(error, /no JSON|no object|are objects|unknown: wanted|version is 0|larger than 100 bytes/)
  }
  assert.equal(await client.publish('shadow/d/document', '{}', { qos: 1, retain: true }), 0x87)
  await client.publish('shadow/d/update', '{"desired":{"__proto__":{"polluted":true}}}', { qos: 1 })
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
})
