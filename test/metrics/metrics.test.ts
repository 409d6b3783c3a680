import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { StoreRoom } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { type Config, createBroker, definePlugin } from '../../presets/index.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'
import { freePort, RedisServer } from '../support/redis.ts'
import { connect, measured } from './measured.ts'

test('what happened is what a scraper reads', async () => {
  const { running, scrape } = await measured({ sysTopic: {} })
  const [five, four] = [await connect(running, { protocolVersion: 5 }), await connect(running, { protocolVersion: 4 })]
  await five.subscribeAsync('a/#', { qos: 1 })
  const arrived = new Promise<void>(resolve => {
    let count = 0
    five.on('message', () => ++count === 3 && resolve())
  })
  await four.publishAsync('a/1', 'x', { qos: 1, retain: true })
  await four.publishAsync('a/2', 'y', { qos: 2 })
  four.publish('a/3', 'z')
  await arrived
  const value = await scrape()
  expect(value('mqttx_info', { version: running.broker.version })).toBe(1)
  expect(value('mqttx_connections', { version: '5', transport: 'tcp', listener: 'socket' })).toBe(1)
  expect(value('mqttx_connections', { version: '3.1.1', transport: 'tcp' })).toBe(1)
  expect([0, 1, 2].map(qos => value('mqttx_received_messages_total', { qos: String(qos) }))).toEqual([1, 1, 1])
  expect([0, 1, 2].map(qos => value('mqttx_sent_messages_total', { qos: String(qos) }))).toEqual([1, 2, 0])
  expect(value('mqttx_subscriptions')).toBe(1)
  expect(value('mqttx_retained_messages')).toBe(1)
  expect(value('mqttx_dropped_messages_total', { reason: 'offline' })).toBe(0)
  expect(value('mqttx_store_up')).toBe(1)
  expect(value('mqttx_received_bytes_total')).toBeGreaterThan(50)
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(0)
  expect(value('nodejs_eventloop_lag_p99_seconds')).toBeDefined()
})

test('what waits, how long the store takes, and what taps cost', async () => {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const slow = definePlugin({
    name: 'slowish',
    apply({ hooks }) {
      hooks.onPublish.tap('slowish', () => {
        const until = performance.now() + 0.2
        while (performance.now() < until);
      })
    },
  })
  const { running, scrape } = await measured({
    preset: 'dev',
    redis: { url: redis.url },
    allowAnonymous: true,
    plugins: [slow()],
    mqtt: { inflightMax: 5 },
  })
  const sleeper = await connect(running, { clientId: 'sleeper', clean: false, manualConnect: false })
  await sleeper.subscribeAsync('a', { qos: 1 })
  // It acknowledges nothing.
  sleeper.handleMessage = () => {}
  const writer = await connect(running)
  for (let i = 0; i < 200; i++) await writer.publishAsync('a', String(i), { qos: 1 })
  const value = await scrape()
  expect(value('mqttx_inflight_messages')).toBe(5)
  expect(value('mqttx_queued_messages')).toBe(200)
  expect(value('mqttx_unwritten_bytes')).toBe(0)
  const timed = value('mqttx_store_seconds_count')!
  expect(timed).toBe(Math.floor(200 / 16))
  expect(value('mqttx_store_seconds_bucket', { le: '+Inf' })).toBe(timed)
  expect(value('mqttx_store_seconds_bucket', { le: '30' })).toBe(timed)
  expect(value('mqttx_store_seconds_sum')).toBeGreaterThan(0)
  expect(value('mqttx_hook_calls_total', { plugin: 'slowish', hook: 'onPublish' })).toBe(200)
  // Three calls were timed, of at least 0.2 ms each, and stand for 192.
  expect(value('mqttx_hook_seconds_total', { plugin: 'slowish', hook: 'onPublish' })).toBeGreaterThan(192 * 0.0002 * 0.99)
})

test('what a plugin offers is there too, and in $SYS; names and labels are written so that they can be read', async () => {
  const { running, scrape } = await measured({ sysTopic: {} })
  const { figures } = running.broker
  let eggs = 3
  const takeAway = figures.add({
    name: 'nest_eggs',
    help: 'Eggs in the nest,\nby \\ nest.',
    type: 'gauge',
    read: () => [{ value: eggs, labels: { nest: 'a "quoted" \\ name\n' }, sys: 'nest/eggs' }],
  })
  expect((await scrape())('mqttx_nest_eggs', { nest: 'a "quoted" \\ name\n' })).toBe(3)
  eggs = 4
  expect((await scrape())('mqttx_nest_eggs')).toBe(4)
  const client = await connect(running)
  const shown = new Promise(resolve => client.on('message', (_topic, payload) => resolve(String(payload))))
  await client.subscribeAsync('$SYS/broker/nest/eggs')
  expect(await shown).toBe('4')
  expect(() => figures.add({ name: 'nest_eggs', help: '', type: 'gauge', read: () => [] })).toThrow(/already/)
  takeAway()
  expect((await scrape())('mqttx_nest_eggs')).toBeUndefined()
})

test.each([
  [{}, {}, 200, 'ready for clean sessions only; the store does not answer: '],
  [{}, { ready: 'store' }, 503, 'the store does not answer: '],
  [{ onRedisLoss: 'refuse' }, {}, 503, 'the store does not answer: '],
  [{ onRedisLoss: 'refuse' }, { ready: 'serving' }, 503, 'the store does not answer: '],
  [false, {}, 503, 'the store does not answer: '],
  [false, { ready: 'serving' }, 200, 'ready for clean sessions only; the store does not answer: '],
] as const)(
  'Redis is away: cluster %j and metrics %j say %i, and what is said of clients is true',
  async (cluster, metrics, status, text) => {
    const redis = await RedisServer.start()
    onTestFinished(() => redis.stop())
    const port = await freePort()
    const { url, running } = await measured({
      preset: 'dev',
      redis: { url: redis.url, commandTimeout: '300ms', connectTimeout: '300ms' },
      allowAnonymous: true,
      cluster: cluster === false ? false : { heartbeat: '100ms', expiry: '1s', ...cluster },
      metrics: { port, ...metrics },
    })
    const at = url.replace(/:\d+$/, `:${port}`)
    const ready = async () => {
      const response = await fetch(`${at}/readyz`)
      return { status: response.status, text: await response.text() }
    }
    expect(await ready()).toEqual({ status: 200, text: 'ready\n' })
    await redis.kill()
    await eventually(async () => (await ready()).text.includes('does not answer'))
    const said = await ready()
    expect(said.status).toBe(status)
    expect(said.text.startsWith(text)).toBe(true)
    expect((await fetch(`${at}/livez`)).status).toBe(200)
    if (status !== 200) return
    const client = await connect(running, { clean: true })
    await client.subscribeAsync('a', { qos: 0 })
    const heard = new Promise(resolve => client.once('message', (_topic, payload) => resolve(String(payload))))
    client.publish('a', 'served')
    expect(await heard).toBe('served')
  },
)

test('health: alive always, ready only while the store answers', async () => {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const { url, scrape } = await measured({
    preset: 'dev',
    redis: { url: redis.url, commandTimeout: '300ms', connectTimeout: '300ms' },
    allowAnonymous: true,
  })
  const ready = async () => (await fetch(`${url}/readyz`)).status
  expect(await (await fetch(`${url}/livez`)).text()).toBe('alive\n')
  expect(await ready()).toBe(200)
  await redis.kill()
  await eventually(async () => (await ready()) === 503)
  expect(await (await fetch(`${url}/readyz`)).text()).toMatch(/^the store does not answer: /)
  expect((await fetch(`${url}/livez`)).status).toBe(200)
  expect((await scrape())('mqttx_store_up')).toBe(0)
  await redis.start()
  await eventually(async () => (await ready()) === 200)
})

test('what waits for sessions without a connection is counted, on each store', async () => {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-metrics-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const stores: Config[] = [{}, { memory: false, disk: { path: folder } }, { memory: false, redis: { url: redis.url } }] as Config[]
  for (const store of stores) {
    const { running, scrape } = await measured(store)
    const reader = await connect(running, {
      protocolVersion: 5,
      clientId: 'absent',
      clean: false,
      properties: { sessionExpiryInterval: 3600 },
    })
    await reader.subscribeAsync('a', { qos: 1 })
    await reader.endAsync()
    const writer = await connect(running)
    for (let i = 0; i < 30; i++) await writer.publishAsync('a', 'x'.repeat(100), { qos: 1 })
    const value = await scrape()
    expect(value('mqttx_store_queued_messages')).toBe(30)
    expect(value('mqttx_store_queued_bytes')).toBeGreaterThan(3000)
    expect(value('mqttx_store_sessions')).toBe(1)
    // It is no client of this node's.
    expect(value('mqttx_queued_messages')).toBe(0)
    if ('disk' in store) expect(value('mqttx_store_used_bytes')).toBeGreaterThan(30 * 100)
  }
  // Another node shows the same of the store that they share.
  const { scrape } = await measured(stores[2])
  const value = await scrape()
  expect([value('mqttx_store_queued_messages'), value('mqttx_queued_messages')]).toEqual([30, 0])
})

test.each([
  [true, 200, 'ready; store full: '],
  [false, 503, 'store full: '],
])('a store without room says so, and who drains it gets in: readyWhenStoreFull %s', async (readyWhenStoreFull, status, text) => {
  class FullSessions extends MemorySessions {
    full = false
    room(): StoreRoom {
      return { full: this.full, freeBytes: this.full ? 512 : 1e9 }
    }
  }
  let store!: FullSessions
  const owner = definePlugin({
    name: 'owner',
    provides: ['sessions', 'retained'],
    apply({ services, clock }) {
      store = new FullSessions(clock)
      services.provide('sessions', store, 'owner')
      services.provide('retained', new MemoryRetained(clock), 'owner')
    },
  })
  const port = await freePort()
  const { url, scrape } = await measured({ memory: false, plugins: [owner()], metrics: { port, readyWhenStoreFull } } as Config)
  const seen = async () => {
    const value = await scrape()
    const response = await fetch(`${url}/readyz`)
    return [value('mqttx_store_full'), value('mqttx_store_free_bytes'), value('mqttx_store_up'), response.status, await response.text()]
  }
  expect(await seen()).toEqual([0, 1e9, 1, 200, 'ready\n'])
  store.full = true
  expect(await seen()).toEqual([1, 512, 1, status, expect.stringMatching(`^${text}`)])
})

test('a path that is not there, and another method, are told so', async () => {
  const { url } = await measured()
  const response = await fetch(`${url}/nothing`)
  expect([response.status, await response.text()]).toEqual([404, 'there are /metrics, /livez and /readyz\n'])
  expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405)
})

test('/livez answers while 200 connections that say nothing are open, and those are closed', async () => {
  const { url } = await measured()
  const port = Number(new URL(url).port)
  const dial = async () => {
    const socket = connectSocket(port, '127.0.0.1')
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
    socket.resume()
    // One that there is no place for may be closed before it knows that it was open.
    await Promise.race([closed, new Promise<void>(resolve => socket.on('connect', () => resolve()))])
    return { socket, closed }
  }
  const silent = await Promise.all(Array.from({ length: 200 }, dial))
  // A beginning of a request is as silent.
  for (const { socket } of silent.slice(100)) socket.write('GET /livez HTTP/1.1\r\n')
  for (let i = 0; i < 5; i++) expect((await fetch(`${url}/livez`)).status).toBe(200)
  await Promise.all(silent.map(({ closed }) => closed))
})

/** The status of a request for this host. */
async function statusFor(port: number, host: string): Promise<number | undefined> {
  const asked = request({ port, host: '127.0.0.1', path: '/livez', headers: { host } }).end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

test('on loopback only names and addresses of loopback are answered, or those of metrics.hosts; elsewhere all', async () => {
  const names = [
    'localhost',
    'localhost:9464',
    '127.0.0.1:1',
    '127.8.8.8',
    '[::1]:9464',
    'LOCALHOST',
    'evil.example',
    'localhost.evil.example',
    '10.0.0.1',
  ]
  const loopback = [200, 200, 200, 200, 200, 200]
  const statuses = async (config: Config) => {
    const port = await freePort()
    await measured({ metrics: { port, ...(config.metrics as object) } })
    return Promise.all(names.map(name => statusFor(port, name)))
  }
  expect(await statuses({})).toEqual([...loopback, 421, 421, 421])
  expect(await statuses({ metrics: { hosts: ['Evil.example'] } })).toEqual([...loopback, 200, 421, 421])
  expect(await statuses({ metrics: { host: '0.0.0.0' } })).toEqual([...loopback, 200, 200, 200])
  expect(await statuses({ metrics: { host: '0.0.0.0', hosts: ['10.0.0.1'] } })).toEqual([...loopback, 421, 421, 200])
})

test('a port in use ends the start with its cure', async () => {
  const { url } = await measured()
  const { plugin } = keptLog()
  const second = createBroker({
    preset: 'test',
    log: false,
    socket: { port: 0 },
    metrics: { port: Number(new URL(url).port) },
    plugins: [plugin],
  }).start()
  await expect(second).rejects.toThrow(/^metrics\.port: \d+ is in use on 127\.0\.0\.1; stop the program that has it, or choose another/)
})
