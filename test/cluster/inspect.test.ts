import { expect, test } from 'vitest'
import { startNodes, startOnRedis, TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'

const alice = { name: 'alice', via: 'program' }

test('an operator at one node sees the clients of all, and acts on them wherever they are', async () => {
  const [one, two] = await startNodes(2, { admin: { socket: false } })
  const a = await one.connect({ clientId: 'a' })
  const b = await two.connect({ clientId: 'b' })
  await b.subscribe('t', 1)
  expect((await one.broker.inspect('clients')).rows.map(({ id, node }) => [id, node])).toEqual([
    ['a', 'n1'],
    ['b', 'n2'],
  ])
  expect((await one.broker.inspect('clients', { node: 'n2' })).rows.map(({ id }) => id)).toEqual(['b'])
  // Pages go on over both nodes.
  const first = await one.broker.inspect('clients', { limit: 1 })
  expect(await one.broker.inspect('clients', { limit: 1, after: first.next })).toMatchObject({ rows: [{ id: 'b' }] })
  expect(await one.broker.inspect('client', { id: 'b' })).toMatchObject({ connected: true, node: 'n2' })
  await eventually(async () =>
    (await one.broker.inspect('subscribers', { topic: 't' })).rows.some(({ id, online }) => id === 'b' && online),
  )
  expect((await one.broker.inspect('nodes')).rows.map(({ name, self }) => [name, self])).toEqual(
    expect.arrayContaining([
      ['n1', true],
      ['n2', false],
    ]),
  )
  const asked: string[] = []
  two.broker.hooks.onOperate.tap('test', (_actor, verb) => void asked.push(verb))
  expect(await one.broker.operate(alice, 'kick', { id: 'b' })).toEqual({ count: 1 })
  await b.closed
  expect([a.isClosed, asked]).toEqual([false, []])
  // Who did it is known at the node at which it was said, and so at all.
  expect((await two.broker.inspect('audit')).rows).toMatchObject([{ actor: 'alice', verb: 'kick', node: 'n1' }])
})

test('a node that does not answer is named, and the answer is that of the others', async () => {
  const [one, two] = await startNodes(2, { admin: { socket: false } })
  await one.connect({ clientId: 'a' })
  await two.connect({ clientId: 'b' })
  two.broker.verbs.here = () => new Promise(() => {})
  const { rows, missing } = await one.broker.inspect('clients')
  expect(rows.map(({ id }) => id)).toEqual(['a'])
  expect(missing).toEqual([{ node: 'n2', why: 'no answer within 2000 ms' }])
})

test('a node that leaves in good order is no dead one, in the log of the others', async () => {
  const { lines, plugin } = keptLog()
  const { redis, nodes } = await startOnRedis(1, { admin: { socket: false }, log: false, plugins: [plugin] })
  const other = await TestNode.start('n2', { url: redis.url }, { admin: { socket: false } })
  await eventually(() => nodes[0]!.broker.services.get('bus').nodes().length === 2)
  await other.running.stop()
  await eventually(() => lines.some(({ message }) => message.startsWith('a node has left the cluster')))
  expect(lines.filter(({ fields }) => fields.node === 'n2').map(({ level, message }) => [level, message])).toEqual([
    ['info', 'a node has joined the cluster'],
    ['info', 'a node has left the cluster in good order'],
  ])
  // One that has died is an alarm, until it comes back.
  const { broker, cluster } = nodes[0]!
  const dead = { name: 'n3', boot: 'first', facts: {} }
  cluster.events.left(dead, true)
  expect((await broker.inspect('alarms')).rows.map(({ name, text }) => [name, text])).toEqual([
    ['nodeDead', 'dead nodes that have not come back: n3'],
  ])
  expect(lines.at(-1)).toMatchObject({ level: 'warn', message: 'a node of the cluster has died: it has given no sign of life' })
  cluster.events.joined({ ...dead, boot: 'second' })
  expect((await broker.inspect('alarms')).rows).toEqual([])
  // Or until somebody says that it does not come back.
  cluster.events.left({ ...dead, boot: 'second' }, true)
  expect(await broker.operate(alice, 'nodes forget', { name: 'n3' })).toEqual({ name: 'n3', forgotten: true })
  expect((await broker.inspect('alarms')).rows).toEqual([])
})
