import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { type Config, createBroker, StreamTransport } from '../../presets/index.ts'
import { Line } from '../../presets/testing/line.ts'
import { TestClient } from '../support/client.ts'

// Goal: a program may hand over whatever carries bytes, by the rule for who may connect.

async function started(config: Config = {}) {
  const running = await createBroker({ preset: 'test', socket: false, log: { level: 'silent' }, ...config }).start()
  onTestFinished(() => running.stop())
  return running
}

test('a socket of a server of the program', async () => {
  const broker = await started()
  const server = createServer(socket => void broker.accept(socket, { listener: 'own' }))
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const client = new TestClient(socket, 5)
  await client.connect({ clientId: 'one' })
  const [{ transport }] = broker.broker.clients as unknown as [{ transport: StreamTransport }]
  expect(transport).toMatchObject({ protocol: 'tcp', listener: 'own', remoteAddress: '127.0.0.1', remotePort: socket.localPort })
  await broker.stop()
  await client.closed
})

test('a duplex stream without an address is of this process, and let in', async () => {
  const broker = await started()
  const [ours, theirs] = Line.pair()
  expect(broker.accept(theirs)).toBe(true)
  const client = new TestClient(ours, 5)
  await client.connect({ clientId: 'one' })
  expect([...broker.broker.clients].map(one => [one.remoteAddress, one.transport.protocol])).toEqual([['', 'stream']])
})

test('what comes from another machine is refused while anybody may connect, and the reason is reported', async () => {
  const broker = await started()
  const failures: { code: string; message: string }[] = []
  broker.hooks.onError.tap('test', error => void failures.push(error as never))
  const [ours, theirs] = Line.pair()
  const closed = once(ours, 'close')
  ours.on('error', () => {}).resume()
  expect(broker.accept(theirs, { remoteAddress: '192.0.2.7' })).toBe(false)
  await closed
  const own = (remoteAddress: string) => new StreamTransport(new PassThrough(), { protocol: 'own', listener: 'own', remoteAddress })
  expect(broker.accept(own('2001:db8::1'))).toBeNull()
  expect(broker.accept(own('::ffff:127.0.0.1'))).not.toBeNull()
  expect(broker.accept(own('/run/mqtt.sock'))).not.toBeNull()
  expect(failures.map(({ code }) => code)).toEqual(['ERR_UNGUARDED', 'ERR_UNGUARDED'])
  expect(failures[0]!.message).toBe(
    'accept: anybody could connect, and 192.0.2.7 is another machine; listen on 127.0.0.1, add an authentication plugin, or say allowAnonymous: true',
  )
  expect(broker.accept(Line.pair()[0], { remoteAddress: '192.0.2.7', allowAnonymous: true })).toBe(true)
  broker.hooks.onAuthenticate.tap('test', () => true)
  expect(broker.accept(Line.pair()[0], { remoteAddress: '192.0.2.7' })).toBe(true)
})

test('what is no stream of bytes, or has ended, is not taken', async () => {
  const broker = await started()
  expect(() => broker.accept(new PassThrough({ objectMode: true }))).toThrow('accept: MQTT is bytes')
  expect(() => broker.accept(new PassThrough({ encoding: 'utf8' }))).toThrow('without objectMode and without setEncoding')
  const gone = new PassThrough()
  gone.destroy()
  expect(broker.accept(gone)).toBe(false)
  expect(broker.broker.clients.size).toBe(0)
})
