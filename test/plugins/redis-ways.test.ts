import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { messageOf } from '../contracts/suite/sessions-harness.ts'
import { freePort, RedisServer, startSentinel } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'

async function serverWith(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args)
  onTestFinished(() => server.stop())
  return server
}

async function storeOn(where: object): Promise<TestRedisStore> {
  const store = await TestRedisStore.open(where, new ManualClock())
  onTestFinished(() => store.crash())
  store.sessions.open(
    { dropped: () => {}, lost: () => {}, appended: () => {} },
    { messagesMax: 1000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest' },
  )
  return store
}

const request = { clientId: 'c', node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 60_000, will: null }
const target = { clientId: 'c', qos: 1, retain: false, identifiers: null, group: null, packetId: 0, epoch: 0 } as const

test('sentinels say who is the master, and after a fail-over who is it now', async () => {
  const master = await serverWith()
  const replica = await serverWith('--replicaof', `127.0.0.1 ${master.port}`)
  await expect.poll(() => master.call('INFO', 'replication').then(String)).toMatch(/state=online/)
  const sentinel = await startSentinel(master.port)
  onTestFinished(() => sentinel.stop())
  await expect.poll(() => sentinel.call('SENTINEL', 'REPLICAS', 'mymaster')).toHaveLength(1)
  const store = await storeOn({
    sentinels: [`127.0.0.1:${sentinel.port}`],
    waitReplicas: 1,
    commandTimeout: '4s',
    connectTimeout: '500ms',
    // A machine that is busy with other tests is slow to copy.
    waitTimeout: '3s',
  })
  const { epoch } = (await store.sessions.claim(request))!
  await store.sessions.append(messageOf('before'), [target], null)
  // Without a replica of its own the new master keeps nothing as asked, so another one stands by.
  const third = await serverWith('--replicaof', `127.0.0.1 ${replica.port}`)
  await master.kill()
  await store.sessions.append(messageOf('after'), [target], null)
  const page = await store.sessions.page({ clientId: 'c', epoch }, 0, 10)
  expect(page.map(({ message }) => String(message.payload))).toEqual(['before', 'after'])
  expect(await replica.call('ZCARD', 'mqttx:client:pubmsg:{c}')).toBe(2)
  await expect.poll(() => third.call('ZCARD', 'mqttx:client:pubmsg:{c}')).toBe(2)
})

test('a write counts as kept when so many replicas have it, and not before', async () => {
  const master = await serverWith()
  const store = await storeOn({ url: master.url, waitReplicas: 1, waitTimeout: '50ms' })
  let kept = false
  const claim = store.sessions.writes.command('set', 'x', ['1']).then(() => {
    kept = true
  })
  await expect.poll(() => store.link.up).toBe(false)
  expect(await master.call('GET', 'x')).toBe('1')
  expect(kept).toBe(false)
  const replica = await serverWith('--replicaof', `127.0.0.1 ${master.port}`)
  await claim
  expect(await replica.call('GET', 'x')).toBe('1')
})

test('TLS by config: the server is judged by redis.tls.ca, and one that it does not vouch for is refused', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-redis-tls-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], // biome-ignore format: one command
    { stdio: 'ignore' },
  )
  const port = await freePort()
  await serverWith('--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert)
  const url = `rediss://127.0.0.1:${port}`
  const store = await storeOn({ url, tls: { ca: cert, cert, key } })
  expect(await store.sessions.claim(request)).toMatchObject({ present: false })
  await expect(storeOn({ url, tls: { cert, key }, startup: 'fail' })).rejects.toMatchObject({
    code: 'ERR_REDIS_AWAY',
    message: expect.stringMatching(/self-signed certificate/),
  })
})

test('a mebibyte for five hundred sessions is stored once', async () => {
  const server = await serverWith()
  const store = await storeOn({ url: server.url })
  const clientIds = Array.from({ length: 500 }, (_, i) => `c${i}`)
  await Promise.all(clientIds.map(clientId => store.sessions.claim({ ...request, clientId })))
  const used = async () => Number(/used_memory_dataset:(\d+)/.exec(String(await server.call('INFO', 'memory')))![1])
  const before = await used()
  const message = messageOf(Buffer.alloc(1_048_576, 'm'))
  await store.sessions.append(
    message,
    clientIds.map(clientId => ({ ...target, clientId })),
    null,
  )
  expect(await server.call('ZCARD', 'mqttx:client:pubmsg:{c499}')).toBe(1)
  expect((await used()) - before).toBeLessThan(5 * 1024 * 1024)
  // And it is gone with its last reader.
  await Promise.all(clientIds.map(clientId => store.sessions.claim({ ...request, clientId, cleanStart: true })))
  await store.sessions.flush()
  expect((await server.call('KEYS', 'mqttx:body:*')) as string[]).toEqual([])
})
