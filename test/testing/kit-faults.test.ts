import { describe, expect, it, onTestFinished, test } from 'vitest'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import type { Config } from '../../presets/index.ts'
import { createTestBroker, type TestBrokerOptions, TestBus } from '../../presets/testing/index.ts'
import type { TestBusNode } from '../../presets/testing/test-bus.ts'
import { busContract } from '../contracts/suite/index.ts'
import { eventually } from '../support/eventually.ts'

// Goal: what the kit can make go wrong goes wrong as with the real parts, and its bus is one.

async function start(config: Config = {}, options: TestBrokerOptions = {}) {
  const broker = await createTestBroker(config, options)
  onTestFinished(() => broker.stop())
  return broker
}

async function sleeper(broker: Awaited<ReturnType<typeof start>>): Promise<void> {
  const client = await broker.client('sleeper', { cleanStart: false })
  await client.subscribe('a', 1)
  client.lose()
  await eventually(() => broker.running.broker.clientOf('sleeper') === undefined)
}

test('a store that is full, or refuses, takes nothing new; the client is told why, and all goes on', async () => {
  const broker = await start()
  await sleeper(broker)
  const writer = await broker.client('writer')
  broker.faults.storeRefuses('full')
  expect(await writer.publish('a', 'no room', { qos: 1 })).toBe(0x97)
  broker.faults.storeRefuses()
  expect(await writer.publish('a', 'never', { qos: 1 })).toBe(0x83)
  expect(await writer.publish('nobody', 'reads it', { qos: 1 })).toBe(0x10)
  broker.faults.storeRefuses(false)
  expect(await writer.publish('a', 'kept', { qos: 1 })).toBe(0)
  const back = await broker.client('sleeper', { cleanStart: false })
  expect(String((await back.received()).payload)).toBe('kept')
})

test('a store that is slow answers when time has been moved on', async () => {
  const broker = await start()
  await sleeper(broker)
  const writer = await broker.client('writer')
  broker.faults.storeSlow(500)
  let answered = false
  const published = writer.publish('a', 'late', { qos: 1 }).then(() => (answered = true))
  await broker.received('a')
  await broker.advance(499)
  expect(answered).toBe(false)
  await broker.advance(1)
  await published
})

test('a message that is lost on the way is sent again when the session is taken up', async () => {
  const broker = await start()
  const reader = await broker.client('reader', { cleanStart: false })
  await reader.subscribe('a', 1)
  reader.losePublish()
  const writer = await broker.client('writer')
  await writer.publish('a', 'lost', { qos: 1 })
  await writer.publish('a', 'seen', { qos: 1 })
  expect(String((await reader.received()).payload)).toBe('seen')
  reader.lose()
  const again = await broker.client('reader', { cleanStart: false })
  expect(String((await again.received()).payload)).toBe('lost')
})

describe('brokers on one bus', () => {
  const pair = async () => {
    const bus = new TestBus()
    const [one, two] = [await start({}, { bus }), await start({}, { bus })]
    const reader = await two.client('reader')
    await reader.subscribe('a/#', 1)
    return { bus, one, two, reader, writer: await one.client('writer') }
  }

  test('are one broker', async () => {
    const { one, two, reader, writer } = await pair()
    expect([one, two].map(({ running }) => running.broker.settings.brokerId)).toEqual(['node-1', 'node-2'])
    expect(one.warnings).toEqual([])
    await writer.publish('a/1', 'over there', { qos: 1 })
    expect(String((await reader.received()).payload)).toBe('over there')
    const elsewhere = await one.client('reader')
    await eventually(() => reader.closed)
    expect(elsewhere.closed).toBe(false)
  })

  test('one that is cut off keeps back acknowledgements, and hears the rest when it is back', async () => {
    const { bus, reader, writer } = await pair()
    bus.cut('node-2')
    let acknowledged = false
    const published = writer.publish('a/1', 'kept', { qos: 1 }).then(() => (acknowledged = true))
    await writer.publish('b', '', { qos: 0 })
    expect(reader.messages).toEqual([])
    bus.cut('node-2', false)
    await published
    expect(acknowledged).toBe(true)
    expect(String((await reader.received()).payload)).toBe('kept')
    expect(() => bus.cut('nobody')).toThrow('no broker "nobody" is on this bus')
  })
})

let bus = new TestBus()
busContract(
  { describe, it },
  {
    name: 'of the test kit',
    create: node => bus.node(node, new SystemClock()),
    stop: node => (node as TestBusNode).stop(),
    crash: node => (node as TestBusNode).stop(true),
    cut(node) {
      bus.cut(node.node)
      return () => bus.cut(node.node, false)
    },
    dispose: () => void (bus = new TestBus()),
  },
)
