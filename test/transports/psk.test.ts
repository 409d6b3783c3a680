import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { Mosquitto, publish, startOnSocket } from '../interop/mosquitto.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'
import { TestCa } from '../support/test-ca.ts'

// Goal: clients that share a key with the broker come in without certificates, under the name of their key. Method: Node's and mosquitto's clients.

const key = '0123456789abcdef'
const file = `# meters\nmeter-7:${key}\nhall: lamp:ffee\n`

async function dial(port: number, identity: string, psk: string, more: object = {}): Promise<TLSSocket> {
  const pskCallback = () => ({ identity, psk: Buffer.from(psk, 'hex') })
  const socket = connect({
    port,
    host: '127.0.0.1',
    pskCallback,
    ciphers: 'PSK',
    maxVersion: 'TLSv1.2',
    checkServerIdentity: () => undefined,
    ...more,
  })
  onTestFinished(() => void socket.destroy())
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close').then(() => Promise.reject(new Error('closed')))])
  return socket
}

async function startPsk(tls: object = {}, more: object = {}) {
  const folder = await folderWith({ 'keys.psk': file })
  const path = `${folder}/keys.psk`
  const broker = await startOnSocket({ socket: { port: 0, tls: { pskFile: path, usernameFrom: 'commonName', ...tls } }, ...more } as Config)
  return { broker, path }
}

test('a client with a shared key comes in under its identity, which may hold a colon', async () => {
  const { broker } = await startPsk({}, { authCertificate: {} })
  const socket = await dial(broker.port, 'meter-7', key)
  expect(socket.getProtocol()).toBe('TLSv1.2')
  expect(socket.getCipher().name).toContain('PSK')
  const client = new TestClient(socket, 5)
  expect((await client.connect({ clientId: 'a', username: 'admin' })).reasonCode).toBe(0)
  expect(broker.broker.clientOf('a')).toMatchObject({ username: 'meter-7', transport: { pskIdentity: 'meter-7' } })
  await new TestClient(await dial(broker.port, 'hall: lamp', 'FFEE'), 5).connect({ clientId: 'b' })
  expect(broker.broker.clientOf('b')!.username).toBe('hall: lamp')
})

test('a wrong key and an unknown identity are refused, and no line of the log holds a key', async () => {
  const log = keptLog()
  const { broker } = await startPsk({}, { log: false, plugins: [log.plugin] })
  await expect(dial(broker.port, 'meter-7', 'ffff')).rejects.toThrow()
  await expect(dial(broker.port, 'nobody', key)).rejects.toThrow()
  await broker.stop()
  expect(broker.broker.counters.handshakesFailed).toBe(2)
  const text = JSON.stringify(log.lines)
  expect(text).toContain('TLS handshake failed')
  expect(text).not.toMatch(/0123456789abcdef|ffee/i)
})

test('shared keys beside a certificate: each client its way', async () => {
  const ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
  const { broker } = await startPsk({ cert: ca.path('server.crt'), key: ca.path('server.key'), usernameFrom: 'connect' })
  await new TestClient(await dial(broker.port, 'meter-7', key), 5).connect({ clientId: 'psk', username: 'own name' })
  expect(broker.broker.clientOf('psk')).toMatchObject({ username: 'own name', transport: { pskIdentity: 'meter-7' } })
  const socket = connect({ port: broker.port, host: '127.0.0.1', servername: 'localhost', ca: ca.cert })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  await new TestClient(socket, 5).connect({ clientId: 'cert' })
  expect(broker.broker.clientOf('cert')!.transport.pskIdentity).toBeUndefined()
})

test('a key that is taken out closes who is connected by it', async () => {
  const { broker, path } = await startPsk()
  const client = new TestClient(await dial(broker.port, 'meter-7', key), 5)
  await client.connect()
  const other = new TestClient(await dial(broker.port, 'hall: lamp', 'ffee'), 5)
  await other.connect({ clientId: 'other' })
  await writeFile(path, 'hall: lamp:ffee\n')
  await broker.reread()
  expect((await client.ended())?.reasonCode).toBe(0x87)
  await other.publish('a', '', { qos: 1 })
})

test('a damaged file says its line and nothing of a key', async () => {
  const folder = await folderWith({ 'keys.psk': 'a:00\nb:secretsecret\n' })
  const refusal = await startOnSocket({ socket: { port: 0, tls: { pskFile: `${folder}/keys.psk` } } } as Config).catch(error => error)
  expect(refusal.message).toMatch(/^socket\.tls\.pskFile: .*keys\.psk:2: not a line IDENTITY:KEY/)
  expect(refusal.message).not.toContain('secret')
  await expect(startPsk({ minVersion: 'TLSv1.3' })).rejects.toThrow(/shared keys are for TLS 1\.2/)
})

test('mosquitto_pub and mosquitto_sub with --psk', async () => {
  const { broker } = await startPsk({}, { authCertificate: {} })
  const psk = ['--psk', key, '--psk-identity', 'meter-7', '--tls-version', 'tlsv1.2']
  const subscribed = new Promise<void>(resolve => void broker.hooks.onSubscribed.tap('test', () => resolve()))
  const subscriber = new Mosquitto('mosquitto_sub', broker, ['-F', '%t %p', '-t', 'a', '-C', '1', ...psk])
  await Promise.race([subscribed, subscriber.ended()])
  await publish(broker, '-t', 'a', '-m', 'hello', '-q', '1', ...psk)
  expect(await subscriber.printed(1)).toEqual(['a hello'])
})
