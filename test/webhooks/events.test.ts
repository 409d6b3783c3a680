import { expect, test } from 'vitest'
import { ManualClock } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { webhookServer } from '../support/webhook-server.ts'
import { postingBroker } from '../support/webhooks.ts'

// Goal: what happens to clients and sessions, in the order in which it happens.

test('a client that comes, subscribes, goes and comes again, with a session that lasts and then ends', async () => {
  const clock = new ManualClock()
  const server = await webhookServer()
  const events = [
    'client.connected',
    'client.disconnected',
    'session.created',
    'session.ended',
    'session.subscribed',
    'session.unsubscribed',
  ] as const
  const broker = await postingBroker(
    { url: server.url, events: [...events], linger: 0 },
    { diskQueue: { path: await folderWith() } },
    clock,
  )
  const taken = (count: number) =>
    eventually(() => {
      clock.advance(1)
      return server.taken.length === count
    })
  const lasting = { clientId: 'c1', username: 'u1', clean: false, properties: { sessionExpiryInterval: 60 }, keepalive: 30 }
  const client = await broker.connect(lasting)
  await client.subscribeAsync('a/#', { qos: 1 })
  await client.unsubscribeAsync('a/#')
  await client.endAsync()
  await taken(5)
  const again = await broker.connect(lasting)
  // A take-over: the old connection ends, with a reason.
  const third = await broker.connect(lasting)
  await taken(8)
  third.stream.destroy()
  await taken(9)
  // Time that passes while a request is under way ends it.
  await eventually(() => broker.figure('waiting_messages') === 0)
  clock.advance(61_000)
  await taken(10)
  again.end(true)
  const who = { node: String(broker.running.broker.settings.brokerId), clientId: 'c1', username: 'u1' }
  const here = { ...who, address: expect.stringContaining('127.0.0.1'), connectedAt: expect.any(Number) }
  const own = server.taken.map(({ id: _id, time: _time, ...fields }) => fields)
  expect(own.slice(0, 5)).toEqual([
    { ...who, event: 'session.created', expiry: 60 },
    { ...here, event: 'client.connected', version: 5, keepAlive: 30, sessionPresent: false },
    { ...who, event: 'session.subscribed', filter: 'a/#', qos: 1 },
    { ...who, event: 'session.unsubscribed', filter: 'a/#' },
    { ...here, event: 'client.disconnected', by: 'client', reasonCode: 0, reason: expect.any(String) },
  ])
  expect(own[5]).toMatchObject({ event: 'client.connected', sessionPresent: true })
  expect(own.slice(6, 8)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ event: 'client.disconnected', by: 'server', reasonCode: 0x8e }),
      expect.objectContaining({ event: 'client.connected', sessionPresent: true }),
    ]),
  )
  expect(own[8]).toMatchObject({ event: 'client.disconnected', by: 'network' })
  expect(own[9]).toEqual({ node: who.node, event: 'session.ended', clientId: 'c1' })
  expect(new Set(server.taken.map(({ id }) => id)).size).toBe(10)
})

test('a session that does not outlive its connection ends with it, and one that is refused never was', async () => {
  const server = await webhookServer()
  const broker = await postingBroker({
    url: server.url,
    events: ['client.connected', 'client.disconnected', 'session.created', 'session.ended'],
  })
  broker.running.hooks.onConnect.tap('test', client => (client.clientId === 'bad' ? 0x87 : undefined))
  await expect(broker.connect({ clientId: 'bad' })).rejects.toThrow()
  const client = await broker.connect({ clientId: 'c1', protocolVersion: 4 })
  await client.endAsync()
  await eventually(() => server.taken.length === 4)
  expect(server.taken.map(({ event, clientId }) => `${event} ${clientId}`).sort()).toEqual(
    ['client.connected', 'client.disconnected', 'session.created', 'session.ended'].map(event => `${event} c1`),
  )
})

test('drops come once for each client and reason in ten seconds, with their number, and those of webhooks make none', async () => {
  const clock = new ManualClock()
  const server = await webhookServer(({ body }) => (body.includes('message.published') ? 422 : 200))
  const broker = await postingBroker(
    { url: server.url, filters: ['to/refuse'], events: ['message.dropped'], linger: 0, ack: 'none' },
    {},
    clock,
  )
  broker.running.hooks.onDeliver.tap('test', () => false)
  const client = await broker.connect({ clientId: 'c1', keepalive: 0 })
  await client.subscribeAsync('a', { qos: 1 })
  for (let number = 0; number < 20; number++) await client.publishAsync('a', 'x', { qos: 1 })
  await client.publishAsync('to/refuse', 'x', { qos: 1 })
  const pump = () => {
    clock.advance(1)
    return server.taken.length
  }
  await eventually(() => pump() === 1 && broker.drops.some(({ reason }) => reason === 'webhookRefused'))
  clock.advance(10_000)
  await eventually(() => pump() === 2)
  expect(server.taken.map(({ event, clientId, reason, count }) => ({ event, clientId, reason, count }))).toEqual([
    { event: 'message.dropped', clientId: 'c1', reason: 'filtered', count: 1 },
    { event: 'message.dropped', clientId: 'c1', reason: 'filtered', count: 19 },
  ])
})
