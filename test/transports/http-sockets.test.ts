import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import type { Transport } from '../../core/connection/transport.ts'
import { type Config, definePlugin } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'
import { startTlsBroker } from './tls-broker.ts'

// Goal: what speaks HTTP is bounded before it has become a WebSocket. Method: bare sockets, and WebSockets of the package `ws`, on real listeners.

const startWs = (config: Config = {}, clock?: ManualClock) => startOnSocket({ socket: false, websocket: { port: 0 }, ...config }, clock)

const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

/** A bare connection that has been accepted, what has come by it, and when it is closed. */
async function dial(port: number) {
  const socket = connectTcp(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  const dialled = { socket, text: '', closed: once(socket, 'close') }
  socket.on('data', chunk => {
    dialled.text += String(chunk)
  })
  await once(socket, 'connect')
  return dialled
}

async function webSocket(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, 'mqtt', { rejectUnauthorized: false })
  socket.on('error', () => {})
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

async function client(port: number): Promise<TestClient> {
  return new TestClient(createWebSocketStream(await webSocket(`ws://127.0.0.1:${port}/mqtt`)), 5)
}

/** What `onAccept` and `onClosed` have been told of, in order. */
function watch({ hooks }: RunningBroker) {
  const seen: { accepted: Transport[]; closed: Transport[] } = { accepted: [], closed: [] }
  hooks.onAccept.tap('test', transport => void seen.accepted.push(transport))
  hooks.onClosed.tap('test', transport => void seen.closed.push(transport))
  return seen
}

test.each([false, true])(
  'compression %s: a connection counts for the limits from when it is accepted, and is the same one as a WebSocket',
  async compression => {
    const broker = await startWs({ websocket: { port: 0, compression }, limits: { maxConnections: 2 } })
    const seen = watch(broker)
    const first = await client(broker.port)
    await first.connect({ clientId: 'first' })
    expect(seen.accepted).toHaveLength(1)
    expect(broker.broker.clientOf('first')!.transport).toBe(seen.accepted[0])
    const silent = await dial(broker.port)
    await expect.poll(() => seen.accepted.length).toBe(2)
    // One too many: it is told so where it becomes MQTT.
    const third = await client(broker.port)
    expect((await third.connect({ clientId: 'third' })).reasonCode).toBe(0x97)
    await third.closed
    expect(broker.broker.counters.limited.connections).toBe(1)
    await expect.poll(() => seen.closed.length).toBe(1)
    silent.socket.destroy()
    await expect.poll(() => seen.closed.length).toBe(2)
    const fourth = await client(broker.port)
    expect((await fourth.connect({ clientId: 'fourth' })).reasonCode).toBe(0)
    first.stream.destroy()
    fourth.stream.destroy()
    await expect.poll(() => seen.closed.length).toBe(4)
    expect(new Set(seen.closed).size).toBe(4)
  },
)

test('of silent connections those that are beyond maxConnections, and too many to be told why, are closed at once', async () => {
  const broker = await startWs({ limits: { maxConnections: 10 } })
  const dialled: Awaited<ReturnType<typeof dial>>[] = []
  for (let i = 0; i < 3; i++) dialled.push(...(await Promise.all(Array.from({ length: 100 }, () => dial(broker.port)))))
  // Ten are let in, and 256 at a time are told why they are not, when they send CONNECT.
  await expect.poll(() => dialled.filter(({ socket }) => socket.destroyed).length).toBe(300 - 10 - 256)
  expect(broker.broker.counters.limited.connections).toBe(290)
})

test('a connection with TLS counts from before the handshake on, and what comes of it is told once', async () => {
  const { broker } = await startTlsBroker({ socket: false, websocket: { port: 0 } })
  const seen = watch(broker)
  const silent = await dial(broker.port)
  await expect.poll(() => seen.accepted.length).toBe(1)
  const socket = await webSocket(`wss://127.0.0.1:${broker.port}/mqtt`)
  expect(seen.accepted.map(({ protocol }) => protocol)).toEqual(['wss', 'wss'])
  const talking = new TestClient(createWebSocketStream(socket), 5)
  await talking.connect({ clientId: 'talking' })
  expect(broker.broker.clientOf('talking')!.transport).toBe(seen.accepted[1])
  socket.terminate()
  silent.socket.destroy()
  await expect.poll(() => seen.closed.length).toBe(2)
  expect(new Set(seen.closed)).toEqual(new Set(seen.accepted))
})

test.each(['ws', 'wss'])('%s: connections that become no WebSocket have a bound of their own', async protocol => {
  const clock = new ManualClock()
  const { lines, plugin } = keptLog()
  const config = { socket: false, websocket: { port: 0, httpConnectionsMax: 2 }, log: false, plugins: [plugin] } as const
  const broker = protocol === 'ws' ? await startWs(config, clock) : (await startTlsBroker(config, clock)).broker
  const seen = watch(broker)
  const first = await dial(broker.port)
  const second = await dial(broker.port)
  await expect.poll(() => seen.accepted.length).toBe(2)
  // Both have just come, so that they may be in the midst of a handshake.
  const third = await dial(broker.port)
  await third.closed
  await clock.advance(2000)
  const fourth = await dial(broker.port)
  await first.closed
  expect([second, fourth].map(({ socket }) => socket.destroyed)).toEqual([false, false])
  expect(broker.broker.counters.limited.httpConnections).toBe(2)
  expect(seen.closed).toEqual([seen.accepted[0]])
  // A WebSocket is none of them.
  second.socket.destroy()
  await expect.poll(() => seen.closed.length).toBe(2)
  const open = await webSocket(`${protocol}://127.0.0.1:${broker.port}/mqtt`)
  const fifth = await dial(broker.port)
  await expect.poll(() => seen.accepted.length).toBe(5)
  expect([fourth, fifth].map(({ socket }) => socket.destroyed)).toEqual([false, false])
  expect(open.readyState).toBe(WebSocket.OPEN)
  expect(lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
    expect.stringContaining('websocket.httpConnectionsMax: 2 connections are no WebSocket yet'),
  ])
})

test('eight requests on one connection, while no plugin serves anything; as many as anybody likes where one does', async () => {
  const ask = async (broker: RunningBroker): Promise<number> => {
    const dialled = await dial(broker.port)
    dialled.socket.write(request.repeat(20))
    const count = () => dialled.text.match(/HTTP\/1\.1 200/g)?.length ?? 0
    await Promise.race([dialled.closed, expect.poll(count).toBe(20)])
    dialled.socket.destroy()
    return count()
  }
  expect(await ask(await startWs())).toBe(8)
  const page = definePlugin({
    name: 'page',
    requires: ['http'],
    apply({ services }) {
      return { start: () => void services.get('http').handle('/page', (_request, response) => void response.end()) }
    },
  })
  expect(await ask(await startWs({ plugins: [page()] }))).toBe(20)
})

test('a request for a WebSocket that has a body is refused', async () => {
  const broker = await startWs()
  for (const header of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
    const dialled = await dial(broker.port)
    const upgrade = 'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
    dialled.socket.write(`${upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n${header}\r\n\r\n`)
    await dialled.closed
    expect(dialled.text).toMatch(/^HTTP\/1\.1 400 /)
  }
})
