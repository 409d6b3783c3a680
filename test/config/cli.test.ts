import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import { type CliIo, runCli } from '../../presets/shell/cli.ts'
import type { ResolvedConfig } from '../../presets/shell/resolved-config.ts'
import { beforeAllBuilt } from './built.ts'
import { folderWith } from './folder.ts'
import { catalogue } from './sample.ts'

/** Runs a command, with everything that it does to the world kept. */
async function cli(folder: string, argv: string[], more: { env?: Record<string, string>; start?: CliIo['start'] } = {}) {
  const out: string[] = []
  const errors: string[] = []
  const exits: number[] = []
  const signals = new EventEmitter()
  let config: ResolvedConfig | undefined
  const start: CliIo['start'] = async resolved => {
    config = resolved
    queueMicrotask(() => signals.emit('SIGTERM'))
    return { stop: async () => void out.push('stopped'), entrance: async () => '' }
  }
  const io: CliIo = {
    folder,
    out: line => out.push(line),
    error: line => errors.push(line),
    signals,
    exit: code => exits.push(code),
    start: more.start ?? start,
  }
  const code = await runCli(catalogue, argv, more.env ?? {}, io)
  return { code, out, errors, exits, config, signals }
}

test('prints help and version, whatever the config', async () => {
  const folder = await folderWith({ 'mqttx.config.json': 'broken' })
  expect(await cli(folder, ['--help'])).toMatchObject({
    code: 0,
    out: [expect.stringMatching(/^Usage: mqttx-broker \[start\]/)],
    errors: [],
  })
  expect(await cli(folder, ['--version'])).toMatchObject({ code: 0, out: ['1.2.3'] })
})

test('starts without a command, and stops at SIGTERM', async () => {
  const { code, out, errors, config } = await cli(await folderWith(), [])
  expect({ code, out, errors }).toEqual({ code: 0, out: ['stopped'], errors: [] })
  expect(config?.preset).toBe('standalone')
})

test('passes --preset, --host, --port, --set, --config and the environment on', async () => {
  const folder = await folderWith({ 'other.json': '{"preset": "prod", "heartbeat": "1s"}' })
  const argv = [
    'start',
    '--config',
    'other.json',
    '--preset=dev',
    '--host',
    '::1',
    '--port',
    '0',
    '--set',
    'redis.url=redis://a?b=c',
    '--set',
    'brokerId=x',
  ]
  const { config } = await cli(folder, argv, { env: { MQTTX_SYS_TOPIC__INTERVAL: '10s' } })
  const options = Object.fromEntries(config!.plugins.map(plugin => [plugin.name, plugin.options]))
  expect(config).toMatchObject({ preset: 'dev', settings: { host: '::1', brokerId: 'x', heartbeat: 1000 } })
  expect(options).toMatchObject({ socket: { port: 0 }, redis: { url: 'redis://a?b=c' }, sysTopic: { interval: 10_000 } })
})

test('says at a list of listeners which port is not meant', async () => {
  const folder = await folderWith({ 'mqttx.config.json': '{"socket": [{"port": 1}]}' })
  expect((await cli(folder, ['--port', '2'])).errors).toEqual([
    'error: socket.port: socket is a list here; say which one, as in socket.0.port (--port)',
  ])
})

test.each([
  [['--prot', '1'], '--prot: unknown; did you mean --port?'],
  [['--port'], '--port: needs a value, as in --port 1883'],
  [['--verbose=1'], '--verbose: takes no value; leave out =1'],
  [['chekc'], 'chekc: no such command; did you mean check?'],
  [['start', 'now'], 'now: one command at a time; options begin with --'],
  [['--set', 'socket.port'], '--set socket.port: write --set key.path=value'],
  [['--port', 'abc'], 'socket.port: must be an integer from 0 to 65535, got "abc" (--port)'],
  [['--set', 'socket.prot=1'], 'socket.prot: unknown; did you mean socket.port? (--set)'],
  [['--preset', 'pord'], 'preset: no preset is "pord"; did you mean prod? (--preset)'],
])('answers %j with one line that has the cure', async (argv, line) => {
  expect(await cli(await folderWith(), argv)).toMatchObject({ code: 1, out: [], errors: [`error: ${line}`] })
})

test('ends with one line and exit code 1 when the broker cannot start, and shows a stack only if asked', async () => {
  const start = () =>
    Promise.reject(new OperatorError('ERR_PORT_IN_USE', 'socket.port: 1883 is in use', { cause: new Error('EADDRINUSE') }))
  const folder = await folderWith()
  expect(await cli(folder, [], { start })).toMatchObject({ code: 1, errors: ['error: socket.port: 1883 is in use'] })
  const { errors } = await cli(folder, ['--verbose'], { start })
  expect(errors[0]).toBe('error: socket.port: 1883 is in use')
  expect(errors[1]).toMatch(/^\s*OperatorError[\s\S]* at [\s\S]*caused by Error: EADDRINUSE/)
})

test('stays one line for an error that nobody foresaw', async () => {
  const start = () => Promise.reject(new TypeError('x is undefined\nsecond line'))
  expect((await cli(await folderWith(), [], { start })).errors).toEqual(['error: x is undefined (--verbose shows where)'])
})

test('ends at once at a second signal, and stops when a signal comes during the start', async () => {
  const signals = new EventEmitter()
  const exits: number[] = []
  let stops = 0
  const io: CliIo = {
    folder: await folderWith(),
    out: () => {},
    error: () => {},
    signals,
    exit: code => exits.push(code),
    async start() {
      signals.emit('SIGINT')
      return {
        async stop() {
          stops++
          signals.emit('SIGTERM')
        },
        entrance: async () => '',
      }
    },
  }
  expect(await runCli(catalogue, [], {}, io)).toBe(0)
  expect({ stops, exits, left: signals.listenerCount('SIGINT') }).toEqual({ stops: 1, exits: [143], left: 0 })
})

test('checks: prints the merged config with who set each value, and no secret', async () => {
  const folder = await folderWith({
    'mqttx.config.json':
      '{"preset": "dev", "redis": {"password": "hunter2", "url": "redis://me:hunter2@cache"}, "mqtt": {"verdictTimeout": 90000}}',
  })
  const { code, out } = await cli(folder, ['check', '--port', '7'], { env: { MQTTX_SYS_TOPIC__QOS: '1' } })
  const text = out.join('\n')
  expect(code).toBe(0)
  expect(out[0]).toBe('mqttx-broker 1.2.3, preset dev (mqttx.config.json), mqttx.config.json')
  expect(text).toMatch(/^heartbeat +1m +default$/m)
  expect(text).toMatch(/^mqtt\.verdictTimeout +90s +mqttx\.config\.json$/m)
  expect(text).toMatch(/^mqtt\.maximumPacketSize +2MiB +default$/m)
  expect(text).toMatch(/^socket\.port +7 +--port$/m)
  expect(text).toMatch(/^sysTopic\.interval +5s +preset dev$/m)
  expect(text).toMatch(/^sysTopic\.qos +1 +MQTTX_SYS_TOPIC__QOS$/m)
  expect(text).toMatch(/^redis\.password +\*\*\* +mqttx\.config\.json$/m)
  expect(text).toMatch(/^redis\.url +redis:\/\/\*\*\*@cache +mqttx\.config\.json$/m)
  expect(text).toMatch(/^retain +on +preset dev$/m)
  expect(text).toMatch(/^plugins, in order: log, redis, retain, shareTopic, sysTopic, socket$/m)
  expect(text).not.toContain('hunter2')
  const columns = out.filter(line => / (default|--port)$/.test(line)).map(line => line.search(/\S+$/))
  expect(new Set(columns).size).toBe(1)
})

test('checks: lists every problem on a line of its own', async () => {
  const folder = await folderWith({ 'mqttx.config.json': '{"socket": {"prot": 1}, "share-topic": {}}' })
  const { code, out, errors } = await cli(folder, ['check'], { env: { MQTTX_SOKET__PORT: '1' } })
  expect({ code, out, errors }).toEqual({
    code: 1,
    out: [],
    errors: [
      'error: MQTTX_SOKET__PORT: unknown; did you mean MQTTX_SOCKET__PORT?',
      'error: share-topic: unknown; did you mean shareTopic?',
      'error: socket.prot: unknown; did you mean port?',
    ],
  })
})

test('inits a folder with a config that starts', async () => {
  const folder = await folderWith()
  const { code, out } = await cli(folder, ['init'])
  expect({ code, out }).toEqual({
    code: 0,
    out: [
      ...['mqttx.config.ts', 'hello.ts', 'hello.test.ts', 'tsconfig.json', '.gitignore', 'package.json'].map(name => `wrote ${name}`),
      'next: npm install, then npx mqttx-broker',
    ],
  })
  const { config } = await cli(folder, [])
  expect(config?.plugins.map(plugin => plugin.name)).toEqual(['log', 'memory', 'retain', 'socket', 'hello'])
})

test('inits without overwriting anything, and then writes nothing at all', async () => {
  for (const name of ['mqttx.config.yaml', 'hello.ts']) {
    const folder = await folderWith({ [name]: 'mine' })
    const { code, errors } = await cli(folder, ['init'])
    expect({ code, errors }).toEqual({
      code: 1,
      errors: [`error: init: ${name} is here already, and nothing was written; use an empty folder`],
    })
    expect(await readdir(folder)).toEqual([name])
    expect(await readFile(`${folder}/${name}`, 'utf8')).toBe('mine')
  }
  const folder = await folderWith({ 'tsconfig.json': '{}', '.gitignore': 'mine' })
  expect((await cli(folder, ['init'])).out).not.toContain('wrote tsconfig.json')
  expect(await readFile(`${folder}/tsconfig.json`, 'utf8')).toBe('{}')
  expect(await readFile(`${folder}/.gitignore`, 'utf8')).toBe('mine')
})

test('init adds to a package.json what is missing, and changes nothing that the user has said', async () => {
  const own = { name: 'mine', scripts: { test: 'vitest' }, type: 'commonjs', dependencies: { jiti: '2.0.0' }, devDependencies: {} }
  const folder = await folderWith({ 'package.json': JSON.stringify(own, null, 4), 'old.js': '' })
  const { out } = await cli(folder, ['init'])
  expect(out.at(-2)).toBe('changed package.json: scripts.start, devDependencies.@types/node')
  const text = await readFile(`${folder}/package.json`, 'utf8')
  expect(text).toContain('\n    "name"')
  expect(JSON.parse(text)).toEqual({
    ...own,
    scripts: { start: 'mqttx-broker', test: 'vitest' },
    devDependencies: { '@types/node': expect.stringMatching(/^\^/) },
  })
  const broken = await folderWith({ 'package.json': '{ "name": ' })
  expect((await cli(broken, ['init'])).errors[0]).toMatch(/^error: init: nothing was written: .*JSON/)
  expect(await readdir(broken)).toEqual(['package.json'])
})

test('plugins in JavaScript load in a folder whose package.json says commonjs, whichever way they are written', async () => {
  const folder = await folderWith({
    'package.json': '{ "type": "commonjs" }',
    'import.js': "import { definePlugin } from 'mqttx-broker'\nexport default definePlugin({ name: 'imported', apply() {} })",
    'require.js': "exports.plugin = require('mqttx-broker').definePlugin({ name: 'required', apply() {} })",
    'whole.js': "module.exports = require('mqttx-broker').definePlugin({ name: 'whole', apply() {} })",
    'mqttx.config.json': '{ "plugins": ["./import.js", "./require.js", "./whole.js"] }',
  })
  const { config } = await cli(folder, [])
  expect(config?.plugins.map(plugin => plugin.name).slice(-3)).toEqual(['imported', 'required', 'whole'])
})

const built = beforeAllBuilt()

test('runs as a process of its own: ready, SIGTERM, exit code 0', async () => {
  const folder = await folderWith({ 'mqttx.config.mjs': 'export default { preset: "only" }' })
  const script = `
    import { runCli } from ${JSON.stringify(built.path('chunks/shell.js'))}
    const catalogue = { version: '1', plugins: {}, presets: { only: () => [] } }
    const io = {
      folder: process.cwd(), out: console.log, error: console.error, signals: process, exit: process.exit,
      async start() { console.log('ready'); const alive = setInterval(() => {}, 1000); return { async stop() { clearInterval(alive); console.log('drained') } } },
    }
    process.exitCode = await runCli(catalogue, [], process.env, io)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', chunk => {
    text += chunk
    if (text === 'ready\n') child.kill('SIGTERM')
  })
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(text).toBe('ready\ndrained\n')
})
