import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import type { Config } from '../../presets/index.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { connectPacket, type TestClient } from '../support/client.ts'

type Decide = (verdict?: PublishVerdict) => void

/** A broker in which a publish to `slow/…` waits for its verdict until the test gives it, by payload. */
async function start(config: Config = {}): Promise<TestBroker & { decide: Map<string, Decide>; routed: string[] }> {
  const broker = await startBroker(config)
  const decide = new Map<string, Decide>()
  const routed: string[] = []
  broker.hooks.onPublish.tapPromise('test', (_publisher, message) =>
    message.topic.startsWith('slow/') ? new Promise(resolve => decide.set(message.payload.toString(), resolve)) : Promise.resolve(),
  )
  broker.hooks.onRoute.tap('test', ({ payload }) => {
    routed.push(payload.toString())
  })
  await broker.advance(1000)
  return { ...broker, decide, routed }
}

const heard = (client: TestClient) => client.heard.map(({ type }) => type)

describe('while a verdict is awaited', () => {
  test('those of later publishes are asked for, but all are routed and acknowledged as they came [MQTT-4.6.0-2] [MQTT-4.6.0-5]', async () => {
    const { connect, decide, routed } = await start()
    const client = await connect()
    for (const name of ['a', 'b', 'c']) client.sendPublish('slow/t', name, { qos: 1 })
    await settled()
    expect([...decide.keys()]).toEqual(['a', 'b', 'c'])
    decide.get('c')!()
    decide.get('b')!()
    await settled()
    expect(routed).toEqual([])
    decide.get('a')!()
    await settled()
    expect(routed).toEqual(['a', 'b', 'c'])
    expect(client.heard.flatMap(packet => (packet.type === PacketType.Puback ? [packet.packetId] : []))).toEqual([1, 2, 3])
  })

  test('a publish that needs none waits for its turn all the same', async () => {
    const { connect, decide, routed } = await start()
    const client = await connect()
    client.sendPublish('slow/t', 'a')
    client.sendPublish('quick', 'b')
    await settled()
    expect(routed).toEqual([])
    decide.get('a')!()
    await settled()
    expect(routed).toEqual(['a', 'b'])
  })

  test('SUBSCRIBE, UNSUBSCRIBE and PINGREQ behind it wait, in order', async () => {
    const { connect, decide } = await start()
    const client = await connect()
    await client.subscribe('slow/old', 0)
    client.sendPublish('slow/old', 'kept')
    const unsubscribed = client.unsubscribe('slow/old')
    const subscribed = client.subscribe('slow/t', 0)
    client.sendPublish('slow/t', 'for the new one')
    client.send({ type: PacketType.Pingreq })
    await settled()
    expect(heard(client)).toEqual([PacketType.Connack, PacketType.Suback])
    decide.get('kept')!()
    await unsubscribed
    await subscribed
    await settled()
    decide.get('for the new one')!()
    await settled()
    expect(heard(client).slice(2)).toEqual([
      PacketType.Publish,
      PacketType.Unsuback,
      PacketType.Suback,
      PacketType.Publish,
      PacketType.Pingresp,
    ])
  })

  test('what it refuses or drops goes nowhere, and those behind it go on', async () => {
    const { connect, decide, routed } = await start()
    const client = await connect({ version: 5 })
    for (const name of ['a', 'b', 'c']) client.sendPublish('slow/t', name, { qos: 1 })
    await settled()
    decide.get('c')!()
    decide.get('a')!(0x97)
    decide.get('b')!('drop')
    await settled()
    expect(routed).toEqual(['c'])
    const codes = client.heard.flatMap(packet => (packet.type === PacketType.Puback ? [packet.reasonCode] : []))
    expect(codes).toEqual([0x97, 0, 0x10])
  })

  test('another client goes on', async () => {
    const { connect, decide, routed } = await start()
    const [client, other] = [await connect(), await connect()]
    client.sendPublish('slow/t', 'a')
    await settled()
    await other.publish('quick', 'b', { qos: 1 })
    expect(routed).toEqual(['b'])
    decide.get('a')!()
  })

  test('acknowledgements of what the broker sent are heard, so that its window moves on', async () => {
    const { connect, decide } = await start()
    const client = await connect({ version: 5, properties: { receiveMaximum: 1 } })
    const writer = await connect()
    await client.subscribe('quick', 1)
    client.sendPublish('slow/t', 'a')
    await settled()
    for (const name of ['1', '2']) await writer.publish('quick', name, { qos: 1 })
    expect((await client.receive()).payload.toString()).toBe('1')
    expect((await client.receive()).payload.toString()).toBe('2')
    decide.get('a')!()
  })
})

describe('the lane is bounded by not reading', () => {
  test('after as many packets as Receive Maximum', async () => {
    const { connect, decide, routed } = await start({ mqtt: { receiveMaximum: 10 } })
    const client = await connect()
    for (let i = 0; i < 500; i++) {
      client.sendPublish('slow/t', `${i}`)
      await settled()
    }
    expect(decide.size).toBe(10)
    for (let i = 0; i < 500; i++) {
      decide.get(`${i}`)!()
      await settled()
    }
    expect(routed).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`))
  })

  for (const [name, send] of [
    ['payloads', client => client.sendPublish('quick', Buffer.alloc(300_000))],
    [
      'user properties',
      client => client.sendPublish('quick', '', { properties: { userProperties: Array(10).fill(['n', 'v'.repeat(30_000)]) } }),
    ],
    [
      'filters',
      client =>
        client.send({
          type: PacketType.Subscribe,
          packetId: client.nextId(),
          properties: undefined,
          subscriptions: Array.from({ length: 10 }, (_, i) => ({
            filter: `${i}/${'f'.repeat(30_000)}`,
            qos: 0,
            noLocal: false,
            retainAsPublished: false,
            retainHandling: 0,
          })),
        }),
    ],
  ] as [string, (client: TestClient) => void][]) {
    test(`after a mebibyte of ${name}`, async () => {
      const { connect, decide, broker } = await start()
      const client = await connect({ version: 5 })
      client.sendPublish('slow/t', 'a')
      await settled()
      for (let i = 0; i < 20; i++) {
        send(client)
        for (let turns = 0; turns < 3; turns++) await settled()
      }
      const before = broker.counters.bytesReceived
      expect(before).toBeLessThan(2_000_000)
      decide.get('a')!()
      await client.rest()
      expect(broker.counters.bytesReceived).toBeGreaterThan(6_000_000)
    })
  }
})

describe('when the connection ends while something waits', () => {
  test('what was judged is still routed, and nothing behind it is begun', async () => {
    const { connect, decide, routed, broker } = await start()
    const client = await connect({ clientId: 'gone' })
    for (const name of ['a', 'b']) client.sendPublish('slow/t', name, { qos: 1 })
    client.sendPublish('slow/t', 'dropped with the connection')
    void client.subscribe('x').catch(() => {})
    client.sendPublish('quick', 'never begun')
    await settled()
    client.drop()
    await settled()
    expect(broker.clientOf('gone')).toBeUndefined()
    for (const verdict of decide.values()) verdict()
    await settled()
    expect(routed).toEqual(['a', 'b', 'dropped with the connection'])
  })

  test('a DISCONNECT that waits counts: its will is not sent [MQTT-3.14.4-3] [MQTT3-3.14.4-3]', async () => {
    const { connect, decide, routed } = await start()
    const client = await connect({ will: { topic: 'will', payload: Buffer.from('will') } })
    client.sendPublish('slow/t', 'a')
    client.disconnect()
    await settled()
    client.drop()
    await settled()
    decide.get('a')!()
    await settled()
    expect(routed).toEqual(['a'])
  })

  test('a DISCONNECT that waits and asks for the will has it sent [MQTT-3.1.2-8]', async () => {
    const { connect, decide, routed } = await start()
    const client = await connect({ version: 5, will: { topic: 'will', payload: Buffer.from('will') } })
    client.sendPublish('slow/t', 'a')
    client.disconnect(4)
    await settled()
    client.drop()
    await settled()
    decide.get('a')!()
    await settled()
    expect([...routed].sort()).toEqual(['a', 'will'])
  })
})

test('what comes with CONNECT in one segment waits until it is admitted, and takes effect in order', async () => {
  const { open, hooks, connect } = await startBroker()
  let admit = (): void => {}
  hooks.onAuthenticate.tapPromise('test', client =>
    client.clientId === 'early' ? new Promise(resolve => (admit = () => resolve(true))) : Promise.resolve(true),
  )
  const reader = await connect({ clientId: 'reader' })
  await reader.subscribe('early/#', 0)
  const client = open()
  client.stream.cork()
  client.send(connectPacket({ clientId: 'early' }))
  const subscribed = client.subscribe('early/own', 0)
  for (let i = 0; i < 100; i++) client.sendPublish('early/own', `${i}`)
  client.stream.uncork()
  await settled()
  expect(await reader.payloads()).toEqual([])
  admit()
  expect(await subscribed).toEqual([0])
  expect(await client.payloads()).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`))
  expect(await reader.payloads()).toHaveLength(100)
})
