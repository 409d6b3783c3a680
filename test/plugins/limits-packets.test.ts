import { connect as connectSocket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { SubackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket, TestClient } from '../support/client.ts'

const versions = [4, 5] as const

describe.each(versions)('MQTT %i', version => {
  test('a client that drips its packet is closed after limits.packetTimeout, though keep-alive is content with every byte', async () => {
    const { connect, advance, broker } = await startBroker({ limits: { packetTimeout: '10s' } })
    const dripping = await connect({ version, keepAlive: 10 })
    // PUBLISH of 100 bytes, one byte a second.
    dripping.sendBytes('30 64 00 01 61')
    for (let second = 0; second < 10; second++) {
      await advance(1000)
      expect(dripping.isClosed).toBe(false)
      dripping.sendBytes('00')
    }
    for (let second = 0; second < 2; second++) await advance(1000)
    const disconnect = await dripping.ended()
    if (version === 5) {
      expect(disconnect).toMatchObject({ reasonCode: ReasonCode.KeepAliveTimeout })
      expect(disconnect?.properties?.reasonString).toBe('a packet did not come whole within 10000 ms')
    }
    expect(broker.counters.limited.packetTimeout).toBe(1)
  })

  test('a client whose reads always end within a packet is let be while its packets get finished', async () => {
    const { connect, advance, broker } = await startBroker({ limits: { packetTimeout: '2s' } })
    const reader = await connect()
    await reader.subscribe('a')
    const client = await connect({ version })
    // The end of one PUBLISH and the beginning of the next, in one write each.
    const publish = version === 5 ? '30 05 00 01 61 00 78' : '30 04 00 01 61 78'
    const [head, tail] = [publish.slice(0, 8), publish.slice(8)]
    client.sendBytes(head)
    for (let i = 0; i < 20; i++) {
      await advance(500)
      client.sendBytes(tail + head)
    }
    await advance(500)
    client.sendBytes(tail)
    expect(await client.rest()).toEqual([])
    expect(await reader.payloads()).toEqual(new Array(21).fill('x'))
    expect(broker.counters.limited.packetTimeout).toBe(0)
  })

  test('a client that the broker itself does not read is not blamed for a packet that is unfinished', async () => {
    const { connect, advance, broker } = await startBroker({ limits: { packetTimeout: '2s' } })
    const client = await connect({ version, clientId: 'paused' })
    broker.clientOf('paused')!.pauseReading('test')
    client.sendBytes(version === 5 ? '30 05 00 01' : '30 04 00 01')
    for (let second = 0; second < 10; second++) await advance(1000)
    expect(client.isClosed).toBe(false)
    broker.clientOf('paused')!.resumeReading('test')
    client.sendBytes(version === 5 ? '61 00 78' : '61 78')
    expect(await client.rest()).toEqual([])
  })

  test.each([0, 600])('limits.maxKeepAlive bounds a keep-alive of %i: MQTT 5 is told, and it holds', async keepAlive => {
    const { open, advance, broker } = await startBroker({ limits: { maxKeepAlive: '20s' } })
    const client = open(version)
    const connack = await client.connect({ keepAlive })
    expect(connack.properties?.serverKeepAlive).toBe(version === 5 ? 20 : undefined)
    await advance(29_000)
    expect(client.isClosed).toBe(false)
    await advance(1500)
    const disconnect = await client.ended()
    if (version === 5) expect(disconnect?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
    expect(broker.counters.limited.keepAlive).toBe(1)
  })

  test('a keep-alive within limits.maxKeepAlive stays as it is', async () => {
    const { open, broker } = await startBroker({ limits: { maxKeepAlive: '20s' } })
    const connack = await open(version).connect({ keepAlive: 20, clientId: 'kept' })
    expect(connack.properties?.serverKeepAlive).toBeUndefined()
    expect(broker.clientOf('kept')!.keepAlive).toBe(20)
    expect(broker.counters.limited.keepAlive).toBe(0)
  })

  test('a connection that sends no CONNECT is closed after the heartbeat time, and counted', async () => {
    const { open, advance, broker } = await startBroker({ heartbeat: '5s' })
    const client = open(version)
    client.sendBytes('10 20')
    await advance(5250)
    await client.closed
    expect(broker.counters.limited.heartbeat).toBe(1)
  })

  test('a packet above mqtt.maximumPacketSize closes its connection, and is counted', async () => {
    const { connect, broker } = await startBroker({ mqtt: { maximumPacketSize: 1000 } })
    const client = await connect({ version })
    // Only the header: nothing waits for the rest.
    client.sendBytes('30 e8 07')
    const disconnect = await client.ended()
    if (version === 5) expect(disconnect?.reasonCode).toBe(ReasonCode.PacketTooLarge)
    expect(broker.counters.limited.packetSize).toBe(1)
  })

  test('topics that are too long or have too many levels are refused, and counted', async () => {
    const { connect, broker } = await startBroker({ mqtt: { topicLengthMax: 10, topicLevelsMax: 3 } })
    const client = await connect({ version })
    const reader = await connect({ version })
    await reader.subscribe('#', 1)
    const failure = version === 5 ? ReasonCode.TopicFilterInvalid : 0x80
    expect(await client.subscribe(['1234567890', '12345678901', '1/2/3', '1/2/3/4'])).toEqual([0, failure, 0, failure])
    const codes: number[] = []
    for (const topic of ['123456789/', '12345678901', '1/2/3', '1/2/3/4'])
      codes.push((await client.publish(topic, '', { qos: 1 }))!.reasonCode)
    expect(codes).toEqual(version === 5 ? [0, ReasonCode.TopicNameInvalid, 0, ReasonCode.TopicNameInvalid] : [0, 0, 0, 0])
    expect((await reader.rest()).map(packet => (packet.type === PacketType.Publish ? packet.topic : ''))).toEqual(['123456789/', '1/2/3'])
    expect(broker.counters.limited).toMatchObject({ topicLength: 2, topicLevels: 2 })
  })
})

describe('mqtt.connectSizeMax', () => {
  test.each(versions)('MQTT %i: a CONNECT that is larger closes its connection as soon as its length is read', async version => {
    const { open, broker, connect } = await startBroker({ mqtt: { connectSizeMax: 200 } })
    const client = open(version)
    client.send(connectPacket({ version, clientId: 'x'.repeat(200) }))
    await client.closed
    expect(broker.counters.limited).toMatchObject({ packetSize: 1 })
    // Once let in, it may send what everybody may.
    const other = await connect({ version })
    expect(await other.publish('a', Buffer.alloc(100_000), { qos: 1 })).toBeDefined()
  })

  test.each(versions)('MQTT %i: what comes behind CONNECT waits at the client beyond it, and is not lost', async version => {
    const { open, hooks, broker } = await startBroker({ mqtt: { connectSizeMax: 1000 } })
    let letIn: () => void = () => {}
    hooks.onAuthenticate.tapPromise('slow', () => new Promise(resolve => (letIn = () => resolve(true))))
    let received = 0
    hooks.onRoute.tap('test', ({ payloadLength }) => void (received += payloadLength))
    const client = open(version)
    client.send(connectPacket({ version, clientId: 'c' }))
    for (let i = 0; i < 3; i++) client.sendPublish('a', Buffer.alloc(300_000), { qos: 1 })
    await settled()
    const [waiting] = broker.clients
    // A read or two more than that; the rest has stayed where it was.
    expect(waiting!.heldBytes).toBeLessThan(400_000)
    letIn()
    await expect.poll(() => received).toBe(900_000)
  })

  test('AUTH packets of an exchange before CONNACK are no larger either', async () => {
    const { open, hooks, broker } = await startBroker({ mqtt: { connectSizeMax: 1000 } })
    hooks.onAuth.tap('endless', () => ({ continue: true }))
    const client = open(5)
    client.send(connectPacket({ version: 5, properties: { authenticationMethod: 'x' } }))
    await client.next(PacketType.Auth)
    const properties = { authenticationMethod: 'x', authenticationData: Buffer.alloc(1000) }
    client.send({ type: PacketType.Auth, reasonCode: ReasonCode.ContinueAuthentication, properties })
    await client.closed
    expect(broker.counters.limited.packetSize).toBe(1)
  })
})

test('mqtt.userPropertiesMax: a packet with more closes its connection, with 0x97', async () => {
  const { open, connect, broker } = await startBroker({ mqtt: { userPropertiesMax: 2 } })
  const userProperties: [string, string][] = [
    ['a', '1'],
    ['a', '1'],
    ['a', '1'],
  ]
  expect((await open(5).connect({ properties: { userProperties } })).reasonCode).toBe(ReasonCode.QuotaExceeded)
  expect((await open(5).connect({ will: { topic: 'w', properties: { userProperties } } })).reasonCode).toBe(ReasonCode.QuotaExceeded)
  const client = await connect({ version: 5 })
  await client.publish('a', '', { qos: 1, properties: { userProperties: userProperties.slice(1) } })
  client.sendPublish('a', '', { properties: { userProperties } })
  expect(await client.ended()).toMatchObject({
    reasonCode: ReasonCode.QuotaExceeded,
    properties: { reasonString: 'more than 2 user properties in a packet (mqtt.userPropertiesMax)' },
  })
  // A long SUBSCRIBE is read by and by.
  const other = await connect({ version: 5 })
  const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const subscriptions = Array.from({ length: 1000 }, (_, i) => ({ filter: `filter/${i}`, ...subscription }))
  other.send({ type: PacketType.Subscribe, packetId: 1, subscriptions, properties: { userProperties } })
  expect(await other.ended()).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
  expect(broker.counters.limited.userProperties).toBe(4)
})

describe('mqtt.subscriptionsMax', () => {
  const failure = { 4: 0x80, 5: ReasonCode.QuotaExceeded } as const

  test.each(versions)('MQTT %i: one filter more is refused by itself; what replaces, or leaves, makes no trouble', async version => {
    const { connect, broker } = await startBroker({ mqtt: { subscriptionsMax: 3 } })
    const client = await connect({ version })
    const no = failure[version]
    expect(await client.subscribe(['a', 'b'])).toEqual([0, 0])
    // The same filter twice takes one place; refused twice it is not granted by being named before.
    expect(await client.subscribe(['c', 'c', 'd', 'd', 'a'], 1)).toEqual([1, 1, no, no, 1])
    expect(await client.unsubscribe('b')).toHaveLength(version === 5 ? 1 : 0)
    expect(await client.subscribe(['d', 'e'])).toEqual([0, no])
    expect(broker.roster.get(broker.clients.values().next().value!.clientId)!.subscriptions.size).toBe(3)
    expect(broker.counters.limited.subscriptions).toBe(3)
  })

  test('MQTT 5 is told why; a refusal by a plugin leaves the place free', async () => {
    const { connect, hooks } = await startBroker({ mqtt: { subscriptionsMax: 1 }, sysTopic: {} })
    hooks.onSubscribe.tap('test', (_client, { filter }) => (filter === 'no' ? ReasonCode.NotAuthorized : undefined))
    const client = await connect({ version: 5 })
    expect(await client.subscribe(['no', 'no', 'a', 'b'])).toEqual([0x87, 0x87, 0, ReasonCode.QuotaExceeded])
    // What is answered once is not held.
    expect(await client.subscribe('$SYS/broker/version')).toEqual([0])
    client.send({
      type: PacketType.Subscribe,
      packetId: 99,
      subscriptions: [{ filter: 'x', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: undefined,
    })
    expect((await client.next<SubackPacket>(PacketType.Suback)).properties?.reasonString).toBe(
      'a session may hold 1 subscriptions (mqtt.subscriptionsMax)',
    )
  })

  test('a session that comes back counts what it holds', async () => {
    const { connect } = await startBroker({ mqtt: { subscriptionsMax: 2 } })
    const first = await connect({ clientId: 'kept', cleanStart: false })
    expect(await first.subscribe(['a', 'b'])).toEqual([0, 0])
    first.drop()
    await settled()
    const second = await connect({ clientId: 'kept', cleanStart: false })
    expect(await second.subscribe(['a', 'c'])).toEqual([0, 0x80])
  })
})

test('on a real socket a dripping client is closed, and one that only waits is not', async () => {
  const { running, clock } = await startBroker({ socket: { port: 0 }, limits: { packetTimeout: '1s' } })
  const dial = async () => {
    const client = new TestClient(connectSocket(running.port, '127.0.0.1'), 5)
    await client.connect()
    return client
  }
  const [dripping, waiting] = [await dial(), await dial()]
  dripping.sendBytes('30 64 00')
  // A round trip of the other one: by then the broker has read it.
  await waiting.rest()
  for (let quarter = 0; quarter < 7; quarter++) {
    clock.advance(250)
    await settled()
  }
  expect((await dripping.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
  expect(await waiting.rest()).toEqual([])
})
