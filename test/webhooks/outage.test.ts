import { expect, test } from 'vitest'
import { type Config, ManualClock } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { judgeNumbers, publishNumbers } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/redis.ts'
import { lyingServer, type PostedEvent, webhookServer } from '../support/webhook-server.ts'
import { postingBroker } from '../support/webhooks.ts'

// Goal: what was acknowledged arrives, whatever the server does meanwhile.

const devices = ['one', 'two', 'three', 'four']
const values = (events: readonly PostedEvent[]) =>
  events.map(({ clientId, payload }) => ({ key: clientId, value: Buffer.from(String(payload)) }))

test.each(['local', 'remote', 'none'] as const)(
  'a server that fails every third request in another way, ack %s: of 2,000 messages none is lost, each publisher keeps its order',
  async ack => {
    let number = 0
    const server = await webhookServer((_request, response) => {
      number += 1
      if (number % 3 !== 0) return 200
      const way = (number / 3) % 4
      if (way === 0) response.destroy()
      else if (way === 1) return 500
      else if (way === 2) return 429
      else {
        const { socket } = response
        response.writeHead(200, { 'content-length': 10 }).write('123', () => socket!.destroy())
      }
      return undefined
    })
    const diskQueue = ack === 'local' ? { diskQueue: { path: await folderWith() } } : {}
    const broker = await postingBroker({ url: server.url, filters: ['a/#'], ack, batchMessages: 40 }, diskQueue)
    await Promise.all(
      devices.map((device, index) => publishNumbers(broker.running.port, device, `a/${device}`, 500, index % 2 === 0 ? 5 : 4)),
    )
    await eventually(() => broker.figure('waiting_messages') === 0)
    // What was answered wrongly after it had been taken comes again: it is known by its id.
    const ids = new Set<string>()
    const once = server.requests.flatMap(({ events }) => events).filter(({ id }) => !ids.has(id) && ids.add(id))
    expect(judgeNumbers(values(once), devices, 500)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
    expect(broker.drops).toEqual([])
  },
)

test('20,000 messages while the server is away: publishers notice nothing, all are there when it is back, in order', async () => {
  const port = await freePort()
  const broker = await postingBroker(
    { url: `http://127.0.0.1:${port}/`, filters: ['a/#'], batchMessages: 500, batchBytes: '1MiB' },
    { diskQueue: { path: await folderWith() } },
  )
  await Promise.all(devices.map(device => publishNumbers(broker.running.port, device, `a/${device}`, 5000)))
  expect(broker.figure('waiting_messages')).toBe(20_000)
  const server = await webhookServer(() => 200, { port })
  await eventually(() => server.taken.length === 20_000)
  expect(judgeNumbers(values(server.taken), devices, 5000)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
})

test('what waits on disk outlives the broker: messages and events, in order, with the ids that they had', async () => {
  let answers = false
  const server = await webhookServer(() => (answers ? 200 : 503))
  const diskQueue = { path: await folderWith() }
  const endpoint = { url: server.url, filters: ['a/#'], events: ['client.connected' as const], linger: 0 }
  const first = await postingBroker(endpoint, { diskQueue })
  const client = await first.connect({ clientId: 'c1' })
  await client.publishAsync('a/1', '1', { qos: 1 })
  await client.publishAsync('a/2', '2', { qos: 2 })
  await eventually(() => server.requests.length > 1 && first.figure('waiting_messages') === 3)
  await first.running.stop()
  const [{ id }] = server.requests[0]!.events as [PostedEvent]
  answers = true
  await postingBroker(endpoint, { diskQueue })
  await eventually(() => server.taken.length === 3)
  expect(server.taken.map(({ event, topic }) => [event, topic])).toEqual([
    ['client.connected', undefined],
    ['message.published', 'a/1'],
    ['message.published', 'a/2'],
  ])
  expect(server.taken[0]!.id).toBe(id)
})

test.each(['refuse', 'dropOldest'] as const)(
  'the server is away for ten hours and the queue is full, whenFull %s: what was acknowledged and not displaced arrives',
  async whenFull => {
    const clock = new ManualClock()
    const port = await freePort()
    const config: Config = { diskQueue: { path: await folderWith() } }
    const endpoint = { filters: ['a'], queueBytes: '64KiB', whenFull, linger: 0, retryMin: '1s', retryMax: '60s', timeout: '10d' }
    const broker = await postingBroker({ url: `http://127.0.0.1:${port}/`, ...endpoint }, config, clock)
    const client = await broker.connect({ keepalive: 0 })
    let acknowledged = 0
    const refused: number[] = []
    for (let hour = 0; hour < 10; hour++) {
      for (let number = 0; number < 40; number++) {
        await client.publishAsync('a', `${acknowledged} ${'x'.repeat(400)}`, { qos: 1 }).then(
          () => (acknowledged += 1),
          (error: { code: number }) => refused.push(error.code),
        )
      }
      clock.advance(3_600_000)
    }
    const waiting = broker.figure('waiting_messages')
    expect(waiting).toBeLessThan(400)
    if (whenFull === 'refuse') {
      expect(acknowledged).toBe(waiting)
      expect(new Set(refused)).toEqual(new Set([0x97]))
    } else {
      expect(refused).toEqual([])
      expect(broker.drops.filter(({ reason }) => reason === 'webhookFull')).toHaveLength(400 - waiting)
    }
    expect(broker.figure('lag_seconds')).toBeGreaterThan(whenFull === 'refuse' ? 35_000 : 60)
    const server = await webhookServer(() => 200, { port })
    await eventually(() => {
      clock.advance(60_000)
      return server.taken.length === waiting
    })
    const numbers = server.taken.map(({ payload }) => Number(String(payload).split(' ')[0]))
    // What was on its way when the queue was full is not dropped.
    const dropped = new Set(broker.drops.map(({ payload }) => Number(payload.split(' ')[0])))
    expect(numbers).toEqual(Array.from({ length: acknowledged }, (_, index) => index).filter(index => !dropped.has(index)))
  },
)

test('a message on which the server stumbles, and takes others, is refused when it has done so for a minute', async () => {
  const clock = new ManualClock()
  const server = await webhookServer((request, response) => {
    if (!request.body.includes('"payload":"bad')) return 200
    response.destroy()
    return undefined
  })
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'none', linger: 10, retryMax: '10s' }, {}, clock)
  const client = await broker.connect({ keepalive: 0 })
  for (const payload of ['1', 'bad', '3']) client.publish('a', payload)
  await eventually(() => {
    if (broker.figure('waiting_messages') > 0) clock.advance(100)
    return broker.figure('dropped_refused_events_total') === 1 && broker.figure('waiting_messages') === 0
  })
  expect(new Set(server.taken.map(({ payload }) => payload))).toEqual(new Set(['1', '3']))
  expect(broker.drops).toEqual([{ clientId: 'webhook:hook', reason: 'webhookRefused', payload: 'bad' }])
})

test('a broker that stops does not wait for a server that hangs', async () => {
  const server = await lyingServer(() => {})
  const broker = await postingBroker({ url: server.url, filters: ['a'] }, { diskQueue: { path: await folderWith() } })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  await eventually(() => server.requests() === 1)
  await broker.running.stop()
})
