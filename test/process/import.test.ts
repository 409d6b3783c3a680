import { spawnSync } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Mosquitto, publish } from '../interop/mosquitto.ts'
import { Command } from './command.ts'

// Goal: what `init --from` writes type-checks, is what `check` accepts, and starts a broker that does what the Java mqttx did by the same file.

const root = fileURLToPath(new URL('../..', import.meta.url))
const built = beforeAllBuilt()

async function run(folder: string, args: readonly string[], env: Record<string, string> = {}) {
  const command = new Command(built.path('presets/bin.js'), folder, args, env)
  const code = await command.ended()
  return { code, out: command.out.join('\n'), errors: command.errors.join('\n') }
}

const old = `
spring:
  profiles.active: live
  application.name: mqttx
  redis: { host: "\${REDIS_HOST:cache}", password: "open 'sesame'" }
mqttx:
  version: @version@
  broker-id: "\${NODE_NAME}"
  enable-test-mode: \${TEST_MODE:true}
  host: 127.0.0.1
  socket: { port: "\${MQTT_PORT:1883}" }
  share-topic.share-sub-strategy: \${STRATEGY:random}
  sys-topic: { enable: true, interval: PT10S }
  message-bridge: { enable: "\${BRIDGE:false}", topics: [a/b, "c d"] }
  rate-limiter:
    enable: true
    topic-rate-limits: [{ topic: /a, capacity: 9, replenish-rate: 4, token-consumed-per-acquire: 3 }]
`
const live = 'mqttx.web-socket: { enable: true, port: 0 }\nmqttx.max-bytes-in-message: 65536\n'

test('init --from application.yml: written, type-checked, checked, and serving clients', async () => {
  const from = await folderWith({ 'application.yml': old, 'application-live.yml': live })
  const folder = await folderWith({})
  const { code, out, errors } = await run(folder, ['init', '--from', join(from, 'application.yml')])
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(out).toMatch(/^wrote mqttx\.config\.ts$/m)
  expect(out).toMatch(
    /^not translated \(2\):\n- line 4: spring\.application\.name: "mqttx": it names the Java program\n- line 7: mqttx\.version: .*\$SYS/m,
  )
  const text = await readFile(join(folder, 'mqttx.config.ts'), 'utf8')
  expect(text).toContain('  // mqttx.socket.port (line 11)\n')
  expect(text).toContain("    port: Number(env.MQTT_PORT ?? '1883'),\n")
  expect(text).toContain('// - line 4: spring.application.name')
  expect((await stat(join(folder, 'mqttx.config.ts'))).mode & 0o777).toBe(0o600)

  // The package as a user would have it installed; here it is the sources.
  const compilerOptions = { paths: { 'mqttx-broker': [built.path('presets/index.d.ts')] }, typeRoots: [`${root}node_modules/@types`] }
  await writeFile(join(folder, 'tsconfig.test.json'), JSON.stringify({ extends: './tsconfig.json', compilerOptions }))
  const types = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(folder, 'tsconfig.test.json')], { encoding: 'utf8' })
  expect(types.stdout).toBe('')

  expect(await run(folder, ['check'])).toMatchObject({ code: 1, errors: expect.stringMatching(/NODE_NAME is not set in the environment/) })
  const env = { NODE_NAME: 'n1', MQTT_PORT: '0' }
  const checked = await run(folder, ['check'], env)
  expect(checked).toMatchObject({ code: 0, errors: '' })
  expect(checked.out).toMatch(/^sysTopic\.interval +10s +mqttx\.config\.ts$/m)
  expect(checked.out).toMatch(/^mqtt\.maximumPacketSize +64KiB +mqttx\.config\.ts$/m)

  const broker = new Command(built.path('presets/bin.js'), folder, [], env)
  const port = await broker.ready()
  await publish({ port }, '-q', '1', '-r', '-t', 'hello', '-m', 'from java')
  const reader = new Mosquitto('mosquitto_sub', { port }, ['-t', 'hello', '-C', '1', '-F', '%t %p'])
  expect(await reader.printed(1)).toEqual(['hello from java'])
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
})

test('nothing is written over what is there, and a file of no known kind is refused', async () => {
  const folder = await folderWith({ 'application.yml': 'mqttx.host: 127.0.0.1', 'other.conf': 'x = 1' })
  expect((await run(folder, ['init', '--from', 'other.conf'])).errors).toMatch(
    /^error: init --from: other\.conf is of no kind that is known here: .*application\.yml/,
  )
  expect((await run(folder, ['init', '--from', 'nowhere.yml'])).errors).toMatch(/^error: init --from: nowhere\.yml cannot be read .*ENOENT/)
  expect(await run(folder, ['init', '--from', 'application.yml'])).toMatchObject({ code: 0 })
  expect((await run(folder, ['init', '--from', 'application.yml'])).errors).toMatch(
    /mqttx\.config\.ts is here already, and nothing was written/,
  )
  expect((await run(folder, ['start', '--from', 'application.yml'])).errors).toMatch(/--from: belongs to init/)
})
