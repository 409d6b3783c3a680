import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTestBroker, type TestBroker } from 'mqttx-broker/testing'
import { lastValues } from './last-values.ts'

const token = 'a token of this test'
let broker: TestBroker
before(async () => {
  const plugins = [lastValues({ token, filters: ['sensors/#'], bytesMax: '1KiB' })]
  broker = await createTestBroker({ websocket: { port: 0, host: '127.0.0.1' }, plugins })
})
after(() => broker.stop())

async function get(
  path: string,
  headers: Record<string, string> = { authorization: `Bearer ${token}` },
): Promise<[number, Record<string, unknown>]> {
  const { port } = broker.running.broker.listeners.find(({ protocol }) => protocol === 'ws')!
  const response = await fetch(`http://127.0.0.1:${port}/last/${path}`, { headers })
  return [response.status, (await response.json()) as Record<string, unknown>]
}

test('answers the last message of a topic, and lists those that a filter matches', async () => {
  const client = await broker.client('a')
  for (const mark of ['1', '2']) await client.publish('sensors/größe', mark, { qos: 1, properties: { contentType: 'text/plain' } })
  await client.publish('sensors/b', '3', { qos: 1 })
  await client.publish('other', '4', { qos: 1 })
  const [status, { payload, contentType }] = await get('sensors/gr%C3%B6%C3%9Fe')
  assert.deepEqual([status, Buffer.from(String(payload), 'base64').toString(), contentType], [200, '2', 'text/plain'])
  const [, { values }] = await get('?filter=sensors/%2B')
  assert.deepEqual(
    (values as { topic: string }[]).map(({ topic }) => topic),
    ['sensors/größe', 'sensors/b'],
  )
  assert.equal((await get('other'))[0], 404)
})

test('forgets what is longest ago where there is no room, and what is too large by itself', async () => {
  const client = await broker.client('b')
  for (const name of ['1', '2', '3']) await client.publish(`sensors/room/${name}`, Buffer.alloc(200), { qos: 1 })
  await client.publish('sensors/room/3', Buffer.alloc(5000), { qos: 1 })
  assert.deepEqual(await Promise.all(['1', '2', '3'].map(async name => (await get(`sensors/room/${name}`))[0])), [404, 200, 404])
})

test('answers nobody without the token', async () => {
  for (const headers of [{}, { authorization: 'Bearer another' }])
    assert.equal((await get('sensors/b', headers as Record<string, string>))[0], 401)
  assert.equal((await get('%FF'))[0], 400)
})
