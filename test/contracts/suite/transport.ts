import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { PacketType } from '../../../core/protocol/constants.ts'
import { encodeClientPacket } from '../../../plugins/kit/client-packets.ts'
import type { ListenerCase } from './listener.ts'
import { bytesOf } from './listener-harness.ts'
import { soon } from './soon.ts'

const mebibyte = 1024 * 1024
// Looks, 10 ms apart, at which nothing has moved: then nothing moves.
const stillLooks = 30

/** What a transport does with bytes, and how it says that there are too many. */
export function transportCases(test: ListenerCase): void {
  test('says what it is: protocol, listener, and where the client is', async h => {
    const { transport } = await h.whole('one')
    assert.match(transport.protocol, /^[a-z][a-z0-9+-]*$/)
    assert.match(transport.listener, /^\S+$/)
    assert.equal(typeof transport.remoteAddress, 'string')
    assert.ok(Number.isInteger(transport.remotePort) && transport.remotePort >= 0 && transport.remotePort < 65_536)
    assert.deepEqual(h.transports, [transport])
  })

  test('carries every byte both ways, also one by one', async h => {
    const { client, stream } = await h.whole('one')
    await client.subscribe('#')
    const payload = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    await client.publish('whole', payload)
    assert.ok((await client.received('whole')).payload.equals(payload))
    const packet = publishPacket('bytes', payload)
    for (const byte of packet) stream.write(Buffer.from([byte]))
    assert.ok((await client.received('bytes')).payload.equals(payload))
  })

  test('carries a thousand packets in one write, in their order', async h => {
    const { client, stream } = await h.whole('one')
    await client.subscribe('#')
    const numbers = Array.from({ length: 1000 }, (_, number) => String(number))
    stream.write(Buffer.concat(numbers.map(number => publishPacket('a', Buffer.from(number)))))
    await h.until(() => client.messages.length === numbers.length, 'all of them')
    assert.deepEqual(
      client.messages.map(({ payload }) => String(payload)),
      numbers,
    )
  })

  test('carries a message of four mebibytes, which no buffer takes at once', async h => {
    const client = await h.client('one')
    await client.subscribe('large')
    const payload = Buffer.alloc(4 * mebibyte)
    for (let at = 0; at < payload.length; at += 4) payload.writeUInt32LE(at, at)
    await client.publish('large', payload)
    assert.ok((await client.received('large', 30_000)).payload.equals(payload))
  })

  test('has taken what it says that it has taken, and keeps the order of write and writeMany', async h => {
    const { stream, transport } = await h.raw('reader')
    const packets = Array.from({ length: 64 }, (_, at) => publishPacket('a', Buffer.alloc(1000 + at * 100, at)))
    const expected = Buffer.concat(packets)
    const read = bytesOf(stream, expected.length)
    for (let at = 0; at < packets.length; at += 4) {
      const [first, second, ...more] = packets.slice(at, at + 4) as [Buffer, Buffer, Buffer, Buffer]
      // A packet may come in several buffers.
      const others = [second.subarray(0, 5), second.subarray(5), ...more]
      // A buffer that has been taken is used for something else.
      if (transport.write(first)) first.fill(0xff)
      if (transport.writeMany(others)) for (const other of others) other.fill(0xff)
    }
    assert.ok((await read).equals(expected))
  })

  test('counts what waits while its client reads nothing, and says when it has gone', async h => {
    const { stream, transport } = await h.raw('reader')
    stream.pause()
    let written = 0
    const { length } = publishPacket('a', Buffer.alloc(mebibyte))
    while (transport.bufferedBytes === 0 && written < 256) {
      transport.write(publishPacket('a', Buffer.alloc(mebibyte, written)))
      written += 1
      await new Promise(resolve => setImmediate(resolve))
    }
    assert.ok(transport.bufferedBytes > 0, `of ${written} MiB that nobody reads something waits`)
    const read = await bytesOf(stream, written * length)
    assert.equal(read.length, written * length)
    for (let at = 0; at < written; at++) assert.equal(read[(at + 1) * length - 1], at)
    await h.until(() => transport.bufferedBytes === 0, 'bufferedBytes is 0')
  })

  test('delivers all to a client that reads nothing for a while', async h => {
    const { client, stream } = await h.whole('reader')
    await client.subscribe('#', 1)
    const writer = await h.client('writer')
    stream.pause()
    const payloads = Array.from({ length: 100 }, (_, at) => Buffer.alloc(64 * 1024, at))
    for (let at = 0; at < payloads.length; at += 10)
      await soon(Promise.all(payloads.slice(at, at + 10).map(payload => writer.publish('a', payload, { qos: 1 }))), 'PUBACK')
    stream.resume()
    await h.until(() => client.messages.length === payloads.length, 'all of them')
    for (const [at, { payload }] of client.messages.entries()) assert.ok(payload.equals(payloads[at]!), `message ${at}`)
  })

  test('reads nothing while it is to pause, so that its client has to wait, and loses nothing by it', async h => {
    const { client, stream, transport } = await h.whole('writer')
    transport.pause()
    // More than two sockets' buffers hold, compressed or not.
    const count = 512
    const payload = randomBytes(64 * 1024)
    for (let at = 0; at < count; at++) {
      payload[0] = at % 251
      void client.publish('a', Buffer.from(payload))
    }
    let [came, still] = [-1, 0]
    while (still < stillLooks) {
      still = h.broker.messages.length === came ? still + 1 : 0
      came = h.broker.messages.length
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    assert.ok(came < count, `all ${count} messages have come although nothing is to be read`)
    assert.ok(stream.writableLength > 0, 'the client has to wait')
    transport.resume()
    await h.until(() => h.broker.messages.length === count, 'all of them')
    for (const [at, { payload }] of h.broker.messages.entries()) assert.equal(payload[0], at % 251)
  })

  test('sends what waits before it ends, and the last word to a client that is refused', async h => {
    await assert.rejects(h.client('unwanted'), /refused with 0x8a/)
    const { stream, transport } = await h.raw('reader')
    const packets = Array.from({ length: 8 }, (_, at) => publishPacket('a', Buffer.alloc(mebibyte, at)))
    stream.pause()
    for (const packet of packets) transport.write(Buffer.from(packet))
    transport.end()
    await new Promise(resolve => setImmediate(resolve))
    assert.ok((await bytesOf(stream, Number.POSITIVE_INFINITY)).equals(Buffer.concat(packets)))
    await h.until(() => h.closed.includes(transport), 'onClosed')
  })
}

function publishPacket(topic: string, payload: Buffer): Buffer {
  const packet = { topic, payload, qos: 0, retain: false, dup: false, packetId: 0, properties: undefined } as const
  return encodeClientPacket({ type: PacketType.Publish, ...packet }, 5)
}
