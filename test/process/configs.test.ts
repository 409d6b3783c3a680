import { fileURLToPath } from 'node:url'
import mqtt from 'mqtt'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { publish } from '../interop/mosquitto.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

function start(folder: string, args: readonly string[] = [], env?: Record<string, string>): Command {
  return new Command(built.path('presets/bin.js'), folder, args, env)
}

/** A plugin in plain JavaScript that says who publishes. */
const plugin = `
export default {
  name: 'watch',
  apply({ hooks, log }) {
    hooks.onPublish.tap('watch', publisher => {
      log.info(publisher.clientId + ' publishes')
    })
  },
}
`

test('the repository’s own config starts without any server beside it, opens one port, and only looks on', async () => {
  // A broker that somebody has started in this checkout keeps its own folder.
  const broker = start(fileURLToPath(new URL('../..', import.meta.url)), ['--port', '0', '--set', `disk.path=${await folderWith()}`])
  const port = await broker.ready()
  expect(broker.out.filter(line => line.includes('listening'))).toHaveLength(1)
  expect(broker.out.at(-1)).toMatch(/preset standalone$/)
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, clientId: 'reader' })
  const message = new Promise(resolve => client.on('message', (topic, payload) => resolve(`${topic} ${payload}`)))
  expect(await client.subscribeAsync('a/#', { qos: 2 })).toMatchObject([{ topic: 'a/#', qos: 2 }])
  await client.publishAsync('a/b', 'as it was', { qos: 2 })
  expect(await message).toBe('a/b as it was')
  await broker.line(/subscribed .*"clientId":"reader","filter":"a\/#","qos":2/)
  await client.endAsync()
})

test.each([
  ['mqttx.config.yaml', 'preset: test\nsocket: { port: 0 }\nplugins: [./watch.js]\n'],
  ['mqttx.config.yml', 'preset: test\nsocket:\n  port: 0\nplugins:\n  - ./watch.js\n'],
  ['mqttx.config.json', '{ "preset": "test", "socket": { "port": 0 }, "plugins": ["./watch.js"] }'],
  ['mqttx.config.mjs', "import watch from './watch.js'\nexport default { preset: 'test', socket: { port: 0 }, plugins: [watch] }"],
  ['mqttx.config.ts', "export default { preset: 'test', socket: { port: 0 }, plugins: ['./watch.js'] }"],
])('runs a custom plugin from %s', async (name, text) => {
  const broker = start(await folderWith({ [name]: text, 'watch.js': plugin, 'package.json': '{ "type": "module" }' }))
  await publish({ port: await broker.ready() }, '-i', 'somebody', '-t', 'a', '-m', 'x')
  await broker.line(/INFO: somebody publishes/)
})

test('runs the config that --config names, and only that', async () => {
  const folder = await folderWith({ 'mqttx.config.json': 'broken', 'other.yaml': 'preset: test\nsocket: { port: 0 }\n' })
  const broker = start(folder, ['--config', 'other.yaml'])
  await broker.ready()
  expect(broker.out.at(-1)).toMatch(/preset test$/)
})

test('runs by the environment alone', async () => {
  const env = { MQTTX_PRESET: 'test', MQTTX_SOCKET__PORT: '0', MQTTX_ALLOW_ANONYMOUS: 'true', MQTTX_LOG__FORMAT: 'json' }
  const broker = start(await folderWith(), [], env)
  const port = await broker.ready()
  expect(JSON.parse(broker.out[0]!)).toMatchObject({ msg: `tcp listening on 0.0.0.0:${port}` })
})

const failing = (step: string) => `export default { name: 'failing', apply() { ${step} } }`

test.each<[what: string, files: Record<string, string>, args: string[], env: Record<string, string>, line: RegExp]>([
  ['an unknown variable', {}, [], { MQTTX_SOKET__PORT: '0' }, /^error: MQTTX_SOKET__PORT: unknown; did you mean MQTTX_SOCKET__PORT\?$/],
  ['an unknown option of --set', {}, ['--set', 'socket.prot=0'], {}, /^error: socket\.prot: unknown; did you mean socket\.port\?/],
  ['a value of the wrong kind', {}, ['--port', 'any'], {}, /^error: socket\.port: must be an integer from 0 to 65535, got "any"/],
  ['a config that is no TypeScript', { 'mqttx.config.ts': 'export default {\n  preset:: 1\n}' }, [], {}, /^error: mqttx\.config\.ts:2: /],
  ['a config that throws', { 'mqttx.config.mjs': "\nthrow new Error('no\\nway')" }, [], {}, /^error: mqttx\.config\.mjs:2: no$/],
  ['a config that is no YAML', { 'mqttx.config.yaml': 'preset: test\n  socket: {' }, [], {}, /^error: mqttx\.config\.yaml:2: /],
  [
    'a plugin that is missing',
    { 'mqttx.config.json': '{ "plugins": ["./gone.js"] }' },
    [],
    {},
    /^error: .*no file \.\/gone\.js; paths are/,
  ],
  ['a plugin that cannot apply', { 'p.mjs': failing("throw new Error('no')") }, [], {}, /^error: failing: apply failed: no$/],
  [
    'a plugin that cannot start',
    { 'p.mjs': failing("return { start: () => Promise.reject(new Error('no')) }") },
    [],
    {},
    /^error: failing: start failed: no$/,
  ],
  [
    'a service that nobody provides',
    { 'p.mjs': "export default { name: 'needy', requires: ['cache'], apply() {} }" },
    [],
    {},
    /^error: needy requires service "cache"; add a plugin that provides it$/,
  ],
  [
    'a store that was turned off',
    {},
    ['--set', 'disk=false'],
    {},
    /^error: .*requires service "(retained|sessions)"; turn on disk or redis or memory/,
  ],
])('ends with 1 and one line that has the cure at %s', async (_what, files, args, env, line) => {
  const plugins = 'p.mjs' in files ? ['--set', 'plugins=["./p.mjs"]'] : []
  const port = args.includes('--port') ? [] : ['--port', '0']
  const broker = start(await folderWith(files), [...port, ...plugins, ...args], env)
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual([expect.stringMatching(line)])
  expect(broker.out.filter(text => !text.startsWith('INFO'))).toEqual([])
  expect(broker.out.length).toBeLessThanOrEqual(3)
})

test('goes on when a plugin leaves a rejection unhandled, and logs it', async () => {
  const careless = `
export default {
  name: 'careless',
  apply({ hooks }) {
    hooks.onConnected.tap('careless', () => {
      setImmediate(() => void Promise.reject(new Error('nobody waits for me')))
    })
  },
}
`
  const broker = start(await folderWith({ 'careless.mjs': careless }), [
    '--preset',
    'test',
    '--port',
    '0',
    '--set',
    'plugins=["./careless.mjs"]',
  ])
  const port = await broker.ready()
  await publish({ port }, '-t', 'a', '-m', 'x', '-q', '1')
  await broker.line(/ERROR: .*nobody waits for me/)
  await publish({ port }, '-t', 'a', '-m', 'x', '-q', '1')
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  expect(broker.errors).toEqual([])
})
