import { expect, test } from 'vitest'
import type { AuthenticateError, ConnectPacket, Subscription } from '../../presets/aedes/index.ts'
import { PacketType, ReasonCode } from '../../presets/index.ts'
import { connected, handled, next, overTcp, started } from './support.ts'

// Goal: each function that a program of aedes' may set is asked when aedes' documents say, and what it says counts. Method: streams in memory, MQTT 3.1.1 and 5.

test('preConnect sees the CONNECT before anybody is asked who it is, and may change user name, password and Keep Alive', async () => {
  const seen: unknown[] = []
  const aedes = await started({
    preConnect(client, packet, done) {
      seen.push([client.id, client.connecting, client.connected, packet.clientId, packet.keepalive, packet.protocolVersion])
      packet.username = 'somebody else'
      packet.password = Buffer.from('theirs')
      packet.keepalive = 30
      done(null, true)
    },
    authenticate(client, username, password, done) {
      seen.push([client.id, username, String(password)])
      done(null, true)
    },
  })
  const { client } = await connected(aedes, { clientId: 'meter', username: 'me', password: 'mine', keepAlive: 60 })
  expect(seen).toEqual([
    [null, true, false, 'meter', 60, 4],
    ['meter', 'somebody else', 'theirs'],
  ])
  const core = aedes.running.broker.clientOf('meter')!
  expect([core.username, core.keepAlive, client.version, client.clean]).toEqual(['somebody else', 30, 4, true])
})

test('preConnect refuses without a CONNACK: with an error, which connectionError tells, or without', async () => {
  const aedes = await started()
  const errors: string[] = []
  aedes.on('connectionError', (_client, error) => void errors.push(error.message))
  for (const error of [new Error('banned'), null]) {
    aedes.preConnect = (_client, _packet, done) => done(error, error !== null)
    const { far, client } = handled(aedes)
    far.sendConnect({ clientId: 'meter' })
    await far.closed
    expect(far.heard).toEqual([])
    expect([client.id, client.connecting, client.closed]).toEqual([null, false, true])
  }
  await expect.poll(() => errors).toEqual(['banned'])
})

test('preConnect cannot change what the broker has taken from a CONNECT, and is told so', async () => {
  const aedes = await started({
    preConnect(_client, packet: ConnectPacket, done) {
      packet.clientId = 'other'
      done(null, true)
    },
  })
  const told = next(aedes, 'connectionError')
  const { far } = handled(aedes)
  far.sendConnect({ clientId: 'meter' })
  expect((await told)[1]).toMatchObject({ code: 'ERR_AEDES_PACKET', message: expect.stringContaining('changed clientId') })
  await far.closed
})

test.each([
  [undefined, 5, 0x87],
  [2, 2, 0x85],
  [3, 3, 0x88],
  [4, 4, 0x86],
  [1, 5, 0x87],
])('authenticate refuses with return code %s: 3.1.1 is told %i, MQTT 5 %i', async (asked, returnCode, reasonCode) => {
  const aedes = await started()
  aedes.authenticate = (_client, _username, _password, done) => {
    const error = new Error('no') as AuthenticateError
    if (asked !== undefined) error.returnCode = asked as 2
    done(asked === undefined ? null : error, false)
  }
  const sent: unknown[] = []
  aedes.on('connackSent', packet => void sent.push(packet))
  for (const version of [4, 5] as const) {
    const told = next(aedes, 'clientError')
    const { far, client } = handled(aedes, version)
    const connack = await far.connect({ clientId: 'meter' })
    expect(connack.reasonCode).toBe(version === 5 ? reasonCode : returnCode)
    const [who, error] = await told
    expect(who).toBe(client)
    expect(error).toMatchObject({ errorCode: returnCode, message: asked === undefined ? 'not authorized' : 'no' })
    await far.closed
  }
  expect(sent).toEqual([
    { cmd: 'connack', returnCode, sessionPresent: false },
    { cmd: 'connack', returnCode, sessionPresent: false },
  ])
  expect(aedes.connectedClients).toBe(0)
})

test('without authenticate everybody on this machine is let in, and nobody of another one', async () => {
  const aedes = await started()
  const { far, other } = await overTcp(aedes, '127.0.0.1')
  expect((await far.connect({ clientId: 'here' })).reasonCode).toBe(0)
  const told = next(aedes, 'clientError')
  const stranger = await other('192.0.2.7')
  expect((await stranger.connect({ clientId: 'there' })).reasonCode).toBe(5)
  expect((await told)[1]).toMatchObject({
    code: 'ERR_UNGUARDED',
    message: 'anybody could connect, and 192.0.2.7 is another machine; set aedes.authenticate, or say config: { allowAnonymous: true }',
  })
  aedes.authenticate = (_client, _username, _password, done) => done(null, true)
  expect((await (await other('192.0.2.7')).connect({ clientId: 'there' })).reasonCode).toBe(0)
  const open = await overTcp(await started({ config: { allowAnonymous: true } }), '192.0.2.7')
  expect((await open.far.connect({ clientId: 'there' })).reasonCode).toBe(0)
})

test.each([4, 5] as const)(
  'authorizePublish changes a message, or refuses it with an error, which before MQTT 5 closes the connection (version %i)',
  async version => {
    const aedes = await started({
      authorizePublish(client, packet, done) {
        expect(client!.id).toBe('writer')
        if (packet.topic === 'no') return done(new Error('wrong topic'))
        packet.topic = 'changed'
        packet.payload = `${packet.payload}!`
        done(null)
      },
    })
    const { far } = await connected(aedes, { clientId: 'writer', version })
    const reader = await connected(aedes, { clientId: 'reader', version })
    await reader.far.subscribe('#', 1)
    await far.publish('yes', 'hello', { qos: 1 })
    expect(await reader.far.message()).toMatchObject({ topic: 'changed', payload: Buffer.from('hello!') })
    const told = next(aedes, 'clientError')
    if (version === 5) {
      expect(await far.publish('no', 'hello', { qos: 1 })).toMatchObject({ reasonCode: 0x87, properties: { reasonString: 'wrong topic' } })
      expect((await told)[1]).toMatchObject({ message: 'wrong topic' })
      expect(await far.publish('yes', 'goes on', { qos: 1 })).toMatchObject({ reasonCode: 0 })
      return
    }
    far.sendPublish('no', 'hello', { qos: 1 })
    expect((await told)[1]).toMatchObject({ message: 'wrong topic' })
    await far.closed
  },
)

test('by default nobody publishes to $SYS', async () => {
  const aedes = await started()
  const { far } = await connected(aedes, { clientId: 'writer' })
  const told = next(aedes, 'clientError')
  far.sendPublish('$SYS/mine', 'hello', { qos: 1 })
  await told
  await far.closed
})

test.each([4, 5] as const)(
  'authorizeSubscribe replaces a filter, lowers its QoS, refuses it, or closes the connection (version %i)',
  async version => {
    const seen: Subscription[] = []
    const aedes = await started({
      authorizeSubscribe(_client, subscription, done) {
        seen.push({ ...subscription })
        if (subscription.topic === 'no') return done(null, null)
        if (subscription.topic === 'never') return done(new Error('wrong filter'))
        if (subscription.topic === 'mine') subscription.topic = 'meters/mine'
        subscription.qos = 1
        done(null, subscription)
      },
    })
    const { far, client } = await connected(aedes, { clientId: 'reader', version })
    const event = next(aedes, 'subscribe')
    expect(await far.subscribe(['mine', 'no', 'other'], 2)).toEqual([1, version === 5 ? 0x87 : 0x80, 1])
    const options = version === 5 ? { nl: false, rap: false, rh: 0 } : {}
    expect(seen[0]).toEqual({ topic: 'mine', qos: 2, ...options })
    expect(await event).toEqual([
      [
        { topic: 'meters/mine', qos: 1, ...options },
        { topic: 'no', qos: 128, ...options },
        { topic: 'other', qos: 1, ...options },
      ],
      client,
    ])
    aedes.publish({ topic: 'meters/mine', payload: 'hello', qos: 1 })
    expect(await far.message()).toMatchObject({ topic: 'meters/mine', qos: 1 })
    const told = next(aedes, 'clientError')
    far.subscribe('never').catch(() => {})
    expect((await told)[1]).toMatchObject({ message: 'wrong filter' })
  },
)

test('authorizeSubscribe is asked about the filters of a session that is resumed; those that it refuses are gone', async () => {
  const aedes = await started()
  const before = await connected(aedes, { clientId: 'reader', cleanStart: false })
  await before.far.subscribe(['a', 'b'], 1)
  before.far.stream.destroy()
  await next(aedes, 'clientDisconnect')
  aedes.authorizeSubscribe = (_client, subscription, done) => done(null, subscription.topic === 'a' ? null : subscription)
  const { far } = await connected(aedes, { clientId: 'reader', cleanStart: false })
  for (const topic of ['a', 'b']) aedes.publish({ topic, payload: topic, qos: 1 })
  expect(await far.message()).toMatchObject({ topic: 'b' })
})

test('authorizeForward leaves a client out, or changes what it gets', async () => {
  const aedes = await started({
    authorizeForward(client, packet) {
      if (client.id === 'guest') return null
      packet.payload = Buffer.from(`${packet.payload} for ${client.id}`)
      return packet
    },
  })
  const [one, two, guest] = [
    await connected(aedes, { clientId: 'one' }),
    await connected(aedes, { clientId: 'two', version: 5 }),
    await connected(aedes, { clientId: 'guest' }),
  ]
  for (const { far } of [one, two, guest]) await far.subscribe('news', 1)
  aedes.publish({ topic: 'news', payload: 'hello', qos: 1, properties: { contentType: 'text/plain' } })
  expect(await one.far.message()).toMatchObject({ payload: Buffer.from('hello for one') })
  expect(await two.far.message()).toMatchObject({ payload: Buffer.from('hello for two'), properties: { contentType: 'text/plain' } })
  expect(aedes.running.broker.counters.sentByQoS[1]).toBe(2)
})

test('published is told of each message; its acknowledgement and what its publisher sends next wait', async () => {
  const waiting: (() => void)[] = []
  const seen: unknown[] = []
  const aedes = await started({
    published(packet, client, done) {
      if (packet.topic.startsWith('$SYS/')) return done()
      seen.push([packet.topic, packet.messageId, client?.id])
      waiting.push(done)
    },
  })
  const { far } = await connected(aedes, { clientId: 'writer' })
  far.sendPublish('a', 'hello', { qos: 1 })
  far.sendPublish('b', 'hello', { qos: 1 })
  await expect.poll(() => waiting.length).toBeGreaterThan(0)
  expect(far.heard.length).toBe(1)
  waiting.shift()!()
  await expect.poll(() => waiting.length).toBe(1)
  waiting.shift()!()
  await expect.poll(() => far.heard.length).toBe(3)
  const done = new Promise(resolve => aedes.publish({ topic: 'c' }, resolve))
  await expect.poll(() => waiting.length).toBe(1)
  waiting.shift()!()
  expect(await done).toBeUndefined()
  expect(seen).toEqual([
    ['a', 1, 'writer'],
    ['b', 2, 'writer'],
    ['c', undefined, undefined],
  ])
})

test('an error of published costs its publisher the connection, so that it sends again', async () => {
  const aedes = await started({ published: (packet, _client, done) => done(packet.topic === 'a' ? new Error('full') : null) })
  const { far } = await connected(aedes, { clientId: 'writer', version: 5 })
  const told = next(aedes, 'clientError')
  far.sendPublish('a', 'hello', { qos: 1 })
  expect((await told)[1]).toMatchObject({ message: 'full' })
  await far.closed
  expect(far.heard.filter(({ type }) => type === PacketType.Puback)).toEqual([])
  expect(far.heard.at(-1)).toMatchObject({ reasonCode: ReasonCode.UnspecifiedError })
})

test('an MQTT 5 client is told the reason code of an error, and where to go instead', async () => {
  const aedes = await started({
    preConnect: ({ conn: _conn }, { clientId }, done) =>
      done(
        clientId === 'early' ? Object.assign(new Error('elsewhere'), { serverReference: 'one.example:1883', reasonCode: 0x9d }) : null,
        true,
      ),
    authenticate(client, _username, _password, done) {
      if (client.id === 'banned') return done(Object.assign(new Error('banned'), { reasonCode: 0x8a, returnCode: 5 as const }))
      if (client.id === 'moved') return done(Object.assign(new Error('moved'), { serverReference: 'two.example', reasonCode: 0x87 }))
      done(null, true)
    },
  })
  const connect = async (clientId: string, version: 4 | 5) => {
    const { reasonCode, properties } = await handled(aedes, version).far.connect({ clientId })
    return [reasonCode, properties?.serverReference]
  }
  expect(await connect('early', 5)).toEqual([0x9d, 'one.example:1883'])
  expect(await connect('moved', 5)).toEqual([0x9c, 'two.example'])
  expect(await connect('banned', 5)).toEqual([0x8a, undefined])
  expect(await connect('banned', 4)).toEqual([5, undefined])
})

test('a client that goes while its message is judged gets no answer, which is told', async () => {
  let answer: (() => void) | undefined
  const aedes = await started({ authorizePublish: (_client, _packet, done) => void (answer = done) })
  const { far, client } = await connected(aedes, { clientId: 'one' })
  far.sendPublish('a', 'x', { qos: 1 })
  await expect.poll(() => answer !== undefined).toBe(true)
  client.close()
  const told = next(aedes, 'clientError')
  answer!()
  expect((await told)[1]).toMatchObject({ message: 'connection closed' })
})

test('of a handler that answers twice the first answer counts', async () => {
  const late = new Error('late')
  const aedes = await started({
    preConnect: (_client, _packet, done) => [null, late].forEach(error => void done(error, true)),
    authenticate: (_client, _username, _password, done) => [null, late].forEach(error => void done(error, true)),
    authorizePublish: (_client, _packet, done) => [null, null, late].forEach(error => void done(error)),
    authorizeSubscribe: (_client, subscription, done) => [null, late].forEach(error => void done(error, subscription)),
    published: (_packet, _client, done) => [null, null, late].forEach(error => void done(error)),
  })
  const { far } = await connected(aedes, { clientId: 'one' })
  const reader = (await connected(aedes, { clientId: 'reader' })).far
  expect(await reader.subscribe('#', 1)).toEqual([1])
  for (const topic of ['a', 'b']) {
    await far.publish(topic, 'x', { qos: 1 })
    expect(await reader.receive()).toMatchObject({ topic })
  }
  expect(await reader.rest()).toEqual([])
})
