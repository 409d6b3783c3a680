import { expect, onTestFinished, test } from 'vitest'
import type { Moment } from '../../core/time/clock.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import type { Options } from '../../plugins/redis/client-options.ts'
import { Keys } from '../../plugins/redis/keys.ts'
import { redisManifest } from '../../plugins/redis/manifest.ts'
import { probeRedis } from '../../plugins/redis/probe.ts'
import type { TestClient } from '../support/client.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'
import { hasCompiler, RedisServer } from '../support/redis.ts'

// Nodes whose clocks are wrong, on one Redis: what is stored comes due by the store's time, whichever node looks.

const hour = 3600_000
const day = 24 * hour

/** The clock of a machine that is so much ahead. */
class WrongClock extends SystemClock {
  readonly #aheadMs: number

  constructor(aheadMs: number) {
    super()
    this.#aheadMs = aheadMs
  }

  override now(): number {
    return super.now() + this.#aheadMs
  }

  override moment(): Moment {
    const moment = super.moment()
    return { ...moment, wall: moment.wall + this.#aheadMs }
  }
}

async function startRedis(hasClock = false): Promise<RedisServer> {
  const redis = await (hasClock ? RedisServer.startWithClock() : RedisServer.start())
  onTestFinished(() => redis.stop())
  return redis
}

/** An hour, promised by a node: a session, a message in its queue, a will, a retained message. */
async function promise(node: TestNode, name = 'a'): Promise<void> {
  const reader = await node.connect({ clientId: `reader-${name}`, cleanStart: false, properties: { sessionExpiry: 3600 } })
  await reader.subscribe(`hour/${name}`, 1)
  reader.disconnect()
  await reader.closed
  const mortal = await node.connect({
    clientId: `mortal-${name}`,
    cleanStart: false,
    properties: { sessionExpiry: 7200 },
    will: { topic: `will/${name}`, payload: Buffer.from('dead'), qos: 1, properties: { willDelay: 3600 } },
  })
  mortal.stream.destroy()
  await mortal.closed
  const writer = await node.connect()
  await writer.publish(`hour/${name}`, 'kept', { qos: 1, properties: { messageExpiry: 3600 } })
  await writer.publish(`retained/${name}`, 'kept', { qos: 1, retain: true, properties: { messageExpiry: 3600 } })
}

/** A node has looked for what has come due since: what came due there has been dealt with. */
async function swept(node: TestNode): Promise<void> {
  const clientId = `brief-${Math.random()}`
  const gone = new Promise<void>(resolve => {
    node.broker.hooks.onSessionExpired.tap('test', ended => {
      if (ended === clientId) resolve()
    })
  })
  const brief = await node.connect({ clientId, cleanStart: false, properties: { sessionExpiry: 1 } })
  brief.disconnect()
  await gone
}

async function expectKept(node: TestNode, name = 'a'): Promise<void> {
  const reader = await node.connect({ clientId: `reader-${name}`, cleanStart: false, properties: { sessionExpiry: 3600 } })
  expect(reader.heard[0]).toMatchObject({ sessionPresent: true })
  await expectHour(reader, 'kept')
  await reader.subscribe(`retained/${name}`, 1)
  await expectHour(reader, 'kept')
  await reader.subscribe(`will/${name}`, 1)
  // Its will has not been sent: the end of its session does that.
  await node.connect({ clientId: `mortal-${name}`, cleanStart: true })
  expect((await reader.receive()).payload.toString()).toBe('dead')
}

async function expectHour(client: TestClient, payload: string): Promise<void> {
  const message = await client.receive()
  expect(message.payload.toString()).toBe(payload)
  expect(message.properties?.messageExpiry).toBeLessThanOrEqual(3600)
  expect(message.properties?.messageExpiry).toBeGreaterThan(3400)
}

test.each([
  ['ten days ahead', 10 * day],
  ['two hours ahead', 2 * hour],
  ['two hours behind', -2 * hour],
  ['ten days behind', -10 * day],
])('a node whose clock is %s ends nothing of others, and what it keeps itself lives as long as it should', async (_title, aheadMs) => {
  const redis = await startRedis()
  const right = await TestNode.start('n2', { url: redis.url })
  await promise(right)
  // The first by name looks for what has come due.
  const wrong = await TestNode.start('n1', { url: redis.url }, {}, new WrongClock(aheadMs))
  await eventually(() => right.broker.services.get('bus').nodes().length === 2)
  await swept(wrong)
  await expectKept(right)

  await promise(wrong, 'b')
  await wrong.running.stop()
  await eventually(() => right.broker.services.get('bus').nodes().length === 1)
  await swept(right)
  await expectKept(right, 'b')
})

test.each([60, -60, 7200])('a message that goes between nodes whose clocks are %i s apart keeps its expiry', async apart => {
  const redis = await startRedis()
  const a = await TestNode.start('n1', { url: redis.url })
  const b = await TestNode.start('n2', { url: redis.url }, {}, new WrongClock(apart * 1000))
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const clean = await to.connect()
    await clean.subscribe('seconds', 1)
    const durable = await to.connect({ clientId: `durable-${to.name}`, cleanStart: false, properties: { sessionExpiry: 3600 } })
    await durable.subscribe('seconds', 1)
    await from.wants('seconds', to)
    const writer = await from.connect()
    await writer.publish('seconds', 'one', { qos: 1, properties: { messageExpiry: 100 } })
    for (const reader of [clean, durable]) {
      const { properties } = await reader.receive()
      expect(properties?.messageExpiry).toBeLessThanOrEqual(100)
      expect(properties?.messageExpiry).toBeGreaterThan(60)
      await reader.unsubscribe('seconds')
    }
    await from.wants('seconds', to, false)
  }
})

test('the difference between the clocks is a figure, one line, and what check --connect says', async () => {
  const redis = await startRedis()
  const { plugin, lines } = keptLog()
  const node = await TestNode.start('n1', { url: redis.url }, { log: false, plugins: [plugin] } as never, new WrongClock(-7200_000))
  const figure = [...node.broker.figures].find(({ name }) => name === 'store_clock_difference_seconds')!
  expect(figure.read()[0]!.value).toBeLessThan(-7190)
  expect(figure.read()[0]!.value).toBeGreaterThan(-7210)
  const time = () => lines.filter(({ message }) => /clock is 7\d\d\d\.\d s behind that of redis; set up NTP on both/.test(message))
  expect(time()).toHaveLength(1)
  const options = checkOptions(redisManifest.options, { url: redis.url }, 'redis') as Options
  expect(await probeRedis(options, new Keys(options), false)).toMatch(/append-only file off; clocks agree/)
})

test.skipIf(!hasCompiler).each([
  ['two hours ahead', 7200],
  ['two hours back', -7200],
])(
  'where the clock of Redis is set, as after a fail-over to another, nothing comes due before its time: %s (needs cc)',
  async (_title, seconds) => {
    const redis = await startRedis(true)
    const a = await TestNode.start('n1', { url: redis.url })
    const b = await TestNode.start('n2', { url: redis.url })
    await promise(b)
    redis.setClock(seconds)
    for (const type of ['normal', 'pubsub']) await redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
    const steps = (node: TestNode) => [...node.broker.figures].find(({ name }) => name === 'store_clock_steps_total')!.read()[0]!.value
    await eventually(() => steps(a) === 1 && steps(b) === 1)
    await swept(a)
    // Who starts now has not seen it happen.
    const late = await TestNode.start('n0', { url: redis.url })
    await eventually(() => a.broker.services.get('bus').nodes().length === 3)
    await swept(late)
    await expectKept(late)
    expect(Math.abs(Number.parseInt(String(await redis.call('GET', 'mqttx.session.key:time')), 10) + seconds * 1000)).toBeLessThan(5000)
  },
)
