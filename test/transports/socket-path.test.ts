import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import { type Config, createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { TestClient } from '../support/client.ts'

// Goal: a Unix socket is a listener like a port. Method: real sockets in a folder of the test.

async function start(config: Config) {
  const broker = await createBroker({ preset: 'test', log: { level: 'silent' }, socket: false, ...config }).start()
  onTestFinished(() => broker.stop())
  return broker
}

async function dial(path: string, first = '') {
  const socket = connect(path)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  if (first !== '') socket.write(first)
  return socket
}

test('MQTT over a Unix socket, which only its owner can open unless it is said, and which goes with the broker', async () => {
  const folder = await folderWith()
  const broker = await start({
    socket: [{ socketPath: join(folder, 'mqtt.sock') }, { socketPath: join(folder, 'all.sock'), socketMode: '666' }],
  })
  const path = join(folder, 'mqtt.sock')
  expect(((await stat(path)).mode & 0o777).toString(8)).toBe('600')
  expect(((await stat(join(folder, 'all.sock'))).mode & 0o777).toString(8)).toBe('666')
  expect(broker.broker.listeners[0]).toEqual({ name: 'socket', protocol: 'tcp', host: path, port: 0 })
  const client = new TestClient(await dial(path), 5)
  expect((await client.connect({ clientId: 'local' })).reasonCode).toBe(0)
  expect(broker.broker.clientOf('local')!.remoteAddress).toBe(path)
  await client.subscribe('a')
  client.sendPublish('a', Buffer.alloc(300_000))
  expect((await client.receive()).payload.length).toBe(300_000)
  expect(await broker.broker.inspect('status')).toMatchObject({ listeners: expect.arrayContaining([`tcp+unix:${path}`]) })
  await broker.stop()
  await expect(stat(path)).rejects.toThrow('ENOENT')
})

test('WebSocket and HTTP over a Unix socket, several at once, with a proxy in front that says who comes', async () => {
  const folder = await folderWith()
  const path = join(folder, 'ws.sock')
  const broker = await start({ websocket: { socketPath: join(folder, 'ws.sock'), trustedProxies: ['unix'] } })
  for (const [clientId, address] of [
    ['a', '203.0.113.7'],
    ['b', '203.0.113.8'],
  ] as const) {
    const socket = new WebSocket(`ws+unix:${path}:/mqtt`, 'mqtt', { headers: { 'x-forwarded-for': address } })
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    expect((await new TestClient(createWebSocketStream(socket), 5).connect({ clientId })).reasonCode).toBe(0)
    expect(broker.broker.clientOf(clientId)!.transport).toMatchObject({ remoteAddress: address, proxied: { by: path } })
  }
  const [answer] = await once(request({ socketPath: path, path: '/' }).end(), 'response')
  expect(answer.statusCode).toBe(200)
  answer.resume()
})

test('the PROXY protocol over a Unix socket', async () => {
  const folder = await folderWith()
  const broker = await start({ socket: { socketPath: join(folder, 'p.sock'), trustedProxies: ['unix'] } })
  const client = new TestClient(await dial(join(folder, 'p.sock'), 'PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n'), 5)
  await client.connect({ clientId: 'meter' })
  expect(broker.broker.clientOf('meter')!.transport).toMatchObject({ remoteAddress: '203.0.113.7', proxied: { by: 'unix' } })
  await once(await dial(join(folder, 'p.sock'), 'x'), 'close')
})

test('a socket that a dead process has left is replaced; one that is in use, and a file, are not', async () => {
  const folder = await folderWith({ file: 'precious' })
  const path = join(folder, 's.sock')
  // What a process leaves that is killed: the name of a socket that nobody listens at.
  const left = createServer().listen(join(folder, 'first.sock'))
  await once(left, 'listening')
  const { rename } = await import('node:fs/promises')
  await rename(join(folder, 'first.sock'), path)
  left.close()
  await once(left, 'close')
  expect((await stat(path)).isSocket()).toBe(true)
  const broker = await start({ socket: { socketPath: join(folder, 's.sock') } })
  expect((await new TestClient(await dial(path), 5).connect()).reasonCode).toBe(0)
  await expect(start({ socket: { socketPath: join(folder, 's.sock') } })).rejects.toMatchObject({ code: 'ERR_PORT_IN_USE' })
  await expect(start({ socket: { socketPath: join(folder, 'file') } })).rejects.toThrow(/^socket\.socketPath: .*\/file is there already, /)
  expect(await readFile(join(folder, 'file'), 'utf8')).toBe('precious')
  await broker.stop()
})

test('what cannot be a listener is said at the start: a folder that is not there, a path too long, TLS', async () => {
  const folder = await folderWith()
  await writeFile(join(folder, 'x'), '')
  await expect(start({ socket: { socketPath: join(folder, 'none/s.sock') } })).rejects.toThrow(
    /^socket\.socketPath: .*there is no such folder/,
  )
  await expect(start({ socket: { socketPath: join(folder, `${'x'.repeat(120)}.sock`) } })).rejects.toThrow(/at most 10[37] bytes/)
  await expect(start({ socket: { socketPath: join(folder, 's.sock'), tls: true } })).rejects.toThrow(
    /^socket\.tls: there is no TLS at socket\.socketPath/,
  )
})
