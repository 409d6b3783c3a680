import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { FaultBroker } from '../fault/fault-broker.ts'
import { startOnRedis, type TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'

// Goal: the retained state is true over several nodes, and again after one was killed.

const built = beforeAllBuilt()
const presence = { state: 'is/{clientId}', onlinePayload: 'online', offlinePayload: 'offline', interval: 0 }

async function states(node: TestNode): Promise<Record<string, string>> {
  const { messages } = await node.broker.services.get('retained').match('is/+').next(100)
  return Object.fromEntries(messages.map(({ topic, payload }) => [topic, payload.toString()]))
}

/** What is retained for `is/#` at a port, as a new client is told. */
async function statesAt(port: number): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`)
  client.on('message', (topic, payload) => void (found[topic] = payload.toString()))
  await client.subscribeAsync('is/+')
  // What is retained has come by then, as a rule: Redis is asked for it, and a message that is published meanwhile may overtake it.
  await client.subscribeAsync('marker')
  await client.publishAsync('marker', '', { qos: 1 })
  await eventually(() => 'marker' in found)
  await client.endAsync(true)
  delete found.marker
  return found
}

test('a client that goes from node to node is online all the time, and offline when it goes for good', async () => {
  const { nodes } = await startOnRedis(2, { presence })
  const [one, two] = nodes as [TestNode, TestNode]
  const heard: string[] = []
  for (const node of nodes)
    node.running.hooks.onRoute.tap('test', ({ topic, payload, origin }) => {
      if (topic === 'is/c1' && origin === 'server') heard.push(`${node.name} ${payload}`)
    })
  const lasting = { clientId: 'c1', cleanStart: false, properties: { sessionExpiry: 600 } }
  for (let times = 0; times < 3; times++) {
    const last = await one.connect(lasting)
    const next = await two.connect(lasting)
    await last.closed
    if (times < 2) continue
    next.stream.destroy()
    await eventually(() => heard.at(-1) === 'n2 offline')
  }
  expect(heard.filter(line => line.endsWith('offline'))).toEqual(['n2 offline'])
  await eventually(async () => (await states(one))['is/c1'] === 'offline')
})

test('one that takes a client for gone, and is wrong, is set right by the node that has it', async () => {
  const { nodes } = await startOnRedis(2, { presence })
  const [one, two] = nodes as [TestNode, TestNode]
  await two.connect({ clientId: 'c1' })
  await one.wants('is/c1', two)
  await one.broker.publish({
    topic: 'is/c1',
    payload: 'offline',
    retain: true,
    qos: 1,
    properties: {
      userProperties: [
        ['presence-client', 'c1'],
        ['presence-node', 'n1'],
        ['presence-state', 'offline'],
      ],
    },
  })
  await eventually(async () => (await states(one))['is/c1'] === 'online')
})

test('a broker on disk that was killed says offline of its clients when it is back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-presence-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(
    join(folder, 'mqttx.config.json'),
    JSON.stringify({ preset: 'standalone', admin: false, disk: { path: './data' }, presence }),
  )
  const start = async (): Promise<FaultBroker> => {
    const broker = await FaultBroker.start(built.path('presets/bin.js'), folder, [])
    onTestFinished(() => broker.kill())
    return broker
  }
  const first = await start()
  const clients = await Promise.all(
    ['c1', 'c2'].map(clientId => mqtt.connectAsync(`mqtt://127.0.0.1:${first.port}`, { clientId, reconnectPeriod: 0 })),
  )
  for (const client of clients) client.on('error', () => {})
  await eventually(async () => Object.values(await statesAt(first.port)).filter(state => state === 'online').length >= 2)
  await first.kill()
  const second = await start()
  const again = await mqtt.connectAsync(`mqtt://127.0.0.1:${second.port}`, { clientId: 'c2', reconnectPeriod: 0 })
  await eventually(async () => {
    const found = await statesAt(second.port)
    return found['is/c1'] === 'offline' && found['is/c2'] === 'online'
  })
  await again.endAsync(true)
})

test('a node that was killed and does not come back: another one says offline of its clients', async () => {
  const redis = await RedisServer.start()
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-presence-'))
  onTestFinished(async () => {
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const config = { preset: 'dev', admin: false, redis: { url: redis.url }, cluster: { heartbeat: 200, expiry: 1000 }, presence }
  writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify(config))
  const start = async (name: string): Promise<FaultBroker> => {
    const broker = await FaultBroker.start(built.path('presets/bin.js'), folder, ['--set', `brokerId=${name}`])
    onTestFinished(() => broker.kill())
    return broker
  }
  const a = await start('a')
  const b = await start('b')
  const clients = await Promise.all(
    ['c1', 'c2'].map((clientId, index) => mqtt.connectAsync(`mqtt://127.0.0.1:${[a, b][index]!.port}`, { clientId, reconnectPeriod: 0 })),
  )
  for (const client of clients) client.on('error', () => {})
  await eventually(async () => {
    const found = await statesAt(b.port)
    return found['is/c1'] === 'online' && found['is/c2'] === 'online'
  })
  await a.kill()
  let found: Record<string, string> = {}
  await eventually(async () => {
    found = await statesAt(b.port)
    return found['is/c1'] === 'offline' && 'is/c2' in found
  })
  expect(found['is/c2']).toBe('online')
  for (const client of clients) client.end(true)
})
