import { expect, test } from 'vitest'
import { startOnRedis, TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

test('a node whose name a living one has does not start, and says why', async () => {
  const { redis } = await startOnRedis(1)
  await expect(TestNode.start('n1', { url: redis.url })).rejects.toMatchObject({
    code: 'ERR_NODE_TWICE',
    message: expect.stringContaining('brokerId'),
  })
})

test('a node that was killed and is started again before its record expired gets in', async () => {
  const { redis, nodes } = await startOnRedis(2, { cluster: { heartbeat: 100, expiry: 60_000 } })
  const [, b] = nodes as [TestNode, TestNode]
  // What a killed n1 leaves behind: a record that is not renewed any more.
  await redis.call('HSET', 'mqttx.session.key:cluster:{all}:members', 'n3', JSON.stringify({ b: 'gone', c: 5, f: {} }))
  const again = await TestNode.start('n3', { url: redis.url })
  await eventually(() => again.broker.services.get('bus').nodes().length === 3)
  await eventually(() =>
    b.broker.services
      .get('bus')
      .nodes()
      .some(({ name, boot }) => name === 'n3' && boot !== 'gone'),
  )
})

test('a node that goes in good order takes its routes and group members with it at once', async () => {
  const { redis, nodes } = await startOnRedis(2)
  const [a, b] = nodes as [TestNode, TestNode]
  const reader = await b.connect()
  await reader.subscribe(['t', '$share/g/t'], 1)
  await a.wants('t', b)
  await eventually(() => a.broker.router.groupOf('$share/g/t')?.members.length === 1)
  await b.running.stop()
  await a.wants('t', b, false)
  await eventually(() => a.broker.router.groupOf('$share/g/t') === undefined)
  expect(
    a.broker.services
      .get('bus')
      .nodes()
      .map(({ name }) => name),
  ).toEqual(['n1'])
  expect((await redis.call('KEYS', '*:n2:*')) as string[]).toEqual([])
})

test('all nodes have the same enableInnerCache, or the one that differs does not start and names the cure', async () => {
  const { redis } = await startOnRedis(1)
  expect(await redis.call('GET', 'mqttx:cache_consistence')).toBe('true')
  await redis.call('SET', 'mqttx:cache_consistence', 'false')
  await expect(TestNode.start('n2', { url: redis.url })).rejects.toMatchObject({
    code: 'ERR_CACHE_DIFFERS',
    message: expect.stringContaining('DEL mqttx:cache_consistence'),
  })
})

test('connections to Redis that are killed lose no message between nodes', async () => {
  const { redis, nodes } = await startOnRedis(2)
  const [a, b] = nodes as [TestNode, TestNode]
  const reader = await b.connect()
  await reader.subscribe('t', 1)
  await a.wants('t', b)
  const writer = await a.connect()
  const acknowledged: string[] = []
  for (let i = 0; i < 30; i++) {
    if (i % 10 === 5) for (const type of ['normal', 'pubsub']) await redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
    await writer.publish('t', String(i), { qos: 1 })
    acknowledged.push(String(i))
  }
  const got: string[] = []
  while (got.length < 30) got.push((await reader.receive()).payload.toString())
  expect(got).toEqual(acknowledged)
})

test('a node that is cut off from Redis refuses connections, where it is told to', async () => {
  const { redis, nodes } = await startOnRedis(1, { cluster: { heartbeat: 100, expiry: 1000, onRedisLoss: 'refuse' } })
  const [a] = nodes as [TestNode]
  const client = await a.connect()
  await redis.kill()
  expect((await client.ended())?.reasonCode).toBe(0x89)
  const refused = await a.connect()
  expect(refused.heard[0]).toMatchObject({ reasonCode: 0x88 })
})

test('a node that is cut off from Redis serves clean sessions, where nothing else is said', async () => {
  const { redis, nodes } = await startOnRedis(2)
  const [a] = nodes as [TestNode]
  await redis.kill()
  const reader = await a.connect()
  await reader.subscribe('t', 0)
  await (await a.connect()).publish('t', 'm', { qos: 0 })
  expect((await reader.receive()).payload.toString()).toBe('m')
})

test('$SYS and figures show every node as of its last sign of life, and all together', async () => {
  const { nodes } = await startOnRedis(2, { sysTopic: { interval: '200ms' } })
  const [a, b] = nodes as [TestNode, TestNode]
  const watcher = await a.connect()
  await b.connect()
  await b.connect()
  const value = (name: string, node?: string) =>
    [...a.broker.figures]
      .find(figure => figure.name === name)
      ?.read()
      .find(({ labels }) => node === undefined || labels?.node === node)?.value
  await eventually(() => value('cluster_node_connections', 'n2') === 2)
  expect(value('cluster_node_connections', 'n1')).toBe(1)
  expect(value('cluster_all_connections')).toBe(3)
  expect(value('cluster_nodes')).toBe(2)
  await watcher.subscribe(['$SYS/broker/nodes/n2/clients/connected', '$SYS/broker/cluster/clients/connected'])
  const shown = [await watcher.receive(), await watcher.receive()].map(({ topic, payload }) => `${topic} ${payload}`)
  expect(shown.sort()).toEqual(['$SYS/broker/cluster/clients/connected 3', '$SYS/broker/nodes/n2/clients/connected 2'])
})
