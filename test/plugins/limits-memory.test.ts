import { connect as connectSocket } from 'node:net'
import { totalmem } from 'node:os'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { addCache, BoundedCache, cachesOf } from '../../plugins/kit/bounded-cache.ts'
import { LimitLog } from '../../plugins/limits/limit-log.ts'
import { memoryMax, memoryUse } from '../../plugins/limits/memory-use.ts'
import { MemoryWatch } from '../../plugins/limits/memory-watch.ts'
import { settled, startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

// The process of these tests uses more than nothing of its memory: a stage that begins at 0 has begun, one at 100 never does.
const from = (refuseAt: number, pauseAt = 100, dropAt = 100, disconnectAt = 100) => ({
  limits: { memory: { max: 'auto' as const, interval: '1s', refuseAt, pauseAt, dropAt, disconnectAt } },
})

const mebibyte = 1_048_576

describe.each([4, 5] as const)('MQTT %i, short of memory', version => {
  test('new clients are refused, those that are there go on', async () => {
    const { open, connect, advance, broker } = await startBroker(from(0))
    const before = await connect({ version })
    const begun = open(version)
    await advance(2000)
    const refusal = version === 5 ? ReasonCode.QuotaExceeded : 3
    // One that had connected before, but sent no CONNECT yet, is refused too.
    for (const client of [begun, open(version)]) {
      const connack = await client.connect()
      expect(connack.reasonCode).toBe(refusal)
      if (version === 5) expect(connack.properties?.reasonString).toBe('the broker is short of memory')
      await client.closed
    }
    expect(broker.counters.limited.memoryRefused).toBe(2)
    expect(await before.publish('a', '', { qos: 1 })).toBeDefined()
  })

  test.each([0, 1] as const)(
    'publishers are slowed to a message at each look, QoS %i: none is lost, and readers are not slowed',
    async qos => {
      const { connect, advance, broker } = await startBroker(from(0, 0))
      const reader = await connect({ version, keepAlive: 30 })
      await reader.subscribe('#', 1)
      const writer = await connect({ version })
      await advance(2000)
      for (let i = 0; i < 5; i++) writer.sendPublish('a', String(i), { qos })
      await settled()
      for (let i = 0; i < 5; i++) {
        expect(await reader.payloads()).toEqual([String(i)])
        await advance(1000)
      }
      expect(writer.isClosed).toBe(false)
      expect(broker.counters.limited.memoryPaused).toBe(5)
    },
  )

  test('QoS 0 is dropped as it comes, and counted; QoS 1 is not', async () => {
    const { connect, advance, broker } = await startBroker(from(0, 0, 0))
    const reader = await connect({ version })
    await reader.subscribe('#', 1)
    const writer = await connect({ version })
    await advance(2000)
    for (let i = 0; i < 20; i++) writer.sendPublish('a', 'lost', { qos: 0 })
    expect(await writer.publish('a', 'kept', { qos: 1 })).toMatchObject({ reasonCode: 0 })
    await settled()
    expect(await reader.payloads()).toEqual(['kept'])
    expect(broker.counters).toMatchObject({ limited: { memoryDropped: 20 }, dropped: { refused: 20 } })
  })
})

test('the heaviest client is disconnected first, no more than are needed, and who keeps little is left alone', async () => {
  const { running, broker, clock } = await startBroker({ socket: { port: 0 }, mqtt: { writeBufferMax: '64MiB' } })
  const dial = async (clientId: string) => {
    const client = new TestClient(connectSocket(running.port, '127.0.0.1'), 5)
    await client.connect({ clientId })
    return client
  }
  const [writer, heavy, heaviest, light] = [await dial('writer'), await dial('heavy'), await dial('heaviest'), await dial('light')]
  await heavy.subscribe('a')
  await heaviest.subscribe(['a', 'b'])
  for (const client of [heavy, heaviest]) client.stream.pause()
  for (const topic of ['a', 'b']) for (let i = 0; i < 2000; i++) writer.sendPublish(topic, Buffer.alloc(10_000))
  await writer.rest()
  // The kernel has taken some of it.
  expect(broker.clientOf('heavy')!.heldBytes).toBeGreaterThan(2 * mebibyte)
  expect(broker.clientOf('heaviest')!.heldBytes).toBeGreaterThan(20 * mebibyte)

  const thresholds = { refuseAt: 75, pauseAt: 85, dropAt: 90, disconnectAt: 95 }
  const watch = new MemoryWatch(thresholds, broker, new LimitLog(broker), () => ({ used: 955 * mebibyte, max: 1000 * mebibyte }))
  const ended: string[] = []
  broker.hooks.onDisconnect.tap('test', ({ clientId }, { code }) => void ended.push(`${clientId} ${code.toString(16)}`))
  // Garbage is collected before anybody is disconnected for it.
  watch.look()
  expect(ended).toEqual([])
  watch.look()
  expect(ended).toEqual(['heaviest 97'])
  // Before it looks for another it waits until the memory of this one can be free.
  clock.advance(2999)
  watch.look()
  expect(ended).toHaveLength(1)
  clock.advance(1)
  watch.look()
  watch.look()
  expect(ended).toEqual(['heaviest 97', 'heavy 97'])
  clock.advance(3000)
  watch.look()
  watch.look()
  expect(ended).toHaveLength(2)
  for (const client of [light, writer]) expect(await client.rest()).toEqual([])
  expect(broker.counters.limited.memoryDisconnected).toBe(2)
  for (const client of [heavy, heaviest]) {
    client.stream.resume()
    await client.closed
  }
})

test('stages come and go with a gap between, and each change is one line in the log', async () => {
  const log = keptLog()
  const { broker } = await startBroker({ log: false, plugins: [log.plugin] })
  let percent = 0
  const thresholds = { refuseAt: 75, pauseAt: 85, dropAt: 90, disconnectAt: 95 }
  // The first time that a stage would begin, garbage is collected instead; here that helps nothing.
  const watch = new MemoryWatch(thresholds, broker, new LimitLog(broker), () => ({ used: percent, max: 100 }))
  const said: string[] = []
  for (percent of [10, 74.9, 75, 74, 75, 76, 70, 69.9, 69, 96, 94, 90, 89, 84.9, 84, 79, 70, 60, 60]) {
    const before = log.lines.length
    watch.look()
    for (const { level, message } of log.lines.slice(before))
      said.push(`${level} ${percent} ${message.replace(/^limits: memory at \d+ %: /, '')}`)
    expect(log.lines.length - before).toBeLessThanOrEqual(1)
  }
  expect(said).toEqual([
    'warn 75 caches are emptied and new clients refused',
    'info 69.9 all is well again',
    'warn 96 the heaviest clients are disconnected',
    'info 89 QoS 0 messages are dropped',
    'info 84.9 publishers are slowed',
    'info 79 caches are emptied and new clients refused',
    'info 60 all is well again',
  ])
})

test('the first that is given up is what was kept to spare time: of the broker and of plugins', async () => {
  const forgetful = definePlugin({
    name: 'forgetful',
    apply({ broker }) {
      const known = new BoundedCache<number>(100_000, () => 8)
      known.set('a', 1)
      addCache(broker, 'forgetful', () => known)
    },
  })
  const { broker, connect } = await startBroker({ plugins: [forgetful()], rewrite: { rules: [{ filter: 'x', to: 'y' }] } })
  const client = await connect()
  for (let i = 0; i < 100; i++) client.sendPublish(`a/${i}`)
  await client.rest()
  const bytes = () => Object.fromEntries([...cachesOf(broker)].map(cache => [cache.name, cache.bytes > 0]))
  expect(bytes()).toEqual({ routes: true, topicNames: true, rewrite: true, forgetful: true })
  const thresholds = { refuseAt: 75, pauseAt: 85, dropAt: 90, disconnectAt: 95 }
  // What the caches keep is what is too much.
  const watch = new MemoryWatch(thresholds, broker, new LimitLog(broker), () => ({
    used: Object.values(bytes()).includes(true) ? 80 : 70,
    max: 100,
  }))
  watch.look()
  expect(bytes()).toEqual({ routes: false, topicNames: false, rewrite: false, forgetful: false })
  watch.look()
  expect(watch.refuses).toBe(false)
})

test('the process itself is measured: memory that it takes raises the stage, memory that it gives back lowers it', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { used } = memoryUse(1, 0)
  const max = used * 10
  const refuseAt = ((used + 300 * mebibyte) / max) * 100
  const { open, advance } = await startBroker({ limits: { memory: { max, refuseAt } } })
  const knock = async () => (await open(5).connect()).reasonCode
  await advance(1000)
  expect(await knock()).toBe(0)
  let taken: Buffer | null = Buffer.alloc(500 * mebibyte, 1)
  await advance(1000)
  expect(await knock()).toBe(ReasonCode.QuotaExceeded)
  expect(taken.length).toBeGreaterThan(0)
  taken = null
  collect()
  await settled()
  collect()
  await advance(1000)
  expect(await knock()).toBe(0)
})

test('garbage counts as used until the watch itself collects it, before it refuses anybody', async () => {
  const { used } = memoryUse(1, 0)
  const max = used * 10
  const { open, advance, broker } = await startBroker({ limits: { memory: { max, refuseAt: ((used + 300 * mebibyte) / max) * 100 } } })
  let garbage: Buffer | null = Buffer.alloc(500 * mebibyte, 1)
  expect(garbage.length).toBeGreaterThan(0)
  garbage = null
  await advance(250)
  await settled()
  await advance(1000)
  expect((await open(5).connect()).reasonCode).toBe(0)
  expect(broker.counters.limited.memoryRefused).toBe(0)
})

test('what is nearer to its limit counts, the process or its heap', () => {
  const { rss } = process.memoryUsage()
  expect(memoryUse(rss, 0)).toMatchObject({ max: rss })
  expect(memoryUse(Number.MAX_SAFE_INTEGER, 0)).toMatchObject({ max: getHeapStatistics().heap_size_limit })
  expect(memoryMax()).toBeGreaterThan(0)
  expect(memoryMax()).toBeLessThanOrEqual(totalmem())
})

test('nothing is looked at where limits.memory.max is not set', async () => {
  const { advance, open, broker, connect } = await startBroker({ limits: { memory: { refuseAt: 0 } } })
  await advance(5000)
  expect(await open(5).connect()).toMatchObject({ reasonCode: 0 })
  const client = await connect({ clientId: 'plain' })
  expect(broker.clientOf('plain')!.meter).toBeNull()
  client.send({ type: PacketType.Pingreq })
  await client.next(PacketType.Pingresp)
})
