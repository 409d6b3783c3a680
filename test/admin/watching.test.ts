import { expect, test } from 'vitest'
import { Feed } from '../../plugins/admin/feed.ts'
import { settled, startBroker } from '../support/broker.ts'
import { startNodes } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

const admin = { name: 'root', via: 'program', role: 'admin' }

/** All pieces of a stream that is over. */
async function all(stream: unknown): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = []
  for await (const piece of stream as AsyncIterable<Record<string, unknown>>) found.push(piece)
  return found
}

test('tail shows messages as they pass, without payloads, until its time is over', async () => {
  const { broker, connect, clock, hooks } = await startBroker({ admin: { socket: false } })
  expect(hooks.onRoute.taps.some(({ name }) => name === 'admin')).toBe(false)
  const stream = await broker.inspect('tail', { filter: 'plant/#', for: '10s' })
  const client = await connect({ clientId: 'a' })
  await client.publish('plant/1', 'secret', { qos: 1 })
  await client.publish('other', 'secret', { qos: 1 })
  clock.advance(10_000)
  await client.publish('plant/2', 'late', { qos: 1 })
  expect(await all(stream)).toMatchObject([{ topic: 'plant/1', qos: 1, bytes: 6, from: 'a' }])
  await expect(broker.inspect('tail', { filter: 'a/#/b' })).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
})

test('payloads are shown only where the config lets it, and to the role admin', async () => {
  const closed = await startBroker({ admin: { socket: false } })
  await expect(closed.broker.operate(admin, 'tail', { payload: true })).rejects.toThrow('admin.payloads: true')
  const { broker, connect } = await startBroker({ admin: { socket: false, payloads: true } })
  await expect(broker.operate({ ...admin, role: 'operate' }, 'tail', { payload: true })).rejects.toMatchObject({
    code: 'ERR_OPERATE_REFUSED',
  })
  const stream = await broker.operate(admin, 'tail', { payload: true, limit: 2 })
  const client = await connect()
  await client.publish('t', 'text', { qos: 1 })
  await client.publish('t', Buffer.from([0xff, 0]), { qos: 1 })
  expect((await all(stream)).map(({ payload }) => payload)).toEqual(['text', { base64: '/wA=' }])
})

test('trace shows the packets of one client and no password, and then it is traced no more', async () => {
  const { broker, connect, clock } = await startBroker({ allowAnonymous: true, admin: { socket: false } })
  const stream = await broker.operate(admin, 'trace', { id: 'meter', for: '60s' })
  const [meter, other] = [await connect({ clientId: 'meter', username: 'anna', password: 'hunter2' }), await connect({ clientId: 'other' })]
  await meter.publish('plant/1', 'secret', { qos: 1 })
  await other.publish('plant/1', 'secret', { qos: 1 })
  expect(broker.traces('meter')).toBe(true)
  clock.advance(60_000)
  expect(broker.traces('meter')).toBe(false)
  const pieces = await all(stream)
  expect(pieces.map(({ id, way, packet }) => [id, way, packet])).toEqual([
    ['meter', 'in', 'CONNECT'],
    ['meter', 'out', 'CONNACK'],
    ['meter', 'in', 'PUBLISH'],
    ['meter', 'out', 'PUBACK'],
  ])
  expect(JSON.stringify(pieces)).not.toMatch(/hunter2|secret/)
})

test('trace of a user follows its clients, also those that come later, and shows what concerns a topic', async () => {
  const { broker, connect } = await startBroker({ allowAnonymous: true, admin: { socket: false } })
  const first = await connect({ clientId: 'a', username: 'anna' })
  const stream = await broker.operate(admin, 'trace', { user: 'anna', topic: 't/#', limit: 2 })
  const second = await connect({ clientId: 'b', username: 'anna' })
  const stranger = await connect({ clientId: 'c', username: 'bert' })
  for (const client of [stranger, first, second]) await client.publish('t/1', '', { qos: 1 })
  expect((await all(stream)).map(({ id, packet }) => [id, packet])).toEqual([
    ['a', 'PUBLISH'],
    ['b', 'PUBLISH'],
  ])
  await expect(broker.operate(admin, 'trace', {})).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
  await expect(broker.operate(admin, 'trace', { address: '10.0.0.0/' })).rejects.toThrow('is no address and no network')
})

test('in a cluster trace and tail show what passes at all nodes, each piece once and with its node, and end there with their reader', async () => {
  const [one, two] = await startNodes(2, { allowAnonymous: true, admin: { socket: false } })
  const subscriber = await one.connect({ clientId: 'subscriber' })
  await subscriber.subscribe('t/#', 1)
  await two.wants('t/1', one)
  const trace = await one.broker.operate(admin, 'trace', { id: 'meter', for: '60s', limit: 4 })
  const tail = (await one.broker.inspect('tail', { filter: 't/#', for: '60s' })) as AsyncIterableIterator<Record<string, unknown>>
  const meter = await two.connect({ clientId: 'meter' })
  await meter.publish('t/1', 'x', { qos: 1 })
  // At the node of its subscriber, too, it passes once.
  expect((await subscriber.receive()).topic).toBe('t/1')
  expect((await tail.next()).value).toMatchObject({ topic: 't/1', from: 'meter', node: 'n2' })
  await subscriber.publish('t/2', 'x', { qos: 1 })
  expect((await tail.next()).value).toMatchObject({ topic: 't/2', from: 'subscriber', node: 'n1' })
  expect((await all(trace)).map(({ way, packet, node }) => [way, packet, node])).toEqual([
    ['in', 'CONNECT', 'n2'],
    ['out', 'CONNACK', 'n2'],
    ['in', 'PUBLISH', 'n2'],
    ['out', 'PUBACK', 'n2'],
  ])
  // Its reader has all that it wanted, and the other node looks no longer.
  await eventually(() => !two.broker.traces('meter') && !one.broker.traces('meter'))

  // A node that goes is named, and the rest goes on.
  await two.running.stop()
  expect((await tail.next()).value).toMatchObject({ missing: { node: 'n2' } })
  await subscriber.publish('t/3', 'x', { qos: 1 })
  expect((await tail.next()).value).toMatchObject({ topic: 't/3', node: 'n1' })
  await tail.return!()
})

test('a reader who is slow or gone keeps nobody waiting: what it does not take is dropped and counted', async () => {
  let ended = 0
  const feed = new Feed({ piecesMax: 1_000_000, bytesMax: 1e9 }, () => void (ended += 1))
  for (let i = 0; i < 1500; i++) feed.push({ i }, 10)
  for (let i = 0; i < 1000; i++) expect((await feed.next()).value).toEqual({ i })
  expect((await feed.next()).value).toEqual({ dropped: 500 })
  feed.push({ last: true }, 10)
  await feed.return()
  expect([await feed.next(), ended]).toEqual([{ value: undefined, done: true }, 1])
  const { broker, connect } = await startBroker({ admin: { socket: false } })
  const streams = await Promise.all(Array.from({ length: 20 }, () => broker.inspect('tail')))
  await expect(broker.inspect('tail')).rejects.toMatchObject({ code: 'ERR_OPERATE_REFUSED' })
  await (streams[0] as AsyncIterableIterator<object>).return!()
  await (await connect()).publish('t', '', { qos: 1 })
  await settled()
  await broker.inspect('tail')
})
