import { expect, test } from 'vitest'
import { type Config, ManualClock } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { judgeNumbers, publishNumbers } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'
import { bridgeTo, connected, connectTo, type Side, side } from '../support/mqtt-bridge.ts'
import { freePort } from '../support/redis.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** A session at a broker that keeps all that is published to `a/#`. */
async function keeper(port: number) {
  const values: { key: string; value: Buffer }[] = []
  const client = await connectTo(port, {
    clientId: 'keeper',
    keepalive: 0,
    clean: false,
    properties: { sessionExpiryInterval: 1000, receiveMaximum: 1000 },
  })
  client.on('message', (topic, value) => void values.push({ key: topic.split('/').at(-1)!, value }))
  await client.subscribeAsync('a/#', { qos: 2 })
  return values
}

const devices = ['one', 'two', 'three', 'four']

test.each([
  ['out', 'local'],
  ['out', 'remote'],
  ['out', 'none'],
  ['in', 'local'],
] as const)(
  'the connection breaks again and again amid 2,000 messages, %s, ack %s: none is lost, each publisher keeps its order',
  async (direction, ack) => {
    const there = await side()
    const proxy = await TcpProxy.start(there.port)
    const here = await side({
      diskQueue: { path: await folderWith() },
      mqttBridge: bridgeTo(proxy.port, { topics: [{ filter: 'a/#', direction, ack }] }),
    })
    await connected(here)
    if (direction === 'in') await connected(here, there)
    const [from, to] = direction === 'out' ? [here, there] : [there, here]
    const values = await keeper(to.port)
    let done = false
    const publishing = Promise.all(
      devices.map((device, index) => publishNumbers(from.port, device, `a/${device}`, 500, index % 2 === 0 ? 5 : 4)),
    )
    void publishing.then(() => (done = true))
    for (let round = 0; round < 5 && !done; round++) {
      const before = values.length
      await eventually(() => done || values.length >= before + 100)
      proxy.cut('refused')
      const connects = here.figure('connects_total')
      await eventually(() => here.figure('connected') === 0)
      proxy.heal()
      await eventually(() => here.figure('connects_total') > connects)
    }
    await publishing
    await eventually(() => new Set(values.map(({ value }) => value.toString())).size === 2000)
    expect(judgeNumbers(values, devices, 500)).toMatchObject({ lost: 0, disordered: 0 })
    await proxy.stop()
  },
)

test('what waits on disk outlives the broker, and is sent in order when both are back', async () => {
  const port = await freePort()
  const path = await folderWith()
  const config: Config = { diskQueue: { path }, mqttBridge: bridgeTo(port, { topics: [{ filter: 'a/#' }] }) }
  const first = await side(config)
  await publishNumbers(first.port, 'one', 'a/one', 500)
  expect(first.figure('waiting_messages')).toBe(500)
  await first.stop()
  const there = await side({ socket: { port } })
  const values = await keeper(there.port)
  const second = await side(config)
  await eventually(() => values.length >= 500)
  expect(judgeNumbers(values, ['one'], 500)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
  await eventually(() => second.figure('waiting_messages') === 0)
})

test.each(['refuse', 'dropOldest'] as const)(
  'the other broker is away for ten hours and the queue is full, whenFull %s: what was acknowledged and not displaced arrives',
  async whenFull => {
    const clock = new ManualClock()
    const port = await freePort()
    const here = await side(
      {
        diskQueue: { path: await folderWith() },
        mqttBridge: bridgeTo(port, { topics: [{ filter: 'a/#' }], queueBytes: '64KiB', whenFull, retryMin: '1s', retryMax: '60s' }),
      },
      clock,
    )
    const client = await here.connect({ keepalive: 0 })
    const outcomes: boolean[] = []
    for (let hour = 0; hour < 10; hour++) {
      for (let message = 0; message < 50; message++) {
        const payload = `one ${outcomes.length} ${'x'.repeat(200)}`
        outcomes.push(
          await client.publishAsync('a/one', payload, { qos: 1 }).then(
            () => true,
            ({ code }) => {
              expect(code).toBe(0x97)
              return false
            },
          ),
        )
      }
      for (let minute = 0; minute < 60; minute++) {
        clock.advance(60_000)
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    const waiting = here.figure('waiting_messages')
    expect(here.figure('lag_seconds')).toBeGreaterThan(3600)
    const there = await side({ socket: { port } })
    const values = await keeper(there.port)
    await eventually(() => {
      clock.advance(10_000)
      return values.length >= waiting
    })
    const numbers = values.map(({ value }) => Number(value.toString().split(' ')[1]))
    const acknowledged = outcomes.flatMap((taken, number) => (taken ? [number] : []))
    if (whenFull === 'refuse') {
      expect(acknowledged.length).toBeLessThan(500)
      expect(numbers).toEqual(acknowledged)
    } else {
      expect(acknowledged).toHaveLength(500)
      expect(numbers).toEqual(acknowledged.slice(-waiting))
      expect(here.figure('dropped_full_messages_total')).toBe(500 - waiting)
      expect(here.drops.filter(({ reason }) => reason === 'mqttBridgeFull')).toHaveLength(500 - waiting)
    }
  },
)

test('QoS 0 is dropped and counted while the other broker is away, or waits where that is wanted', async () => {
  const port = await freePort()
  const topics = [{ filter: 'a/#', ack: 'none' as const }]
  const here = await side({
    mqttBridge: {
      connections: [
        { name: 'drops', addresses: [`127.0.0.1:${port}`], topics, notifications: 'none' },
        { name: 'waits', addresses: [`127.0.0.1:${port}`], topics, notifications: 'none', queueQos0: true },
      ],
    },
  })
  const client = await here.connect({ keepalive: 0 })
  await client.publishAsync('a/b', 'x', { qos: 0 })
  await eventually(() => here.figure('waiting_messages') === 1)
  expect(here.drops).toEqual([{ clientId: 'bridge:drops', reason: 'mqttBridgeAway', topic: 'a/b' }])
})

test('a broker that stands still is found out by its silence, and what was on its way is sent again', async () => {
  const there = await side()
  const proxy = await TcpProxy.start(there.port)
  const here = await side({
    mqttBridge: bridgeTo(proxy.port, { topics: [{ filter: 'a/#', ack: 'remote' }], keepAlive: '1s', connectTimeout: 300 }),
  })
  await connected(here)
  const values = await keeper(there.port)
  proxy.cut('silent')
  const publishing = publishNumbers(here.port, 'one', 'a/one', 100)
  await eventually(() => here.figure('connected') === 0)
  proxy.heal()
  await publishing
  expect(judgeNumbers(values, ['one'], 100)).toMatchObject({ lost: 0, disordered: 0 })
  await proxy.stop()
})

function linesOf({ lines }: Side, text: string): number {
  return lines.filter(({ message }) => message.includes(text)).length
}

test('the log says once that the other broker is away and why, and once that it is back', async () => {
  const port = await freePort()
  const here = await side({ mqttBridge: bridgeTo(port, { topics: [{ filter: 'a/#', ack: 'none' }] }) })
  await eventually(() => linesOf(here, 'ECONNREFUSED') > 0)
  await side({ socket: { port } })
  await connected(here)
  expect(linesOf(here, 'not connected to')).toBe(1)
  expect(linesOf(here, 'connected to 127.0.0.1')).toBeGreaterThan(0)
})
