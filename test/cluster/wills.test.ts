import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { FaultBroker } from '../fault/fault-broker.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { RedisServer } from '../support/redis.ts'

const built = beforeAllBuilt()

async function connect({ port }: FaultBroker, options: ConnectOptions): Promise<TestClient> {
  const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true })
  onTestFinished(() => void socket.destroy())
  const client = new TestClient(socket, options.version ?? 5)
  await client.connect({ version: 5, ...options })
  return client
}

test('a will of a session that ended with a node is published once by those that live, and not again when the node is back', async () => {
  const redis = await RedisServer.start()
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-wills-'))
  onTestFinished(async () => {
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const start = async (name: string): Promise<FaultBroker> => {
    const options = [`redis.url=${redis.url}`, `brokerId=${name}`, 'cluster.heartbeat=200', 'cluster.expiry=1000']
    const args = ['--preset', 'dev', '--set', 'cluster.enable=true', ...options.flatMap(option => ['--set', option])]
    const broker = await FaultBroker.start(built.path('presets/bin.js'), folder, args)
    onTestFinished(() => broker.kill())
    return broker
  }
  const a = await start('a')
  const b = await start('b')
  const watcher = await connect(b, { clientId: 'watcher' })
  await watcher.subscribe('state', 1)
  const will = { topic: 'state', payload: Buffer.from('offline'), qos: 1 as const, retain: true }
  const client = await connect(a, { clientId: 'client', will })
  await client.publish('state', 'online', { qos: 1, retain: true })
  await a.kill()
  const heard: string[] = []
  while (heard.at(-1) !== 'offline') heard.push(String((await watcher.receive()).payload))
  const back = await start('a')
  const other = await connect(back, { clientId: 'other' })
  await other.subscribe('state', 1)
  expect(String((await other.receive()).payload)).toBe('offline')
  const again = await connect(back, { clientId: 'client' })
  await again.publish('state', 'online again', { qos: 1, retain: true })
  while (heard.at(-1) !== 'online again') heard.push(String((await watcher.receive()).payload))
  expect(heard.filter(payload => payload === 'offline')).toEqual(['offline'])
})
