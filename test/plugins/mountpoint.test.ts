import { duplexPair } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { type Config, createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'

const { Success, NoSubscriptionExisted, NotAuthorized, NoMatchingSubscribers, TopicNameInvalid } = ReasonCode

/** Tenants `a` and `b`, and `operator`, who has no mount point; each knows its own by the client id. */
async function start(config: Config = {}) {
  const broker = await startBroker({ mountpoint: { prefix: 'tenants/{username}/', except: ['operator'] }, ...config })
  const connect = (username: string, clientId: string, options: ConnectOptions = {}): Promise<TestClient> =>
    broker.connect({ version: 5, username, clientId: `${username}-${clientId}`, ...options })
  return { ...broker, connect }
}

const kept = { cleanStart: false, properties: { sessionExpiry: 3600 } } as const
const said = (client: TestClient) => client.message().then(({ topic, payload }) => `${topic} ${payload}`)

test('whoever inspects a session sees the filter that is matched, and the one that the client gave', async () => {
  const { connect, broker } = await start()
  const [a, operator] = [await connect('a', 'reader'), await connect('operator', 'x')]
  await a.subscribe('lights/+', 1)
  await operator.subscribe('#', 0)
  const own = { filter: 'tenants/a/lights/+', requested: 'lights/+', qos: 1 }
  expect((await broker.inspect('client', { id: 'a-reader' })).filters).toEqual([own])
  expect((await broker.inspect('client', { id: 'operator-x' })).filters).toEqual([{ filter: '#', qos: 0 }])
  const row = { id: 'a-reader', online: true, ...own }
  expect((await broker.inspect('subscriptions', { id: 'a-reader' })).rows).toEqual([row])
  expect((await broker.inspect('subscribers', { topic: 'tenants/a/lights/1' })).rows).toContainEqual(row)
})

describe('two tenants do not reach each other', () => {
  test('by topic names, wildcards and the full names of topics', async () => {
    const { connect } = await start()
    const operator = await connect('operator', 'x')
    await operator.subscribe('#', 1)
    const a = await connect('a', 'reader')
    const b = await connect('b', 'reader')
    const filters = [
      '#',
      '+/#',
      'lights/+',
      'tenants/#',
      'tenants/a/#',
      'tenants/a/lights/1',
      '+/+/+/+',
      '/#',
      '$share/g/#',
      '$share/g/tenants/a/#',
    ]
    for (const filter of filters) expect(await b.subscribe(filter, 1)).toEqual([1])
    expect(await a.subscribe('lights/+', 1)).toEqual([1])
    const writer = await connect('a', 'writer')
    expect(await writer.publish('lights/1', 'on', { qos: 1 })).toMatchObject({ reasonCode: Success })
    expect(await said(a)).toBe('lights/1 on')
    expect(await said(operator)).toBe('tenants/a/lights/1 on')
    expect(await b.payloads()).toEqual([])
    // Nor does a tenant get at the other one's subscribers by their full names: it names something of its own.
    expect(await (await connect('b', 'writer')).publish('tenants/a/lights/1', 'off', { qos: 1 })).toMatchObject({ reasonCode: Success })
    expect(await a.payloads()).toEqual([])
    expect(await said(operator)).toBe('tenants/b/tenants/a/lights/1 off')
    expect((await b.message()).topic).toBe('tenants/a/lights/1')
  })

  test('by shared subscriptions: a group of one name is a group of each tenant', async () => {
    const { connect } = await start()
    const [a, b] = [await connect('a', 'reader'), await connect('b', 'reader')]
    for (const client of [a, b]) expect(await client.subscribe('$share/g/jobs', 1)).toEqual([1])
    const writer = await connect('a', 'writer')
    for (const payload of ['1', '2', '3', '4']) await writer.publish('jobs', payload, { qos: 1 })
    expect([await said(a), await said(a), await said(a), await said(a)]).toEqual(['jobs 1', 'jobs 2', 'jobs 3', 'jobs 4'])
    expect(await b.payloads()).toEqual([])
  })

  test('by wills, of a lost connection and of a session that waits for its end', async () => {
    const { connect, advance, broker } = await start()
    const [a, b, operator] = [await connect('a', 'reader'), await connect('b', 'reader'), await connect('operator', 'x')]
    for (const client of [a, b, operator]) await client.subscribe('#', 1)
    const will = { topic: 'gone', payload: Buffer.from('now'), qos: 1 } as const
    ;(await connect('a', 'one', { will })).drop()
    expect(await said(a)).toBe('gone now')
    expect(await said(operator)).toBe('tenants/a/gone now')
    const late = { ...will, payload: Buffer.from('later'), properties: { willDelay: 10, responseTopic: 'reply' } }
    ;(await connect('a', 'two', { ...kept, will: late })).drop()
    await eventually(() => broker.clientOf('a-two') === undefined)
    await advance(12_000)
    expect(await a.message()).toMatchObject({ topic: 'gone', properties: { responseTopic: 'reply' } })
    expect(await operator.message()).toMatchObject({ topic: 'tenants/a/gone', properties: { responseTopic: 'tenants/a/reply' } })
    expect(await b.payloads()).toEqual([])
  })

  test('by retained messages, which none can read or clear of the other', async () => {
    const { connect } = await start()
    const writer = await connect('a', 'writer')
    await writer.publish('state', 'on', { qos: 1, retain: true })
    const b = await connect('b', 'x')
    await b.subscribe(['#', 'state', 'tenants/a/state'], 1)
    expect(await b.payloads()).toEqual([])
    for (const topic of ['state', 'tenants/a/state']) await b.publish(topic, '', { qos: 1, retain: true })
    const a = await connect('a', 'reader')
    await a.subscribe('#', 1)
    expect(await a.message()).toMatchObject({ topic: 'state', retain: true })
    expect(await a.payloads()).toEqual([])
  })

  test('by delayed messages, over a new start too', async () => {
    const path = `${await folderWith()}/queue`
    const config = { delay: {}, diskQueue: { path } }
    const first = await start(config)
    const a = await first.connect('a', 'writer')
    expect(await a.publish('$delayed/60/later', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0 })
    await first.running.stop()
    const again = await start(config)
    const readers = [await again.connect('a', 'reader'), await again.connect('b', 'reader')] as const
    for (const client of readers) await client.subscribe('#', 1)
    await again.advance(61_000)
    expect(await said(readers[0])).toBe('later x')
    expect(await readers[1].payloads()).toEqual([])
  })

  test('by topic aliases, in either direction', async () => {
    const { connect } = await start()
    const properties = { topicAliasMaximum: 10 }
    const [a, b] = [await connect('a', 'reader', { properties }), await connect('b', 'reader', { properties })]
    for (const client of [a, b]) await client.subscribe('#', 1)
    const writers = [await connect('a', 'writer'), await connect('b', 'writer')] as const
    for (const writer of writers) {
      await writer.publish('lights/hall', 'first', { qos: 1, properties: { topicAlias: 1 } })
      await writer.publish('', 'second', { qos: 1, properties: { topicAlias: 1 } })
    }
    for (const client of [a, b]) {
      const first = await client.message()
      expect(first).toMatchObject({ topic: 'lights/hall', properties: { topicAlias: 1 } })
      expect(await client.message()).toMatchObject({ topic: '', properties: { topicAlias: 1 } })
      expect(await client.payloads()).toEqual([])
    }
  })

  test('by response topics, which are those of the tenant', async () => {
    const { connect } = await start()
    const [asker, server, stranger] = [await connect('a', 'asker'), await connect('a', 'server'), await connect('b', 'x')]
    await asker.subscribe('reply/1', 1)
    await server.subscribe('ask', 1)
    await stranger.subscribe('#', 1)
    await asker.publish('ask', '?', { qos: 1, properties: { responseTopic: 'reply/1' } })
    const { properties } = await server.message()
    expect(properties).toEqual({ responseTopic: 'reply/1' })
    expect(await stranger.publish('reply/1', 'wrong', { qos: 1 })).toMatchObject({ reasonCode: Success })
    await server.publish(properties!.responseTopic!, '!', { qos: 1 })
    expect(await said(asker)).toBe('reply/1 !')
    await stranger.rest()
    expect(stranger.heard.flatMap(packet => ('payload' in packet ? [String(packet.payload)] : []))).toEqual(['wrong'])
    // One that its reader cannot publish to is left out.
    const operator = await connect('operator', 'x')
    await operator.publish('tenants/a/ask', '?', { qos: 1, properties: { responseTopic: 'operator/reply', contentType: 'x' } })
    expect((await server.message()).properties).toEqual({ contentType: 'x' })
  })

  test('by UNSUBSCRIBE: a filter is known by the own name alone', async () => {
    const { connect, broker } = await start()
    const [a, b] = [await connect('a', 'reader'), await connect('b', 'reader')]
    for (const client of [a, b]) await client.subscribe(['x', '$share/g/y'], 1)
    expect(await b.unsubscribe('tenants/a/x', 'tenants/b/x', '$share/g/tenants/b/y', 'x', 'x')).toEqual([
      NoSubscriptionExisted,
      NoSubscriptionExisted,
      NoSubscriptionExisted,
      Success,
      NoSubscriptionExisted,
    ])
    expect([...broker.roster.get('a-reader')!.subscriptions.keys()]).toEqual(['tenants/a/x', '$share/g/tenants/a/y'])
    expect([...broker.roster.get('b-reader')!.subscriptions.keys()]).toEqual(['$share/g/tenants/b/y'])
    expect(await b.unsubscribe('$share/g/y')).toEqual([Success])
    await (await connect('a', 'writer')).publish('x', '1', { qos: 1 })
    expect(await said(a)).toBe('x 1')
  })

  test('by sessions that were stored, over a new start', async () => {
    const path = await folderWith()
    const config = { memory: false, disk: { path, reserve: 0 } } as const
    const first = await start(config)
    for (const name of ['a', 'b']) await (await first.connect(name, 'reader', kept)).subscribe(['x/#', 'y', '$share/g/z'], 1)
    await (await first.connect('a', 'writer')).publish('x/1', 'before', { qos: 1 })
    await first.running.stop()
    const again = await start(config)
    const held = [...again.broker.roster.get('a-reader')!.subscriptions.values()]
    expect(held.map(({ requested, filter }) => `${requested} ${filter}`).sort()).toEqual([
      '$share/g/z $share/g/tenants/a/z',
      'x/# tenants/a/x/#',
      'y tenants/a/y',
    ])
    await (await again.connect('a', 'writer')).publish('x/2', 'meanwhile', { qos: 1 })
    const [a, b] = [await again.connect('a', 'reader', kept), await again.connect('b', 'reader', kept)]
    expect([await said(a), await said(a)]).toEqual(['x/1 before', 'x/2 meanwhile'])
    expect(await b.payloads()).toEqual([])
    expect(await a.unsubscribe('x/#', 'y')).toEqual([Success, Success])
    await (await again.connect('a', 'writer')).publish('x/3', 'after', { qos: 1 })
    expect(await a.payloads()).toEqual([])
  })

  test('by a session that subscribed before there was a mount point, and before it was another one', async () => {
    const path = await folderWith()
    const config = { memory: false, disk: { path, reserve: 0 } } as const
    const before = await startBroker(config)
    await (await before.connect({ ...kept, version: 5, username: 'b', clientId: 'b-old' })).subscribe('#', 1)
    await before.running.stop()
    const other = await start({ ...config, mountpoint: { prefix: 'old/{username}/' } })
    await (await other.connect('b', 'reader', kept)).subscribe('#', 1)
    await (await other.connect('b', 'writer')).publish('x', 'old', { qos: 1 })
    await other.running.stop()
    const now = await start(config)
    const drops: string[] = []
    now.hooks.onDrop.tap('test', (clientId, { topic }, reason) => void drops.push(`${clientId} ${topic} ${reason}`))
    await (await now.connect('a', 'writer')).publish('x', 'secret', { qos: 1 })
    const readers = [await now.connect('b', 'old', kept), await now.connect('b', 'reader', kept)] as const
    for (const client of readers) expect(await client.payloads()).toEqual([])
    expect(drops).toContain('b-old tenants/a/x filtered')
    expect(drops).toContain('b-reader old/b/x filtered')
    // It subscribes anew, to what the filter stands for now; that takes the place of the old one.
    expect(await readers[1].subscribe('#', 1)).toEqual([1])
    expect([...now.broker.roster.get('b-reader')!.subscriptions.keys()]).toEqual(['tenants/b/#'])
    await (await now.connect('b', 'writer')).publish('x', 'new', { qos: 1 })
    expect(await said(readers[1])).toBe('x new')
  })

  test('by repeats: what is sent again has the own name too', async () => {
    const { connect, broker } = await start()
    const a = await connect('a', 'reader', kept)
    await a.subscribe('x', 2)
    await (await connect('a', 'writer')).publish('x', '1', { qos: 2 })
    expect((await a.message()).topic).toBe('x')
    a.drop()
    await eventually(() => broker.clientOf('a-reader') === undefined)
    expect(await (await connect('a', 'reader', kept)).receive()).toMatchObject({ topic: 'x', dup: true })
  })
})

describe('rights are those for the names that the client gives', () => {
  const rules = [{ allow: 'all' as const, topics: ['lights/#', '$share/g/lights/#'] }]

  test('at PUBLISH and SUBSCRIBE, of wills, and of retained messages', async () => {
    const { connect, advance, broker } = await start({ topicSecurity: { rules }, delay: {} })
    const will = { topic: 'lights/gone', payload: Buffer.from('will'), qos: 1, properties: { willDelay: 1 } } as const
    const a = await connect('a', 'writer', { ...kept, will })
    expect(await a.subscribe(['lights/+', '$share/g/lights/1', 'doors', 'tenants/a/lights/1'], 1)).toEqual([
      1,
      1,
      NotAuthorized,
      NotAuthorized,
    ])
    expect(await a.publish('lights/1', 'on', { qos: 1, retain: true })).toMatchObject({ reasonCode: Success })
    expect(await a.publish('tenants/a/lights/1', 'on', { qos: 1 })).toMatchObject({ reasonCode: NotAuthorized })
    const reader = await connect('a', 'reader')
    await reader.subscribe('lights/#', 1)
    expect(await said(reader)).toBe('lights/1 on')
    a.drop()
    await eventually(() => broker.clientOf('a-writer') === undefined)
    await advance(3000)
    expect(await said(reader)).toBe('lights/gone will')
  })

  test('when they are looked at again: what waits, what is subscribed, and what is retained', async () => {
    const { connect, running, hooks, broker } = await start({ enableTopicSubPubSecure: true })
    hooks.onAuthenticate.tap('test', (_client, { username }) => ({
      username: username!,
      rights: { authorizedSub: ['#'], authorizedPub: ['#'] },
    }))
    const gone: string[] = []
    hooks.onUnsubscribed.tap('test', (_client, { requested, filter }) => void gone.push(`${requested} ${filter}`))
    const drops: string[] = []
    hooks.onDrop.tap('test', (_clientId, { topic }, reason) => void drops.push(`${topic} ${reason}`))
    const a = await connect('a', 'reader', { cleanStart: false, properties: { sessionExpiry: 3600, receiveMaximum: 1 } })
    await a.subscribe(['+/#', 'lights/2'], 1)
    const writer = await connect('a', 'writer')
    for (const topic of ['lights/1', 'doors/1', 'lights/2']) await writer.publish(topic, 'x', { qos: 1, retain: topic === 'doors/1' })
    const first = await a.message()
    running.setRights('a-reader', { authorizedSub: ['lights/#'] })
    expect(gone).toEqual(['+/# tenants/a/+/#'])
    a.ack(PacketType.Puback, first.packetId)
    expect((await a.receive()).topic).toBe('lights/2')
    await settled()
    expect(drops).toEqual(['tenants/a/doors/1 notAuthorized'])

    // The publisher of what is retained is asked about by the name that it gave.
    running.setRights('a-writer', { authorizedPub: ['doors/#'] })
    const late = await connect('a', 'late')
    await late.subscribe('doors/#', 1)
    expect((await late.message()).topic).toBe('doors/1')
    running.setRights('a-writer', { authorizedPub: ['lights/#'] })
    await (await connect('a', 'last')).subscribe('doors/#', 1)
    expect(drops.at(-1)).toBe('tenants/a/doors/1 notAuthorized')
    expect(broker.counters.tapErrors).toBe(0)
  })
})

describe('a mount point', () => {
  test('is refused to a client whose name makes none', async () => {
    const { open } = await start({ mountpoint: { prefix: '{username}/{clientId}/' } })
    for (const [username, clientId] of [
      [undefined, 'x'],
      ['a/b', 'x'],
      ['a', '+'],
      ['a#', 'x'],
      ['$SYS', 'x'],
    ] as const) {
      const client = open(5)
      expect((await client.connect({ version: 5, clientId, ...(username === undefined ? {} : { username }) })).reasonCode).toBe(
        NotAuthorized,
      )
    }
  })

  test('may go by the listener and by a checked certificate', async () => {
    const running = await createBroker({
      preset: 'test',
      socket: false,
      log: { level: 'silent' },
      mountpoint: { prefix: '{listener}/{commonName}/' },
    }).start()
    try {
      const topics: string[] = []
      running.hooks.onRoute.tap('test', ({ topic }) => void topics.push(topic))
      const mounted: string[] = []
      running.hooks.onConnected.tap('test', ({ mountPoint }) => void mounted.push(mountPoint))
      const connect = async (listener: string, commonName: string, verified: boolean) => {
        const [ours, theirs] = duplexPair()
        const transport = Object.assign(new StreamTransport(theirs, { protocol: 'memory', listener, remoteAddress: 'memory' }), {
          peerCertificate: { commonName, verified, subject: '', issuer: '', serialNumber: '', fingerprint: '', validFrom: 0, validTo: 0 },
        })
        transport.listen(running.accept(transport)!)
        const client = new TestClient(ours, 5)
        return { client, connack: await client.connect({ version: 5, clientId: `${listener}-${commonName}` }) }
      }
      expect((await connect('socket', 'meter', false)).connack.reasonCode).toBe(NotAuthorized)
      const { client, connack } = await connect('socket', 'meter', true)
      expect(connack.reasonCode).toBe(0)
      await client.publish('power', '7', { qos: 1 })
      expect(mounted).toEqual(['socket/meter/'])
      expect(topics).toEqual(['socket/meter/power'])
    } finally {
      await running.stop()
    }
  })

  test('hides $SYS unless it is shown, and a wildcard matches no $ in it', async () => {
    const hidden = await start({ sysTopic: { interval: '1s' } })
    const a = await hidden.connect('a', 'x')
    await a.subscribe(['$SYS/#', '$SYS/broker/version', '#'], 1)
    await hidden.advance(3000)
    expect(await a.payloads()).toEqual([])
    expect(await a.publish('$other/x', '', { qos: 1 })).toMatchObject({ reasonCode: TopicNameInvalid })
    const shown = await start({ sysTopic: { interval: '1s' }, mountpoint: { prefix: '{username}/', sys: true } })
    const b = await shown.connect('b', 'x')
    await b.subscribe('$SYS/broker/uptime', 1)
    expect((await b.message()).topic).toBe('$SYS/broker/uptime')
    expect(await b.publish('x', '', { qos: 1 })).toMatchObject({ reasonCode: NoMatchingSubscribers })
  })

  test.each([
    ['tenants/{username}', 'it has to end with /'],
    ['tenants/{user}/', '{user} stands for nothing'],
    ['{username}{clientId}/', 'one name in braces'],
    ['+/', 'no wildcards'],
    ['$x/', 'neither $ nor /'],
  ])('%s is refused at the start, with the cure', async (prefix, why) => {
    await expect(startBroker({ mountpoint: { prefix } })).rejects.toThrow(why)
  })
})
