import { once } from 'node:events'
import { connect as connectSocket, createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { rawHandles } from '../../plugins/kit/transports/stream-binding.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { rawConnection } from '../support/raw-connection.ts'

/** A connection that notes what its events say. */
async function open() {
  const { transport, theirs } = await rawConnection()
  const read: Buffer[] = []
  let drained = 0
  let arrived: () => void = () => {}
  const closed = new Promise<Error | undefined>(resolve =>
    transport.start({
      onData: (chunk, start, end) => {
        // The buffer is everybody's: what is to be kept is copied.
        read.push(Buffer.from(chunk.subarray(start, end)))
        arrived()
      },
      onDrain: () => {
        drained += 1
      },
      onClose: resolve,
    }),
  )
  const heard = async (bytes: number): Promise<string> => {
    while (Buffer.concat(read).length < bytes) await new Promise<void>(resolve => (arrived = resolve))
    return Buffer.concat(read).toString()
  }
  return { transport, theirs, closed, heard, drained: () => drained }
}

async function all(theirs: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of theirs) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe("a connection on Node's own handle", () => {
  test('reads and writes, and knows where its client is', async () => {
    const { transport, theirs, heard } = await open()
    theirs.write('from there')
    expect(await heard(10)).toBe('from there')
    expect(transport.write(Buffer.from('from '))).toBe(true)
    expect(transport.writeMany([Buffer.from('he'), Buffer.from('re')])).toBe(true)
    const chunks: Buffer[] = []
    while (Buffer.concat(chunks).length < 9) chunks.push((await once(theirs, 'data'))[0] as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe('from here')
    expect(transport).toMatchObject({ protocol: 'tcp', remoteAddress: '127.0.0.1', remotePort: theirs.localPort, bufferedBytes: 0 })
  })

  test('hands nothing over while it is paused, and all of it afterwards', async () => {
    const { transport, theirs, heard } = await open()
    theirs.write('one')
    await heard(3)
    transport.pause()
    // The kernel has it on the other side as soon as it has taken it on this one; a turn of the loop would read it.
    await new Promise<void>(resolve => theirs.write('two', () => resolve()))
    for (let turns = 0; turns < 3; turns++) await new Promise(resolve => setImmediate(resolve))
    expect(await heard(3)).toBe('one')
    transport.resume()
    expect(await heard(6)).toBe('onetwo')
  })

  test('says what the kernel does not take, tells when it has gone, and then ends with every byte delivered', async () => {
    const { transport, theirs, closed, drained } = await open()
    theirs.pause()
    const block = Buffer.alloc(1_000_000, 'x')
    let sent = 0
    do {
      transport.write(block)
      sent += 1
    } while (transport.bufferedBytes === 0)
    expect(transport.writeMany([block, block])).toBe(false)
    sent += 2
    expect(drained()).toBe(0)
    transport.end()
    const got = await all(theirs)
    expect(got.length).toBe(sent * block.length)
    expect(await closed).toBeUndefined()
  })

  test('ends without an error when the client does', async () => {
    const { theirs, closed } = await open()
    theirs.end()
    expect(await closed).toBeUndefined()
  })

  test('ends with the error when the client resets it', async () => {
    const { theirs, closed } = await open()
    theirs.resetAndDestroy()
    expect(await closed).toMatchObject({ code: 'ECONNRESET', syscall: 'read' })
  })

  test('takes writes, pauses and a second end after it was destroyed, and closes once', async () => {
    const { transport, closed } = await open()
    transport.destroy()
    transport.destroy()
    expect(transport.write(Buffer.from('x'))).toBe(true)
    expect(transport.writeMany([Buffer.from('x')])).toBe(true)
    transport.pause()
    transport.resume()
    transport.end()
    expect(await closed).toBeUndefined()
    expect(transport.bufferedBytes).toBe(0)
  })
})

test('a server that does not listen yet has no handles to give', () => {
  expect(rawHandles(createServer())).toBeNull()
})

test.each([true, false])('clients are served with sharedRead %s', async sharedRead => {
  const { running, broker } = await startBroker({ socket: { port: 0, sharedRead } })
  const client = new TestClient(connectSocket(running.port!, '127.0.0.1'), 5)
  await client.connect({ clientId: 'one' })
  await client.subscribe('a', 1)
  const payload = Buffer.alloc(300_000, 'p')
  client.sendPublish('a', payload, { qos: 1 })
  expect((await client.receive()).payload.equals(payload)).toBe(true)
  expect(broker.clientOf('one')!.transport.constructor.name).toBe(sharedRead ? 'RawTransport' : 'StreamTransport')
})
