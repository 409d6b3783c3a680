import { connect as connectSocket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { Message } from '../../core/messages/message.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { messageOf } from './messages.ts'

/** A message whose bytes lie in the buffer that the next read overwrites. */
function borrowed(payload: string): { message: Message; chunk: Buffer } {
  const packet: PublishPacket = {
    type: PacketType.Publish,
    topic: 't',
    payload: Buffer.from(payload),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties: undefined,
  }
  const chunk = Buffer.concat([encodePacket(packet, 4), encodePacket(packet, 4)])
  let message: Message | undefined
  const sink = {
    onPacket: () => {},
    onPublish(publish: InboundPublish) {
      const { topic, qos, retain } = publish
      message = new Message({ topic, payload: publish.payload, qos, retain, origin: 'client', clientId: '', receivedAt: 0 }, publish)
    },
  }
  const decoder = new PacketDecoder(sink, { maximumPacketSize: 1_000_000, receiver: 'client' })
  decoder.feed(chunk, 0, chunk.length / 2)
  return { message: message!, chunk }
}

describe('a borrowed payload', () => {
  test('is copied at the first touch, and once', () => {
    const { message, chunk } = borrowed('hello')
    const { payload } = message
    chunk.fill(0)
    expect(payload.toString()).toBe('hello')
    expect(message.payload).toBe(payload)
  })

  test('is copied by own(), not by asking for its length', () => {
    const { message, chunk } = borrowed('hello')
    expect(message.payloadLength).toBe(5)
    chunk.write('HELLO', chunk.indexOf('hello'))
    message.own()
    chunk.fill(0)
    expect(message.payload.toString()).toBe('HELLO')
  })

  for (const [size, kept] of [
    [5, 1024],
    [120, 1024],
    // Fixed header, topic name and payload.
    [200, 200 + 6],
  ] as const)
    test(`of ${size} bytes is stored in ${kept} bytes, with others where it is small, and loses nothing by that`, () => {
      for (const first of ['payload', 'own', 'compact'] as const) {
        const { message, chunk } = borrowed('x'.repeat(size))
        if (first === 'payload') expect(message.payload.length).toBe(size)
        if (first === 'own') message.own()
        message.compact()
        chunk.fill(0)
        const { payload } = message
        expect(payload.buffer.byteLength).toBe(kept)
        expect(payload.toString()).toBe('x'.repeat(size))
        expect(message.compact().payload).toBe(payload)
        expect(message.own().frame(4, 0, false).head.subarray(-size)).toEqual(payload)
      }
    })

  test('is stored where no other one writes to', () => {
    const messages = Array.from({ length: 100 }, (_, i) => {
      const { message, chunk } = borrowed(`message ${i}`)
      message.compact()
      chunk.fill(0)
      return message
    })
    expect(messages.map(({ payload }) => payload.toString())).toEqual(messages.map((_, i) => `message ${i}`))
  })

  test('that is large lies in a frame that the next read does not change', () => {
    const { message, chunk } = borrowed('x'.repeat(20_000))
    const { payload } = message.frame(4, 0, false)
    chunk.fill(0)
    expect(payload).toEqual(Buffer.alloc(20_000, 'x'))
  })

  test('is sent as it came, but for the receiver’s own header', () => {
    const { message } = borrowed('hello')
    const frame = message.frame(4, 0, true)
    expect(frame.head.toString('hex')).toBe(`3008000174${Buffer.from('hello').toString('hex')}`)
    expect(frame.header).toBe(0x31)
  })

  test('is encoded anew for a receiver of another format, and when topic or properties change', () => {
    const { message } = borrowed('hello')
    expect(message.frame(5, 1, false).head.toString('hex')).toBe(`320b000174000000${Buffer.from('hello').toString('hex')}`)
    message.topic = 'u'
    expect(message.frame(4, 0, false).head.toString('hex')).toBe(`3008000175${Buffer.from('hello').toString('hex')}`)
    message.properties = { contentType: 'x' }
    expect(message.frame(5, 0, false).head.toString('hex')).toBe(`300d0001750403000178${Buffer.from('hello').toString('hex')}`)
  })
})

test('encodes once for all who get it with the same version, QoS and retain flag', () => {
  const message = messageOf('x')
  expect(message.frame(3, 1, false).shared).toBe(false)
  expect(message.frame(4, 1, false).shared).toBe(true)
  expect(message.frame(3, 1, false)).toBe(message.frame(4, 1, false))
  const frames = [message.frame(4, 1, false), message.frame(5, 1, false), message.frame(4, 0, false), message.frame(4, 1, true)]
  expect(new Set(frames).size).toBe(4)
})

test('has a frame for each kind of receiver while its bytes still lie in the read buffer', () => {
  const { message, chunk } = borrowed('hello')
  message.frame(4, 0, false)
  const five = message.frame(5, 0, false)
  chunk.fill(0)
  expect(five.head.toString('hex')).toBe(`300900017400${Buffer.from('hello').toString('hex')}`)
  expect(message.frame(5, 0, false)).toBe(five)
  expect(message.frame(4, 0, false).head.toString('hex')).toBe(`3008000174${Buffer.from('hello').toString('hex')}`)
})

test('is encoded anew when its payload changes', () => {
  const message = messageOf('before')
  const frame = message.frame(4, 0, false)
  message.payload = 'after'
  expect(message.frame(4, 0, false)).not.toBe(frame)
  expect(message.payload.toString()).toBe('after')
  message.payload = new Uint8Array([1, 2])
  expect(message.payload).toEqual(Buffer.from([1, 2]))
})

test('expires after its expiry interval, counted from its arrival, or never', () => {
  expect(messageOf('', { receivedAt: 1000, properties: { messageExpiry: 3 } }).expiresAt).toBe(4000)
  expect(messageOf('', { receivedAt: 1000 }).expiresAt).toBe(Number.POSITIVE_INFINITY)
})

describe('what a plugin keeps of a publish', () => {
  /** A broker on a real socket, whose one read buffer all connections share. */
  async function startOnSocket() {
    const broker = await startBroker({ socket: { port: 0 } })
    const client = new TestClient(connectSocket(broker.running.port!, '127.0.0.1'), 5)
    await client.connect({ version: 5 })
    return { ...broker, client }
  }

  test('is intact after thousands of further publishes', async () => {
    const { hooks, client } = await startOnSocket()
    const kept: Buffer[] = []
    hooks.onPublish.tap('keeper', (_publisher, message) => {
      kept.push(message.payload)
    })
    for (let i = 0; i < 5000; i++) client.sendPublish('a', `payload ${i}`.padEnd(10 + (i % 100), '.'))
    await client.publish('a', 'last', { qos: 1 })
    expect(kept).toHaveLength(5001)
    for (let i = 0; i < 5000; i++) expect(kept[i]!.toString()).toBe(`payload ${i}`.padEnd(10 + (i % 100), '.'))
  })

  test('is intact in its correlation data too, also where another plugin replaces the payload untouched', async () => {
    const { hooks, client } = await startOnSocket()
    const kept: (Buffer | undefined)[] = []
    hooks.onPublish.tap('keeper', (_publisher, message) => {
      message.payload = 'other'
      kept.push(message.properties?.correlationData)
    })
    for (let i = 0; i < 3000; i++) client.sendPublish('a', 'x', { properties: { correlationData: Buffer.from(`request ${i}`) } })
    await client.publish('a', 'last', { qos: 1 })
    for (let i = 0; i < 3000; i++) expect(kept[i]?.toString()).toBe(`request ${i}`)
  })

  test('is intact in what reaches a subscriber late: queued behind a full window', async () => {
    const { running, client } = await startOnSocket()
    const reader = new TestClient(connectSocket(running.port!, '127.0.0.1'), 5)
    await reader.connect({ version: 5, properties: { receiveMaximum: 1 } })
    await reader.subscribe('a', 1)
    for (let i = 0; i < 500; i++)
      client.sendPublish('a', `payload ${i}`, { qos: 1, properties: { correlationData: Buffer.from(`id ${i}`) } })
    for (let i = 0; i < 500; i++) {
      const { payload, properties } = await reader.receive()
      expect([payload.toString(), properties?.correlationData?.toString()]).toEqual([`payload ${i}`, `id ${i}`])
    }
  })
})
