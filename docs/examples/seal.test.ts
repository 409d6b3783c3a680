import assert from 'node:assert/strict'
import { createDecipheriv, randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Stage } from 'mqttx-broker'
import { createTestBroker } from 'mqttx-broker/testing'
import { seal } from './seal.ts'

const key = randomBytes(32)
const keys = join(mkdtempSync(join(tmpdir(), 'seal-')), 'keys')
writeFileSync(keys, `alice ${key.toString('base64')}\n`)
const start = () => createTestBroker({ plugins: [seal({ keys, filters: ['secret/#'] })] })

function open(topic: string, sealed: Buffer): string {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
    .setAAD(Buffer.from(topic))
    .setAuthTag(sealed.subarray(12, 28))
  return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]).toString()
}

test('a user gets what only this user can open; whoever has no key gets nothing', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const alice = await broker.client('a', { username: 'alice' })
  const other = await broker.client('b', { username: 'bob' })
  for (const client of [alice, other]) await client.subscribe('#', 1)
  await other.publish('secret/x', 'attack at dawn', { qos: 1 })
  await other.publish('plain', 'hello', { qos: 1 })
  const { topic, payload, properties } = await alice.received('secret/#')
  assert.equal(open(topic, payload), 'attack at dawn')
  assert.deepEqual(properties?.userProperties, [['sealed', 'A256GCM']])
  assert.equal(String((await other.received()).payload), 'hello')
  assert.throws(() => open('secret/y', payload))
})

for (const qos of [1, 2] as const)
  test(`a repeat is sealed too, and anew: QoS ${qos}`, async t => {
    const broker = await start()
    t.after(() => broker.stop())
    const sent: [repeat: boolean, payload: Buffer][] = []
    broker.running.hooks.onDeliver.tap(
      { name: 'test', stage: Stage.Observe },
      (_client, { repeat, payload }) => void sent.push([repeat, payload]),
    )
    const first = await broker.client('a', { username: 'alice', cleanStart: false })
    await first.subscribe('secret/#', qos)
    // It gets nothing of what is sent, so it acknowledges nothing, and comes back.
    broker.faults.slowReader('a')
    await broker.running.publish({ topic: 'secret/x', payload: 'once', qos })
    first.lose()
    const again = await broker.client('a', { username: 'alice', cleanStart: false })
    const { payload } = await again.received()
    assert.deepEqual(
      sent.map(([repeat, sealed]) => [repeat, open('secret/x', sealed)]),
      [
        [false, 'once'],
        [true, 'once'],
      ],
    )
    assert.deepEqual(payload, sent[1]![1])
    assert.notDeepEqual(payload, sent[0]![1])
  })
