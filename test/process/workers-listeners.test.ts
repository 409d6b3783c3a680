import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import { beforeAllBuilt } from '../config/built.ts'
import { TestClient } from '../support/client.ts'
import { TestCa } from '../support/test-ca.ts'
import { WorkersBroker } from './workers-broker.ts'

// Goal: TLS and WebSocket, too, have one port for all workers, and a TLS session that one worker began another one resumes.

const built = beforeAllBuilt()
let broker: WorkersBroker
let ca: TestCa
let webPort = 0

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-workers-listeners-'))
  ca = await TestCa.create(folder)
  await ca.issue('server', 'localhost')
  const config = {
    preset: 'test',
    workers: 2,
    websocket: { port: 0, tls: false },
    ssl: { cert: 'server.crt', key: 'server.key' },
    admin: {},
    checkConfigEvery: null,
  }
  await writeFile(join(folder, 'mqttx.config.json'), JSON.stringify(config))
  broker = await WorkersBroker.start(built.path('presets/bin.js'), folder, [])
  webPort = Number((await broker.line(/ws listening on [^"]*:(\d+)/))[1])
}, 60_000)

afterAll(async () => {
  await broker?.stop()
  if (broker !== undefined) await rm(broker.folder, { recursive: true, force: true })
})

/** A TLS connection with a client on it; a new one waits for the session that the broker gives it. */
async function secure(clientId: string, session?: Buffer) {
  const socket: TLSSocket = connect({
    port: broker.port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: ca.cert,
    ...(session && { session }),
  })
  onTestFinished(() => void socket.destroy())
  const given = new Promise<Buffer>(resolve => socket.once('session', resolve))
  await once(socket, 'secureConnect')
  const client = new TestClient(socket, 5)
  await client.connect({ version: 5, clientId })
  return { client, session: session ?? (await given), isResumed: socket.isSessionReused(), worker: await broker.workerOf(clientId) }
}

test('a TLS session that one worker began is resumed at the other one, and at itself', async () => {
  const first = await secure('first')
  const resumed = new Set<string>()
  for (let i = 0; resumed.size < 2; i++) {
    const next = await secure(`next-${i}`, first.session)
    expect(next.isResumed).toBe(true)
    resumed.add(next.worker)
  }
  expect([first.isResumed, [...resumed].sort()]).toEqual([false, ['1', '2']])
})

test('clients on WebSockets at both workers have one port, and speak with one another', async () => {
  const at = new Map<string, TestClient>()
  for (let i = 0; at.size < 2; i++) {
    const socket = new WebSocket(`ws://127.0.0.1:${webPort}/mqtt`, 'mqtt')
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    const client = new TestClient(createWebSocketStream(socket), 5)
    await client.connect({ version: 5, clientId: `ws-${i}` })
    at.set(await broker.workerOf(`ws-${i}`), client)
  }
  const [subscriber, publisher] = [at.get('1')!, at.get('2')!]
  await subscriber.subscribe('over/ws', 1)
  await publisher.publish('over/ws', 'from the other worker', { qos: 1 })
  expect((await subscriber.receive()).payload.toString()).toBe('from the other worker')
})
