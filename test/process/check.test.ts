import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { commandLine } from '../config/command-line.ts'
import { folderWith } from '../config/folder.ts'
import { freePort } from '../support/redis.ts'
import { TestCa } from '../support/test-ca.ts'
import { Command } from './command.ts'

// Goal: what a start would refuse before it opens anything `check` finds, in the same words, and it opens nothing. Method: each config is checked and
// started, as a user does both.

const built = beforeAllBuilt()
const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find(path => existsSync(path))

const refused: readonly (readonly [what: string, config: object, error: RegExp])[] = [
  ['preset prod while anybody may connect', { preset: 'prod' }, /allowAnonymous: anybody could connect/],
  ['a key that is not the certificate’s', { ssl: { cert: 'a.crt', key: 'b.key' } }, /ssl\.key: the key in .*b\.key does not fit/],
  ['a certificate that is not there', { ssl: { cert: 'none.crt', key: 'a.key' } }, /ssl\.cert: there is no file .*none\.crt/],
  ['a certificate that has expired', { ssl: { cert: 'old.crt', key: 'old.key' } }, /old\.crt/],
  ['a CA that is none', { ssl: { cert: 'a.crt', key: 'a.key', ca: 'a.key', clientAuth: true } }, /ssl\.ca: /],
  [
    'a listener’s own certificate that is not there',
    { socket: { tls: { cert: 'none.crt', key: 'a.key' } } },
    /socket\.tls\.cert: there is no file/,
  ],
  ['a listener that asks for TLS where there is none', { socket: { tls: true } }, /socket\.tls: there is no certificate/],
  ['a file of rules that is broken', { topicSecurity: { rulesFile: 'broken.yaml' } }, /topicSecurity\.rulesFile: .*broken\.yaml/],
  ['a file of rules that is not there', { topicSecurity: { rulesFile: 'none.yaml' } }, /topicSecurity\.rulesFile: there is no file/],
  ['a password file that is broken', { authFile: { path: 'broken.yaml' } }, /authFile\.path: .*broken\.yaml/],
  ['a password file that is not there', { authFile: { path: 'none' } }, /authFile\.path: there is no file/],
  ['a schema that is not there', { schema: { rules: [{ filter: 'a', schema: 'none.json' }] } }, /schema\.rules\[0\].*none\.json/],
  ['a data folder that is a file', { preset: 'standalone', disk: { path: 'a.crt' } }, /disk\.path: .*a\.crt is not a folder/],
  ['a queue folder below a file', { diskQueue: { path: 'a.crt/queue' } }, /diskQueue\.path: .*queue is not a folder/],
  [
    'a bridge’s certificate that is not there',
    { messageBridge: { topics: ['a'], ssl: { enable: true, ca: 'none.crt' } } },
    /messageBridge\.ssl\.ca: /,
  ],
  ['a bridge’s rule for a target that nobody brings', { messageBridge: { topics: [{ filter: 'a', target: 'nats' }] } }, /there is no nats/],
  [
    'an address that is not the machine’s',
    { allowAnonymous: true, socket: { host: '203.0.113.7' } },
    /203\.0\.113\.7 is not an address of this machine/,
  ],
  [
    'two listeners on one port',
    { socket: [{ port: 18_830 }, { port: 18_830 }] },
    /socket\[1\]\.port: 18830 on .* is wanted by socket\[0\], too/,
  ],
]

async function folderFor(config: object): Promise<string> {
  const folder = await folderWith({ 'mqttx.config.json': JSON.stringify({ preset: 'test', socket: { port: 0 }, ...config }) })
  const ca = await TestCa.create(folder)
  await ca.issue('a', 'localhost')
  await ca.issue('b', 'localhost')
  await ca.issue('old', 'localhost', { from: -20, to: -10 })
  writeFileSync(join(folder, 'broken.yaml'), 'allow: [')
  return folder
}

const run = (folder: string, args: readonly string[], under: readonly string[] = []): Command =>
  new Command(built.path('presets/bin.js'), folder, args, {}, under)

test.each(refused)('check finds %s, as the start does', async (_what, config, error) => {
  const folder = await folderFor(config)
  const check = await commandLine(folder, ['check'])
  expect(check.code).toBe(1)
  expect(check.errors).toEqual([expect.stringMatching(error)])
  // It says what would be in force, too.
  expect(check.out[0]).toMatch(/^mqttx-broker .*preset/)
  const start = run(folder, [])
  expect(await start.ended()).toBe(1)
  expect(start.errors).toEqual(check.errors)
  expect(start.out.join('\n')).not.toMatch(/listening/)
})

test('check finds all that is wrong with what the options name at once', async () => {
  const folder = await folderFor({
    ssl: { cert: 'none.crt', key: 'a.key' },
    authFile: { path: 'none' },
    topicSecurity: { rulesFile: 'none.yaml' },
  })
  const check = await commandLine(folder, ['check'])
  expect(check.code).toBe(1)
  expect(check.errors).toHaveLength(3)
  const start = run(folder, [])
  expect(await start.ended()).toBe(1)
  expect(start.errors[0]).toMatch(/authFile\.path: .*; topicSecurity\.rulesFile: .*; ssl\.cert: /)
})

test.skipIf(setpriv === undefined)('check finds a port that needs more rights than the user has (setpriv takes them away)', async () => {
  const folder = await folderFor({ socket: { port: 83 } })
  const under = [setpriv!, '--bounding-set', '-net_bind_service', '--inh-caps', '-net_bind_service']
  const check = run(folder, ['check'], under)
  expect(await check.ended()).toBe(1)
  expect(check.errors).toEqual([expect.stringMatching(/socket\.port: 83 needs more rights than this user has/)])
})

test('a config that is right passes, leaves no file behind, and may be checked beside the broker that runs by it', async () => {
  const port = await freePort()
  const folder = await folderFor({ preset: 'standalone', ssl: { cert: 'a.crt', key: 'a.key' }, socket: { port }, disk: { path: 'data' } })
  const before = run(folder, ['check'])
  expect(await before.ended()).toBe(0)
  expect(existsSync(join(folder, 'data'))).toBe(false)
  const broker = run(folder, [])
  await broker.ready()
  const beside = run(folder, ['check'])
  expect(await beside.ended()).toBe(0)
  expect(beside.errors).toEqual([])
})
