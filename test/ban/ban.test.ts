import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { NetworkSet, normalNetwork } from '../../plugins/ban/network-set.ts'
import { createBroker } from '../../presets/index.ts'
import { typed } from '../admin/typed.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { startNodes } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

const op = { name: 'night shift', via: 'program' }

test('networks: what is one, how it is written, and which address lies in it', () => {
  const written: readonly (readonly [string, string | null])[] = [
    ['10.1.2.3', '10.1.2.3'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['255.255.255.255/31', '255.255.255.254/31'],
    ['10.1.2.3/0', '0.0.0.0/0'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
    ['2001:db8::1/32', '2001:db8::/32'],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1/128'],
    ['::/0', '::/0'],
    ['10.1.2', null],
    ['10.1.2.3/33', null],
    ['10.1.2.3/', null],
    ['10.1.2.3/x', null],
    ['10.1.2.3/-1', null],
    ['::ffff:10.1.2.3/64', null],
    ['::1/129', null],
    ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1/128'],
    ['example.com', null],
    ['', null],
  ]
  for (const [text, normal] of written)
    expect([text, normalNetwork(text)?.replace(/^0:0:0:0:0:0:0:0\/0$/, '::/0') ?? null]).toEqual([text, normal])
  const set = new NetworkSet<string>()
  for (const one of ['10.1.0.0/16', '10.1.2.3', '192.168.0.0/31', '2001:db8::/33']) set.set(normalNetwork(one)!, one)
  const found = (address: string): string | undefined => set.find(address)
  expect(found('10.1.255.255')).toBe('10.1.0.0/16')
  expect(found('::ffff:10.1.255.255')).toBe('10.1.0.0/16')
  expect(found('10.2.0.0')).toBeUndefined()
  expect([found('192.168.0.1'), found('192.168.0.2')]).toEqual(['192.168.0.0/31', undefined])
  expect([found('2001:db8:7fff::1%eth0'), found('2001:db8:8000::1')]).toEqual(['2001:db8::/33', undefined])
  expect(found('memory')).toBeUndefined()
  set.delete('10.1.0.0/16')
  set.delete('10.1.0.0/16')
  expect([found('10.1.255.255'), found('10.1.2.3'), set.size]).toEqual([undefined, '10.1.2.3', 3])
})

test('a client id: who has it is sent away, and refused by 0x8A and 5 until the time is over', async () => {
  const { broker, connect, open, advance, clock } = await startBroker({ ban: true, allowAnonymous: true })
  const bad = await connect({ clientId: 'bad', version: 5 })
  const good = await connect({ clientId: 'good' })
  const at = clock.now()
  expect(await broker.operate(op, 'ban', { id: 'bad', for: '10m', reason: 'floods' })).toEqual({
    by: 'id',
    name: 'bad',
    endsAt: at + 600_000,
    bannedAt: at,
    actor: 'night shift',
    reason: 'floods',
    connections: 1,
  })
  await bad.closed
  expect(bad.heard.at(-1)).toMatchObject({ reasonCode: 0x87 })
  const refused = (version: 3 | 4 | 5) => open(version).connect({ clientId: 'bad', version })
  expect([(await refused(5)).reasonCode, (await refused(4)).reasonCode, (await refused(3)).reasonCode]).toEqual([0x8a, 5, 5])
  expect(good.isClosed).toBe(false)
  expect((await broker.inspect('bans')).rows).toMatchObject([{ by: 'id', name: 'bad', reason: 'floods' }])
  const why = await broker.inspect('why', { id: 'bad', action: 'publish', topic: 't' })
  expect([why.yes, why.verdict]).toEqual([
    false,
    expect.stringMatching(/^no: ban: id bad may not connect, until .*; night shift said so: floods$/),
  ])
  await advance(600_001)
  expect((await broker.inspect('bans')).rows).toEqual([])
  await connect({ clientId: 'bad', version: 5 })
})

test('a user, before the password is looked at and by the name that authentication gives; a network, before the CONNECT', async () => {
  const asked: string[] = []
  const { broker, open, connect, hooks } = await startBroker({ ban: true })
  hooks.onAuthenticate.tap('test', (_client, { username }) => {
    asked.push(username ?? '-')
    return { username: username === 'alias' ? 'eve' : (username ?? null) }
  })
  await broker.operate(op, 'ban', { user: 'eve' })
  const code = async (options: object, address?: string) => (await open(5, address).connect({ version: 5, ...options })).reasonCode
  expect(await code({ clientId: 'a', username: 'eve' })).toBe(0x8a)
  expect(asked).toEqual([])
  expect(await code({ clientId: 'a', username: 'alias' })).toBe(0x8a)
  expect(asked).toEqual(['alias'])
  const inside = await connect({ clientId: 'i', username: 'ann' })
  expect(await broker.operate(op, 'ban', { address: '10.1.2.3/16' })).toMatchObject({ name: '10.1.0.0/16', connections: 0 })
  expect(await code({ clientId: 'b', username: 'ann' }, '10.1.200.1')).toBe(0x8a)
  expect(await code({ clientId: 'b', username: 'ann' }, '10.2.0.1')).toBe(0)
  expect(inside.isClosed).toBe(false)
  expect(await broker.operate(op, 'unban', { address: '10.1.0.0/16' })).toEqual({ by: 'address', name: '10.1.0.0/16', removed: true })
  expect(await code({ clientId: 'b', username: 'ann' }, '10.1.200.1')).toBe(0)
  expect(await broker.operate(op, 'unban', { user: 'eva' })).toMatchObject({ removed: false })
  expect([...broker.figures].find(({ name }) => name === 'bans_refused_total')!.read()).toEqual([{ value: 3 }])
})

test('of a flood from a banned network some are told, the others are closed at once', async () => {
  const { broker, open } = await startBroker({ ban: true, allowAnonymous: true })
  await broker.operate(op, 'ban', { address: '10.0.0.0/8' })
  const lines = Array.from({ length: 300 }, () => open(5, '10.9.9.9'))
  await settled()
  expect(lines.filter(({ isClosed }) => isClosed)).toHaveLength(44)
  for (const line of lines) line.drop()
  await settled()
  expect((await open(5, '10.9.9.9').connect({ clientId: 'x', version: 5 })).reasonCode).toBe(0x8a)
})

test('whom to ban is said once and rightly; a guard may refuse; each ban is in the audit', async () => {
  const { broker, hooks, connect } = await startBroker({ ban: true, allowAnonymous: true, admin: { socket: false } })
  const operate = (verb: 'ban' | 'unban', given: object) => broker.operate(op, verb, given as never)
  for (const given of [
    {},
    { id: 'a', user: 'b' },
    { address: 'example.com' },
    { id: 'a', for: 'soon' },
    { id: '' },
    { address: '10.0.0.0/40' },
  ])
    await expect(operate('ban', given)).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
  await expect(operate('ban', { id: 'ü'.repeat(900) })).rejects.toMatchObject({ code: 'ERR_STATE_REFUSED' })
  hooks.onOperate.tap('guard', (_actor, verb, target) => (verb === 'ban' && 'user' in target ? false : undefined))
  const ann = await connect({ clientId: 'a', username: 'ann' })
  await expect(operate('ban', { user: 'ann' })).rejects.toMatchObject({ code: 'ERR_OPERATE_REFUSED' })
  expect([ann.isClosed, (await broker.inspect('bans')).rows]).toEqual([false, []])
  await operate('ban', { id: 'other', reason: 'test' })
  const { rows } = await broker.inspect('audit')
  expect(rows.map(({ verb, failed }) => [verb, failed === null])).toContainEqual(['ban', true])
  expect(rows.map(({ verb, target }) => `${verb} ${target}`)).toContain('ban user=ann')
})

test('typed at the command line: a table, JSON, exit codes, pages', async () => {
  const folder = await folderWith()
  const socket = join(folder, 'a.sock')
  const { broker } = await startBroker({ ban: true, allowAnonymous: true, admin: { socket } })
  const type = (line: string | string[]) => typed(line, { env: { MQTTX_SOCKET: socket } })
  expect((await type(['ban', 'meter-7', '--for', '1h', '--reason', 'guesses passwords'])).text).toMatch(
    /^by +id\nname +meter-7\nendsAt +2020-09-18T16/,
  )
  expect((await type('ban --address 10.0.0.0/8')).code).toBe(0)
  expect((await type('bans')).text).toMatch(
    /^by +name +endsAt +bannedAt +actor +reason\naddress +10\.0\.0\.0\/8 +- .*\nid +meter-7 .* guesses passwords$/,
  )
  expect((await type('bans --match meter --json')).json).toMatchObject({ rows: [{ by: 'id', name: 'meter-7' }], next: null })
  expect((await type('ban')).errors).toContain('say one of ID, --user and --address')
  expect([(await type('unban meter-7')).code, (await type('unban meter-7')).code]).toEqual([0, 3])
  await Promise.all(Array.from({ length: 120 }, (_, i) => broker.operate(op, 'ban', { id: `m${String(i).padStart(3, '0')}` })))
  const first = await broker.inspect('bans', { limit: 100 })
  const second = await broker.inspect('bans', { limit: 100, after: first.next })
  expect([...first.rows, ...second.rows].map(({ name }) => name)).toHaveLength(121)
})

test('a preset of one’s own may name the plugin before the one that keeps bans', async () => {
  const broker = await createBroker({
    preset: () => [['log', { level: 'silent' }], 'ban', 'memory'],
    allowAnonymous: true,
  }).start()
  onTestFinished(() => broker.stop())
  await broker.broker.operate(op, 'ban', { id: 'bad' })
  expect((await broker.broker.inspect('bans')).rows).toHaveLength(1)
})

test('a ban is kept over a restart on disk', async () => {
  const path = mkdtempSync(join(tmpdir(), 'mqttx-ban-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  const start = () => startBroker({ memory: false, disk: { path }, ban: true, allowAnonymous: true })
  const before = await start()
  await before.broker.operate(op, 'ban', { id: 'bad', for: '1h' })
  await before.running.stop()
  const after = await start()
  expect((await after.open(4).connect({ clientId: 'bad' })).reasonCode).toBe(5)
  expect((await after.broker.inspect('bans')).rows).toMatchObject([{ name: 'bad', actor: 'night shift' }])
})

test('in a cluster all nodes know of a ban, send away whom it concerns, and let in again', async () => {
  const [one, two] = await startNodes(2, { ban: true })
  const bad = await two.connect({ clientId: 'bad', version: 5 })
  await one.broker.operate(op, 'ban', { id: 'bad' })
  await bad.closed
  expect((await two.open(5).connect({ clientId: 'bad', version: 5 })).reasonCode).toBe(0x8a)
  expect((await two.broker.inspect('bans')).rows).toMatchObject([{ name: 'bad', actor: 'night shift' }])
  expect(await two.broker.operate(op, 'unban', { id: 'bad' })).toMatchObject({ removed: true })
  await eventually(async () => (await one.broker.inspect('bans')).rows.length === 0)
  await one.connect({ clientId: 'bad', version: 5 })
})
