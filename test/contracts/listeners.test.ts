import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, it } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { Line } from '../../presets/testing/line.ts'
import { TestCa } from '../support/test-ca.ts'
import { type ListenerOwner, type ListenerTerms, listenerContract } from './suite/index.ts'

// Goal: every listener that the package brings, by each of its ways of reading, and what a program hands over, do what the contract says.

const runner = { describe, it }
const folder = mkdtempSync(join(tmpdir(), 'mqttx-listeners-'))
let ca: TestCa
beforeAll(async () => {
  ca = await TestCa.create(folder)
  await ca.issue('server', 'localhost')
})
afterAll(() => rmSync(folder, { recursive: true }))

const portOf = ({ broker }: RunningBroker): number => broker.listeners[0]!.port
const placed = ({ host, maxConnections }: ListenerTerms) => ({ port: 0, host, ...(maxConnections === undefined ? {} : { maxConnections }) })
const ssl = () => ({ cert: ca.path('server.crt'), key: ca.path('server.key') })

async function opened(stream: Duplex, event: string): Promise<Duplex> {
  await once(stream, event)
  return stream
}

async function webSocket(url: string): Promise<Duplex> {
  const socket = new WebSocket(url, 'mqtt', { ca: ca.cert, perMessageDeflate: url.endsWith('/deflate') })
  await once(socket, 'open')
  return createWebSocketStream(socket)
}

const tcp = (port: number) => opened(connectTcp(port, '127.0.0.1'), 'connect')
const tls = (port: number) => opened(connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: ca.cert }), 'secureConnect')

for (const sharedRead of [true, false]) {
  const way = sharedRead ? '' : ', read by the documented way'
  listenerContract(runner, {
    name: `for TCP${way}`,
    config: terms => ({ socket: { ...placed(terms), sharedRead } }),
    connect: running => tcp(portOf(running)),
  })
  listenerContract(runner, {
    name: `for TLS${way}`,
    config: terms => ({ socket: { ...placed(terms), sharedRead }, ssl: ssl() }),
    connect: running => tls(portOf(running)),
  })
  listenerContract(runner, {
    name: `for WebSocket${way}`,
    config: terms => ({ websocket: { ...placed(terms), sharedRead } }),
    connect: running => webSocket(`ws://127.0.0.1:${portOf(running)}/mqtt`),
  })
}

listenerContract(runner, {
  name: 'for WebSocket over TLS',
  config: terms => ({ websocket: placed(terms), ssl: ssl() }),
  connect: running => webSocket(`wss://localhost:${portOf(running)}/mqtt`),
})

listenerContract(runner, {
  name: 'for WebSocket with compression',
  config: terms => ({ websocket: { ...placed(terms), compression: true, path: '/deflate' } }),
  connect: running => webSocket(`ws://127.0.0.1:${portOf(running)}/deflate`),
})

const socketPath = join(folder, 'mqtt.sock')
listenerContract(runner, {
  name: 'at a Unix socket',
  lacks: ['host'],
  config: ({ maxConnections }) => ({ socket: { socketPath, ...(maxConnections === undefined ? {} : { maxConnections }) } }),
  connect: () => opened(connectTcp(socketPath), 'connect'),
})

let server: Server
let maxConnections: number | undefined
const attached: ListenerOwner = {
  name: 'that is a server of the program, attached',
  lacks: ['host', 'unlisten'],
  config(terms) {
    maxConnections = terms.maxConnections
    return {}
  },
  async started(running) {
    server = createServer((_request, response) => void response.writeHead(404).end()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    await running.attach(server, maxConnections === undefined ? {} : { maxConnections })
  },
  connect: () => webSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/mqtt`),
  dispose() {
    server.closeAllConnections()
    server.close()
  },
}
listenerContract(runner, attached)

listenerContract(runner, {
  name: 'that there is none of: streams in memory that the program hands over',
  lacks: ['host', 'unlisten', 'maxConnections'],
  config: () => ({}),
  connect(running) {
    const [ours, theirs] = Line.pair()
    running.accept(theirs)
    return ours
  },
})
