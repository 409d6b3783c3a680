import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { isMosquittoPassword, parseMosquittoHash } from '../../plugins/auth-file/mosquitto-hash.ts'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { startBroker } from '../support/broker.ts'
import { eventually } from '../support/eventually.ts'
import { socketClient } from '../support/socket-client.ts'

const run = promisify(execFile)

function mosquittoPasswd(...args: string[]): Promise<unknown> {
  return run('mosquitto_passwd', args).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new Error('mosquitto_passwd is missing: run  sudo apt-get install mosquitto') : error
  })
}

async function started(users: string, options: object = {}, config: Config = {}) {
  const folder = await folderWith({ users })
  const path = join(folder, 'users')
  const broker = await startBroker({ authFile: { path, ...options }, ...config })
  const code = async (username: string, password: string, version: 4 | 5 = 5) =>
    (await broker.open(version).connect({ version, username, password })).reasonCode
  return { ...broker, path, code }
}

test('lets in by files of mosquitto_passwd, in both of its hashes, beside those of our own', async () => {
  const folder = await folderWith()
  const file = join(folder, 'users')
  await mosquittoPasswd('-H', 'sha512', '-c', '-b', file, 'old', 'older than ours')
  await mosquittoPasswd('-b', file, 'new', 'pässwörd')
  const text = await readFile(file, 'utf8')
  expect(text).toMatch(/^old:\$6\$/m)
  expect(text).toMatch(/^new:\$7\$/m)
  const { code } = await started(text)
  expect(await code('old', 'older than ours')).toBe(0)
  expect(await code('new', 'pässwörd')).toBe(0)
  expect(await code('old', 'pässwörd')).toBe(0x86)
  expect(await code('new', 'older than ours')).toBe(0x86)
  expect(await code('nobody', 'pässwörd')).toBe(0x86)
  expect(await code('new', '')).toBe(0x86)
})

test('what mosquitto_passwd changes is taken up', async () => {
  const folder = await folderWith()
  const file = join(folder, 'users')
  await mosquittoPasswd('-c', '-b', file, 'alice', 'first')
  const broker = await startOnSocket({ authFile: { path: file, checkFileEvery: null } })
  const code = async (password: string) => {
    const client = await socketClient(broker.port, 5)
    return (await client.connect({ username: 'alice', password })).reasonCode
  }
  expect(await code('first')).toBe(0)
  await mosquittoPasswd('-b', file, 'alice', 'second')
  await broker.reread()
  await eventually(async () => (await code('second')) === 0)
  expect(await code('first')).toBe(0x86)
})

test('with refuseAs notAuthorized nobody is told that it was the password', async () => {
  const { code } = await started('# nobody\n', { refuseAs: 'notAuthorized' })
  expect(await code('alice', 'x')).toBe(0x87)
  expect(await code('alice', 'x', 4)).toBe(5)
})

const salt = 'AAECAwQFBgcICQoL'
const key = `${'A'.repeat(86)}==`

test.each([
  ['no such kind', `$5$${salt}$${key}`],
  ['no salt', `$6$$${key}`],
  ['a short key', `$6$${salt}$${key.slice(4)}`],
  ['no rounds', `$7$${salt}$${key}`],
  ['rounds without end', `$7$9999999$${salt}$${key}`],
  ['no rounds at all', `$7$0$${salt}$${key}`],
])('a hash with %s is none', (_what, text) => {
  expect(parseMosquittoHash(text)).toBeNull()
})

test('a hash that is one is not everybody’s password', async () => {
  for (const text of [`$6$${salt}$${key}`, `$7$101$${salt}$${key}`]) {
    const hash = parseMosquittoHash(text)
    expect(hash).not.toBeNull()
    expect(await isMosquittoPassword(Buffer.from('x'), hash!)).toBe(false)
  }
})

test('each listener may have a file of its own, or none', async () => {
  const folder = await folderWith()
  await mosquittoPasswd('-c', '-b', join(folder, 'office'), 'alice', 'in the office')
  await mosquittoPasswd('-c', '-b', join(folder, 'house'), 'alice', 'at home')
  const broker = await startOnSocket({
    socket: [
      { name: 'office', port: 0 },
      { name: 'house', port: 0 },
      { name: 'garden', port: 0, allowAnonymous: true },
    ],
    authFile: { listeners: { office: join(folder, 'office'), house: join(folder, 'house') } },
  })
  const ports = broker.broker.listeners.map(({ port }) => port)
  const code = async (listener: number, password: string) => {
    const client = await socketClient(ports[listener]!, 5)
    return (await client.connect({ username: 'alice', password })).reasonCode
  }
  expect(await code(0, 'in the office')).toBe(0)
  expect(await code(0, 'at home')).toBe(0x86)
  expect(await code(1, 'at home')).toBe(0)
  expect(await code(1, 'in the office')).toBe(0x86)
  expect(await code(2, 'whatever')).toBe(0)
  // Where nobody has checked the name, there is none.
  const [anybody] = [...broker.broker.clients].filter(({ transport }) => transport.listener === 'garden')
  expect(anybody?.username).toBeNull()

  const there = await socketClient(ports[0]!, 5)
  await there.connect({ clientId: 'there', username: 'alice', password: 'in the office' })
  const elsewhere = await socketClient(ports[1]!, 5)
  await elsewhere.connect({ clientId: 'elsewhere', username: 'alice', password: 'at home' })
  await writeFile(join(folder, 'office'), '# nobody\n')
  await broker.reread()
  expect(await there.ended()).toMatchObject({ reasonCode: 0x87 })
  expect(await elsewhere.rest()).toEqual([])
})

test('authFile without any file says how to name one', async () => {
  await expect(startBroker({ authFile: {} })).rejects.toThrow(/authFile\.path: required/)
})

test('with badLines skip a line that is none keeps its own user out, and nobody else', async () => {
  const folder = await folderWith()
  const file = join(folder, 'users')
  await mosquittoPasswd('-c', '-b', file, 'alice', 'wonderland')
  const text = `bob\ncarol:in clear\n${await readFile(file, 'utf8')}dora:$6$xx$yy\n`
  await expect(started(text)).rejects.toThrow(/users:1: not a line USER/)
  const { code } = await started(text, { badLines: 'skip' })
  expect(await code('alice', 'wonderland')).toBe(0)
  for (const [user, password] of [
    ['bob', ''],
    ['carol', 'in clear'],
    ['dora', ''],
  ] as const)
    expect(await code(user, password)).toBe(0x86)
})
