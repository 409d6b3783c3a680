import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'

// Goal: services combine. A bus, a store of sessions and one of retained messages may each be another plugin's, built in or a stranger's.

const page = await readFile(fileURLToPath(new URL('../../docs/writing-a-bus.md', import.meta.url)), 'utf8')
const hub = /^```ts\n(.*?)^```/ms.exec(page)![1]!

async function redisServer(): Promise<RedisServer> {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  return redis
}

const kept = { cleanStart: false, properties: { sessionExpiry: 3600 } } as const

/** Sessions and retained messages of one node, as a plugin of the user's own keeps them. */
const ownStore = definePlugin({
  name: 'ownStore',
  provides: ['sessions', 'retained'],
  apply({ services, clock }) {
    services.provide('sessions', new MemorySessions(clock), 'ownStore')
    services.provide('retained', new MemoryRetained(clock), 'ownStore')
  },
})

const ownRetained = definePlugin({
  name: 'ownRetained',
  provides: ['retained'],
  apply({ services, clock }) {
    services.provide('retained', new MemoryRetained(clock), 'ownRetained')
  },
})

test('a bus of one’s own with Redis’ store: nodes hear of one another’s sessions and retained messages by the store itself', async () => {
  const redis = await redisServer()
  const bus = join(await folderWith({ 'hub.ts': hub }), 'hub.ts')
  const config = { cluster: { enable: true, heartbeat: 100, expiry: 1000 }, plugins: [bus] } as Config
  const nodes = [await TestNode.start('n1', { url: redis.url }, config), await TestNode.start('n2', { url: redis.url }, config)] as const
  const [one, two] = nodes
  for (const { broker } of nodes) {
    expect([broker.services.ownerOf('bus'), broker.services.ownerOf('sessions'), broker.services.ownerOf('retained')]).toEqual([
      'hub',
      'redis',
      'redis',
    ])
    await eventually(() => broker.services.get('bus').nodes().length === 2)
  }
  const reader = await one.connect({ clientId: 'reader', ...kept })
  await reader.subscribe('kept/#', 1)
  const passing = await one.connect({ clientId: 'passing' })
  await passing.subscribe('#', 1)
  await one.wants('none', two, false)
  await two.wants('kept/1', one)
  const writer = await two.connect({ clientId: 'writer' })
  await writer.publish('kept/1', 'connected', { qos: 1 })
  expect((await reader.receive()).payload.toString()).toBe('connected')
  expect((await passing.receive()).payload.toString()).toBe('connected')
  reader.drop()
  await eventually(() => one.broker.clientOf('reader') === undefined && two.broker.sessionOf('reader') !== undefined)
  // The other node knows of the subscription, and puts it into the queue.
  await writer.publish('kept/2', 'parked', { qos: 1, retain: true })
  const again = await two.connect({ clientId: 'reader', ...kept })
  expect((await again.receive()).payload.toString()).toBe('parked')
  // A node that appends to a session which another one has connected wakes it.
  await (await one.connect({ clientId: 'other' })).publish('kept/3', 'woken', { qos: 1 })
  expect((await again.receive()).payload.toString()).toBe('woken')
  const late = await one.connect({ clientId: 'late' })
  await late.subscribe('kept/2', 1)
  expect(await late.receive()).toMatchObject({ topic: 'kept/2', retain: true })
})

test('a store of one’s own with Redis’ bus: clients of one node reach those of the other, and Redis keeps no session', async () => {
  const redis = await redisServer()
  const config = { plugins: [ownStore()] } as Config
  const [one, two] = [await TestNode.start('n1', { url: redis.url }, config), await TestNode.start('n2', { url: redis.url }, config)]
  expect([one.broker.services.ownerOf('bus'), one.broker.services.ownerOf('sessions')]).toEqual(['redis', 'ownStore'])
  for (const { broker } of [one, two]) await eventually(() => broker.services.get('bus').nodes().length === 2)
  const reader = await one.connect({ clientId: 'reader', ...kept })
  await reader.subscribe('t', 1)
  const passing = await one.connect({ clientId: 'passing' })
  await passing.subscribe('t', 1)
  const writer = await two.connect({ clientId: 'writer' })
  await writer.publish('t', 'over there', { qos: 1 })
  expect((await passing.receive()).payload.toString()).toBe('over there')
  expect(await redis.call('EXISTS', 'mqttx.session.key:{reader}')).toBe(0)
})

test('retained messages of one’s own with disk’s sessions', async () => {
  const path = await folderWith()
  const config = { memory: false, disk: { path, reserve: 0 }, plugins: [ownRetained()] } as Config
  const first = await startBroker(config)
  expect([first.broker.services.ownerOf('retained'), first.broker.services.ownerOf('sessions')]).toEqual(['ownRetained', 'disk'])
  await (await first.connect({ clientId: 'a', cleanStart: false })).subscribe('x', 1)
  const writer = await first.connect()
  await writer.publish('y', 'retained', { qos: 1, retain: true })
  const late = await first.connect()
  await late.subscribe('y')
  expect((await late.message()).payload.toString()).toBe('retained')
  await first.running.stop()
  const again = await startBroker(config)
  expect(again.broker.services.get('retained').size).toBe(0)
  await (await again.connect()).publish('x', 'queued', { qos: 1 })
  expect((await (await again.connect({ clientId: 'a', cleanStart: false })).receive()).payload.toString()).toBe('queued')
})
