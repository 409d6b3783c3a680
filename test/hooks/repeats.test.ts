import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Message } from '../../core/messages/message.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Config } from '../../presets/index.ts'
import { startBroker } from '../support/broker.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'

const levels = [1, 2] as const

function sessionOf(version: 4 | 5) {
  return { version, clientId: 'a', cleanStart: false, properties: version === 5 ? { sessionExpiry: 3600 } : {} } as const
}

const folders = new Map<string, string>()

function folderFor(name: string): string {
  const folder = folders.get(name) ?? mkdtempSync(join(tmpdir(), 'mqttx-repeats-'))
  folders.set(name, folder)
  return folder
}

describe('what a session repeats, on', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await RedisServer.start()
  })
  afterAll(async () => {
    await redis.stop()
    for (const folder of folders.values()) rmSync(folder, { recursive: true, force: true })
  })

  const stores: readonly [string, (name: string) => Config, boolean][] = [
    ['memory', () => ({}), false],
    ['disk', name => ({ memory: false, disk: { path: folderFor(name), reserve: 0 } }), true],
    ['Redis', () => ({ memory: false, redis: { url: redis.url } }), true],
  ]

  for (const [storeName, configOf, outlives] of stores) {
    for (const version of [4, 5] as const) {
      for (const qos of levels) {
        test(`${storeName}: goes out as onDeliver makes it now, never as it was published (MQTT ${version}, QoS ${qos})`, async () => {
          const config = configOf(`${storeName}-${version}-${qos}`)
          const masked = async () => {
            const broker = await startBroker(config)
            const repeats: boolean[] = []
            broker.hooks.onDeliver.tap('mask', (_client, delivery) => {
              repeats.push(delivery.repeat)
              delivery.topic = `masked/${delivery.topic}`
              delivery.payload = `masked ${repeats.length}`
              if (version === 5) delivery.properties = { contentType: 'masked' }
            })
            return { ...broker, repeats }
          }
          let { connect, broker, repeats, running } = await masked()
          const options = { ...sessionOf(version), clientId: `a-${version}-${qos}` }
          const topic = `secret/${version}/${qos}`
          const first = await connect(options)
          await first.subscribe(topic, qos)
          await broker.publish({ topic, payload: 'plain', qos })
          const sent = await first.message()
          expect(sent).toMatchObject({ topic: `masked/${topic}`, dup: false })
          first.drop()
          if (outlives) {
            await running.stop()
            ;({ connect, broker, repeats, running } = await masked())
          } else await eventually(() => broker.clients.size === 0)
          const again = await (await connect(options)).receive()
          expect(again).toMatchObject({ topic: `masked/${topic}`, dup: true, packetId: sent.packetId })
          expect(again.payload.toString()).toMatch(/^masked /)
          expect(again.properties?.contentType).toBe(version === 5 ? 'masked' : undefined)
          expect(repeats).toEqual(outlives ? [true] : [false, true])
        })
      }
    }

    test(`${storeName}: a repeat that onDeliver leaves out is dropped, said, and gone from the store`, async () => {
      const { connect, hooks, broker } = await startBroker(configOf(`${storeName}-left-out`))
      const drops: string[] = []
      hooks.onDrop.tap('test', (clientId, { topic }, reason) => void drops.push(`${clientId} ${topic} ${reason}`))
      hooks.onDeliver.tap('test', (_client, { repeat }) => (repeat ? false : undefined))
      for (const qos of levels) {
        const options = { ...sessionOf(5), clientId: `left-${qos}` }
        const first = await connect(options)
        await first.subscribe(`left/${qos}`, qos)
        await broker.publish({ topic: `left/${qos}`, payload: 'x', qos })
        const { packetId } = await first.message()
        first.drop()
        await eventually(() => broker.clientOf(options.clientId) === undefined)
        const second = await connect(options)
        if (qos === 2) {
          expect(await second.next(PacketType.Pubrel)).toMatchObject({ packetId })
          second.ack(PacketType.Pubcomp, packetId)
        }
        expect(await second.payloads()).toEqual([])
        await eventually(() => drops.length === qos)
        second.drop()
        await eventually(() => broker.clientOf(options.clientId) === undefined)
        await broker.sessions.flush()
        expect(await broker.sessions.peek!(options.clientId, 0, 10)).toEqual([])
      }
      expect(drops).toEqual(['left-1 left/1 filtered', 'left-2 left/2 filtered'])
      expect(broker.counters.dropped.filtered).toBe(2)
    })
  }
})

describe('a repeat that onDeliver leaves out', () => {
  async function withRepeat(qos: 1 | 2) {
    const { connect, hooks, broker } = await startBroker()
    const options = { ...sessionOf(5), properties: { sessionExpiry: 3600, receiveMaximum: 1 } }
    const first = await connect(options)
    await first.subscribe('t', qos)
    for (const payload of ['first', 'second', 'third']) await broker.publish({ topic: 't', payload, qos })
    const { packetId } = await first.message()
    first.drop()
    await eventually(() => broker.clients.size === 0)
    const drops: string[] = []
    hooks.onDrop.tap('test', (_clientId: string, message: Message, reason) => void drops.push(`${message.payload} ${reason}`))
    const acked: string[] = []
    hooks.onAcked.tap('test', (_client, message) => void acked.push(message.payload.toString()))
    hooks.onDeliver.tap('test', (_client, { repeat }) => (repeat ? false : undefined))
    return { broker, connect: () => connect(options), drops, acked, packetId }
  }

  test('QoS 1: frees its identifier and its place in the window at once', async () => {
    const { connect, drops, acked } = await withRepeat(1)
    const client = await connect()
    expect((await client.receive()).payload.toString()).toBe('second')
    expect((await client.receive()).payload.toString()).toBe('third')
    await client.rest()
    expect(drops).toEqual(['first filtered'])
    expect(acked).toEqual(['second', 'third'])
  })

  test('QoS 2: the client lets go of the identifier by PUBREL, and only then something else is sent', async () => {
    const { connect, drops, acked, packetId } = await withRepeat(2)
    const client = await connect()
    expect(await client.next(PacketType.Pubrel)).toMatchObject({ packetId })
    // It holds the only place in the window.
    expect(await client.payloads()).toEqual([])
    client.ack(PacketType.Pubcomp, packetId, 0x92)
    expect((await client.receive()).payload.toString()).toBe('second')
    expect((await client.receive()).payload.toString()).toBe('third')
    await client.rest()
    expect(drops).toEqual(['first filtered'])
    expect(acked).toEqual(['second', 'third'])
  })

  test('QoS 2: a connection that is lost before PUBCOMP repeats the PUBREL, and drops nothing twice', async () => {
    const { connect, drops, packetId, broker } = await withRepeat(2)
    const client = await connect()
    await client.next(PacketType.Pubrel)
    client.drop()
    await eventually(() => broker.clients.size === 0)
    const next = await connect()
    expect(await next.next(PacketType.Pubrel)).toMatchObject({ packetId })
    next.ack(PacketType.Pubcomp, packetId)
    expect((await next.receive()).payload.toString()).toBe('second')
    expect(drops).toEqual(['first filtered'])
  })

  test('QoS 2: what PUBREC has come for is not asked about: PUBREL alone is repeated', async () => {
    const { connect, hooks, broker } = await startBroker()
    const first = await connect(sessionOf(5))
    await first.subscribe('t', 2)
    await broker.publish({ topic: 't', payload: 'x', qos: 2 })
    const { packetId } = await first.message()
    first.ack(PacketType.Pubrec, packetId)
    await first.next(PacketType.Pubrel)
    first.drop()
    await eventually(() => broker.clients.size === 0)
    const asked: string[] = []
    hooks.onDeliver.tap('test', (_client, { topic }) => void asked.push(topic))
    const second = await connect(sessionOf(5))
    expect(await second.next(PacketType.Pubrel)).toMatchObject({ packetId })
    expect(await second.payloads()).toEqual([])
    expect(asked).toEqual([])
  })
})

/** The kind of it: whatever keeps a QoS 2 repeat back leaves the client with an identifier that it still holds. */
describe('a QoS 2 message that is not repeated is let go of by PUBREL', () => {
  async function interrupted(payload: string) {
    const { connect, hooks, broker } = await startBroker()
    const drops: string[] = []
    hooks.onDrop.tap('test', (_clientId, { topic }, reason) => void drops.push(`${topic} ${reason}`))
    const client = await connect(sessionOf(5))
    await client.subscribe('t', 2)
    await broker.publish({ topic: 't', payload, qos: 2 })
    const { packetId } = await client.message()
    client.drop()
    await eventually(() => broker.clients.size === 0)
    return { connect, hooks, drops, packetId }
  }

  test('because it is larger than the client accepts now', async () => {
    const { connect, drops, packetId } = await interrupted('x'.repeat(100))
    const client = await connect({ ...sessionOf(5), properties: { sessionExpiry: 3600, maximumPacketSize: 60 } })
    expect(await client.next(PacketType.Pubrel)).toMatchObject({ packetId })
    client.ack(PacketType.Pubcomp, packetId)
    expect(await client.rest()).toEqual([])
    expect(drops).toEqual(['t tooLarge'])
  })

  test('because its client may not receive it any more', async () => {
    const { connect, hooks, drops, packetId } = await interrupted('x')
    hooks.onAuthorize.tap('test', (_client, action) => (action === 'subscribe' ? false : undefined))
    const client = await connect(sessionOf(5))
    expect(await client.next(PacketType.Pubrel)).toMatchObject({ packetId })
    client.ack(PacketType.Pubcomp, packetId)
    expect(await client.rest()).toEqual([])
    expect(drops).toEqual(['t notAuthorized'])
  })
})
