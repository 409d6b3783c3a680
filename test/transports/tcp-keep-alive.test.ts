import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket from 'ws'
import type { Config } from '../../presets/index.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { eventually } from '../support/eventually.ts'
import { secure, startTlsBroker } from './tls-broker.ts'

// Goal: the system asks silent clients whether they are there. Method: Linux tells of each connection which timer runs on it, and how long it still does; 2 is keep-alive.

const isLinux = process.platform === 'linux'

interface Timer {
  readonly kind: number
  /** Seconds until it is over. */
  readonly seconds: number
}

/** The timer of the broker's end of a connection, by the ports of both. */
async function timerOf(brokerPort: number, clientPort: number): Promise<Timer> {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0')
  const line = new RegExp(`:${hex(brokerPort)} [0-9A-F]+:${hex(clientPort)} 01 \\S+ (\\w\\w):(\\w{8})`)
  const [, kind, ticks] = line.exec(await readFile('/proc/net/tcp', 'latin1'))!
  // In hundredths of a second, whatever the kernel counts in.
  return { kind: Number.parseInt(kind!, 16), seconds: Number.parseInt(ticks!, 16) / 100 }
}

/** The same when nothing is under way any more: until its last answer is acknowledged, a connection has another timer. */
async function idleTimerOf(brokerPort: number, clientPort: number): Promise<Timer> {
  let timer: Timer = { kind: 1, seconds: 0 }
  await eventually(async () => {
    timer = await timerOf(brokerPort, clientPort)
    return timer.kind === 0 || timer.kind === 2
  })
  return timer
}

/** Opens a connection that says nothing; resolves when the broker has it. */
async function silent(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

const ways: readonly [string, Config][] = [
  ["Node's own handles", { socket: { port: 0 } }],
  ['the documented way', { socket: { port: 0, sharedRead: false } }],
]

test.runIf(isLinux).each(ways)('TCP by %s: after 5 minutes, as it is told, or never', async (_way, config) => {
  for (const [tcpKeepAlive, seconds] of [
    [undefined, 300],
    [true, 300],
    ['90s', 90],
    ['100ms', 1],
    [false, 0],
    [0, 0],
  ] as const) {
    const broker = await startOnSocket({ ...config, ...(tcpKeepAlive === undefined ? {} : { tcpKeepAlive }) })
    const socket = await silent(broker.port)
    // The broker has it when it answers.
    socket.write(Buffer.from('100d00044d5154540402000000016b', 'hex'))
    await once(socket, 'data')
    const timer = await idleTimerOf(broker.port, socket.localPort!)
    if (seconds === 0) expect(timer.kind).toBe(0)
    else {
      expect(timer.kind).toBe(2)
      expect(timer.seconds).toBeLessThanOrEqual(seconds + 1)
      // It has begun anew with what was said; a busy machine may have needed some of it.
      if (seconds > 1) expect(timer.seconds).toBeGreaterThan(seconds / 2)
    }
  }
})

test.runIf(isLinux)('TLS, WebSocket, compressed too, and WebSocket with TLS', async () => {
  const tls = await startTlsBroker({ socket: { port: 0 }, tcpKeepAlive: '77s' })
  const secured = await secure(tls)
  expect(await idleTimerOf(tls.port('socket'), secured.localPort!)).toMatchObject({ kind: 2 })
  for (const compression of [false, true]) {
    const broker = await startOnSocket({ socket: false, websocket: { port: 0, compression }, tcpKeepAlive: '77s' })
    const socket = new WebSocket(`ws://127.0.0.1:${broker.port}/mqtt`, 'mqtt')
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    const { localPort } = (socket as unknown as { _socket: Socket })._socket
    expect(await idleTimerOf(broker.port, localPort!)).toMatchObject({ kind: 2 })
  }
  const wss = await startTlsBroker({ socket: false, websocket: { port: 0 }, tcpKeepAlive: '77s' })
  const socket = new WebSocket(`wss://127.0.0.1:${wss.port('websocket')}/mqtt`, 'mqtt', {
    ca: wss.ca.cert,
    servername: 'localhost',
  } as WebSocket.ClientOptions)
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  const { localPort } = (socket as unknown as { _socket: Socket })._socket
  expect(await idleTimerOf(wss.port('websocket'), localPort!)).toMatchObject({ kind: 2 })
})
