import { expect, test } from 'vitest'
import { Aedes, type Client } from '../../presets/aedes/index.ts'
import { PacketType } from '../../presets/index.ts'
import { called, connected, handled, next, started } from './support.ts'

// Goal: each event of aedes' documents comes when they say, with what they say.

test('a client comes, is ready, and goes', async () => {
  const aedes = await started({ id: 'b1' })
  const seen: unknown[] = []
  const state = ({ id, connecting, connected: isConnected, closed }: Client) => [
    id,
    connecting,
    isConnected,
    closed,
    aedes.connectedClients,
  ]
  aedes.on('client', client => void seen.push(['client', ...state(client)]))
  aedes.on('connackSent', (packet, client) => void seen.push(['connackSent', packet.returnCode, packet.sessionPresent, client.id]))
  aedes.on('clientReady', client => void seen.push(['clientReady', ...state(client)]))
  aedes.on('clientDisconnect', client => void seen.push(['clientDisconnect', ...state(client)]))
  const said: string[] = []
  aedes.subscribe('$SYS/b1/+/clients', ({ topic, payload }, done) => {
    said.push(`${topic} ${payload}`)
    done()
  })
  const { far, client } = await connected(aedes, { clientId: 'meter' })
  expect(aedes.clients).toEqual({ meter: client })
  const gone = next(aedes, 'clientDisconnect')
  far.disconnect()
  await gone
  expect(seen).toEqual([
    ['client', 'meter', true, false, false, 1],
    ['connackSent', 0, false, 'meter'],
    ['clientReady', 'meter', false, true, false, 1],
    ['clientDisconnect', 'meter', false, false, true, 0],
  ])
  expect(aedes.clients).toEqual({})
  await expect.poll(() => said).toEqual(['$SYS/b1/new/clients meter', '$SYS/b1/disconnect/clients meter'])
})

test('a client id that is taken up ends the earlier connection before the later one is told of', async () => {
  const aedes = await started()
  const seen: unknown[] = []
  const first = await connected(aedes, { clientId: '__proto__' })
  aedes.on('client', client => void seen.push(['client', client]))
  aedes.on('clientDisconnect', client => void seen.push(['clientDisconnect', client]))
  aedes.on('clientError', () => void seen.push('error'))
  const second = await connected(aedes, { clientId: '__proto__' })
  expect(seen).toEqual([
    ['clientDisconnect', first.client],
    ['client', second.client],
  ])
  expect([aedes.connectedClients, Object.entries(aedes.clients)]).toEqual([1, [['__proto__', second.client]]])
})

test.each([
  ['no CONNECT', '30 07 00 05 68 65 6c 6c 6f'],
  ['no MQTT', 'ff ff ff ff ff'],
])('connectionError: %s', async (_name, bytes) => {
  const aedes = await started()
  const told = next(aedes, 'connectionError')
  const { far, client } = handled(aedes)
  const errors: string[] = []
  client.on('error', error => void errors.push(error.message))
  far.sendBytes(bytes)
  expect(await told).toEqual([client, new Error('Invalid protocol')])
  await far.closed
  expect(errors).toEqual(['Invalid protocol'])
  expect(client.id).toBeNull()
})

test('connectionError: no CONNECT within connectTimeout', async () => {
  const aedes = await started({ connectTimeout: 20 })
  const told = next(aedes, 'connectionError')
  const { far, client } = handled(aedes)
  expect(await told).toEqual([client, new Error('connect did not arrive in time')])
  await far.closed
})

test('clientError: a second CONNECT, and a stream that fails', async () => {
  const aedes = await started()
  const { far, client } = await connected(aedes, { clientId: 'one' })
  const second = next(aedes, 'clientError')
  far.sendConnect({ clientId: 'one' })
  expect(await second).toMatchObject([{ id: 'one' }, { message: 'Invalid protocol', cause: 'a second CONNECT' }])
  expect(client.closed).toBe(true)
  const other = await connected(aedes, { clientId: 'two' })
  const failed = next(aedes, 'clientError')
  other.client.conn.destroy(new Error('cut'))
  expect(await failed).toEqual([other.client, new Error('cut')])
  expect(aedes.connectedClients).toBe(0)
})

test('keepaliveTimeout, then clientError', async () => {
  const aedes = await started()
  const { far } = await connected(aedes, { clientId: 'silent', keepAlive: 1 })
  const [timeout, error] = [next(aedes, 'keepaliveTimeout'), next(aedes, 'clientError')]
  expect(await timeout).toMatchObject([{ id: 'silent' }])
  expect(await error).toMatchObject([{ id: 'silent' }, { message: 'keep alive timeout' }])
  await far.closed
})

test('publish: each message that is accepted, with its publisher', async () => {
  const aedes = await started({ id: 'b1' })
  const { far, client } = await connected(aedes, { clientId: 'writer', version: 5 })
  const seen: unknown[] = []
  aedes.on('publish', (packet, who) => void (packet.topic.startsWith('$SYS/') || seen.push([packet, who])))
  await far.publish('a', 'hello', {
    qos: 1,
    properties: {
      userProperties: [
        ['k', 'v'],
        ['k', 'w'],
      ],
      payloadFormat: 1,
    },
  })
  expect(await called(done => aedes.publish({ topic: 'b', payload: 'hello', retain: true }, done))).toBeUndefined()
  await expect
    .poll(() => seen)
    .toMatchObject([
      [
        {
          cmd: 'publish',
          topic: 'a',
          payload: Buffer.from('hello'),
          qos: 1,
          retain: false,
          dup: false,
          clientId: 'writer',
          messageId: 1,
          brokerId: 'b1',
          properties: { payloadFormatIndicator: true, userProperties: { k: ['v', 'w'] } },
        },
        client,
      ],
      [{ topic: 'b', retain: true }, null],
    ])
})

test('ack: the PUBLISH of QoS 1, the PUBREL of QoS 2; ping: a PINGREQ', async () => {
  const aedes = await started()
  const acks: unknown[] = []
  aedes.on('ack', (packet, client) => void acks.push([packet, client.id]))
  const pinged = next(aedes, 'ping')
  const { far, client } = await connected(aedes, { clientId: 'reader' })
  await far.subscribe('#', 2)
  for (const qos of [1, 2] as const) aedes.publish({ topic: `q${qos}`, payload: 'x', qos })
  const ids = []
  for (let i = 0; i < 2; i++) {
    const { packetId } = await far.receive()
    ids.push(packetId)
  }
  await expect
    .poll(() => acks)
    .toMatchObject([
      [{ cmd: 'publish', topic: 'q1', messageId: ids[0] }, 'reader'],
      [{ cmd: 'pubrel', messageId: ids[1] }, 'reader'],
    ])
  far.send({ type: PacketType.Pingreq })
  expect(await pinged).toEqual([{ cmd: 'pingreq', length: 0 }, client])
})

test('unsubscribe: what a client leaves, and what ends with its session', async () => {
  const aedes = await started()
  const { far, client } = await connected(aedes, { clientId: 'reader' })
  await far.subscribe(['a', 'b', 'c'])
  const left = next(aedes, 'unsubscribe')
  await far.unsubscribe('a', 'b')
  expect(await left).toEqual([['a', 'b'], client])
  const ended = next(aedes, 'unsubscribe')
  far.stream.destroy()
  expect(await ended).toEqual([['c'], client])
  // A session that goes on keeps its subscriptions.
  const kept = await connected(aedes, { clientId: 'keeper', cleanStart: false })
  await kept.far.subscribe('a')
  let told = 0
  aedes.on('unsubscribe', () => void (told += 1))
  kept.far.stream.destroy()
  await next(aedes, 'clientDisconnect')
  expect(told).toBe(0)
})

test('$SYS: birth, heartbeat, subscribers', async () => {
  const aedes = new Aedes({ id: 'b1', heartbeatInterval: 10 })
  const topics = new Set<string>()
  aedes.subscribe('#', ({ topic, payload }, done) => {
    topics.add(`${topic} ${payload}`)
    done()
  })
  expect([aedes.closed, aedes.connectedClients]).toEqual([true, 0])
  await aedes.listen()
  expect(aedes.closed).toBe(false)
  const { far } = await connected(aedes, { clientId: 'reader' })
  await far.subscribe('x', 1)
  await far.unsubscribe('x')
  await expect
    .poll(() => [...topics].sort())
    .toEqual([
      '$SYS/b1/birth b1',
      '$SYS/b1/heartbeat b1',
      '$SYS/b1/new/clients reader',
      '$SYS/b1/new/subscribes {"clientId":"reader","subs":[{"topic":"x","qos":1}]}',
      '$SYS/b1/new/unsubscribes {"clientId":"reader","subs":["x"]}',
    ])
  expect(aedes.brokers.b1).toBeGreaterThan(0)
  const closed = next(aedes, 'closed')
  await new Promise<void>(resolve => aedes.close(resolve))
  await closed
  expect([aedes.closed, aedes.mq.closed, aedes.connectedClients]).toEqual([true, true, 0])
  await new Promise<void>(resolve => aedes.close(resolve))
})
