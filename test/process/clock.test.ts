import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { type ClockSetting, clockEnv } from '../support/clock.ts'
import { freePort } from '../support/redis.ts'
import { Command } from './command.ts'

// A machine's wall clock is wrong and is set, by NTP or by hand: what a client was promised for an hour is kept for an hour of real time, on disk and over
// each way of ending. Each broker is a process with clocks of its own (test/support/clock.mjs).

const built = beforeAllBuilt()
const hour = 3600_000
const day = 24 * hour

let folder: string
let metrics: number
let port: number

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mqttx-clock-'))
  metrics = await freePort()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function start(clock: ClockSetting): Promise<Command> {
  const options = [`metrics.port=${metrics}`, 'diskQueue.path=./queue', 'delay.max=1d'].flatMap(option => ['--set', option])
  const broker = new Command(built.path('presets/bin.js'), folder, ['--preset', 'standalone', '--port', '0', ...options], clockEnv(clock))
  port = await broker.ready()
  return broker
}

async function end(broker: Command, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  broker.signal(signal)
  await broker.ended()
}

async function connect(options: ConnectOptions): Promise<TestClient & { sessionPresent: boolean }> {
  const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true })
  onTestFinished(() => void socket.destroy())
  const client = new TestClient(socket, options.version ?? 5)
  const { sessionPresent } = await client.connect({ version: 5, ...options })
  return Object.assign(client, { sessionPresent })
}

const durable = (clientId: string, sessionExpiry = 3600): ConnectOptions => ({ clientId, cleanStart: false, properties: { sessionExpiry } })

/** Sessions and messages with an hour to live, a will and a message that wait for an hour. */
async function promise(): Promise<void> {
  const reader = await connect(durable('reader'))
  await reader.subscribe('for/an/hour', 1)
  reader.disconnect()
  await reader.closed
  const mortal = await connect({
    ...durable('mortal', 7200),
    will: { topic: 'will', payload: Buffer.from('dead'), qos: 1, properties: { willDelay: 3600 } },
  })
  const writer = await connect({ clientId: 'writer' })
  await writer.publish('for/an/hour', 'kept', { qos: 1, properties: { messageExpiry: 3600 } })
  await writer.publish('retained', 'kept', { qos: 1, retain: true, properties: { messageExpiry: 3600 } })
  await writer.publish('$delayed/3600/later', 'delayed', { qos: 1 })
  mortal.stream.destroy()
  writer.disconnect()
  await writer.closed
}

/** All of it is there. */
async function expectKept(): Promise<void> {
  const reader = await connect(durable('reader'))
  expect(reader.sessionPresent).toBe(true)
  const [message] = [await reader.receive()]
  expect(message.payload.toString()).toBe('kept')
  expect(message.properties?.messageExpiry).toBeLessThanOrEqual(3600)
  expect(message.properties?.messageExpiry).toBeGreaterThan(3000)
  await reader.subscribe('retained', 1)
  expect((await reader.receive()).properties?.messageExpiry).toBeGreaterThan(3000)
  expect(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()).toContain('\nmqttx_delayed_messages 1\n')
  // The will is still to come: it comes when its session ends.
  await reader.subscribe('will', 1)
  expect((await connect({ ...durable('mortal'), cleanStart: true })).sessionPresent).toBe(false)
  expect((await reader.receive()).payload.toString()).toBe('dead')
}

const cases: [title: string, first: ClockSetting, second: ClockSetting][] = [
  ['two days behind, and set right', { shiftMs: -2 * day, stepMs: 2 * day }, {}],
  ['two hours behind, and set right', { shiftMs: -2 * hour, stepMs: 2 * hour }, {}],
  ['at the beginning of 1970, and set right', { shiftMs: -Date.now(), stepMs: Date.now() }, {}],
  ['ten days ahead, and set right', { shiftMs: 10 * day, stepMs: -10 * day }, {}],
  ['right, and set ten days ahead', { stepMs: 10 * day }, { shiftMs: 10 * day }],
  [
    'two days behind and set right, and the machine starts anew',
    { shiftMs: -2 * day, stepMs: 2 * day, boot: 'one', uptimeS: 20 },
    { boot: 'two', uptimeS: 10 },
  ],
  ['right, and at the next start of the machine in 1970', { boot: 'one', uptimeS: 20 }, { shiftMs: -Date.now(), boot: 'two', uptimeS: 10 }],
  ['in 1970, and right at the next start of the machine', { shiftMs: -Date.now(), boot: 'one', uptimeS: 20 }, { boot: 'two', uptimeS: 10 }],
]

test.each(cases.map(([title, first, second], i) => [title, i % 2 === 0 ? 'SIGTERM' : 'SIGKILL', first, second] as const))(
  'a wall clock that is %s, ends nothing before its time, over %s and a new start',
  async (_title, signal, first, second) => {
    const before = await start(first)
    await promise()
    if (first.stepMs !== undefined) {
      process.kill(before.pid, 'SIGUSR2')
      await before.line(/the machine's clock was set .* s (ahead|back)/)
      expect(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()).toContain('\nmqttx_clock_steps_total 1\n')
    }
    await end(before, signal)
    const after = await start(second)
    await expectKept()
    if (second.shiftMs !== undefined && second.shiftMs < 0) await after.line(/the wall clock does not tell how long the broker was away/)
    await end(after, 'SIGTERM')
  },
)

test.each([
  ['the machine slept, though the wall clock does not say so', { boot: 'one', uptimeS: 20 + 2 * 3600 }],
  ['the machine was off', { boot: 'two', uptimeS: 20, shiftMs: 2 * hour }],
])('what has really passed counts: %s', async (_title, second) => {
  const before = await start({ boot: 'one', uptimeS: 20 })
  await promise()
  await end(before, 'SIGKILL')
  const after = await start(second)
  expect((await connect(durable('reader'))).sessionPresent).toBe(false)
  const reader = await connect({ clientId: 'another' })
  await reader.subscribe('retained', 1)
  expect(await reader.payloads()).toEqual([])
  await end(after, 'SIGTERM')
})
