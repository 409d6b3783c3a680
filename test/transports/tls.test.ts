import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { publish, subscribe } from '../interop/mosquitto.ts'
import { connect as connectMqttJs } from '../interop/mqtt-js.ts'
import { TestClient } from '../support/client.ts'
import { TestCa } from '../support/test-ca.ts'
import { secure, secureClient, startTlsBroker, type TlsBroker } from './tls-broker.ts'

const run = promisify(execFile)

/** Connects with a client certificate of the CA's folder; `undefined`: the broker has refused it before any CONNACK. */
async function comesIn(broker: TlsBroker, file: string | null): Promise<string | undefined> {
  const own =
    file === null ? {} : { cert: await readFile(broker.ca.path(`${file}.crt`)), key: await readFile(broker.ca.path(`${file}.key`)) }
  const socket = connect({ port: broker.port('socket'), host: '127.0.0.1', servername: 'localhost', ca: broker.ca.cert, ...own })
  onTestFinished(() => void socket.destroy())
  const answer = new Promise<string | undefined>(resolve => {
    socket.on('data', (chunk: Buffer) => resolve(chunk.toString('hex')))
    socket.on('error', () => resolve(undefined))
    socket.on('close', () => resolve(undefined))
  })
  // CONNECT of 3.1.1 with the client id `tls`. With TLS 1.3 the client believes to be through before the server has seen its certificate.
  socket.on('secureConnect', () => socket.write(Buffer.from('100f00044d5154540402003c0003746c73', 'hex')))
  return answer
}

const accepted = '20020000'

test('openssl s_client verifies the chain, agrees on mqtt by ALPN and gets a CONNACK', async () => {
  const broker = await startTlsBroker()
  const child = spawn('openssl', [
    's_client',
    ...['-connect', `127.0.0.1:${broker.port('socket')}`, '-servername', 'localhost', '-verify_hostname', 'localhost'],
    ...['-CAfile', broker.ca.path('ca.crt'), '-verify_return_error', '-alpn', 'mqtt', '-ign_eof'],
  ])
  onTestFinished(() => void child.kill('SIGKILL'))
  const chunks: Buffer[] = []
  const connack = Buffer.from(accepted, 'hex')
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stdin.write(Buffer.from('100f00044d5154540402003c0003746c73', 'hex'))
  while (!Buffer.concat(chunks).includes(connack)) await once(child.stdout, 'data')
  const said = Buffer.concat(chunks).toString('latin1')
  expect(said).toContain('Verify return code: 0 (ok)')
  expect(said).toContain('ALPN protocol: mqtt')
  expect(said).toContain('TLSv1.3')
})

test.each(['mqttv311', 'mqttv5'])('mosquitto_pub and mosquitto_sub with certificates of their own: %s', async version => {
  const broker = await startTlsBroker({ ssl: { clientAuth: true, usernameFrom: 'commonName' } })
  const { ca } = broker
  await ca.client('meter', 'meter-7')
  const tls = ['--cafile', ca.path('ca.crt'), '--cert', ca.path('meter.crt'), '--key', ca.path('meter.key'), '-V', version]
  const names: (string | null)[] = []
  broker.broker.hooks.onConnected.tap('test', client => void names.push(client.username))
  const subscriber = await subscribe(broker.broker, ...tls, '-t', 'a/#', '-C', '2')
  await publish(broker.broker, ...tls, '-t', 'a/b', '-m', 'one', '-q', '1')
  await publish(broker.broker, ...tls, '-t', 'a/c', '-m', 'two', '-q', '2')
  expect(await subscriber.printed(2)).toEqual(['a/b one', 'a/c two'])
  expect(names).toEqual(['meter-7', 'meter-7', 'meter-7'])
})

test.each(['mqtts', 'wss'] as const)('MQTT.js over %s, with a client certificate, and messages of 300 KiB both ways', async protocol => {
  const broker = await startTlsBroker({ ssl: { clientAuth: true }, websocket: { port: 0 } })
  const { cert, key } = await broker.ca.client('c', 'browserless')
  const port = broker.port(protocol === 'wss' ? 'websocket' : 'socket')
  const certificates = { cert, key, ca: broker.ca.cert }
  const wsOptions = { ...certificates }
  const { client, inbox } = await connectMqttJs(broker.broker, {
    ...{ protocol, port, host: 'localhost', path: '/mqtt', servername: 'localhost', wsOptions, ...certificates },
  } as never)
  await client.subscribeAsync('a', { qos: 1 })
  const payload = Buffer.alloc(300 * 1024, 'x')
  await client.publishAsync('a', payload, { qos: 1 })
  await client.publishAsync('a', 'small', { qos: 1 })
  const [large, small] = await inbox.first(2)
  expect(payload.equals(large!.payload as Buffer)).toBe(true)
  expect(String(small!.payload)).toBe('small')
})

test('client certificates: what is good comes in; expired, not yet valid, of another CA, for servers, and none do not', async () => {
  const broker = await startTlsBroker({ ssl: { clientAuth: true } })
  const { ca } = broker
  const other = await TestCa.create(ca.folder, 'other')
  await ca.client('good', 'good')
  await ca.client('expired', 'expired', { from: -10, to: -1 })
  await ca.client('early', 'early', { from: 1, to: 10 })
  await other.client('foreign', 'foreign')
  await ca.issue('server-as-client', 'server')
  const came = Object.fromEntries(
    await Promise.all(
      ['good', 'expired', 'early', 'foreign', 'server-as-client', null].map(async file => [file, await comesIn(broker, file)] as const),
    ),
  )
  expect(came).toEqual({
    good: accepted,
    expired: undefined,
    early: undefined,
    foreign: undefined,
    'server-as-client': undefined,
    null: undefined,
  })
  expect(broker.broker.broker.counters.handshakesFailed).toBe(5)
})

test('clientAuth optional lets in who shows none, and refuses a bad one all the same', async () => {
  const broker = await startTlsBroker({ ssl: { clientAuth: 'optional' } })
  await broker.ca.client('good', 'good')
  await (await TestCa.create(broker.ca.folder, 'other')).client('foreign', 'foreign')
  expect(await comesIn(broker, null)).toBe(accepted)
  expect(await comesIn(broker, 'good')).toBe(accepted)
  expect(await comesIn(broker, 'foreign')).toBeUndefined()
})

test('authCertificate: a name from the certificate, whatever CONNECT says; who shows none is refused by CONNACK', async () => {
  const broker = await startTlsBroker({ ssl: { clientAuth: 'optional' }, authCertificate: { username: 'subject' } })
  const { cert, key } = await broker.ca.client('c', 'meter-7')
  const names: (string | null)[] = []
  broker.broker.hooks.onConnected.tap('test', client => void names.push(client.username))
  const client = await secureClient(broker, { cert, key })
  expect((await client.connect({ clientId: 'c', username: 'admin', password: 'x' })).reasonCode).toBe(0)
  expect(names).toEqual(['CN=meter-7,O=Example'])
  const without = await secureClient(broker)
  expect((await without.connect({ clientId: 'd' })).reasonCode).toBe(0x87)
  const older = await secureClient(broker, {}, 4)
  expect((await older.connect({ clientId: 'e' })).reasonCode).toBe(5)
})

test('a certificate renewed on disk is served to new connections, while old ones stay and go on', async () => {
  const broker = await startTlsBroker()
  const old = await secureClient(broker)
  await old.connect({ clientId: 'old' })
  await old.subscribe('a')
  const { cert } = await broker.ca.issue('server', 'localhost')
  await broker.broker.reread()
  expect(pemOf(await secure(broker))).toBe(cert.trim())
  expect(pemOf(old.stream as TLSSocket)).not.toBe(cert.trim())
  old.sendPublish('a', 'still here')
  expect(String((await old.receive()).payload)).toBe('still here')
})

test('a file that has changed is seen by itself; a bad one is said, and the certificate from before stays', async () => {
  const clock = new ManualClock()
  const broker = await startTlsBroker({}, clock)
  const before = pemOf(await secure(broker))
  const said: string[] = []
  const { log } = broker.broker
  const told = (level: 'info' | 'error') =>
    new Promise<void>(resolve => {
      const original = log[level].bind(log)
      log[level] = ((...args: unknown[]) => {
        said.push(String(args.at(-1)))
        ;(original as (...all: unknown[]) => void)(...args)
        resolve()
      }) as never
    })
  await copyFile(broker.ca.path('ca.crt'), broker.ca.path('server.crt'))
  const failed = told('error')
  clock.advance(10_000)
  await failed
  expect(said.at(-1)).toMatch(/ssl\.key: the key in .*server\.key does not fit the certificate; .*stays$/)
  expect(pemOf(await secure(broker))).toBe(before)
  const { cert } = await broker.ca.issue('server', 'localhost')
  const renewed = told('info')
  clock.advance(10_000)
  await renewed
  expect(pemOf(await secure(broker))).toBe(cert.trim())
})

test('SNI: each name its certificate, unknown names and none the first', async () => {
  const ca = await TestCa.create((await startTlsBroker()).ca.folder, 'sni')
  await ca.issue('a', 'a.example.com', { names: ['a.example.com'] })
  await ca.issue('b', 'wild', { names: ['*.b.example.com'] })
  await ca.issue('c', 'by option', { names: ['unused.example.com'] })
  const pair = (name: string) => ({ cert: ca.path(`${name}.crt`), key: ca.path(`${name}.key`) })
  const broker = await startTlsBroker({ ssl: { certificates: [pair('a'), pair('b'), { ...pair('c'), names: ['*.c.example.com'] }] } })
  const shown = async (servername: string) => {
    const socket = await secure(broker, { servername, ca: ca.cert, rejectUnauthorized: false })
    return socket.getPeerCertificate().subject.CN
  }
  expect(await shown('a.example.com')).toBe('a.example.com')
  expect(await shown('x.b.example.com')).toBe('wild')
  expect(await shown('x.c.example.com')).toBe('by option')
  expect(await shown('localhost')).toBe('localhost')
  expect(await shown('elsewhere.example.org')).toBe('localhost')
  expect(await shown('')).toBe('localhost')
})

test('minVersion and ciphers are kept to', async () => {
  const broker = await startTlsBroker({ ssl: { minVersion: 'TLSv1.3' } })
  await expect(secure(broker, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/)
  expect((await secure(broker)).getProtocol()).toBe('TLSv1.3')
  const older = await startTlsBroker({ ssl: { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' } })
  const socket = await secure(older, { maxVersion: 'TLSv1.2' })
  expect(socket.getCipher().name).toBe('ECDHE-ECDSA-AES256-GCM-SHA384')
  await expect(secure(older, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).rejects.toThrow(/handshake failure/)
  await expect(secure(broker, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as never)).rejects.toThrow()
})

test.each(['TLSv1.2', 'TLSv1.3'] as const)('a session is resumed: %s; with sessionTimeout 0s it is not', async version => {
  const twice = async (broker: TlsBroker): Promise<boolean> => {
    const first = await secure(broker, { minVersion: version, maxVersion: version })
    let session = first.getSession()
    first.on('session', given => {
      session = given
    })
    first.write(Buffer.from('100f00044d5154540402003c0003746c73', 'hex'))
    await once(first, 'data')
    const second = await secure(broker, { minVersion: version, maxVersion: version, session })
    return second.isSessionReused()
  }
  expect(await twice(await startTlsBroker())).toBe(true)
  expect(await twice(await startTlsBroker({ ssl: { sessionTimeout: '0s' } }))).toBe(false)
})

test('ALPN: none is served, mqtt among others is agreed on, only others are refused', async () => {
  const broker = await startTlsBroker()
  expect((await secure(broker)).alpnProtocol).toBe(false)
  expect((await secure(broker, { ALPNProtocols: ['h2', 'mqtt'] })).alpnProtocol).toBe('mqtt')
  await expect(secure(broker, { ALPNProtocols: ['h2', 'http/1.1'] })).rejects.toThrow(/no application protocol/)
})

test('a PKCS12 keystore with its password, by the names of the Java mqttx', async () => {
  const { ca } = await startTlsBroker()
  await pkcs12(ca, 'store.p12', 'secret')
  const broker = await startTlsBroker({
    ssl: {
      ...{ cert: undefined, key: undefined, ca: undefined },
      ...{ keyStoreLocation: ca.path('store.p12'), keyStorePassword: 'secret', keyStoreType: 'PKCS12' },
    },
  })
  expect((await secure(broker, { ca: ca.cert })).authorized).toBe(true)
})

test('a handshake that is not brought to its end is ended after the time to CONNECT, and counted', async () => {
  const clock = new ManualClock()
  const broker = await startTlsBroker({ heartbeat: '10s' }, clock)
  const silent = connectTcp(broker.port('socket'), '127.0.0.1')
  onTestFinished(() => void silent.destroy())
  const arrived = new Promise<void>(resolve => {
    broker.broker.hooks.onAccept.tap('test', () => void resolve())
  })
  await once(silent, 'connect')
  silent.resume()
  await arrived
  clock.advance(11_000)
  await once(silent, 'close')
})

test('what is no TLS is closed, and others notice nothing', async () => {
  const broker = await startTlsBroker()
  const good = await secureClient(broker)
  await good.connect({ clientId: 'good' })
  const plain = connectTcp(broker.port('socket'), '127.0.0.1')
  onTestFinished(() => void plain.destroy())
  plain.write(Buffer.from('100f00044d5154540402003c0003746c73', 'hex'))
  plain.on('error', () => {})
  plain.resume()
  await once(plain, 'close')
  await good.subscribe('a')
  await good.publish('a', 'x', { qos: 1 })
  expect(good.isClosed).toBe(false)
})

test('a reader over TLS that has stopped costs a bounded amount, and is served again when it reads', async () => {
  const broker = await startTlsBroker({ mqtt: { writeBufferMax: '256KiB' } })
  const reader = await secureClient(broker)
  await reader.connect({ clientId: 'reader' })
  await reader.subscribe('a')
  const publisher = await secureClient(broker)
  await publisher.connect({ clientId: 'publisher' })
  reader.stream.pause()
  const dropped = new Promise<void>(resolve => {
    broker.broker.hooks.onDrop.tap('test', (_clientId, _message, reason) => {
      if (reason === 'slowReader') resolve()
    })
  })
  let ended = false
  void dropped.then(() => {
    ended = true
  })
  for (let i = 0; i < 4000 && !ended; i++) await publisher.publish('a', Buffer.alloc(65_536), { qos: i % 50 === 49 ? 1 : 0 })
  await dropped
  reader.stream.resume()
  await publisher.publish('b', '', { qos: 1 })
  await reader.subscribe('last')
  expect(reader.isClosed).toBe(false)
})

test('pongs and good-byes beside what is still being written, over wss: every byte in order, and no second write at once', async () => {
  const broker = await startTlsBroker({ websocket: { port: 0 }, mqtt: { writeBufferMax: '32MiB' } })
  const socket = new WebSocket(`wss://localhost:${broker.port('websocket')}/mqtt`, 'mqtt', { ca: broker.ca.cert, skipUTF8Validation: true })
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  let pongs = 0
  socket.on('pong', () => {
    pongs += 1
  })
  const client = new TestClient(createWebSocketStream(socket), 5)
  await client.connect({ clientId: 'c' })
  await client.subscribe('a')
  for (let i = 0; i < 100; i++) {
    client.sendPublish('a', Buffer.alloc(100_000, i))
    socket.ping(String(i))
  }
  for (let i = 0; i < 100; i++) {
    const { payload } = await client.receive()
    expect(payload.length === 100_000 && payload.every(byte => byte === i)).toBe(true)
  }
  expect(pongs).toBeGreaterThan(0)
  // The last of these is on its way when the broker says good-bye.
  for (let i = 0; i < 20; i++) client.sendPublish('a', Buffer.alloc(100_000, i))
  await client.receive()
  await broker.broker.stop()
  expect((await client.ended())?.reasonCode).toBe(0x8b)
})

function pemOf(socket: TLSSocket): string {
  const base64 = socket.getPeerCertificate().raw.toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----`
}

async function pkcs12(ca: TestCa, file: string, password: string, ...more: string[]): Promise<void> {
  await run('openssl', [
    ...['pkcs12', '-export', '-in', ca.path('server.crt'), '-inkey', ca.path('server.key')],
    ...['-out', ca.path(file), '-passout', `pass:${password}`, ...more],
  ])
}
