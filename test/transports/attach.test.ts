import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream, WebSocketServer } from 'ws'
import { type Config, createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { TestClient } from '../support/client.ts'
import { TestCa } from '../support/test-ca.ts'

// Goal: a broker serves MQTT at a path of somebody else's server, which keeps all else, by the rule for who may connect. Method: servers of node:http, as Fastify and
// Express have them, and WebSockets of the package `ws`.

async function started(config: Config = {}) {
  const running = await createBroker({ preset: 'test', socket: false, log: { level: 'silent' }, ...config }).start()
  onTestFinished(() => running.stop())
  return running
}

const hello: RequestListener = (request, response) => {
  let size = 0
  request.on('data', (chunk: Buffer) => (size += chunk.length))
  request.on('end', () => response.end(`hello ${request.method} ${request.url} ${size}`))
}

async function listening(server: Server, host = '127.0.0.1'): Promise<number> {
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function webSocket(port: number, path = '/mqtt', options: WebSocket.ClientOptions = {}, scheme = 'ws'): WebSocket {
  const socket = new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, 'mqtt', options)
  socket.on('error', () => {})
  onTestFinished(() => socket.terminate())
  return socket
}

async function client(...place: Parameters<typeof webSocket>): Promise<TestClient> {
  const socket = webSocket(...place)
  await once(socket, 'open')
  return new TestClient(createWebSocketStream(socket), 5)
}

async function status(socket: WebSocket): Promise<number> {
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number; resume(): void }]
  response.resume()
  return response.statusCode
}

test.each([false, true])(
  'compression %s: MQTT at a path of a server that listens, and the rest stays with the server',
  async compression => {
    const broker = await started()
    const server = createServer(hello)
    const port = await listening(server)
    await broker.attach(server, { compression })
    const one = await client(port)
    await one.connect({ clientId: 'one' })
    await one.subscribe('a/#', 1)
    const two = await client(port)
    await two.connect({ clientId: 'two' })
    await two.publish('a/b', Buffer.alloc(100_000, 7), { qos: 1 })
    expect((await one.receive()).payload.length).toBe(100_000)
    expect(broker.broker.listeners).toEqual([{ name: 'attach', protocol: 'ws', host: '127.0.0.1', port }])
    expect(broker.port).toBe(port)
    expect(await (await fetch(`http://127.0.0.1:${port}/mqtt`)).text()).toBe('hello GET /mqtt 0')
    expect(await status(webSocket(port, '/other'))).toBe(404)
  },
)

test('a request that offers to go on as HTTP/2 is answered by the server, with its body, as without a broker', async () => {
  const broker = await started()
  const server = createServer(hello)
  const port = await listening(server)
  await broker.attach(server)
  const socket = connectTcp(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'
  socket.write(`POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n${offer}\r\n01234`)
  socket.write('56789GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  expect(text.match(/hello .*\d/g)?.map(line => line.split('HTTP')[0])).toEqual(['hello POST /form 10', 'hello GET /next 0'])
})

test('other WebSockets of the server are left to their owner', async () => {
  const broker = await started()
  const server = createServer(hello)
  const port = await listening(server)
  const chat = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/chat') chat.handleUpgrade(request, socket, head, one => one.send('welcome'))
  })
  await broker.attach(server)
  const [said] = (await once(webSocket(port, '/chat'), 'message')) as [Buffer]
  expect(String(said)).toBe('welcome')
  await (await client(port)).connect({ clientId: 'one' })
})

test('several brokers have their paths at one server; a path has one', async () => {
  const [red, blue] = [await started(), await started()]
  const server = createServer(hello)
  await red.attach(server, { path: ['/red', '/r'] })
  await blue.attach(server, { path: '/blue' })
  await expect(blue.attach(server, { path: ['/b', '/r'] })).rejects.toMatchObject({ code: 'ERR_ATTACH' })
  const port = await listening(server)
  for (const [path, id] of [
    ['/r', 'one'],
    ['/red', 'two'],
    ['/blue', 'three'],
  ] as const) {
    const one = await client(port, path)
    await one.connect({ clientId: id })
  }
  expect([red, blue].map(({ broker }) => [...broker.clients].map(({ clientId }) => clientId))).toEqual([['one', 'two'], ['three']])
  await red.stop()
  expect(await status(webSocket(port, '/red'))).toBe(404)
  await (await client(port, '/blue')).connect({ clientId: 'four' })
})

test('stop detaches, and leaves the server as it was', async () => {
  const broker = await started()
  const server = createServer(hello)
  const port = await listening(server)
  const before = ['upgrade', 'listening'].map(name => server.listenerCount(name))
  const attachment = await broker.attach(server)
  const one = await client(port)
  await one.connect({ clientId: 'one' })
  attachment.detach()
  attachment.detach()
  expect(['upgrade', 'listening'].map(name => server.listenerCount(name))).toEqual(before)
  expect(broker.broker.listeners).toEqual([])
  expect(one.isClosed).toBe(false)
  await broker.attach(server)
  await broker.stop()
  await one.closed
  expect(server.listenerCount('upgrade')).toBe(0)
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello GET / 0')
  await expect(broker.attach(server)).rejects.toMatchObject({ code: 'ERR_ATTACH' })
})

test('a server that other machines reach is refused while anybody may connect', async () => {
  const broker = await started()
  const failures: unknown[] = []
  broker.hooks.onError.tap('test', error => void failures.push(error))
  const open = createServer(hello)
  const port = await listening(open, '0.0.0.0')
  const refused = broker.attach(open)
  await expect(refused).rejects.toMatchObject({ code: 'ERR_UNGUARDED' })
  await expect(refused).rejects.toThrow(
    /is on 0\.0\.0\.0:\d+; have the server listen on '127\.0\.0\.1', add an authentication plugin, or say/,
  )
  expect(open.listenerCount('upgrade')).toBe(0)

  const later = createServer(hello)
  await broker.attach(later)
  const laterPort = await listening(later, '0.0.0.0')
  expect(failures).toMatchObject([{ code: 'ERR_UNGUARDED' }])
  expect(await status(webSocket(laterPort))).toBe(403)
  expect(broker.broker.clients.size).toBe(0)
  // Somebody says who may connect.
  broker.hooks.onAuthenticate.tap('test', ({ username }) => (username === 'alice' ? true : undefined))
  await (await client(laterPort)).connect({ clientId: 'one', username: 'alice' })
  const nobody = await client(laterPort)
  nobody.sendConnect({ clientId: 'two' })
  expect(await nobody.next()).toMatchObject({ reasonCode: 0x87 })

  await broker.attach(open, { path: '/open', allowAnonymous: true })
  await (await client(port, '/open')).connect({ clientId: 'three' })
})

test('pages of elsewhere, wrong options and refusals of onAccept', async () => {
  const broker = await started()
  const server = createServer(hello)
  const port = await listening(server)
  await expect(broker.attach(server, { pth: '/x' } as never)).rejects.toThrow('attach.pth: unknown; did you mean path?')
  await broker.attach(server, { maxConnections: 1 })
  expect(await status(webSocket(port, '/mqtt', { origin: 'https://example.com' }))).toBe(403)
  const one = await client(port, '/mqtt', { origin: 'http://localhost:3000' })
  await one.connect({ clientId: 'one' })
  const full = webSocket(port)
  await once(full, 'error')
  const seen: string[] = []
  broker.hooks.onAccept.tap('test', () => {
    seen.push('asked')
    return false
  })
  const ended = new Promise<void>(resolve => {
    broker.hooks.onClosed.tap('test', () => {
      seen.push('closed')
      resolve()
    })
  })
  one.stream.destroy()
  await ended
  await once(webSocket(port), 'error')
  expect(seen).toEqual(['closed', 'asked', 'closed'])
})

test.each([false, true])(
  'behind a proxy that is trusted a client has its own address, and nobody else can choose one; compression %s',
  async compression => {
    const limits = { maxConnectionsPerAddress: 1 }
    const broker = await started({ limits })
    const server = createServer(hello)
    const port = await listening(server)
    await expect(broker.attach(server, { trustedProxies: ['nowhere'] })).rejects.toThrow('attach.trustedProxies[0]: nowhere is no address')
    const attachment = await broker.attach(server, { trustedProxies: ['127.0.0.1', '10.0.0.0/8'], compression })
    const forwarded = (header: string) => ({ headers: { 'x-forwarded-for': header } })
    const one = await client(port, '/mqtt', forwarded('1.1.1.1, 203.0.113.7, 10.1.2.3'))
    await one.connect({ clientId: 'one' })
    expect(broker.broker.clientOf('one')!.transport).toMatchObject({ remoteAddress: '203.0.113.7', proxied: { by: '127.0.0.1' } })
    // Limits count by that address.
    await (await client(port, '/mqtt', forwarded('203.0.113.8'))).connect({ clientId: 'two' })
    const third = await client(port, '/mqtt', forwarded('203.0.113.7'))
    third.sendConnect({ clientId: 'three' })
    await third.closed
    for (const options of [{}, forwarded('nonsense'), forwarded('203.0.113.7, unknown')])
      expect(await status(webSocket(port, '/mqtt', options))).toBe(400)
    // What is not MQTT is the server's own.
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello GET / 0')

    attachment.detach()
    const other = await broker.attach(server, { trustedProxies: ['10.0.0.0/8'], compression })
    expect(await status(webSocket(port, '/mqtt', forwarded('203.0.113.9')))).toBe(400)
    other.detach()
    await broker.attach(server, { compression })
    await (await client(port, '/mqtt', forwarded('203.0.113.9'))).connect({ clientId: 'plain' })
    expect(broker.broker.clientOf('plain')!.transport).toMatchObject({ remoteAddress: '127.0.0.1', proxied: undefined })
  },
)

test('an HTTPS server: the certificate of a client says who it is', async () => {
  const ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
  await ca.issue('meter', 'meter-7', { use: 'client' })
  const [cert, key, clientCert, clientKey] = await Promise.all(
    ['server.crt', 'server.key', 'meter.crt', 'meter.key'].map(name => readFile(ca.path(name))),
  )
  const server = createSecureServer({ cert, key, ca: ca.cert, requestCert: true, rejectUnauthorized: false }, hello)
  const port = await listening(server as unknown as Server)
  const broker = await started({ authCertificate: true, socket: false })
  await broker.attach(server)
  const trusted = { ca: ca.cert, servername: 'localhost', cert: clientCert, key: clientKey } as object
  const one = await client(port, '/mqtt', trusted, 'wss')
  await one.connect({ clientId: 'one' })
  const [only] = broker.broker.clients
  expect([only!.username, only!.transport.protocol, only!.transport.peerCertificate]).toMatchObject([
    'meter-7',
    'wss',
    { verified: true, commonName: 'meter-7' },
  ])
  const two = await client(port, '/mqtt', { rejectUnauthorized: false }, 'wss')
  two.sendConnect({ clientId: 'two' })
  expect(await two.next()).toMatchObject({ reasonCode: 0x87 })
})
