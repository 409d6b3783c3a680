import { execFile } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { type Config, createBroker, definePlugin, ReasonCode } from '../../presets/index.ts'
import { createTestBroker, replay, type TestBroker } from '../../presets/testing/index.ts'
import { folderWith } from '../config/folder.ts'
import { TestCa } from '../support/test-ca.ts'
import { typed } from './typed.ts'

// What one broker was recorded to answer, another one is asked.

const root = { name: 'root', via: 'program', role: 'admin' }
const base = { allowAnonymous: true, admin: { socket: false, payloads: true } } as const

/** Starts one that stops when the test has finished. */
async function started(config: object = base): Promise<TestBroker> {
  const kit = await createTestBroker(config as Config)
  onTestFinished(() => kit.stop())
  return kit
}

/** What passes of a client while `act` goes on, as `trace --json` prints it. */
async function recorded(kit: TestBroker, id: string, act: () => Promise<void>): Promise<object[]> {
  const stream = await kit.running.broker.operate(root, 'trace', { id, payload: true, for: '1s' })
  await act()
  await kit.advance(1000)
  const pieces: object[] = []
  for await (const piece of stream as AsyncIterable<object>) pieces.push(JSON.parse(JSON.stringify(piece)) as object)
  return pieces
}

/** A day in the life of a device: two connections with one session, all QoS, a will, a retained message, a shared subscription. */
async function live(kit: TestBroker, version: 4 | 5): Promise<void> {
  const options = { version, cleanStart: false, username: 'anna', will: { topic: 'gone', payload: 'gone', qos: 1, retain: true } } as const
  const meter = await kit.client('meter', options)
  for (const filter of ['plant/+', 'secret/#', '$share/g/work']) await meter.subscribe(filter, 2)
  for (const qos of [0, 1, 2] as const) {
    await meter.publish('plant/1', `at ${qos}`, { qos })
    await meter.received('plant/1')
  }
  await meter.publish('plant/kept', 'kept', { qos: 1, retain: true })
  await meter.received('plant/kept')
  await meter.unsubscribe('plant/+')
  meter.lose()
  await kit.received('gone')
  const back = await kit.client('meter', options)
  await back.publish('elsewhere', 'x', { qos: 1 })
  back.disconnect()
  await kit.advance(0)
}

test.each([4, 5] as const)('a recording replayed against the same broker anew: not a difference, MQTT level %i', async version => {
  const kit = await started()
  const recording = await recorded(kit, 'meter', () => live(kit, version))
  expect(recording.length).toBeGreaterThan(25)
  const again = await started()
  const answer = await replay(recording, { connect: () => again.stream() })
  expect(answer).toMatchObject({ same: true, rows: [], skipped: 0, others: 0, lost: 0 })
  expect(answer.compared).toBeGreaterThan(12)
})

test('against a config that refuses, what differs is named: which line, which packet, what of it', async () => {
  const kit = await started()
  const recording = await recorded(kit, 'meter', () => live(kit, 5))
  const rules = [
    { deny: 'subscribe', topics: ['secret/#'] },
    { deny: 'publish', topics: ['plant/kept'] },
  ]
  const strict = await started({ ...base, topicSecurity: { withoutRights: 'pass', rules } })
  const { same, rows } = await replay(recording, { connect: () => strict.stream(), waitMs: 300 })
  expect(same).toBe(false)
  const lineOf = (wanted: object) =>
    recording.findIndex(piece => Object.entries(wanted).every(([name, value]) => piece[name as never] === value)) + 1
  expect(rows).toEqual([
    {
      line: lineOf({ packet: 'SUBACK', packetId: 2 }),
      id: 'meter',
      packet: 'SUBACK',
      what: 'reasonCodes',
      recorded: '2',
      answered: '135 NotAuthorized',
    },
    expect.objectContaining({ packet: 'PUBLISH', what: 'all', recorded: 'PUBLISH plant/kept', answered: 'nothing within 300 ms' }),
    expect.objectContaining({ packet: 'PUBACK', what: 'reasonCode', recorded: '0', answered: '135 NotAuthorized' }),
  ])
})

test('a connection that the broker closed then and now is the same; one that it leaves open, or closes only now, is not', async () => {
  const rules = [{ deny: 'publish', topics: ['no'] }]
  const closing = await started({ ...base, mqtt: { deniedPublish: 'close' }, topicSecurity: { withoutRights: 'pass', rules } })
  const open = await started()
  const closed = await recorded(closing, 'c', async () => {
    const client = await closing.client('c', { version: 4 })
    await expect(client.publish('no', 'x', { qos: 1 })).rejects.toThrow('closed')
  })
  const answered = await recorded(open, 'c', async () => {
    const client = await open.client('c', { version: 4 })
    for (const topic of ['no', 'yes']) await client.publish(topic, 'x', { qos: 1 })
  })
  const rowsAt = async (recording: object[], kit: TestBroker) =>
    (await replay(recording, { connect: () => kit.stream(), waitMs: 300 })).rows.map(row => [row.packet, row.recorded, row.answered])
  expect(await rowsAt(closed, closing)).toEqual([])
  expect(await rowsAt(closed, open)).toEqual([
    ['connection', 'closed by the broker: publish to no refused', 'it is open'],
    ['PUBACK', 'nothing', 'PUBACK 0'],
  ])
  expect(await rowsAt(answered, closing)).toEqual([['connection', 'PUBACK 0', 'the broker has closed the connection']])
})

test('who was connected before the recording began comes with its subscriptions; what others published is not waited for, and may come', async () => {
  const kit = await started()
  const { broker } = kit.running
  await broker.publish({ topic: 't/kept', payload: 'kept', retain: true })
  const reader = await kit.client('reader')
  await reader.subscribe('t/#', 1)
  const recording = await recorded(kit, 'reader', async () => {
    await reader.publish('t/own', 'mine', { qos: 1 })
    await broker.publish({ topic: 't/other', payload: 'not mine', qos: 1 })
    await reader.subscribe('t/+', 1)
    await reader.received('t/kept')
  })
  expect(recording[0]).toMatchObject({ id: 'reader', way: 'open', version: 5, subscriptions: [{ filter: 't/#', qos: 1 }] })
  // The message that is retained here, too, comes; the one of somebody else does not.
  expect(await replay(recording, { connect: () => kit.stream() })).toMatchObject({ same: true, rows: [], others: 2 })
})

test('a line that is none of a trace, a broker that is not there and a user without a password are told so', async () => {
  const folder = await folderWith({ 'not.jsonl': '{"at":1,"id":"a","way":"in","packet":"CONNECT"}\n{"some":"thing"}\n', 'empty.jsonl': '' })
  const type = (line: string) => typed(line, { folder })
  expect((await type('replay not.jsonl --to mqtt://127.0.0.1:1')).errors).toContain('replay: line 2 is none of a trace')
  expect((await type('replay empty.jsonl --to mqtt://127.0.0.1:1')).errors).toContain('holds nothing')
  await writeFile(
    join(folder, 'one.jsonl'),
    '{"at":1,"id":"a","way":"open","version":5,"user":null,"expirySeconds":0,"subscriptions":[]}\n',
  )
  expect((await type('replay one.jsonl')).errors).toContain('say to which broker')
  expect((await type('replay one.jsonl --to http://127.0.0.1')).errors).toContain('mqtt://HOST:PORT')
  expect((await type('replay one.jsonl --to mqtt://127.0.0.1:1')).errors).toMatch(/--to mqtt:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/)
  expect((await type('replay one.jsonl --credentials none --to mqtt://127.0.0.1:1')).errors).toContain('--credentials none: ENOENT')
})

const hour = 3_600_000
const hello = (at: number) => ({ at, id: 'c', way: 'in', packet: 'CONNECT', version: 5, bridge: false, cleanStart: true, keepAlive: 0 })
const asked = (at: number, packetId: number) => [
  { at, id: 'c', way: 'in', packet: 'UNSUBSCRIBE', packetId, filters: ['a'] },
  { at, id: 'c', way: 'out', packet: 'UNSUBACK', packetId, reasonCodes: [17] },
]

test('pauses are kept where that is said, and only then; what the recording lacks is counted', async () => {
  const kit = await started()
  const connect = () => kit.stream()
  const slow = [hello(0), { dropped: 3 }, ...asked(hour, 1)]
  expect(await replay(slow, { connect, waitMs: 1000 })).toMatchObject({
    lost: 3,
    sent: 2,
    rows: [{ packet: 'CONNACK', recorded: 'nothing' }],
  })
  const began = performance.now()
  await replay([hello(0), ...asked(40, 1), ...asked(80, 2)], { connect, keepTime: true })
  // A timer may be a millisecond early.
  expect(performance.now() - began).toBeGreaterThan(75)
})

test('over TLS, by the CA that is named', async () => {
  const folder = await folderWith({ 'one.jsonl': [hello(0), ...asked(0, 1)].map(line => JSON.stringify(line)).join('\n') })
  await (await TestCa.create(folder)).issue('server', 'localhost')
  const ssl = { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') }
  const running = await createBroker({ preset: 'test', log: false, socket: { port: 0 }, ssl } as Config).start()
  onTestFinished(() => running.stop())
  const to = `replay one.jsonl --json --to mqtts://127.0.0.1:${running.port}`
  expect((await typed(`${to} --ca ca.crt`, { folder })).json).toMatchObject({
    sent: 2,
    compared: 1,
    rows: [{ packet: 'CONNACK', recorded: 'nothing' }],
  })
  expect((await typed(to, { folder })).errors).toMatch(/--to mqtts:.*certificate/)
})

const vouching = definePlugin({
  name: 'vouching',
  apply({ hooks }) {
    hooks.onAuthenticate.tap('vouching', ({ username }, { password }) =>
      username === 'anna' && String(password) === 'hunter2' ? true : ReasonCode.BadUserNameOrPassword,
    )
  },
})

test('typed: recorded of a real client over TCP, replayed with its password given anew, and made a test that runs', async () => {
  const folder = await folderWith({ 'users.txt': '# given anew\nanna:hunter2\n' })
  const socket = join(folder, 'a.sock')
  const config = { preset: 'test', log: false, socket: { port: 0 }, admin: { socket, payloads: true }, plugins: [vouching()] }
  const running = await createBroker(config as Config).start()
  onTestFinished(() => running.stop())
  const type = (line: string) => typed(line, { folder, env: { MQTTX_SOCKET: socket } })
  const tracing = type('trace meter-7 --for 1s --payload --json')
  // The trace is on once the broker traces this client id.
  await expect.poll(() => running.broker.traces('meter-7')).toBe(true)
  const options = { clientId: 'meter-7', username: 'anna', password: 'hunter2', protocolVersion: 5, reconnectPeriod: 0 } as const
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${running.port}`, options)
  await client.subscribeAsync('a/#', { qos: 1 })
  const arrived = new Promise(resolve => client.once('message', resolve))
  await client.publishAsync('a/1', 'hello', { qos: 2 })
  await arrived
  await client.endAsync()
  const { text } = await tracing
  expect(text).not.toContain('hunter2')
  await writeFile(join(folder, 'meter-7.jsonl'), `${text}\n`)

  const to = `--to mqtt://127.0.0.1:${running.port}`
  const same = await type(`replay meter-7.jsonl ${to} --credentials users.txt`)
  expect([same.code, same.text]).toEqual([0, expect.stringMatching(/same +yes[\s\S]*nothing$/)])
  const without = await type(`replay meter-7.jsonl ${to} --json`)
  expect(without.code).toBe(3)
  expect(without.json).toMatchObject({
    same: false,
    rows: [{ packet: 'CONNACK', what: 'reasonCode', answered: '134 BadUserNameOrPassword' }],
  })

  const printed = await type('replay meter-7.jsonl --asTest')
  const sources = fileURLToPath(new URL('../../presets/testing/index.ts', import.meta.url))
  await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'))
  const alias = `export default { resolve: { alias: { 'mqttx-broker/testing': ${JSON.stringify(sources)} } }, test: { include: ['*.test.ts'] } }`
  await writeFile(join(folder, 'vitest.config.mjs'), alias)
  await writeFile(join(folder, 'meter.test.ts'), printed.text)
  const run = () =>
    promisify(execFile)(process.execPath, ['node_modules/vitest/vitest.mjs', 'run'], {
      cwd: folder,
      env: { ...process.env, NO_COLOR: '1' },
    })
  expect((await run()).stdout).toMatch(/Tests +1 passed/)
  // It can fail, too.
  await writeFile(
    join(folder, 'meter.test.ts'),
    printed.text.replace('createTestBroker({})', 'createTestBroker({ mqtt: { subscriptionsMax: 1 }, allowAnonymous: false })'),
  )
  await expect(run()).rejects.toMatchObject({ stderr: expect.stringContaining('reasonCode') })
})
