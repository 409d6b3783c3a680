import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { createTestBroker } from 'mqttx-broker/testing'
import { redisStreams } from './redis-streams.ts'

// A real Redis of the test's own: `redis-server` has to be on the path.
let port = 0
let server: ReturnType<typeof spawn>
async function startRedis(): Promise<void> {
  server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', tmpdir()])
  for await (const chunk of server.stdout!) if (String(chunk).includes('Ready to accept')) break
  server.stdout!.resume()
}
async function stopRedis(): Promise<void> {
  server.kill()
  await once(server, 'exit')
}

before(async () => {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  port = (free.address() as { port: number }).port
  free.close()
  await once(free, 'close')
  await startRedis()
})
after(stopRedis)

const start = () =>
  createTestBroker(
    {
      diskQueue: { path: mkdtempSync(join(tmpdir(), 'redis-streams-')) },
      messageBridge: { topics: [{ filter: 'alarms/#', target: 'redisStreams', to: 'alarms', ack: 'kafka' }] },
      plugins: [redisStreams({ url: `redis://127.0.0.1:${port}` })],
    },
    { clock: 'real' },
  )

async function entries(stream: string): Promise<Record<string, string>[]> {
  const redis = new Redis(port, '127.0.0.1')
  const found = await redis.xrange(stream, '-', '+')
  redis.disconnect()
  return found.map(([, fields]) => Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1]!]] : []))))
}

test('an acknowledged message is in the stream, with its headers, in order, also where Redis was away', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const client = await broker.client('a')
  const properties = { userProperties: [['constructor', 'x'] as const] }
  await client.publish('alarms/1', 'first', { qos: 1, properties })
  assert.deepEqual(
    (await entries('alarms')).map(({ value }) => value),
    ['first'],
  )
  assert.equal((await entries('alarms'))[0]!['header:constructor'], 'x')
  await stopRedis()
  const late = client.publish('alarms/1', 'while it was away', { qos: 1 })
  await startRedis()
  await late
  assert.ok((await entries('alarms')).some(({ value }) => value === 'while it was away'))
})

test('what can go into no stream is refused, and holds nothing up', async t => {
  const redis = new Redis(port, '127.0.0.1')
  await redis.del('alarms')
  await redis.set('alarms', 'no stream')
  const broker = await start()
  t.after(() => broker.stop())
  const client = await broker.client('b')
  assert.ok((await client.publish('alarms/1', 'refused', { qos: 1 })) >= 0x80)
  await redis.del('alarms')
  redis.disconnect()
  await client.publish('alarms/1', 'taken', { qos: 1 })
  assert.deepEqual(
    (await entries('alarms')).map(({ value }) => value),
    ['taken'],
  )
})
