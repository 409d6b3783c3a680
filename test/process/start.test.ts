import { connect as connectSocket, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { connectBytes, packet, text } from '../conformance/bytes.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

function start(folder: string, args: readonly string[], env?: Record<string, string>): Command {
  return new Command(built.path('presets/bin.js'), folder, args, env)
}

async function connect(port: number, options: mqtt.IClientOptions = {}) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, ...options })
  onTestFinished(() => void client.end(true))
  return client
}

test('says where it listens, and that it is ready, last; then serves clients', async () => {
  const broker = start(await folderWith(), ['--preset', 'test', '--port', '0'])
  const port = await broker.ready()
  expect(broker.out).toEqual([
    expect.stringMatching(/^INFO: anybody may connect, so listeners bind to loopback only; to open them, .*allowAnonymous: true$/),
    expect.stringMatching(/^INFO: tcp listening on 127\.0\.0\.1( and \[::1\])?:\d+$/),
    expect.stringMatching(/^INFO: ready: mqttx-broker \d+\.\d+\.\d+, preset test$/),
  ])
  const client = await connect(port)
  const message = new Promise(resolve => client.on('message', (topic, payload) => resolve(`${topic} ${payload}`)))
  await client.subscribeAsync('a')
  await client.publishAsync('a', 'hello')
  expect(await message).toBe('a hello')
  await client.endAsync()
  await broker.line(/INFO: disconnected/)
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  expect(broker.errors).toEqual([])
  expect(broker.out.at(-1)).toBe('INFO: stopped')
})

test('binds as it is told once allowAnonymous is said', async () => {
  // What a plugin says while it is applied is said too, once the log has started.
  const files = {
    'early.mjs': "export default { name: 'early', apply: ({ log }) => void log.info('applied') }",
    'mqttx.config.json': '{ "plugins": ["./early.mjs"] }',
  }
  const broker = start(await folderWith(files), ['--preset', 'test', '--port', '0', '--set', 'allowAnonymous=true'])
  await broker.ready()
  expect(broker.out[0]).toBe('INFO: applied')
  expect(broker.out[1]).toMatch(/^INFO: tcp listening on 0\.0\.0\.0:\d+$/)
})

test('is standalone where nothing names a preset: what was acknowledged is there after a kill and a restart', async () => {
  const folder = await folderWith()
  const broker = start(folder, ['--port', '0'])
  const port = await broker.ready()
  expect(broker.out).toContain(`INFO: sessions, queues and retained messages are kept in ${join(folder, 'data')}`)
  expect(broker.out.at(-1)).toMatch(/preset standalone$/)
  const sleeper = await connect(port, { clientId: 'sleeper', clean: false })
  await sleeper.subscribeAsync('a', { qos: 1 })
  await sleeper.endAsync()
  const publisher = await connect(port)
  await publisher.publishAsync('a', 'while you slept', { qos: 1 })
  broker.signal('SIGKILL')
  await broker.ended()

  const again = start(folder, ['--port', '0'])
  const client = mqtt.connect(`mqtt://127.0.0.1:${await again.ready()}`, { clientId: 'sleeper', clean: false, reconnectPeriod: 0 })
  onTestFinished(() => void client.end(true))
  const message = new Promise(resolve => client.once('message', (topic, payload) => resolve(`${topic} ${payload}`)))
  expect(await new Promise(resolve => client.once('connect', ({ sessionPresent }) => resolve(sessionPresent)))).toBe(true)
  expect(await message).toBe('a while you slept')
})

test('says in one line that a port is in use, and how to choose another', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const broker = start(await folderWith(), ['--preset', 'test', '--port', String(port)])
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual([expect.stringMatching(new RegExp(`^error: socket.port: ${port} is in use on 127.0.0.1; .*--port`))])
  expect(broker.out.length).toBeLessThanOrEqual(3)
  expect(broker.out.filter(line => /WARN|ERROR/.test(line))).toEqual([])

  const verbose = start(await folderWith(), ['--preset', 'test', '--port', String(port), '--verbose'])
  expect(await verbose.ended()).toBe(1)
  expect(verbose.errors.join('\n')).toMatch(/ {4}at .*\n.*caused by Error: listen EADDRINUSE/s)
})

const hasIpv6Loopback = Object.values(networkInterfaces()).some(found => found?.some(({ address }) => address === '::1'))

test.runIf(hasIpv6Loopback)('says in one line that a port is in use on the other loopback address', async () => {
  const server = createServer().listen({ port: 0, host: '::1', ipv6Only: true })
  onTestFinished(() => void server.close())
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const broker = start(await folderWith(), ['--preset', 'test', '--port', String(port)])
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual([expect.stringMatching(new RegExp(`^error: socket.port: ${port} is in use on ::1; .*--port`))])
})

const wrong = `
preset: test
hartbeat: 60s
socket:
  prot: 1883
mqtt:
  receiveMaximum: 0
`

test('lists every problem of a config, each with its cure; start says them in one line', async () => {
  const folder = await folderWith({ 'mqttx.config.yaml': wrong })
  const check = start(folder, ['check'], { MQTTX_SYSTOPIC__INTERVALL: '10s' })
  expect(await check.ended()).toBe(1)
  expect(check.errors).toEqual([
    expect.stringMatching(/^error: .*INTERVALL.*did you mean/i),
    expect.stringMatching(/^error: hartbeat: unknown; did you mean heartbeat\?/),
    expect.stringMatching(/^error: mqtt\.receiveMaximum: .*1/),
    expect.stringMatching(/^error: socket\.prot: unknown; did you mean port\?/),
  ])
  const run = start(folder, [])
  expect(await run.ended()).toBe(1)
  expect(run.errors).toEqual([
    expect.stringMatching(/^error: .*hartbeat: .*heartbeat\?; mqtt\.receiveMaximum: .*; socket\.prot: .*port\?$/),
  ])
  expect(run.out).toEqual([])
})

test('refuses to start preset prod while anybody may connect', async () => {
  const broker = start(await folderWith(), ['--preset', 'prod', '--port', '0', '--set', 'metrics.port=0'])
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual([expect.stringMatching(/^error: allowAnonymous: anybody could connect.*allowAnonymous: true$/)])
})

test.each([
  ['mqttx.config.json', '{ "preset": "test", "brokerId": "from-file", "socket": { "port": 0 } }'],
  ['mqttx.config.yaml', 'preset: test\nbrokerId: from-file\nsocket: { port: 0 }\n'],
  ['mqttx.config.js', "export default { preset: 'test', brokerId: 'from-file', socket: { port: 0 } }"],
  ['mqttx.config.ts', "export default { preset: 'test' as const, brokerId: 'from-file', socket: { port: 0 } }"],
])('finds %s by itself; the environment and --set lie over it', async (name, text) => {
  const folder = await folderWith({ [name]: text, 'package.json': '{"type":"module"}' })
  const check = start(folder, ['check', '--set', 'log.format=json'], { MQTTX_SYS_TOPIC__INTERVAL: '10s' })
  expect(await check.ended()).toBe(0)
  const report = check.out.join('\n')
  expect(report).toMatch(new RegExp(`brokerId.*from-file.*${name}`))
  expect(report).toMatch(/log\.format.*json.*--set/)
  expect(report).toMatch(/sysTopic\.interval.*10.*MQTTX_SYS_TOPIC__INTERVAL/)
  const broker = start(folder, [])
  await broker.ready()
})

test('tells MQTT 5 clients at SIGTERM that it shuts down, and ends with 0', async () => {
  const broker = start(await folderWith(), ['--preset', 'test', '--port', '0'])
  const port = await broker.ready()
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(port, { protocolVersion: 5 })))
  const told = Promise.all(clients.map(client => new Promise(resolve => client.on('disconnect', packet => resolve(packet.reasonCode)))))
  broker.signal('SIGTERM')
  expect(await told).toEqual(clients.map(() => 0x8b))
  expect(await broker.ended()).toBe(0)
})

test('ends with 0 at SIGTERM beside a client that reads nothing of what it is owed', async () => {
  const broker = start(await folderWith(), ['--preset', 'test', '--port', '0'])
  const port = await broker.ready()
  const frozen = connectSocket(port, '127.0.0.1').pause()
  onTestFinished(() => void frozen.destroy())
  frozen.write(Buffer.from(connectBytes({}, text('f')) + packet('82', '0001', text('#'), '00'), 'hex'))
  await broker.line(/INFO: connected .*"clientId":"f"/)
  const writer = await connect(port)
  const payload = Buffer.alloc(1_048_576)
  for (let i = 0; i < 16; i++) await writer.publishAsync('a', payload, { qos: 1 })
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
})

test('ends at once at a second signal, whatever still holds it up', async () => {
  const plugin = `
export default {
  name: 'endless',
  apply({ hooks }) {
    hooks.onDisconnect.tapPromise('endless', () => new Promise(() => setInterval(() => {}, 1000)))
  },
}
`
  const config = `export default { preset: 'test', socket: { port: 0 }, mqtt: { verdictTimeout: '10m' }, plugins: ['./endless.js'] }`
  const folder = await folderWith({ 'mqttx.config.js': config, 'endless.js': plugin, 'package.json': '{"type":"module"}' })
  const broker = start(folder, [])
  const client = await connect(await broker.ready())
  const closed = new Promise(resolve => client.on('close', () => resolve(undefined)))
  broker.signal('SIGTERM')
  await closed
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(143)
})
