import { execFile } from 'node:child_process'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { hashPassword } from '../../plugins/kit/password-hash.ts'
import { readRevocationLists } from '../../plugins/ssl/revocation-list.ts'
import type { Config } from '../../presets/index.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { eventually } from '../support/eventually.ts'
import { onLaterStore } from '../support/later-store.ts'
import { keptLog } from '../support/log.ts'
import { TestCa } from '../support/test-ca.ts'
import { secureClient, startTlsBroker } from '../transports/tls-broker.ts'

// Goal: whoever may no longer be connected is not, from then on: users that are gone or have another password, certificates that are revoked, and whom a plugin names.

const run = promisify(execFile)
const { NotAuthorized } = ReasonCode
const lasting = { version: 5, cleanStart: false, properties: { sessionExpiry: 3600 } } as const

test.each([
  ['a store that answers at once', {} as Config],
  ['a store that answers later', onLaterStore()],
])(
  'revoke closes all clients of a user, ends their sessions, the stored ones too, and withholds their wills: %s',
  async (_name, config) => {
    const broker = await startBroker(config)
    broker.hooks.onAuthenticate.tap('test', () => ({}))
    const will = (topic: string) => ({ topic, payload: Buffer.from(topic), qos: 1 as const, properties: { willDelay: 5 } })
    const watcher = await broker.connect({ version: 5, username: 'watcher' })
    await watcher.subscribe('will/#', 1)
    const durable = await broker.connect({ ...lasting, clientId: 'durable', username: 'u', will: { topic: 'will/durable' } })
    const clean = await broker.connect({ version: 4, clientId: 'clean', username: 'u', will: { topic: 'will/clean' } })
    const stored = await broker.connect({ ...lasting, clientId: 'stored', username: 'u', will: will('will/stored') })
    const other = await broker.connect({ ...lasting, clientId: 'other', username: 'v' })
    for (const client of [durable, stored, other]) await client.subscribe('t', 1)
    stored.drop()
    await stored.closed
    await settled()
    expect(broker.running.revoke({ username: 'u' })).toBe(2)
    expect((await durable.ended())?.reasonCode).toBe(NotAuthorized)
    await clean.closed
    await eventually(() => ['durable', 'clean', 'stored'].every(clientId => broker.broker.roster.get(clientId) === undefined))
    await broker.advance(10_000)
    expect(await watcher.payloads()).toEqual([])
    await watcher.publish('t', 'm', { qos: 1 })
    expect((await other.receive()).payload.toString()).toBe('m')
    // Its client ids are nobody's now.
    for (const clientId of ['durable', 'stored']) {
      const next = await broker.connect({ ...lasting, clientId, username: 'w' })
      expect(next.heard[0]).toMatchObject({ reasonCode: 0, sessionPresent: false })
    }
  },
)

test('revoke by client id, and with keepSession: sessions and wills stay', async () => {
  const broker = await startBroker()
  broker.hooks.onAuthenticate.tap('test', () => ({}))
  const watcher = await broker.connect({ version: 5 })
  await watcher.subscribe('will', 1)
  const client = await broker.connect({ ...lasting, clientId: 'd', username: 'u', will: { topic: 'will', payload: Buffer.from('w') } })
  await client.subscribe('t', 1)
  expect(broker.running.revoke({ clientId: 'd' }, { keepSession: true })).toBe(1)
  expect((await client.ended())?.reasonCode).toBe(NotAuthorized)
  expect((await watcher.receive()).payload.toString()).toBe('w')
  await watcher.publish('t', 'm', { qos: 1 })
  const back = await broker.connect({ ...lasting, clientId: 'd', username: 'u' })
  expect((await back.receive()).payload.toString()).toBe('m')
  expect(broker.running.revoke({ clientId: 'd' })).toBe(1)
  await back.closed
  await eventually(() => broker.broker.roster.get('d') === undefined)
  expect(broker.running.revoke({ clientId: 'd' })).toBe(0)
})

async function withUsers(authFile: object = {}) {
  const [alice, alices, bob] = await Promise.all(['wonderland', 'looking glass', 'builder'].map(hashPassword))
  const folder = await folderWith({ users: `alice:${alice}\nbob:${bob}\n` })
  const path = join(folder, 'users')
  const { lines, plugin } = keptLog()
  const broker = await startBroker({ log: false, plugins: [plugin], authFile: { path, ...authFile } })
  const clients = {
    alice: await broker.connect({ ...lasting, clientId: 'a', username: 'alice', password: 'wonderland' }),
    bob: await broker.connect({ ...lasting, clientId: 'b', username: 'bob', password: 'builder' }),
  }
  const look = async (message: RegExp) => {
    const before = lines.length
    await eventually(async () => {
      await broker.advance(2000)
      return lines.slice(before).some(line => message.test(line.message))
    })
  }
  return {
    ...broker,
    ...clients,
    path,
    folder,
    lines,
    look,
    users: { alice: `alice:${alice}\n`, alices: `alice:${alices}\n`, bob: `bob:${bob}\n` },
  }
}

test('a user that is taken out of the password file while connected is closed, its session ends, and others notice nothing', async () => {
  const { alice, bob, path, look, users, broker, lines } = await withUsers()
  await writeFile(`${path}.new`, users.bob)
  await rename(`${path}.new`, path)
  await look(/read again/)
  expect((await alice.ended())?.reasonCode).toBe(NotAuthorized)
  await bob.rest()
  await eventually(() => broker.roster.get('a') === undefined)
  expect(lines.filter(({ message }) => message.includes('read again'))).toMatchObject([{ fields: { users: 1, closed: 1 } }])
})

test('a changed password closes its user, whose session stays; closeChanged: false leaves the client connected', async () => {
  for (const closeChanged of [true, false]) {
    const { alice, bob, path, look, users, broker } = await withUsers({ closeChanged })
    await writeFile(path, users.alices + users.bob)
    await look(/read again/)
    if (closeChanged) expect((await alice.ended())?.reasonCode).toBe(NotAuthorized)
    else await alice.rest()
    await bob.rest()
    expect(broker.roster.get('a')).toBeDefined()
  }
})

test.each([
  ['half written', (all: string) => all.slice(0, all.length - 20)],
  ['empty', () => ''],
  ['blank', () => '\n\n'],
  ['broken', (all: string) => `${all}what\n`],
])('a password file that is %s changes nothing, and is said once', async (_name, change) => {
  const { alice, bob, path, look, users, lines, advance, connect } = await withUsers()
  await writeFile(path, change(users.alice + users.bob))
  await look(/not taken up/)
  for (let i = 0; i < 5; i++) {
    await advance(2000)
    await settled()
  }
  expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1)
  for (const client of [alice, bob]) await client.rest()
  await connect({ version: 5, clientId: 'c', username: 'bob', password: 'builder' })
  await writeFile(path, users.alice)
  await look(/read again/)
  expect((await bob.ended())?.reasonCode).toBe(NotAuthorized)
  await alice.rest()
})

/** What OpenSSL's own tool writes for a CA of a test. */
async function revoke(folder: string, names: readonly string[], ca = 'ca'): Promise<string> {
  const config = join(folder, `${ca}.cnf`)
  await writeFile(
    config,
    `[ca]\ndefault_ca = d\n[d]\ndatabase = ${join(folder, `${ca}.txt`)}\ndefault_md = sha256\ndefault_crl_days = 30\n`,
  )
  await writeFile(join(folder, `${ca}.txt`), '')
  const signing = ['-config', config, '-keyfile', join(folder, `${ca}.key`), '-cert', join(folder, `${ca}.crt`)]
  for (const name of names) await run('openssl', ['ca', ...signing, '-revoke', join(folder, `${name}.crt`)])
  return (await run('openssl', ['ca', ...signing, '-gencrl'])).stdout
}

test('ssl.crl refuses revoked certificates, closes clients that are connected by one, and is read again when it has changed', async () => {
  const clock = new ManualClock()
  const ssl = { clientAuth: true, usernameFrom: 'commonName' } as const
  const broker = await startTlsBroker({ ssl }, clock, async ca => {
    for (const name of ['good', 'stolen', 'before']) await ca.client(name, name)
    await writeFile(ca.path('crl.pem'), await revoke(ca.folder, ['before']))
    return { crl: ca.path('crl.pem') }
  })
  const { ca } = broker
  const connect = async (name: string) => {
    return secureClient(broker, {
      cert: await readFile(ca.path(`${name}.crt`), 'utf8'),
      key: await readFile(ca.path(`${name}.key`), 'utf8'),
    })
  }
  const good = await connect('good')
  await good.connect({ ...lasting, clientId: 'good' })
  const stolen = await connect('stolen')
  await stolen.connect({ ...lasting, clientId: 'stolen' })
  await (await connect('before')).closed
  const list = await revoke(ca.folder, ['before', 'stolen'])
  await writeFile(ca.path('crl.pem'), list.slice(0, list.length / 2))
  for (let i = 0; i < 3; i++) {
    clock.advance(10_000)
    await settled()
  }
  await stolen.rest()
  await writeFile(ca.path('crl.pem'), list)
  await eventually(async () => {
    clock.advance(10_000)
    await settled()
    return stolen.isClosed
  })
  expect((await stolen.ended())?.reasonCode).toBe(NotAuthorized)
  await (await connect('stolen')).closed
  await good.rest()
  await (await connect('good')).connect({ clientId: 'again' })
})

test('a file of revocation lists is read whole or not at all', async () => {
  const folder = await folderWith({})
  for (const name of ['ca', 'other']) await (await TestCa.create(folder, name)).client(`client of ${name}`, 'c')
  const lists = [
    await revoke(folder, ['client of ca'], 'ca'),
    await revoke(folder, ['client of other'], 'other'),
    await revoke(folder, [], 'ca'),
  ]
  const read = (text: string) => readRevocationLists(text, 'ssl.crl', 'crl.pem').size
  expect(lists.map(read)).toEqual([1, 1, 0])
  expect(read(lists.join('\n'))).toBe(2)
  const two = lists[0]! + lists[1]!
  for (const text of [
    '',
    'x',
    two.slice(0, -30),
    two.slice(0, lists[0]!.length + 40),
    two.replace(/\nM/, '\nA'),
    lists[0]!.replaceAll('X509 CRL', 'CERTIFICATE'),
  ]) {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'ERR_TLS_CRL' }))
  }
})
