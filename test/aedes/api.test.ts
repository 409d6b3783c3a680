import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import makeBroker, { Aedes, type AedesOptions, AuthErrorCode, Client } from '../../presets/aedes/index.ts'
import { Line } from '../../presets/testing/line.ts'
import { folderWith } from '../config/folder.ts'
import { TestClient } from '../support/client.ts'
import { called, connected, handled, next, overTcp, started } from './support.ts'

// Goal: what a program calls does what aedes' documents say, and what has no meaning here is refused by name.

test('the default export makes no broker, and says what does', () => {
  expect(() => makeBroker()).toThrow('await Aedes.createBroker(options)')
  expect(AuthErrorCode.BAD_USERNAME_OR_PASSWORD).toBe(4)
})

test.each<[object, string]>([
  [{ persistence: {} }, "persistence: leave it out; sessions and messages are kept by config: { preset: 'standalone' }"],
  [{ mq: {} }, 'mq: leave it out; several brokers are one by config'],
  [{ queueLimit: 42 }, 'queueLimit: leave it out'],
  [{ decodeProtocol: () => {} }, 'decodeProtocol: leave it out'],
  [{ trustProxy: true }, 'trustProxy: leave it out'],
  [{ trustedProxies: ['192.0.2.1'] }, 'trustedProxies: leave it out'],
  [{ heartbeatIntervall: 1000 }, 'heartbeatIntervall: unknown; did you mean heartbeatInterval?'],
  [{ connectTimeout: '30s' }, 'connectTimeout: must be a whole number from 1 on'],
  [{ authenticate: true }, 'authenticate: must be a function'],
  [{ id: 'a/b' }, 'id: must be a text that can stand in a topic'],
  [{ config: 'standalone' }, 'config: must be a config of this broker'],
])('an option that means nothing here is refused by name: %o', (options, message) => {
  expect(() => new Aedes(options as AedesOptions)).toThrow(
    expect.objectContaining({ code: 'ERR_AEDES_OPTION', message: expect.stringContaining(message) }),
  )
})

test('options that say what aedes does by default are taken', async () => {
  const options = { persistence: undefined, mq: null, trustProxy: false, trustedProxies: [], decodeProtocol: null, concurrency: 100 }
  await started(options as AedesOptions)
})

test('options come to this broker’s own, and config is laid over them', async () => {
  const aedes = await started({
    id: 'b1',
    connectTimeout: 1000,
    maxInflightInbound: 7,
    maxTopicLevels: 200,
    config: { mqtt: { queueMessagesMax: 5 } },
  })
  expect(aedes.running.broker.settings).toMatchObject({
    brokerId: 'b1',
    heartbeat: 1000,
    mqtt: { receiveMaximum: 7, topicLevelsMax: 100, queueMessagesMax: 5 },
  })
  expect([aedes.id, aedes.version]).toEqual(['b1', aedes.running.broker.version])
  const over = await started({ maxInflightInbound: 0, config: { brokerId: 'b2', heartbeat: '5s' } })
  expect([over.id, over.running.broker.settings.heartbeat, over.running.broker.settings.mqtt.receiveMaximum]).toEqual(['b2', 5000, 65_535])
})

test('maxClientsIdLength bounds MQTT 3.1, keepaliveLimit everybody', async () => {
  const aedes = await started({ maxClientsIdLength: 5, keepaliveLimit: 60 })
  const refused: string[] = []
  aedes.on('connectionError', (client, error) => void refused.push(`${client.id} ${error.message}`))
  expect((await handled(aedes, 3).far.connect({ clientId: 'sixsix', keepAlive: 60 })).reasonCode).toBe(2)
  expect((await handled(aedes, 4).far.connect({ clientId: 'sixsix', keepAlive: 61 })).reasonCode).toBe(5)
  expect((await handled(aedes, 4).far.connect({ clientId: 'sixsix', keepAlive: 0 })).reasonCode).toBe(5)
  expect(await handled(aedes, 5).far.connect({ clientId: 'sixsix', keepAlive: 0 })).toMatchObject({
    reasonCode: 0,
    properties: { serverKeepAlive: 60 },
  })
  await expect.poll(() => refused).toEqual(['null identifier rejected', 'null keep alive limit exceeded', 'null keep alive limit exceeded'])
})

test('publish and subscribe: the program’s own messages and subscriptions', async () => {
  const aedes = await started()
  const seen: string[] = []
  const deliver = ({ topic, payload }: { topic: string; payload: unknown }, done: () => void): void => {
    seen.push(`${topic} ${payload}`)
    done()
  }
  expect(await called(done => aedes.subscribe('a/+', deliver, done))).toBeUndefined()
  // The same once more is the same subscription.
  aedes.subscribe('a/+', deliver)
  expect(await called(done => aedes.publish({ topic: 'a/b', payload: 'one' }, done))).toBeUndefined()
  await called(done => aedes.unsubscribe('a/+', deliver, done))
  await called(done => aedes.publish({ topic: 'a/b', payload: 'two' }, done))
  expect(seen).toEqual(['a/b one'])
  const deep = Array.from({ length: 101 }, () => 'x').join('/')
  expect(await called(done => aedes.publish({ topic: deep }, done))).toMatchObject({ message: 'topic has too many levels' })
  expect(await called(done => aedes.subscribe(deep, deliver, done))).toMatchObject({ message: 'topic has too many levels' })
  expect(await called(done => aedes.publish({ topic: 'a/#' }, done))).toBeInstanceOf(TypeError)
})

test('a publisher’s acknowledgement waits for the program', async () => {
  const aedes = await started()
  const { far } = await connected(aedes, { clientId: 'writer' })
  let done: (() => void) | undefined
  aedes.subscribe('jobs', (_packet, callback) => {
    done = callback
  })
  let acknowledged = false
  const published = far.publish('jobs', 'x', { qos: 1 }).then(() => {
    acknowledged = true
  })
  await expect.poll(() => done !== undefined).toBe(true)
  expect(acknowledged).toBe(false)
  done!()
  await published
})

test('mq.on, mq.emit, mq.removeListener', async () => {
  const aedes = await started()
  const { far } = await connected(aedes, { clientId: 'reader' })
  await far.subscribe('#')
  const seen: string[] = []
  const deliver = ({ topic }: { topic: string }, done: () => void): void => {
    seen.push(topic)
    done()
  }
  await called(done => void aedes.mq.on('#', deliver, done))
  await called(done => void aedes.mq.emit({ topic: '$SYS/x', payload: '1' }, done))
  await called(done => void aedes.mq.emit({ topic: 'x', payload: '1', retain: true }, done))
  await called(done => void aedes.mq.removeListener('#', deliver, done))
  await called(done => void aedes.mq.emit({ topic: 'y', payload: '1' }, done))
  expect(seen).toEqual(['$SYS/x', 'x'])
  expect([await far.message(), await far.message()]).toMatchObject([{ topic: 'x' }, { topic: 'y' }])
  const late = await connected(aedes, { clientId: 'late' })
  await late.far.subscribe('#')
  expect(await late.far.rest()).toEqual([])
})

test('client.publish, subscribe, unsubscribe', async () => {
  const aedes = await started()
  const { far, client } = await connected(aedes, { clientId: 'one' })
  expect(await called(done => client.publish({ topic: 'direct', payload: 'hello', qos: 1 }, done))).toBeUndefined()
  expect(await far.receive()).toMatchObject({ topic: 'direct', qos: 1, retain: false })
  const told = next(aedes, 'subscribe')
  const subscriptions = [
    { topic: 'a', qos: 1 as const },
    { topic: 'b', qos: 0 as const },
  ]
  expect(await called(done => client.subscribe(subscriptions, done))).toBeUndefined()
  expect(await told).toEqual([subscriptions, client])
  for (const topic of ['a', 'b']) aedes.publish({ topic, qos: 1 })
  expect([await far.receive(), await far.receive()]).toMatchObject([
    { topic: 'a', qos: 1 },
    { topic: 'b', qos: 0 },
  ])
  const left = next(aedes, 'unsubscribe')
  expect(await called(done => client.unsubscribe([{ topic: 'a' }, 'b'], done))).toBeUndefined()
  expect(await left).toEqual([['a', 'b'], client])
  expect([...aedes.running.broker.sessionOf('one')!.subscriptions.keys()]).toEqual([])
  for (const one of [{ topic: 'c', qos: 0 as const }, { subscriptions: [{ topic: 'd', qos: 0 as const }] }])
    await called(done => client.subscribe(one, done))
  await called(done => client.unsubscribe({ unsubscriptions: ['c'] }, done))
  expect([...aedes.running.broker.sessionOf('one')!.subscriptions.keys()]).toEqual(['d'])
  expect(await called(done => client.subscribe({ topic: 'e', qos: 0, rap: true }, done))).toMatchObject({ code: 'ERR_AEDES_OPTION' })
})

test('client.subscribe: what authorizeSubscribe refuses is no error, its error is one, and neither closes the connection', async () => {
  const aedes = await started({
    authorizeSubscribe: (_client, subscription, done) => (subscription.topic === 'bad' ? done(new Error('bad')) : done(null, null)),
  })
  const { client } = await connected(aedes, { clientId: 'one' })
  const subscription = { topic: 'no', qos: 1 as 1 | 128 }
  expect(await called(done => client.subscribe(subscription, done))).toBeUndefined()
  expect(subscription.qos).toBe(128)
  expect(await called(done => client.subscribe({ topic: 'bad', qos: 0 }, done))).toMatchObject({ message: 'bad' })
  expect(client.connected).toBe(true)
})

test('what a program asks of a client in the event `client` is done once it may be', async () => {
  const aedes = await started()
  const done = new Promise(resolve => {
    aedes.once('client', client => client.subscribe({ topic: 'hello', qos: 1 }, resolve))
  })
  const { far } = handled(aedes)
  await far.connect({ clientId: 'one' })
  expect(await done).toBeUndefined()
  aedes.publish({ topic: 'hello', qos: 1 })
  expect(await far.message()).toMatchObject({ topic: 'hello', qos: 1 })
})

test('client.close ends the connection and sends the will; client.emptyOutgoingQueue empties its queue', async () => {
  const aedes = await started()
  const watcher = await connected(aedes, { clientId: 'watcher' })
  await watcher.far.subscribe('wills')
  const one = await connected(aedes, { clientId: 'one', version: 5, will: { topic: 'wills', payload: Buffer.from('gone') } })
  let closed = 0
  one.client.close(() => void (closed += 1))
  one.client.close(() => void (closed += 1))
  expect([closed, one.client.closed, one.client.connected, aedes.clients.one]).toEqual([2, true, false, undefined])
  expect(await one.far.ended()).toMatchObject({ reasonCode: 0x98 })
  expect(await watcher.far.message()).toMatchObject({ topic: 'wills' })
  expect(await called(done => one.client.publish({ topic: 'x' }, done))).toMatchObject({ message: 'connection closed' })

  const keeper = await connected(aedes, { clientId: 'keeper', cleanStart: false })
  await keeper.far.subscribe('jobs', 1)
  keeper.far.drop()
  await next(aedes, 'clientDisconnect')
  await called(done => aedes.publish({ topic: 'jobs', qos: 1 }, done))
  expect(await called(done => keeper.client.emptyOutgoingQueue(done))).toBeUndefined()
  const again = await connected(aedes, { clientId: 'keeper', cleanStart: false })
  expect(await again.far.rest()).toEqual([])
})

test('handle takes a request, and connections before listen wait for it', async () => {
  const aedes = new Aedes()
  onTestFinished(() => void aedes.close())
  const [ours, theirs] = Line.pair()
  const request = { headers: { cookie: 'a=b' } } as IncomingMessage
  const client = aedes.handle(theirs, request)
  expect(client).toBeInstanceOf(Client)
  expect([client.conn, client.req, client.broker]).toEqual([theirs, request, aedes])
  const far = new TestClient(ours, 4)
  far.sendConnect({ clientId: 'early' })
  expect(() => aedes.running).toThrow(expect.objectContaining({ code: 'ERR_AEDES_CLOSED' }))
  await aedes.listen()
  expect(await far.next()).toMatchObject({ reasonCode: 0 })
  const [two, away] = Line.pair()
  await new Promise<void>(resolve => aedes.close(resolve))
  new Client(aedes, away)
  await new TestClient(two, 4).closed
  expect(await called(done => aedes.publish({ topic: 'x' }, done))).toMatchObject({ code: 'ERR_AEDES_CLOSED' })
})

test('a client that takes nothing is disconnected after drainTimeout', async () => {
  const aedes = await started({ drainTimeout: 50 })
  const { far } = await overTcp(aedes, '127.0.0.1')
  await far.connect({ clientId: 'frozen' })
  await far.subscribe('flood')
  const told = next(aedes, 'clientError')
  far.stream.pause()
  const payload = Buffer.alloc(1 << 20)
  const flood = setInterval(() => aedes.publish({ topic: 'flood', payload }), 1)
  onTestFinished(() => clearInterval(flood))
  expect(await told).toMatchObject([{ id: 'frozen' }, { message: 'drain timeout' }])
})

test('a listener of the config: its clients are the program’s, too', async () => {
  const aedes = await started({
    config: { socket: { port: 0, host: '127.0.0.1' } },
    authenticate: (_client, username, _password, done) => done(null, username === 'me'),
  })
  const socket = connect(aedes.running.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  const far = new TestClient(socket, 5)
  const came = next(aedes, 'clientReady')
  await far.connect({ clientId: 'one', username: 'me' })
  const [client] = (await came) as [Client]
  expect(client.conn).toMatchObject({ remoteAddress: '127.0.0.1', remotePort: socket.localPort })
  client.conn.destroy()
  await far.closed
  expect(client.closed).toBe(true)
})

test('MQTT 5 and shared subscriptions besides', async () => {
  const aedes = await started()
  const members = [await connected(aedes, { clientId: 'one', version: 5 }), await connected(aedes, { clientId: 'two', version: 4 })]
  for (const { far } of members) await far.subscribe('$share/workers/jobs', 1)
  for (let i = 0; i < 4; i++)
    await called(done =>
      aedes.publish({ topic: 'jobs', qos: 1, properties: { messageExpiryInterval: 60, userProperties: { i: `${i}` } } }, done),
    )
  const got = await Promise.all(members.map(async ({ far }) => [await far.receive(), await far.receive()]))
  expect(got[0]).toMatchObject([{ properties: { userProperties: [['i', '0']] } }, { properties: { userProperties: [['i', '2']] } }])
  expect(got[1]).toHaveLength(2)
})

test('a preset that keeps sessions on disk', async () => {
  const folder = await folderWith()
  const config = { preset: 'standalone', log: false, admin: false, disk: { path: `${folder}/data` } } as const
  const first = await started({ config })
  const { far } = await connected(first, { clientId: 'keeper', cleanStart: false })
  await far.subscribe('jobs', 1)
  far.drop()
  await next(first, 'clientDisconnect')
  await called(done => first.publish({ topic: 'jobs', payload: 'kept', qos: 1 }, done))
  await new Promise<void>(resolve => first.close(resolve))
  const second = await started({ config })
  expect(second.running.broker.listeners).toEqual([])
  const again = await connected(second, { clientId: 'keeper', cleanStart: false })
  expect(await again.far.receive()).toMatchObject({ topic: 'jobs', payload: Buffer.from('kept') })
})

test('persistence says what is kept: subscriptions of sessions that outlive their connection, and retained messages', async () => {
  const aedes = await started()
  const keeper = await connected(aedes, { clientId: 'keeper', version: 5, cleanStart: false, properties: { sessionExpiry: 100 } })
  await keeper.far.subscribe('jobs', 1)
  await keeper.far.subscribe('own', 2, { noLocal: true, retainAsPublished: true, retainHandling: 1 })
  const clean = await connected(aedes, { clientId: 'clean' })
  await clean.far.subscribe('jobs')
  expect(await aedes.persistence.subscriptionsByClient(keeper.client)).toEqual([
    { topic: 'jobs', qos: 1 },
    { topic: 'own', qos: 2, nl: true, rap: true, rh: 1 },
  ])
  expect(await aedes.persistence.subscriptionsByClient(clean.client)).toEqual([])
  expect(await aedes.persistence.subscriptionsByClient({ id: 'nobody' })).toEqual([])
  for (let i = 0; i < 250; i++) aedes.publish({ topic: `meters/${i}`, payload: String(i), retain: true })
  await called(done => aedes.publish({ topic: 'other', payload: 'x', retain: true }, done))
  const found = (await aedes.persistence.createRetainedStream('meters/+').toArray()) as { topic: string; retain: boolean }[]
  expect(new Set(found.map(({ topic }) => topic)).size).toBe(250)
  expect(found.every(({ retain }) => retain)).toBe(true)
  expect(await aedes.persistence.createRetainedStreamCombi(['other', 'meters/7']).toArray()).toMatchObject([
    { topic: 'other', payload: Buffer.from('x') },
    { topic: 'meters/7' },
  ])
})

test('a stream in memory is read when its writer has returned: whoever listens behind the write hears it', async () => {
  const aedes = await started()
  const { far, client } = await connected(aedes, { clientId: 'one' })
  far.sendBytes('c0 00')
  expect(await next(aedes, 'ping')).toEqual([{ cmd: 'pingreq', length: 0 }, client])
})

test('what begins with another protocol name is told from other faults', async () => {
  const aedes = await started()
  for (const [bytes, message] of [
    ['10 10 00 04 48 54 54 50 04 02 00 3c 00 04 6e 61 6d 65', 'Invalid protocolId'],
    ['47 45 54 20 2f 20 48 54 54 50', 'Invalid protocol'],
    ['10', 'Invalid protocol'],
  ] as const) {
    const { far } = handled(aedes)
    const told = next(aedes, 'connectionError')
    far.sendBytes(bytes)
    if (bytes === '10') far.drop()
    else expect((await told)[1]).toMatchObject({ message })
  }
})
