import { connect as connectSocket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { Message } from '../../core/message.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { messageOf } from './messages.ts'

describe('a borrowed payload', () => {
  const borrowed = (payload: Buffer) =>
    new Message({ topic: 't', payload, qos: 0, retain: false, origin: 'client', clientId: '', receivedAt: 0 }, true)

  test('is copied at the first touch, and once', () => {
    const chunk = Buffer.from('hello')
    const message = borrowed(chunk)
    const { payload } = message
    chunk.fill(0)
    expect(payload.toString()).toBe('hello')
    expect(message.payload).toBe(payload)
  })

  test('is copied by own(), not by asking for its length', () => {
    const chunk = Buffer.from('hello')
    const message = borrowed(chunk)
    expect(message.payloadLength).toBe(5)
    chunk.write('HELLO')
    message.own()
    chunk.fill(0)
    expect(message.payload.toString()).toBe('HELLO')
  })

  test.each([10, 20_000])('of %i bytes lies in a frame that the next read does not change', length => {
    const chunk = Buffer.alloc(length, 'x')
    const { head, payload } = borrowed(chunk).frame(4, 0, false)
    chunk.fill(0)
    expect(Buffer.concat(payload === null ? [head] : [head, payload]).subarray(-length)).toEqual(Buffer.alloc(length, 'x'))
  })
})

test('encodes once for all who get it with the same version, QoS and retain flag', () => {
  const message = messageOf('x')
  expect(message.frame(3, 1, false)).toBe(message.frame(4, 1, false))
  const frames = [message.frame(4, 1, false), message.frame(5, 1, false), message.frame(4, 0, false), message.frame(4, 1, true)]
  expect(new Set(frames).size).toBe(4)
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
