import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ManualClock } from '../../presets/index.ts'
import { eventually } from '../support/eventually.ts'
import { lyingServer } from '../support/webhook-server.ts'
import { postingBroker } from '../support/webhooks.ts'

// Goal: a server that lies, fails or hangs costs no message, and no answer is believed that is none.

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'

/** The first request is answered by a lie, the others as they should be. */
const lies: [what: string, lie: (socket: Socket) => void][] = [
  ['closes without an answer', socket => socket.destroy()],
  ['closes in the middle of the head', socket => socket.end('HTTP/1.1 200 OK\r\ncontent-le')],
  ['says 200 and closes before the body that it named', socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123')],
  ['says 200 and breaks off a body in chunks', socket => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc')],
  ['says 200 with chunks that are none', socket => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc')],
  ['says 200 with two lengths', socket => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\n')],
  ['says noise', socket => socket.write('\x00\x01\x02 noise\r\n\r\n')],
  ['says 200 with a head that does not end', socket => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`)],
  ['says 101', socket => socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')],
  ['redirects elsewhere', socket => socket.write('HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:1/other\r\ncontent-length: 0\r\n\r\n')],
  ['says 304', socket => socket.write('HTTP/1.1 304 N\r\n\r\n')],
  ['says 999', socket => socket.write('HTTP/1.1 999 N\r\ncontent-length: 0\r\n\r\n')],
]

test.each(lies)('a server that %s is asked again', async (_what, lie) => {
  const server = await lyingServer((socket, number) => void (number === 1 ? lie(socket) : socket.write(ok)))
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote' })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  expect(server.requests()).toBe(2)
  expect(broker.figure('failed_requests_total')).toBe(1)
  expect(broker.drops).toEqual([])
})

test.each([
  ['with the answer before', (socket: Socket) => void socket.write(ok + ok)],
  [
    'while nobody asks',
    (socket: Socket) => {
      socket.write(ok)
      setImmediate(() => socket.write(ok))
    },
  ],
])('an answer that comes before its request, %s, is believed by nobody', async (_what, lie) => {
  let first: Socket | undefined
  const answered: string[] = []
  const server = await lyingServer((socket, _number, body) => {
    first ??= socket
    // It says no more there than it has said.
    if (socket === first && answered.length > 0) return
    answered.push(body)
    if (socket === first) lie(socket)
    else socket.write(ok)
  })
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote', timeout: 500 })
  const client = await broker.connect()
  await client.publishAsync('a', 'first', { qos: 1 })
  await client.publishAsync('a', 'second', { qos: 1 })
  // Acknowledged, so a true answer to it has come.
  expect(answered.at(-1)).toContain('second')
})

test('an answer without an end counts by its status, and its connection is given up', async () => {
  const sockets = new Set<Socket>()
  const server = await lyingServer(socket => {
    sockets.add(socket)
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk)) {}
    }
    socket.on('drain', more)
    more()
  })
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote' })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  await client.publishAsync('a', '2', { qos: 1 })
  expect(server.requests()).toBe(2)
  await eventually(() => [...sockets].every(socket => socket.destroyed))
})

test.each([
  ['hangs', () => {}],
  ['drips', (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx')],
  ['says only that it goes on', (socket: Socket) => void socket.write('HTTP/1.1 102 Processing\r\n\r\n')],
])('a server that %s is given up when its time is over, and asked again', async (_what, lie) => {
  const clock = new ManualClock()
  const server = await lyingServer((socket, number) => void (number === 1 ? lie(socket) : socket.write(ok)))
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote', timeout: '10s', linger: 0, retryMin: 10 }, {}, clock)
  const client = await broker.connect({ keepalive: 0 })
  const published = client.publishAsync('a', '1', { qos: 1 })
  await eventually(() => {
    clock.advance(1)
    return server.requests() === 1
  })
  clock.advance(10_000)
  await eventually(() => broker.figure('failed_requests_total') === 1)
  await eventually(() => {
    clock.advance(10)
    return server.requests() === 2
  })
  await published
  expect(broker.lines.find(({ message }) => message.includes('nothing within 10 s'))?.level).toBe('error')
})

test('a connection that the server has closed while it idled costs no pause', async () => {
  const server = await lyingServer((socket, number) => void (number === 2 ? socket.resetAndDestroy() : socket.write(ok)))
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote' })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  await client.publishAsync('a', '2', { qos: 1 })
  expect([server.requests(), broker.figure('failed_requests_total')]).toEqual([3, 0])
})
