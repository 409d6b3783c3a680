import { expect, test } from 'vitest'
import { type Config, definePlugin } from '../../presets/index.ts'
import { startNodes, type TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

// Goal: what test/security/owners.test.ts shows of one broker holds in a cluster: whoever comes with the client id of another user, at whatever node, touches nothing.

const kinds = {
  clean: { cleanStart: true },
  durable: { cleanStart: false, properties: { sessionExpiry: 3600 } },
}
const pairs = [
  ['clean', 'clean'],
  ['clean', 'durable'],
  ['durable', 'clean'],
  ['durable', 'durable'],
] as const

const anybody = definePlugin({ name: 'anybody', apply: ({ hooks }) => void hooks.onAuthenticate.tap('anybody', () => ({})) })

const start = (config: Config = {}) => startNodes(2, { ...config, plugins: [anybody()] })

const heardOf = (node: TestNode) => eventually(() => node.broker.roster.get('c')?.announced === true)

test.each(pairs)('a stranger at another node, with the client id of a connected client: %s, %s', async (first, second) => {
  const [a, b] = await start()
  const watcher = await a.connect({ username: 'watcher' })
  await watcher.subscribe('will', 1)
  await b.wants('will', a)
  const owner = await a.connect({
    clientId: 'c',
    username: 'owner',
    ...kinds[first],
    will: { topic: 'will', payload: Buffer.from('owner') },
  })
  await owner.subscribe('t', 1)
  await heardOf(a)
  // It is refused, or where it was answered first, closed again; then it leaves no session and no will.
  const will = { topic: 'will', payload: Buffer.from('thief') }
  const thief = await b.connect({ clientId: 'c', username: 'thief', ...kinds[second], will }).catch(() => null)
  await thief?.closed
  const codes = (thief?.heard ?? []).map(packet => ('reasonCode' in packet ? packet.reasonCode : 0))
  expect(codes.at(-1)).toBe(codes.length === 1 ? 0x85 : 0x87)
  await eventually(() => b.broker.clientOf('c') === undefined)
  const writer = await b.connect({ username: 'writer' })
  await b.wants('t', a)
  await writer.publish('t', 'm', { qos: 1 })
  expect((await owner.receive()).payload.toString()).toBe('m')
  expect(a.broker.clientOf('c')).toBeDefined()
  expect(await watcher.payloads()).toEqual([])
  expect(b.broker.counters.limited.clientIdOwner).toBe(1)
  owner.drop()
  expect((await watcher.receive()).payload.toString()).toBe('owner')
})

test('a stranger at another node, with the client id of a stored session', async () => {
  const [a, b] = await start()
  const owner = await a.connect({ clientId: 'c', username: 'owner', ...kinds.durable })
  await owner.subscribe('t', 1)
  owner.drop()
  await owner.closed
  const writer = await b.connect({ username: 'writer' })
  await eventually(() => b.broker.roster.get('c')?.subscriptions.has('t') === true)
  await writer.publish('t', 'kept', { qos: 1 })
  for (const kind of ['clean', 'durable'] as const) {
    const thief = await b.connect({ clientId: 'c', username: 'thief', ...kinds[kind] })
    expect(thief.heard[0]).toMatchObject({ reasonCode: 0x85 })
  }
  const back = await b.connect({ clientId: 'c', username: 'owner', ...kinds.durable })
  expect(back.heard[0]).toMatchObject({ sessionPresent: true })
  expect((await back.receive()).payload.toString()).toBe('kept')
})

test('a user that is revoked at one node is closed at all, and its stored sessions end', async () => {
  const [a, b] = await start()
  const here = await a.connect({ clientId: 'here', username: 'u', ...kinds.durable })
  const there = await b.connect({ clientId: 'there', username: 'u', ...kinds.clean })
  const stored = await b.connect({ clientId: 'stored', username: 'u', ...kinds.durable })
  const other = await b.connect({ clientId: 'other', username: 'v', ...kinds.durable })
  for (const client of [here, stored]) await client.subscribe('t', 1)
  stored.drop()
  await stored.closed
  await eventually(() => a.broker.roster.get('stored')?.online === false)
  a.running.revoke({ username: 'u' })
  for (const client of [here, there]) expect((await client.ended())?.reasonCode).toBe(0x87)
  await eventually(() => [a, b].every(({ broker }) => broker.roster.get('stored') === undefined && broker.roster.get('here') === undefined))
  await other.rest()
})
