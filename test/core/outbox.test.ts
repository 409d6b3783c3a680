import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { arenaBuffers, copyBytes, readBuffer } from '../../core/connection/buffer-pool.ts'
import { Flusher } from '../../core/connection/flusher.ts'
import { Outbox } from '../../core/connection/outbox.ts'
import type { Transport } from '../../core/connection/transport.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { connectTo, rawConnection } from '../support/raw-connection.ts'
import { messageOf } from './messages.ts'
import { SlowStream } from './slow-stream.ts'

const options = { protocol: 'memory', listener: 'test' }
const turn = () => new Promise(resolve => setImmediate(resolve))

/** An outbox on a stream, wired as a connection wires it. */
function outboxOn(stream: ConstructorParameters<typeof StreamTransport>[0], flusher: Flusher, takesBytes: boolean): Outbox {
  const transport = new StreamTransport(stream, { ...options, takesBytes })
  const outbox = new Outbox(transport, flusher)
  transport.listen({ onData: () => {}, onDrain: () => outbox.drained(), onClose: () => outbox.discard() })
  return outbox
}

/** An outbox on an accepted socket, and the other end of the connection. */
async function socketOutbox(flusher: Flusher): Promise<[outbox: Outbox, theirs: Socket]> {
  const server = createServer({ pauseOnConnect: true })
  const theirs = await connectTo(server)
  const [ours] = (await once(server, 'connection')) as [Socket]
  onTestFinished(() => void ours.destroy())
  return [outboxOn(ours, flusher, true), theirs]
}

/** The same on Node's own handle. */
async function handleOutbox(flusher: Flusher): Promise<[outbox: Outbox, theirs: Socket]> {
  const { transport, theirs } = await rawConnection()
  const outbox = new Outbox(transport, flusher)
  transport.start({ onData: () => {}, onDrain: () => outbox.drained(), onClose: () => outbox.discard() })
  return [outbox, theirs]
}

/** Says something of about `size` bytes in one of the ways in which a connection says things; returns the bytes. */
function say(outbox: Outbox, size: number, seed: number): Buffer {
  const letter = String.fromCharCode(97 + (seed % 26))
  if (size < 10) {
    outbox.ack(0x40, seed & 0xffff)
    return Buffer.from([0x40, 2, (seed >>> 8) & 0xff, seed & 0xff])
  }
  if (seed % 3 === 0) {
    const bytes = Buffer.alloc(size, letter)
    outbox.bytes(bytes)
    return Buffer.from(bytes)
  }
  const qos = seed % 2 === 0 ? 1 : 0
  const message = messageOf(Buffer.alloc(size, letter), { topic: 'a/b' })
  // Every second one is asked for twice, as where there are several receivers, and so is shared by reference.
  if (seed % 4 < 2) message.frame(4, qos, false)
  const frame = message.frame(4, qos, false)
  const packetId = qos === 0 ? 0 : seed & 0xffff || 1
  outbox.publish(frame, packetId, false)
  const bytes = Buffer.concat(frame.payload === null ? [frame.head] : [frame.head, frame.payload])
  if (qos > 0) bytes.writeUInt16BE(packetId, frame.packetIdAt)
  return bytes
}

/** The same to all of them, as in a fan-out, the last under another packet identifier where there is one; returns the bytes for each. */
function sayAll(outboxes: readonly Outbox[], size: number, seed: number): Buffer[] {
  const qos = seed % 2 === 0 ? 1 : 0
  const message = messageOf(Buffer.alloc(size, String.fromCharCode(97 + (seed % 26))), { topic: 'a/b' })
  message.frame(4, qos, false)
  const frame = message.frame(4, qos, false)
  return outboxes.map((outbox, i) => {
    const packetId = qos === 0 ? 0 : i === outboxes.length - 1 ? 77 : (seed & 0xffff) + 1
    outbox.publish(frame, packetId, false)
    const bytes = Buffer.concat(frame.payload === null ? [frame.head] : [frame.head, frame.payload])
    if (qos > 0) bytes.writeUInt16BE(packetId, frame.packetIdAt)
    return bytes
  })
}

const aSize = fc.oneof(
  fc.constant(4),
  fc.integer({ min: 10, max: 300 }),
  fc.integer({ min: 1500, max: 5000 }),
  fc.integer({ min: 10_000, max: 40_000 }),
)
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('say' as const), which: fc.nat(2), size: aSize }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('all' as const), which: fc.constant(0), size: aSize }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'turn' as const, which: 0, size: 0 }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('accept' as const), which: fc.nat(2), size: fc.constant(0) }) },
  ),
  { maxLength: 80, size: 'max' },
)

describe('an outbox on a stream that takes its time', () => {
  for (const [name, highWaterMark] of [
    ['a high-water mark that is soon passed', 64],
    ['one that never is', 100_000_000],
  ] as const) {
    test(`brings every byte in order and changes none while the stream holds it, by ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(steps, async list => {
          const flusher = new Flusher(new SystemClock())
          // Three share the pool of buffers, so that what one gave back too early another would overwrite.
          const streams = [0, 1, 2].map(() => new SlowStream(highWaterMark))
          const outboxes = streams.map(stream => outboxOn(stream, flusher, true))
          const said: Buffer[][] = [[], [], []]
          for (const [seed, { kind, which, size }] of list.entries()) {
            if (kind === 'say') said[which]!.push(say(outboxes[which]!, size, seed))
            else if (kind === 'all') for (const [i, bytes] of sayAll(outboxes, size, seed).entries()) said[i]!.push(bytes)
            else if (kind === 'turn') await turn()
            else streams[which]!.accept()
          }
          await turn()
          while (streams.some(({ holds }) => holds)) {
            for (const stream of streams) stream.accept()
            await turn()
          }
          for (const [i, stream] of streams.entries()) {
            expect(stream.changed).toBe(false)
            expect(Buffer.concat(stream.accepted).equals(Buffer.concat(said[i]!))).toBe(true)
            expect(outboxes[i]!.pendingBytes).toBe(0)
            expect(outboxes[i]!.blocked).toBe(false)
          }
        }),
        { numRuns: 60 },
      )
    })
  }

  test('hands it nothing more until it has accepted the last write, and says how much waits', async () => {
    const stream = new SlowStream()
    const outbox = outboxOn(stream, new Flusher(new SystemClock()), true)
    outbox.bytes(Buffer.alloc(100))
    await turn()
    expect(outbox.blocked).toBe(true)
    for (let i = 0; i < 50; i++) {
      outbox.bytes(Buffer.alloc(5000))
      await turn()
    }
    expect(stream.writes).toBe(1)
    expect(outbox.pendingBytes).toBe(100 + 250_000)
    stream.accept()
    await turn()
    expect(stream.writes).toBe(2)
  })

  test('hands over everything when the connection ends, and the stream ends behind it', async () => {
    const stream = new SlowStream()
    const flusher = new Flusher(new SystemClock())
    const outbox = outboxOn(stream, flusher, true)
    outbox.bytes(Buffer.from('first '))
    await turn()
    outbox.bytes(Buffer.from('last words'))
    outbox.finish()
    stream.end()
    while (stream.holds) {
      stream.accept()
      await turn()
    }
    expect(Buffer.concat(stream.accepted).toString()).toBe('first last words')
    expect(stream.writableFinished).toBe(true)
  })
})

describe('what is said in one turn', () => {
  test('leaves in one write, acknowledgements and messages alike', async () => {
    const stream = new SlowStream()
    const flusher = new Flusher(new SystemClock())
    const outbox = outboxOn(stream, flusher, true)
    for (let i = 1; i <= 1000; i++) say(outbox, i % 50, i)
    expect(flusher.writes).toBe(0)
    await turn()
    expect(flusher.writes).toBe(1)
    expect(stream.writes).toBe(1)
  })

  test('does not wait for the end of the turn from 64 KiB on, so that a reader that has stopped is found out', () => {
    const stream = new SlowStream()
    const outbox = outboxOn(stream, new Flusher(new SystemClock()), true)
    for (let i = 0; i < 100; i++) outbox.bytes(Buffer.alloc(1000))
    expect(stream.writes).toBe(1)
    expect(outbox.blocked).toBe(true)
  })
})

test('does not touch a shared frame: the packet identifier and DUP go into each copy [MQTT-3.3.1-1]', async () => {
  const streams = [new SlowStream(), new SlowStream()]
  const flusher = new Flusher(new SystemClock())
  const outboxes = streams.map(stream => outboxOn(stream, flusher, true))
  const frame = messageOf('x').frame(4, 1, false)
  outboxes[0]!.publish(frame, 0x0102, false)
  outboxes[1]!.publish(frame, 0x0304, true)
  await turn()
  for (const stream of streams) stream.accept()
  expect(streams.map(({ accepted }) => Buffer.concat(accepted).toString('hex'))).toEqual(['3206000174010278', '3a06000174030478'])
  expect(frame.head.toString('hex')).toBe('3206000174000078')
})

const sockets = [
  ['sockets', socketOutbox],
  ['handles', handleOutbox],
] as const

test.each(sockets)(
  'brings every byte over real %s whose readers stop and go on, and changes none that the kernel has not taken',
  async (_what, open) => {
    const flusher = new Flusher(new SystemClock())
    const pairs = await Promise.all([0, 1, 2].map(() => open(flusher)))
    const outboxes = pairs.map(([outbox]) => outbox)
    const said: Buffer[] = [Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0)]
    // The second reads at once, the others begin when the kernel is full.
    const heard = pairs.map(([, theirs], i) => {
      const chunks: Buffer[] = []
      if (i !== 1) theirs.pause()
      theirs.on('data', chunk => chunks.push(chunk))
      if (i !== 1) theirs.pause()
      return chunks
    })
    const parts: Buffer[][] = [[], [], []]
    for (let seed = 1; outboxes[0]!.pendingBytes < 2_000_000 || outboxes[2]!.pendingBytes < 2_000_000; seed++) {
      for (const [i, outbox] of outboxes.entries()) parts[i]!.push(say(outbox, [4, 200, 3000, 20_000][(seed + i) % 4]!, seed * 3 + i))
      for (const [i, bytes] of sayAll(outboxes, [30, 500, 2000][seed % 3]!, seed).entries()) parts[i]!.push(bytes)
      if (seed % 7 === 0) await turn()
    }
    for (const i of [0, 1, 2]) said[i] = Buffer.concat(parts[i]!)
    for (const [, theirs] of pairs) theirs.resume()
    const lengthOf = (chunks: Buffer[]) => chunks.reduce((sum, { length }) => sum + length, 0)
    for (const [i, [, theirs]] of pairs.entries()) while (lengthOf(heard[i]!) < said[i]!.length) await once(theirs, 'data')
    for (const i of [0, 1, 2]) expect(Buffer.concat(heard[i]!).equals(said[i]!)).toBe(true)
    await turn()
    expect(outboxes.map(({ pendingBytes }) => pendingBytes)).toEqual([0, 0, 0])
  },
)

describe('a stream transport', () => {
  test('tells of bytes, of its end and of an error, each to the one who listens', async () => {
    const [ours, theirs] = duplexPair()
    const told: string[] = []
    const transport = new StreamTransport(ours, { ...options, remoteAddress: '192.0.2.1', remotePort: 7 })
    expect(transport).toMatchObject({ protocol: 'memory', listener: 'test', remoteAddress: '192.0.2.1', remotePort: 7 })
    const closed = new Promise<void>(resolve =>
      transport.listen({
        onData: (chunk, start, end) => told.push(chunk.toString('latin1', start, end)),
        onDrain: () => {},
        onClose: error => {
          told.push(`closed ${error?.message}`)
          resolve()
        },
      }),
    )
    theirs.write('hello')
    await turn()
    ours.destroy(new Error('broken'))
    await closed
    expect(told).toEqual(['hello', 'closed broken'])
  })

  test('stops reading while it is paused', async () => {
    const [ours, theirs] = duplexPair()
    const told: string[] = []
    const transport = new StreamTransport(ours, options)
    transport.listen({ onData: (chunk, start, end) => told.push(chunk.toString('latin1', start, end)), onDrain() {}, onClose() {} })
    transport.pause()
    theirs.write('hello')
    await turn()
    expect(told).toEqual([])
    transport.resume()
    await turn()
    expect(told).toEqual(['hello'])
  })

  test('never gives back the buffers of a stream that keeps what it is given', async () => {
    const [ours, theirs] = duplexPair()
    const flusher = new Flusher(new SystemClock())
    const outbox = outboxOn(ours, flusher, false)
    const heard: Buffer[] = []
    theirs.on('data', chunk => heard.push(chunk))
    let said = Buffer.alloc(0)
    for (let i = 0; i < 200; i++) {
      said = Buffer.concat([said, say(outbox, 100, i)])
      await turn()
    }
    expect(Buffer.concat(heard).equals(said)).toBe(true)
  })
})

describe('buffers that a transport gives back', () => {
  /** Takes nothing at once, and keeps what it was handed until `take`. */
  function reluctant() {
    const handed: Buffer[] = []
    const take = (bytes: Buffer): false => {
      handed.push(bytes)
      transport.bufferedBytes += bytes.length
      return false
    }
    const transport = {
      ...options,
      remoteAddress: '',
      remotePort: 0,
      bufferedBytes: 0,
      returnsBuffers: true,
      write: take,
      writeMany(buffers: readonly Buffer[]) {
        for (const bytes of buffers) take(bytes)
        return false
      },
      pause() {},
      resume() {},
      end() {},
      destroy() {},
    } satisfies Transport
    return { transport, handed }
  }

  // The next buffer that anybody gets, which stays where it was.
  const next = (): Buffer => {
    const buffer = arenaBuffers.take(4, false)
    arenaBuffers.give(buffer)
    return buffer
  }

  for (const [how, gone] of [
    ['when it has taken all', (outbox: Outbox) => outbox.drained()],
    ['when the connection has gone', (outbox: Outbox) => outbox.discard()],
  ] as const) {
    test(`are used again ${how}, and not before`, async () => {
      const { transport, handed } = reluctant()
      const outbox = new Outbox(transport, new Flusher(new SystemClock()))
      const first = next()
      outbox.ack(0x40, 1)
      await turn()
      expect(handed[0]!.byteOffset).toBe(first.byteOffset)
      expect(next().byteOffset).not.toBe(first.byteOffset)
      transport.bufferedBytes = 0
      gone(outbox)
      expect(next()).toBe(first)
    })
  }

  test('are used again when the connection goes before anything could leave', async () => {
    const { transport } = reluctant()
    const outbox = new Outbox(transport, new Flusher(new SystemClock()))
    const first = next()
    outbox.hold()
    outbox.ack(0x40, 1)
    outbox.discard()
    await turn()
    expect(next()).toBe(first)
  })
})

test('copies from where it lies, in the shared read buffer or elsewhere, and nothing beside it', () => {
  const into = arenaBuffers.take(256, false)
  const elsewhere = Buffer.from('0123456789')
  elsewhere.copy(readBuffer, 100)
  for (const [from, start] of [
    [readBuffer, 100],
    [elsewhere, 0],
  ] as const) {
    into.fill('.')
    copyBytes(from, start + 2, start + 5, into, 3)
    expect(into.toString('latin1', 0, 8)).toBe('...234..')
    copyBytes(elsewhere, 0, 10, into, 246)
    expect(into.toString('latin1', 246)).toBe('0123456789')
  }
  arenaBuffers.give(into)
})
