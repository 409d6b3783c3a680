import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import { type Config, ReasonCode } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { folderWith } from '../config/folder.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'
import { TestCa } from '../support/test-ca.ts'

// Goal: behind proxies each client has its own address, everywhere and for every limit, and nobody else can choose one. Method: raw headers, and Debian's haproxy.

const header = (address: string, port = 40_000) => `PROXY TCP4 ${address} 192.0.2.1 ${port} 1883\r\n`

async function dial(port: number, first: string | Buffer) {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  if (first.length > 0) socket.write(first)
  return socket
}

const behind = async (port: number, address: string) => new TestClient(await dial(port, header(address)), 5)

function transportOf({ broker }: RunningBroker, clientId: string) {
  return broker.clientOf(clientId)!.transport
}

test.each([true, false])('a client has the address that the proxy says; sharedRead %s', async sharedRead => {
  const broker = await startOnSocket({ socket: { port: 0, trustedProxies: ['127.0.0.0/8'], sharedRead } })
  const client = await behind(broker.port, '203.0.113.7')
  expect((await client.connect({ clientId: 'meter' })).reasonCode).toBe(0)
  expect(transportOf(broker, 'meter')).toMatchObject({ remoteAddress: '203.0.113.7', remotePort: 40_000, proxied: { by: '127.0.0.1' } })
  await client.subscribe('a')
  client.sendPublish('a', Buffer.alloc(100_000))
  expect((await client.receive()).payload.length).toBe(100_000)
})

test('header and CONNECT may come in one piece, and the header byte by byte', async () => {
  const broker = await startOnSocket({ socket: { port: 0, trustedProxies: ['127.0.0.1'] } })
  const connectPacket = Buffer.from('100f00044d5154540402003c0003746c73', 'hex')
  const socket = await dial(broker.port, Buffer.concat([Buffer.from(header('203.0.113.7')), connectPacket]))
  expect(String(((await once(socket, 'data')) as [Buffer])[0].toString('hex'))).toBe('20020000')
  const slow = await dial(broker.port, '')
  slow.setNoDelay(true)
  for (const letter of header('203.0.113.8')) slow.write(letter)
  slow.write(connectPacket)
  await once(slow, 'data')
  expect(transportOf(broker, 'tls').remoteAddress).toBe('203.0.113.8')
})

test('limits count by the true address', async () => {
  const broker = await startOnSocket({
    socket: { port: 0, trustedProxies: ['127.0.0.1'] },
    limits: { maxConnectionsPerAddress: 1 },
  } as Config)
  const first = await behind(broker.port, '203.0.113.7')
  expect((await first.connect({ clientId: 'first' })).reasonCode).toBe(0)
  const second = await behind(broker.port, '203.0.113.7')
  second.sendConnect({ clientId: 'second' })
  await second.closed
  const other = await behind(broker.port, '203.0.113.8')
  expect((await other.connect({ clientId: 'other' })).reasonCode).toBe(0)
})

test('whoever is no trusted proxy and sends a header is refused; without one it is a client like any other', async () => {
  const broker = await startOnSocket({ socket: { port: 0, trustedProxies: ['10.0.0.0/8'] } })
  const plain = new TestClient(await dial(broker.port, ''), 5)
  expect((await plain.connect({ clientId: 'plain' })).reasonCode).toBe(0)
  expect(transportOf(broker, 'plain')).toMatchObject({ remoteAddress: '127.0.0.1', proxied: undefined })
  for (const first of [header('203.0.113.7'), Buffer.from('0d0a0d0a000d0a515549540a2111000ccb007107c0000201dc04075b', 'hex')]) {
    await once(await dial(broker.port, first), 'close')
  }
})

test('a trusted proxy without a header, with a broken one, with none in time, or that ends is refused, and the log says why', async () => {
  const log = keptLog()
  const clock = new ManualClock()
  const broker = await startOnSocket({ log: false, socket: { port: 0, trustedProxies: ['127.0.0.1'] }, plugins: [log.plugin] }, clock)
  await once(await dial(broker.port, Buffer.from('100f00044d5154540402003c0003746c73', 'hex')), 'close')
  await once(await dial(broker.port, 'PROXY TCP4 nonsense\r\n'), 'close')
  const ending = await dial(broker.port, 'PROXY ')
  ending.end()
  await once(ending, 'close')
  const slow = await dial(broker.port, 'PROXY TCP4 ')
  const closed = once(slow, 'close')
  // The broker has it when a later connection has been answered.
  await (await behind(broker.port, '203.0.113.7')).connect()
  await clock.advance(5000)
  await closed
  await broker.stop()
  const [line, ...more] = log.lines.filter(({ message }) => message.includes('PROXY'))
  expect(line).toMatchObject({ level: 'warn', fields: { address: '127.0.0.1', reason: 'no header of the PROXY protocol', count: 1 } })
  expect(more.reduce((sum, { fields }) => sum + Number(fields.count), 0)).toBe(3)
  expect(broker.broker.counters.connectionsRefused).toBe(4)
})

test('a proxy that looks whether the broker is well has its own address', async () => {
  const broker = await startOnSocket({ socket: { port: 0, trustedProxies: ['127.0.0.1'] } })
  const client = new TestClient(await dial(broker.port, Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')), 5)
  await client.connect({ clientId: 'probe' })
  expect(transportOf(broker, 'probe')).toMatchObject({ remoteAddress: '127.0.0.1', proxied: undefined })
})

test('TLS behind the header: the handshake is with the client', async () => {
  const ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
  const broker = await startOnSocket({
    socket: { port: 0, trustedProxies: ['127.0.0.1'], alpn: ['x-meter', 'mqtt'] },
    ssl: { cert: ca.path('server.crt'), key: ca.path('server.key') },
  })
  const raw = await dial(broker.port, header('203.0.113.9'))
  const socket = connectTls({ socket: raw, servername: 'localhost', ca: ca.cert, ALPNProtocols: ['x-meter'] })
  await once(socket, 'secureConnect')
  expect(socket.alpnProtocol).toBe('x-meter')
  await new TestClient(socket, 5).connect({ clientId: 'secure' })
  expect(transportOf(broker, 'secure')).toMatchObject({ protocol: 'tls', remoteAddress: '203.0.113.9' })
})

test('what is no address is an error at the start', async () => {
  await expect(startOnSocket({ socket: { port: 0, trustedProxies: ['10.0.0.0/33'] } })).rejects.toThrow(
    /^socket\.trustedProxies\[0\]: 10\.0\.0\.0\/33 is no address; /,
  )
})

async function webSocket(port: number, headers: Record<string, string>): Promise<WebSocket | number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt', { headers })
  onTestFinished(() => socket.terminate())
  return new Promise(resolve => {
    socket.on('open', () => resolve(socket))
    socket.on('error', () => {})
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode!))
  })
}

const ws = (options: object, more: Config = {}) => startOnSocket({ socket: false, websocket: { port: 0, ...options }, ...more } as Config)

test.each([false, true])(
  'WebSocket: X-Forwarded-For counts from trusted proxies, behind which there may be more; compression %s',
  async compression => {
    const limits = { maxConnectionsPerAddress: 1 }
    const broker = await ws({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'], compression }, { limits } as Config)
    const closed: string[] = []
    broker.hooks.onClosed.tap('test', ({ remoteAddress }) => void closed.push(remoteAddress))
    const socket = (await webSocket(broker.port, { 'x-forwarded-for': '1.1.1.1, 203.0.113.7, 10.1.2.3' })) as WebSocket
    const client = new TestClient(createWebSocketStream(socket), 5)
    expect((await client.connect({ clientId: 'meter' })).reasonCode).toBe(0)
    expect(transportOf(broker, 'meter')).toMatchObject({ remoteAddress: '203.0.113.7', proxied: { by: '127.0.0.1' } })
    const second = (await webSocket(broker.port, { 'x-forwarded-for': '203.0.113.8:4711' })) as WebSocket
    expect((await new TestClient(createWebSocketStream(second), 5).connect({ clientId: 'other' })).reasonCode).toBe(0)
    const third = (await webSocket(broker.port, { 'x-forwarded-for': '203.0.113.7' })) as WebSocket
    const refused = new TestClient(createWebSocketStream(third), 5)
    refused.sendConnect({ clientId: 'third' })
    await refused.closed
    const ended = once(socket, 'close')
    client.stream.destroy()
    await ended
    for (const [header, why] of Object.entries({ '': 'none', nonsense: 'no address', '203.0.113.7, unknown': 'no address at the end' }))
      expect(await webSocket(broker.port, header === '' ? {} : { 'x-forwarded-for': header }), why).toBe(400)
    expect(closed).toEqual(['203.0.113.7', '203.0.113.7'])
  },
)

test('WebSocket: whoever is no trusted proxy and sends X-Forwarded-For is refused; where no proxies are named it counts for nothing', async () => {
  const guarded = await ws({ trustedProxies: ['10.0.0.0/8'] })
  expect(await webSocket(guarded.port, { 'x-forwarded-for': '203.0.113.7' })).toBe(400)
  expect(await webSocket(guarded.port, {})).toBeInstanceOf(WebSocket)
  const open = await ws({})
  const socket = (await webSocket(open.port, { 'x-forwarded-for': '203.0.113.7' })) as WebSocket
  await new TestClient(createWebSocketStream(socket), 5).connect({ clientId: 'plain' })
  expect(transportOf(open, 'plain').remoteAddress).toBe('127.0.0.1')
})

test('WebSocket behind the PROXY protocol, and plain requests there', async () => {
  const broker = await ws({ trustedProxies: ['127.0.0.1'], proxyProtocol: true })
  const raw = await dial(broker.port, header('203.0.113.7'))
  const socket = new WebSocket(`ws://127.0.0.1:${broker.port}/mqtt`, 'mqtt', { createConnection: () => raw })
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  await new TestClient(createWebSocketStream(socket), 5).connect({ clientId: 'meter' })
  expect(transportOf(broker, 'meter')).toMatchObject({ remoteAddress: '203.0.113.7', proxied: { by: '127.0.0.1' } })
  const plain = await dial(broker.port, `${header('203.0.113.8')}GET / HTTP/1.1\r\nHost: x\r\n\r\n`)
  expect(String(((await once(plain, 'data')) as [Buffer])[0])).toContain('HTTP/1.1 200')
})

const run = promisify(execFile)

test('haproxy 2: PROXY v2 with TLS facts and the name of a client certificate, v1, and its own checks', { timeout: 30_000 }, async () => {
  await run('haproxy', ['-v']).catch(() => {
    throw new Error('haproxy is missing: run  sudo apt-get install haproxy')
  })
  const ca = await TestCa.create(await folderWith())
  const { cert, key } = await ca.issue('server', 'localhost')
  const meter = await ca.client('meter', 'meter-7')
  const broker = await startOnSocket({
    socket: { port: 0, trustedProxies: ['127.0.0.1'] },
    limits: { maxConnectionsPerAddress: 2 },
    authCertificate: { required: false },
    allowAnonymous: true,
  } as Config)
  const [v2, v1] = await freePorts(2)
  await writeFile(join(ca.folder, 'both.pem'), `${cert}${key}`)
  await writeFile(
    join(ca.folder, 'haproxy.cfg'),
    `global
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen v2
  bind 127.0.0.1:${v2} ssl crt ${ca.path('both.pem')} ca-file ${ca.path('ca.crt')} verify optional alpn mqtt
  server broker 127.0.0.1:${broker.port} send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority check check-send-proxy inter 50
listen v1
  bind 127.0.0.1:${v1}
  server broker 127.0.0.1:${broker.port} send-proxy
`,
  )
  const child = spawn('haproxy', ['-db', '-f', join(ca.folder, 'haproxy.cfg')], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  await reachable(v1!)

  const theirs = connect({ port: v2!, host: '127.0.0.1', localAddress: '127.0.0.5' })
  const socket = connectTls({ socket: theirs, servername: 'localhost', ca: ca.cert, cert: meter.cert, key: meter.key })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  expect((await new TestClient(socket, 5).connect({ clientId: 'meter' })).reasonCode).toBe(0)
  const transport = transportOf(broker, 'meter')
  expect(broker.broker.clientOf('meter')!.username).toBe('meter-7')
  expect(transport).toMatchObject({ remoteAddress: '127.0.0.5', remotePort: theirs.localPort, peerCertificate: { verified: true } })
  expect(transport.proxied).toMatchObject({ by: '127.0.0.1', tls: { version: 'TLSv1.3', serverName: 'localhost' } })

  // Three from one address, two from the other: only the third is one too many.
  const answers: (number | null)[] = []
  for (const localAddress of ['127.0.0.7', '127.0.0.7', '127.0.0.7', '127.0.0.8', '127.0.0.8']) {
    const plain = connect({ port: v1!, host: '127.0.0.1', localAddress })
    onTestFinished(() => void plain.destroy())
    const client = new TestClient(plain, 5)
    const connack = client.connect({ clientId: `c${answers.length}` })
    answers.push(await Promise.race([connack.then(({ reasonCode }) => reasonCode), client.closed.then(() => null)]))
  }
  expect(answers).toEqual([0, 0, ReasonCode.QuotaExceeded, 0, 0])
})

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(server => once(server.close(), 'close')))
  return ports
}

async function reachable(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await new Promise(resolve => setImmediate(resolve))
  }
}
