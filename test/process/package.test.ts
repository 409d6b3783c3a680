import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Command } from './command.ts'

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
const broker = await createBroker({ preset: 'test', socket: { port: 0 }, log: { level: 'silent' } }).start()
const said = await broker.publish({ topic: 'a', payload: 'x' })
console.log(broker.port > 0, said)
await broker.stop()
`

let folder = ''
let command = ''

// What npm would publish, installed where nothing else is.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mqttx-package-'))
  await writeFile(join(folder, 'package.json'), '{ "name": "user", "private": true, "type": "module" }')
  const printed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8' })
  const [packed] = JSON.parse(printed) as { filename: string }[]
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${packed!.filename}`]
  execFileSync('npm', install, { cwd: folder, stdio: 'ignore' })
  command = join(folder, 'node_modules/.bin/mqttx-broker')
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('the package runs with a config and a plugin in TypeScript, in a folder that cannot be written to', async () => {
  const place = join(folder, 'broker')
  await mkdir(place)
  await writeFile(join(place, 'mqttx.config.ts'), config)
  await writeFile(join(place, 'shout.ts'), plugin)
  await chmod(place, 0o555)
  onTestFinished(() => chmod(place, 0o755))
  const broker = new Command(command, place, [])
  const port = await broker.ready()
  execFileSync('mosquitto_pub', ['-p', String(port), '-i', 'somebody', '-t', 'a', '-m', 'x'])
  await broker.line(/INFO: somebody is here!/)
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  expect(await readdir(place)).toEqual(['mqttx.config.ts', 'shout.ts'])
})

test('the package is a library', async () => {
  await writeFile(join(folder, 'program.js'), program)
  expect(execFileSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8' })).toBe('true undefined\n')
})

test('what init writes starts, with its plugin', async () => {
  const init = new Command(command, folder, ['init'])
  expect(await init.ended()).toBe(0)
  expect(await readdir(folder)).toContain('mqttx.config.ts')
  const broker = new Command(command, folder, ['--port', '0'])
  await broker.ready()
  broker.signal('SIGINT')
  expect(await broker.ended()).toBe(0)
})
