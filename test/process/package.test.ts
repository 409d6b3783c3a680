import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { quiet, walkThrough } from '../docs/walkthrough.ts'
import { publish } from '../interop/mosquitto.ts'
import { freePort, RedisServer } from '../support/redis.ts'
import { Command } from './command.ts'
import { Editor } from './editor.ts'
import { editorText } from './editor-text.ts'
import { writeEmbedding } from './embedding.ts'
import { exampleFiles, examplePackages, runExamples } from './examples.ts'
import { moveOutside } from './outside.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const config = `
import { defineConfig } from 'mqttx-broker'
import { shout } from './shout.ts'

export default defineConfig({ preset: 'test', socket: { port: 0 }, plugins: [shout({ suffix: '!' })] })
`

const plugin = `
import { definePlugin } from 'mqttx-broker'

/** Says in the log who came. */
export const shout = definePlugin({
  name: 'shout',
  options: {
    /** Stands behind the client id. */
    suffix: { type: 'string', default: '.' },
  },
  apply({ hooks, log }, { suffix }) {
    hooks.onConnected.tap('shout', client => log.info(client.clientId + ' is here' + suffix))
  },
})
`

const program = `
import { createBroker } from 'mqttx-broker'
import mqtt from 'mqtt'
const broker = await createBroker({ preset: 'test', socket: { port: 0 }, log: { level: 'silent' } }).start()
broker.hooks.onConnected.tap('example', client => console.log(client.clientId, 'is here'))
const client = await mqtt.connectAsync('mqtt://127.0.0.1:' + broker.port, { clientId: 'reader', reconnectPeriod: 0 })
const message = new Promise(resolve => client.on('message', (topic, payload) => resolve(topic + ' ' + payload)))
await client.subscribeAsync('#', { qos: 1 })
await broker.publish({ topic: 'hello', payload: 'from inside', qos: 1 })
console.log(await message)
const closed = new Promise(resolve => client.on('close', resolve))
await broker.stop()
await closed
// Nothing is left that would keep the process: it ends by itself.
`

let folder = ''
let command = ''

// What npm would publish, installed where nothing else is.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mqttx-package-'))
  await writeFile(join(folder, 'package.json'), '{ "name": "user", "private": true, "type": "module" }')
  const printed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8' })
  const [packed] = JSON.parse(printed) as { filename: string }[]
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${packed!.filename}`, ...(await examplePackages(root))]
  execFileSync('npm', install, { cwd: folder, stdio: 'ignore' })
  command = join(folder, 'node_modules/.bin/mqttx-broker')
}, 300_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('the package runs with a config and a plugin in TypeScript, in a folder that cannot be written to', async () => {
  const place = join(folder, 'broker')
  await mkdir(place)
  await writeFile(join(place, 'mqttx.config.ts'), config)
  await writeFile(join(place, 'shout.ts'), plugin)
  await chmod(place, 0o555)
  const { mtimeMs } = await stat(place)
  onTestFinished(() => chmod(place, 0o755))
  const broker = new Command(command, place, [])
  const port = await broker.ready()
  await publish({ port }, '-i', 'somebody', '-t', 'a', '-m', 'x')
  await broker.line(/INFO: somebody is here!/)
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  expect(await readdir(place)).toEqual(['mqttx.config.ts', 'shout.ts'])
  // Root may write everywhere; then at least nothing was written, not even for a moment.
  expect((await stat(place)).mtimeMs).toBe(mtimeMs)
})

test('the package is a library: it starts, says its port, publishes, stops, and leaves nothing behind that keeps a process alive', async () => {
  // The client comes from this repository; the broker from where it was installed.
  const client = pathToFileURL(createRequire(import.meta.url).resolve('mqtt')).href
  await writeFile(join(folder, 'program.js'), program.replace("'mqtt'", `'${client}'`))
  expect(execFileSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8' })).toBe('reader is here\nhello from inside\n')
})

test('a program in TypeScript runs by way of jiti, with a store on disk, and so does the command with a config', async () => {
  const place = join(folder, 'typescript')
  await mkdir(place)
  await writeFile(
    join(place, 'program.ts'),
    `import { createBroker } from 'mqttx-broker'
const path: string = 'kept'
const broker = await createBroker({ preset: 'standalone', admin: false, disk: { path }, socket: { port: 0 }, log: { level: 'silent' } }).start()
await broker.publish({ topic: 'a', payload: 'kept', qos: 1, retain: true })
await broker.stop()
console.log('kept')
`,
  )
  await writeFile(join(place, 'mqttx.config.yaml'), 'preset: test\n')
  const bin = join(folder, 'node_modules/mqttx-broker/dist/presets/bin.js')
  const run = (...args: string[]) =>
    execFileSync(process.execPath, ['--import', 'jiti/register', ...args], { cwd: place, encoding: 'utf8' })
  expect(run('program.ts')).toBe('kept\n')
  expect(run(bin, 'check')).toMatch(/^mqttx-broker \S+, preset test \(mqttx\.config\.yaml\)/)
})

test('docs/embedding.md and docs/testing.md: their programs do what the pages say, side by side in one process', async () => {
  const place = join(folder, 'embedding')
  const { forked } = await writeEmbedding(root, place)
  const programs = new Command(join(place, 'drive.mjs'), place, [])
  await programs.line(/^all 3$/)
  // A signal stops the broker of program.ts, and ends the process.
  expect(await programs.ended()).toBe(0)
  expect(programs.errors).toEqual([])
  const said = ['program', 'express', 'fastify', 'site', 'sockets', 'meter-7'].map(first =>
    programs.out.find(line => line.startsWith(first)),
  )
  expect(said).toEqual([
    'program meters/7/state heard',
    'express the page a heard',
    'fastify the page a heard',
    'site by Express by Fastify a heard',
    'sockets a heard',
    'meter-7 is here',
  ])
  const common = new Command(join(place, 'common.cjs'), place, [])
  const [, port] = await common.line(/^port (\d+)$/)
  await publish({ port: Number(port) }, '-i', 'somebody', '-t', 'a', '-m', 'x')
  await common.line(/^hello somebody$/)
  common.signal('SIGTERM')

  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const workers = new Command(join(place, 'forked.js'), place, [], { REDIS_URL: redis.url })
  await workers.line(new RegExp(`^one serves ${forked}$`))
  await workers.line(new RegExp(`^two serves ${forked}$`))
  await publish({ port: forked }, '-i', 'somebody', '-t', 'a', '-m', 'x')
  workers.signal('SIGTERM')
})

test('a package that only some need is named where it is missing', async () => {
  const place = join(folder, 'codecs')
  await mkdir(place)
  const sets = ['messageBridge.topics=["a"]', 'messageBridge.compression=lz4', 'socket=false'].flatMap(set => ['--set', set])
  const broker = new Command(command, place, ['--preset', 'test', ...sets])
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual(['error: messageBridge.compression: lz4 needs a package of its own: npm install lz4-napi'])
})

test('who logs JSON needs no pino-pretty; who wants it pretty is told what to install', async () => {
  const pretty = join(folder, 'node_modules/pino-pretty')
  await rename(pretty, `${pretty}-away`)
  onTestFinished(() => rename(`${pretty}-away`, pretty))
  const place = join(folder, 'json')
  await mkdir(place)
  const broker = new Command(command, place, ['--preset', 'test', '--port', '0', '--set', 'log.format=json'])
  await broker.line(/"msg":"ready: /)
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  const wrong = new Command(command, place, ['--preset', 'test', '--port', '0'])
  expect(await wrong.ended()).toBe(1)
  expect(wrong.errors).toEqual(['error: log.format: pretty needs a package of its own: npm install pino-pretty, or set log.format to json'])
})

test('what is published has no script that runs where it is installed, no source maps, and what it reaches into is pinned', async () => {
  const installed = join(folder, 'node_modules/mqttx-broker')
  const { scripts, dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Record<
    string,
    Record<string, string>
  >
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) expect(scripts).not.toHaveProperty(name)
  const all = await readdir(installed, { recursive: true })
  // What Node 22 and later keep there when they have run it.
  const files = all.filter(name => !/^(node_modules|dist\/\.compiled)/.test(name))
  expect(files.filter(name => name.endsWith('.map') || name.startsWith('dist/.'))).toEqual([])
  const javascript = files.filter(name => name.startsWith('dist/') && name.endsWith('.js'))
  expect(javascript.length).toBeGreaterThan(30)
  for (const name of javascript) expect(await readFile(join(installed, name), 'utf8')).not.toContain('sourceMappingURL')
  expect([dependencies!.kafkajs, dependencies!.lmdb]).toEqual([expect.stringMatching(/^\d/), expect.stringMatching(/^\d/)])
  // The checkout has it as before.
  expect(JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))).toHaveProperty('scripts.prepare')
})

test('the test kit comes with it', async () => {
  const kit = `
import { createTestBroker } from 'mqttx-broker/testing'
const broker = await createTestBroker()
await broker.running.publish({ topic: 'hello', payload: 'kit' })
console.log(String((await broker.received('hello')).payload))
await broker.stop()
`
  await writeFile(join(folder, 'kit.js'), kit)
  expect(execFileSync(process.execPath, ['kit.js'], { cwd: folder, encoding: 'utf8' })).toBe('kit\n')
})

test('an editor shows the text of every option, plain types, and what arguments are called', async () => {
  const editor = new Editor(folder, editorText)
  expect(editor.errors()).toEqual([])
  expect(editor.hover('greeting')).toEqual({ type: '(property) greeting?: string | undefined', text: 'What is said.' })
  expect(editor.hover('received')).toEqual({ type: '(parameter) greeting: string', text: 'What is said.' })
  expect(editor.hover('strangers')).toEqual({ type: '(property) strangers?: boolean | undefined', text: 'Strangers, too.' })
  expect(editor.hover('factory').type).toContain(
    '(options: { every: string | number; greeting?: string | undefined; whom?: { strangers?: boolean | undefined; } | undefined; }) => Plugin',
  )
  expect(editor.hover('reloaded').type).toBe(
    '(parameter) options: { readonly greeting: string; readonly every: number; readonly whom: { readonly strangers: boolean; }; }',
  )
  expect(editor.hover('publisher').type).toBe('(parameter) publisher: AnyPublisher')
  expect(editor.hover('brokerId').text).toMatch(/^Names this node: in logs/)
  expect(editor.hover('socket')).toMatchObject({
    type: expect.stringMatching(/^\(property\) socket\?: boolean \| \{ /),
    text: 'MQTT over TCP, or TLS.',
  })
  expect(editor.hover('port')).toEqual({ type: '(property) port?: number | undefined', text: 'The TCP port. 0 picks a free one.' })
  expect(editor.hover('cert').text).toMatch(/^The certificate in PEM/)
  expect(editor.hover('max').type).toBe('(property) max?: string | number | null | undefined')
  expect(editor.hover('prefix').text).toMatch(/^What stands before all topic names/)
  expect(editor.hover('attach').type).toMatch(/attach\(server: .*, options\?: AttachOptions\): Promise<Attachment>$/)
  expect(editor.hover('path')).toMatchObject({ type: '(property) path?: string | readonly string[] | undefined' })

  const options = editor.withoutText('config')
  expect(options.count).toBeGreaterThan(400)
  expect(options.names).toEqual([])
  expect([...editor.withoutText('attaching').names, ...editor.withoutText('testing').names]).toEqual([])
  const taps = editor.taps('hooks')
  expect(Object.keys(taps).length).toBeGreaterThan(25)
  expect(taps.onPublish).toBe('(publisher: AnyPublisher, message: Message): Opinion<PublishVerdict>')
  expect(Object.values(taps).filter(shown => /\bargs?_?\d*:/.test(shown))).toEqual([])
})

test('docs/getting-started.md, step by step, from an empty folder: what each step prints is what the page says', async () => {
  const place = join(folder, 'getting-started')
  await mkdir(place)
  const tarball = (await readdir(folder)).find(name => name.endsWith('.tgz'))!
  const install = `npm install ${quiet} ${join(folder, tarball)}`
  expect(await walkThrough(join(root, 'docs/getting-started.md'), { folder: place, install, port: await freePort() })).toBeGreaterThan(12)
  const tsc = () => spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', place], { encoding: 'utf8' }).stdout
  expect(tsc()).toBe('')
  await writeFile(join(place, 'wrong.ts'), "import { defineConfig } from 'mqttx-broker'\ndefineConfig({ socket: { prot: 1 } })\n")
  expect(tsc()).toMatch(/wrong\.ts.*'prot' does not exist/s)
}, 300_000)

test('the same in a folder that has a checkout in place of the package', async () => {
  const place = join(folder, 'checkout')
  await mkdir(place)
  const link = `npm install ${quiet} --install-links=false ${root}`
  const until = '## 3. Write a plugin'
  const page = join(root, 'docs/getting-started.md')
  expect(await walkThrough(page, { folder: place, install: link, port: await freePort(), until })).toBeGreaterThan(6)
}, 300_000)

test('the package brings the contract suites, which prove its owners under node:test', async () => {
  const proof = `
import assert from 'node:assert'
import { describe, it } from 'node:test'
import { createBroker } from 'mqttx-broker'
import { retainedContract, sessionsContract } from 'mqttx-broker/contracts'
const create = async clock => {
  const broker = await createBroker({ preset: 'test', socket: false, log: { level: 'silent' } }, { clock }).start()
  return broker.broker.services.get('retained')
}
retainedContract({ describe, it }, { name: 'by the package', create })
it('has the other one too', () => assert.equal(typeof sessionsContract, 'function'))
`
  await writeFile(join(folder, 'proof.test.js'), proof)
  const args = ['--test', '--test-reporter', 'tap', 'proof.test.js']
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  expect({ status, failed: stdout.match(/not ok .*/g) }).toEqual({ status: 0, failed: null })
  expect(Number(/^# pass (\d+)/m.exec(stdout)?.[1])).toBeGreaterThan(8)
})

test('what create-plugin writes passes its test, and a broker takes it by its name', async () => {
  const place = join(folder, 'plugins')
  await mkdir(place)
  const create = new Command(command, place, ['create-plugin', 'mqttx-plugin-door-bell'])
  expect(await create.ended()).toBe(0)
  const { stdout, status } = spawnSync('npm', ['test'], { cwd: join(place, 'mqttx-plugin-door-bell'), encoding: 'utf8' })
  expect({ status }, stdout).toEqual({ status: 0 })
  await rename(join(place, 'mqttx-plugin-door-bell'), join(folder, 'node_modules/mqttx-plugin-door-bell'))
  await writeFile(join(place, 'mqttx.config.yaml'), 'preset: test\nplugins: [mqttx-plugin-door-bell]\ndoorBell: { bytesMax: 1MiB }\n')
  const check = spawnSync(command, ['check'], { cwd: place, encoding: 'utf8' })
  expect({ status: check.status, errors: check.stderr }).toEqual({ status: 0, errors: '' })
  expect(check.stdout).toMatch(/doorBell/)
})

test('the examples compile and pass their tests in the folder of the package; a plugin has at most 150 lines and imports what a stranger may', async () => {
  const { compiler, status, tests } = await runExamples(root, folder)
  expect(compiler).toBe('')
  expect({ status, failed: tests.match(/^not ok .*/gm) }, tests).toEqual({ status: 0, failed: null })
  expect(Number(/^# pass (\d+)/m.exec(tests)?.[1])).toBeGreaterThan(20)
  const own = new Set((await examplePackages(root)).map(name => name.replace(/@[^@]+$/, '')))
  for (const name of await exampleFiles(root)) {
    const text = await readFile(join(root, 'docs/examples', name), 'utf8')
    if (!name.includes('/')) expect(text.split('\n').length - 1, name).toBeLessThanOrEqual(150)
    for (const [, from] of text.matchAll(/^(?:import|export|\}).* from '([^']+)'/gm))
      expect(own.has(from!) || /^(node:|\.\/|mqttx-broker(\/(kit|testing|contracts))?$)/.test(from!), `${name}: ${from}`).toBe(true)
  }
}, 300_000)

test('delay and retain build and pass their tests in a folder of their own, with nothing but the package', async () => {
  const place = join(folder, 'outside')
  await moveOutside(root, place)
  const built = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', place], { encoding: 'utf8' })
  expect(built.stdout).toBe('')
  const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', place, '--reporter', 'json', '--maxWorkers', '1']
  const { stdout, stderr } = spawnSync(process.execPath, vitest, { cwd: place, encoding: 'utf8' })
  const report = JSON.parse(stdout.slice(stdout.indexOf('{"numTotalTestSuites"'))) as { numPassedTests: number; testResults: TestFile[] }
  const failed = report.testResults.filter(({ status }) => status !== 'passed')
  expect({ failed, stderr: failed.length > 0 ? stderr : '' }).toEqual({ failed: [], stderr: '' })
  expect(report.numPassedTests).toBeGreaterThan(20)
}, 300_000)

interface TestFile {
  readonly name: string
  readonly status: string
  readonly message: string
}

test('Node-RED finds the node by package.json, and loads nothing of the broker before a flow has one', async () => {
  const place = join(folder, 'node_modules/mqttx-broker')
  const { 'node-red': field } = JSON.parse(await readFile(join(place, 'package.json'), 'utf8'))
  const file = join(place, field.nodes['mqttx-broker'])
  for (const beside of [file.replace('.cjs', '.html'), join(file, '../icons/mqttx-broker.svg')])
    expect((await stat(beside)).isFile()).toBe(true)
  const code = `
    const types = []
    require(${JSON.stringify(file)})({ nodes: { registerType: name => types.push(name) } }).then(() => {
      console.log(JSON.stringify({ types, tapable: Object.keys(require.cache).some(name => name.includes('tapable')) }))
    })`
  expect(JSON.parse(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }))).toEqual({
    types: ['mqttx-broker'],
    tapable: false,
  })
})
