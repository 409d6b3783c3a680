import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { sparkplugCertificates } from './sparkplug-certificates.ts'

test('an application that comes later finds the last birth of each node and device, and nothing else', async t => {
  const broker = await createTestBroker({ plugins: [sparkplugCertificates()] })
  t.after(() => broker.stop())
  const node = await broker.client('node')
  for (const [type, body] of [
    ['NBIRTH/edge', 'first'],
    ['NBIRTH/edge', 'second'],
    ['DBIRTH/edge/pump', 'pump'],
    ['NDATA/edge', 'value'],
    ['NBIRTH/a/b', 'no node has such a name'],
  ])
    await node.publish(`spBv1.0/plant/${type}`, Buffer.from(body!))
  // The births are QoS 0; an acknowledgement behind them says that they are through.
  await node.publish('spBv1.0/plant/NDEATH/edge', 'gone', { qos: 1 })
  const application = await broker.client('application')
  await application.subscribe('$sparkplug/certificates/#', 1)
  const found = [await application.received('$sparkplug/#'), await application.received('$sparkplug/#')]
  assert.deepEqual(found.map(({ topic, payload, retain }) => [topic, String(payload), retain]).sort(), [
    ['$sparkplug/certificates/spBv1.0/plant/DBIRTH/edge/pump', 'pump', true],
    ['$sparkplug/certificates/spBv1.0/plant/NBIRTH/edge', 'second', true],
  ])
})

test('only the broker writes certificates', async t => {
  const broker = await createTestBroker({ plugins: [sparkplugCertificates()] })
  t.after(() => broker.stop())
  const client = await broker.client('a')
  assert.equal(await client.publish('$sparkplug/certificates/spBv1.0/plant/NBIRTH/edge', 'false', { qos: 1, retain: true }), 0x87)
})
