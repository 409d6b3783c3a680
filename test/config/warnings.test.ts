import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Config, catalogue, definePlugin } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { examine } from '../../presets/shell/probe.ts'
import { startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'
import { folderWith } from './folder.ts'

// Goal: what is allowed but lets others read passwords or keys is said before the first client comes. Method: configs are resolved and examined, as `check` does.

const resolved = (object: Config, folder?: string) => resolveConfig(catalogue, { object: { preset: 'test', ...object }, folder })

test('files of passwords and keys that every user may read are warned of, whichever option names them', async () => {
  const folder = await folderWith()
  const files = ['users', 'server.key', 'other.key', 'own.key', 'redis.key', 'kafka.key', 'token', 'store.p12']
  for (const file of files) writeFileSync(join(folder, file), '', { mode: 0o600 })
  const config: Config = {
    authFile: { path: 'users' },
    ssl: { cert: 'server.crt', key: 'server.key', certificates: [{ cert: 'other.crt', key: 'other.key' }] },
    socket: [{ port: 1 }, { port: 2, tls: { cert: 'own.crt', key: join(folder, 'own.key') } }],
    websocket: { port: 3, tls: { keyStoreLocation: 'classpath:store.p12' } },
    redis: { tls: { enable: true, key: 'redis.key' } },
    messageBridge: { topics: ['a'], ssl: { enable: true, key: 'kafka.key' }, sasl: { mechanism: 'oauthbearer', tokenFile: 'token' } },
  }
  const preset = { preset: 'dev' as const }
  expect((await resolved({ ...preset, ...config }, folder)).warnings).toEqual([])
  for (const file of files) chmodSync(join(folder, file), 0o604)
  const { warnings } = await resolved({ ...preset, ...config }, folder)
  expect(warnings.map(line => line.split(': ')[0]).sort()).toEqual([
    'authFile.path',
    'messageBridge.sasl.tokenFile',
    'messageBridge.ssl.key',
    'redis.tls.key',
    'socket.1.tls.key',
    'ssl.certificates[0].key',
    'ssl.key',
    'websocket.tls.keyStoreLocation',
  ])
  const users = join(folder, 'users')
  expect(warnings).toContain(`authFile.path: every user of this machine may read ${users}; chmod o= ${users}`)
})

test('a config in JSON or YAML with passwords in it that every user may read is warned of', async () => {
  const redis = { password: 'sesame' }
  const folder = await folderWith({ 'mqttx.config.yaml': '', 'mqttx.config.ts': '' })
  const warned = async (name: string, values: object, mode: number) => {
    const path = join(folder, name)
    chmodSync(path, mode)
    return (await resolveConfig(catalogue, { file: { path, values: { preset: 'dev', ...values } } })).warnings
  }
  const path = join(folder, 'mqttx.config.yaml')
  expect(await warned('mqttx.config.yaml', { redis }, 0o644)).toEqual([
    `redis.password: every user of this machine may read ${path}; chmod o= ${path}`,
  ])
  expect(await warned('mqttx.config.yaml', { redis }, 0o640)).toEqual([])
  expect(await warned('mqttx.config.yaml', { redis: { database: 1 } }, 0o644)).toEqual([])
  // What a program exports it may have from elsewhere.
  expect(await warned('mqttx.config.ts', { redis }, 0o644)).toEqual([])
})

const someone = definePlugin({ name: 'someone', apply: ({ hooks }) => hooks.onAuthenticate.tap('someone', () => undefined) })

/** What `check` says of a config beside its options. */
async function said(config: Config): Promise<readonly string[]> {
  return (await examine(catalogue, await resolved(config), false)).lines
}

test.each<[string, Config]>([
  ['a listener on all addresses', { socket: { port: 0 } }],
  ['an address of the network', { socket: { port: 0, host: '::' } }],
  ['one listener of two', { socket: { port: 0, host: '127.0.0.1' }, websocket: { port: 0 } }],
])('passwords without TLS that the network can read are warned of: %s', async (_what, config) => {
  const lines = await said({ ...config, plugins: [someone()] })
  expect(lines).toEqual([
    expect.stringMatching(/^warning: (websocket|socket): without TLS, so passwords can be read on the way to the broker; add ssl:/),
  ])
})

test.each<[string, Config]>([
  ['nobody authenticates', { socket: { port: 0 }, allowAnonymous: true }],
  ['loopback alone', { plugins: [someone()], host: '127.0.0.1' }],
  ['loopback by its name', { plugins: [someone()], socket: { port: 0, host: 'localhost' } }],
  ['it is meant', { plugins: [someone()], socket: { port: 0, tls: false } }],
])('no such warning where there is no reason for one: %s', async (_what, config) => {
  expect(await said(config)).toEqual([])
})

test.each([
  ['http://auth.example/mqtt', true],
  ['http://10.0.0.7:8080/', true],
  ['https://auth.example/mqtt', false],
  ['http://localhost:8080/', false],
  ['http://127.3.0.1:8080/', false],
  ['http://[::1]:8080/', false],
])('an authentication service at %s: warned of: %s', async (url, isWarned) => {
  const { lines, plugin } = keptLog()
  await startBroker({ authHttp: { url }, log: false, plugins: [plugin] })
  const warnings = lines.filter(({ level, message }) => level === 'warn' && message.startsWith('authHttp.url'))
  expect(warnings.map(({ message }) => message)).toEqual(
    isWarned ? [expect.stringMatching(/^authHttp\.url: passwords go to \S+ readable for whoever is on the way; use https:/)] : [],
  )
})
