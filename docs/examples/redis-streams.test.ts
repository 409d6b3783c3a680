import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import { Redis } from 'ioredis'
import { bridgeContract, targetContract } from 'mqttx-broker/contracts'
import { createTestBroker } from 'mqttx-broker/testing'
import { redisStreams } from './redis-streams.ts'

// A real Redis of the test's own, which keeps what it has acknowledged: `redis-server` has to be on the path.
const folder = mkdtempSync(join(tmpdir(), 'redis-streams-'))
let port = 0
let server: ReturnType<typeof spawn>
async function startRedis(): Promise<void> {
  const kept = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder]
  server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', ...kept])
  for await (const chunk of server.stdout!) if (String(chunk).includes('Ready to accept')) break
  server.stdout!.resume()
}
async function killRedis(): Promise<void> {
  server.kill('SIGKILL')
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
after(async () => {
  await killRedis()
  rmSync(folder, { recursive: true })
})

async function withRedis<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(port, '127.0.0.1')
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}

/** The entries of a stream: of each its fields, by pairs. */
async function entries(stream: string): Promise<[name: string, value: Buffer][][]> {
  const found = await withRedis(redis => redis.xrangeBuffer(stream, '-', '+'))
  return found.map(([, fields]) => fields.flatMap((name, i): [string, Buffer][] => (i % 2 === 0 ? [[String(name), fields[i + 1]!]] : [])))
}
const fieldOf = (fields: [string, Buffer][], wanted: string): Buffer => fields.find(([name]) => name === wanted)![1]

let streams = 0
const newStream = (): string => `stream-${streams++}`
const plugin = () => redisStreams({ url: `redis://127.0.0.1:${port}` })

/** The key of something that is no stream. */
async function noStream(): Promise<string> {
  const name = newStream()
  await withRedis(redis => redis.set(name, 'no stream'))
  return name
}

async function away(): Promise<() => Promise<void>> {
  await killRedis()
  return startRedis
}

targetContract(
  { describe, it },
  {
    name: 'for Redis Streams',
    create: plugin,
    place: newStream,
    refusing: noStream,
    async read(stream) {
      const found = await entries(stream)
      return found.map(fields => ({
        key: String(fieldOf(fields, 'key')),
        value: fieldOf(fields, 'value'),
        timestamp: Number(fieldOf(fields, 'timestamp')),
        headers: fields.flatMap(([name, value]) => (name.startsWith('header:') ? [[name.slice(7), String(value)] as const] : [])),
      }))
    },
    away,
  },
)

let stream = ''
bridgeContract(
  { describe, it },
  {
    name: 'to Redis Streams',
    async config() {
      stream = newStream()
      const topics = [
        { filter: 'contract/a', target: 'redisStreams', to: stream, ack: 'kafka' as const },
        { filter: 'contract/refused', target: 'redisStreams', to: await noStream(), ack: 'kafka' as const },
      ]
      return { messageBridge: { topics, retryMax: '200ms' }, plugins: [plugin()] }
    },
    read: async () => (await entries(stream)).map(fields => fieldOf(fields, 'value')),
    refused: { topic: 'contract/refused', payload: 'x' },
    away,
  },
)

test('what waits on disk while Redis is away is in the stream when it is back, though its publisher has long been answered', async t => {
  const alarms = newStream()
  const broker = await createTestBroker(
    {
      diskQueue: { path: mkdtempSync(join(folder, 'queue-')) },
      messageBridge: { topics: [{ filter: 'alarms/#', target: 'redisStreams', to: alarms }], retryMax: '200ms' },
      plugins: [plugin()],
    },
    { clock: 'real' },
  )
  t.after(() => broker.stop())
  const client = await broker.client('a')
  await killRedis()
  assert.ok((await client.publish('alarms/1', 'while it was away', { qos: 1 })) < 0x80)
  await startRedis()
  await broker.received('alarms/#')
  while ((await entries(alarms)).length === 0) await new Promise(resolve => setTimeout(resolve, 10))
  assert.equal(String(fieldOf((await entries(alarms))[0]!, 'value')), 'while it was away')
})
