import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import { createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { TestClient } from '../support/client.ts'
import { socketClient } from '../support/socket-client.ts'
import { TestCa } from '../support/test-ca.ts'
import { secureClient } from './tls-broker.ts'

test('socket as a list: plain on loopback and TLS beside it, each with its own anonymity and number of connections', async () => {
  const ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
  const broker = await startOnSocket({
    socket: [
      { port: 0, tls: false, allowAnonymous: true, maxConnections: 1 },
      { port: 0, allowAnonymous: false },
    ],
    ssl: { cert: ca.path('server.crt'), key: ca.path('server.key') },
  })
  const [plain, secure] = broker.broker.listeners
  expect([plain!.protocol, secure!.protocol]).toEqual(['tcp', 'tls'])

  const first = await socketClient(plain!.port)
  expect((await first.connect({ clientId: 'first' })).reasonCode).toBe(0)
  const second = await socketClient(plain!.port)
  second.send({ type: 12 } as never)
  await second.closed

  const anonymous = await secureClient({ ca, broker, port: () => secure!.port })
  expect((await anonymous.connect({ clientId: 'second' })).reasonCode).toBe(0x87)
})

test('websocket as a list shares its routes, and each has its own path', async () => {
  const broker = await startOnSocket({
    socket: false,
    websocket: [
      { port: 0, path: '/a' },
      { port: 0, path: '/b' },
    ],
  })
  const ports = broker.broker.listeners.map(({ port }) => port)
  expect(new Set(ports).size).toBe(2)
  for (const [index, path] of ['/a', '/b'].entries()) {
    const socket = new WebSocket(`ws://127.0.0.1:${ports[index]}${path}`, 'mqtt')
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    const client = new TestClient(createWebSocketStream(socket), 5)
    expect((await client.connect({ clientId: path })).reasonCode).toBe(0)
  }
})

test('a listener with certificates of its own beside the section ssl', async () => {
  const ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
  await ca.issue('own', 'own')
  const pair = (name: string) => ({ cert: ca.path(`${name}.crt`), key: ca.path(`${name}.key`) })
  const broker = await startOnSocket({ socket: [{ port: 0 }, { port: 0, tls: pair('own') }], ssl: pair('server') })
  const [one, other] = broker.broker.listeners
  const shown = async (port: number) => {
    const client = await secureClient({ ca, broker, port: () => port }, {}, 5)
    return (client.stream as import('node:tls').TLSSocket).getPeerCertificate().subject.CN
  }
  expect([await shown(one!.port), await shown(other!.port)]).toEqual(['localhost', 'own'])
})

test('what is wrong with one of several listeners names it', async () => {
  const taken = await startOnSocket({ socket: { port: 0 } })
  const start = createBroker({
    preset: 'test',
    log: { level: 'silent' },
    socket: [{ port: 0 }, { port: taken.port }],
  }).start()
  await expect(start).rejects.toMatchObject({ code: 'ERR_PORT_IN_USE', message: expect.stringContaining(`${taken.port} is in use`) })
  const wrong = createBroker({ preset: 'test', log: { level: 'silent' }, socket: [{ port: 0 }, { port: -1 }] as never }).start()
  await expect(wrong).rejects.toMatchObject({ message: expect.stringContaining('socket[1].port') })
  const certificate = createBroker({
    preset: 'test',
    log: { level: 'silent' },
    socket: [{ port: 0 }, { port: 0, tls: { cert: 'nowhere.crt', key: 'nowhere.key' } }],
  }).start()
  await expect(certificate).rejects.toMatchObject({ message: expect.stringMatching(/^socket\[1\]\.tls\.(cert|key): /) })
})

test('a listener at localhost is bound to both addresses of loopback, and to no other', async () => {
  const broker = await startOnSocket({ allowAnonymous: true, socket: { port: 0, host: 'localhost' } })
  const { port } = broker.broker.listeners[0]!
  for (const host of ['127.0.0.1', '::1']) {
    const client = await socketClient(port, 5, host)
    expect((await client.connect({ clientId: host })).reasonCode).toBe(0)
  }
})

test('a listener has the name that its options say, for options that hold for some listeners only', async () => {
  const broker = await startOnSocket({
    allowAnonymous: true,
    socket: [{ name: 'office', port: 0 }, { port: 0 }],
    mountpoint: { listeners: { office: 'office/' } },
  })
  const [office, other] = broker.broker.listeners
  const outside = await socketClient(other!.port, 5)
  await outside.connect({ clientId: 'outside' })
  await outside.subscribe('#', 1)
  const inside = await socketClient(office!.port, 5)
  await inside.connect({ clientId: 'inside' })
  await inside.publish('door', 'open', { qos: 1 })
  expect((await outside.receive()).topic).toBe('office/door')
})
