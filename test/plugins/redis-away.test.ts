import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { type Config, createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { freePort, RedisServer } from '../support/redis.ts'

async function serverWith(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args)
  onTestFinished(() => server.stop())
  return server
}

/** A broker on real ports whose answers from Redis may take half a second. */
async function brokerOn(redis: Config['redis'] & object): Promise<RunningBroker> {
  const config: Config = {
    preset: 'dev',
    redis: { commandTimeout: '500ms', connectTimeout: '500ms', ...redis },
    socket: { port: 0 },
    log: { level: 'silent' },
    allowAnonymous: true,
  }
  const running = await createBroker(config).start()
  onTestFinished(() => running.stop())
  return running
}

function connect({ port }: RunningBroker, options: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> {
  const connecting = mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, protocolVersion: 5, ...options })
  return connecting.then(client => {
    client.on('error', () => {})
    onTestFinished(() => void client.end(true))
    return client
  })
}

const durable = (clientId: string): mqtt.IClientOptions => ({ clientId, clean: false, properties: { sessionExpiryInterval: 1000 } })

/** Clients whose sessions end with them get on as if nothing had happened. */
async function servesCleanSessions(running: RunningBroker): Promise<void> {
  const reader = await connect(running)
  const message = new Promise(resolve => reader.on('message', (_topic, payload) => resolve(String(payload))))
  await reader.subscribeAsync('clean', { qos: 0 })
  const writer = await connect(running)
  await writer.publishAsync('clean', 'served', { qos: 0 })
  expect(await message).toBe('served')
}

/** A durable client is refused until Redis is back, and then let in without anybody's help. */
async function comesBack(running: RunningBroker, options: mqtt.IClientOptions): Promise<mqtt.MqttClient> {
  for (;;) {
    const client = await connect(running, options).catch(() => null)
    if (client !== null) return client
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const refusedForNow = { code: 0x88 }

test('Redis that is away at start is waited for, and the broker serves what needs no store', async () => {
  const server = new RedisServer(await freePort(), [])
  onTestFinished(() => server.stop())
  const running = await brokerOn({ url: server.url })
  await servesCleanSessions(running)
  await expect(connect(running, durable('d'))).rejects.toMatchObject(refusedForNow)
  await server.start()
  expect((await comesBack(running, durable('d'))).connected).toBe(true)
})

test('Redis that is away at start ends the broker where that was asked for, with one line that has the cure', async () => {
  const url = `redis://127.0.0.1:${await freePort()}`
  await expect(brokerOn({ url, startup: 'fail' })).rejects.toMatchObject({
    code: 'ERR_REDIS_AWAY',
    message: expect.stringMatching(/^redis\.url: Redis at .* is away: .*ECONNREFUSED.*; start Redis at .*, or set redis\.url$/),
  })
})

test('a wait for replicas that is as long as any command may take is refused at start', async () => {
  await expect(brokerOn({ url: 'redis://127.0.0.1:1', waitReplicas: 1 })).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    message: expect.stringContaining('redis.waitTimeout: shorter than redis.commandTimeout'),
  })
})

test('a wrong password is said, with the options that hold it', async () => {
  const server = await serverWith('--requirepass', 'right')
  await expect(brokerOn({ url: server.url, password: 'wrong', startup: 'fail' })).rejects.toMatchObject({
    code: 'ERR_REDIS_AWAY',
    message: expect.stringMatching(/user name or password .*; set redis\.username and redis\.password$/),
  })
  const running = await brokerOn({ url: server.url, password: 'right', startup: 'fail' })
  expect((await connect(running, durable('d'))).connected).toBe(true)
})

for (const [what, away, back] of [
  ['killed and started again', (server: RedisServer) => server.kill(), (server: RedisServer) => server.start()],
  ['hung for a while', (server: RedisServer) => server.freeze(), (server: RedisServer) => server.thaw()],
] as const) {
  test(`an acknowledgement waits while Redis is ${what}, then comes; nothing that was acknowledged is lost`, async () => {
    const server = await serverWith('--appendonly', 'yes', '--appendfsync', 'always')
    const running = await brokerOn({ url: server.url })
    const reader = await connect(running, durable('reader'))
    await reader.subscribeAsync('kept', { qos: 1 })
    await reader.endAsync()
    const writer = await connect(running, { clientId: 'writer' })
    await writer.publishAsync('kept', 'before', { qos: 1 })

    await away(server)
    let acknowledged = false
    const during = writer.publishAsync('kept', 'during', { qos: 1 }).then(() => {
      acknowledged = true
    })
    await servesCleanSessions(running)
    await expect.poll(() => connect(running, durable('other')).catch(error => error.code)).toBe(refusedForNow.code)
    expect(acknowledged).toBe(false)

    await back(server)
    await during
    const got: string[] = []
    const again = await comesBack(running, { ...durable('reader') })
    again.on('message', (_topic, payload) => got.push(String(payload)))
    await expect.poll(() => got).toEqual(['before', 'during'])
  })
}

test('a Redis that is full refuses what it would have to keep, lets queues empty, and takes messages again when it has room', async () => {
  const server = await serverWith('--maxmemory-policy', 'noeviction')
  const running = await brokerOn({ url: server.url })
  const reader = await connect(running, durable('reader'))
  await reader.subscribeAsync('kept', { qos: 1 })
  await reader.endAsync()
  const writer = await connect(running, { clientId: 'writer' })
  await writer.publishAsync('kept', 'before', { qos: 1 })
  await server.call('CONFIG', 'SET', 'maxmemory', '1')

  // Quota exceeded; the publisher stays.
  await expect(writer.publishAsync('kept', 'refused', { qos: 1 })).rejects.toMatchObject({ code: 0x97 })
  await servesCleanSessions(running)
  const got: string[] = []
  const again = await comesBack(running, durable('reader'))
  again.on('message', (_topic, payload) => got.push(String(payload)))
  await expect.poll(() => got).toEqual(['before'])
  await expect.poll(() => server.call('ZCARD', 'mqttx:client:pubmsg:{reader}')).toBe(0)

  await server.call('CONFIG', 'SET', 'maxmemory', '0')
  const taken = () => writer.publishAsync('kept', 'after', { qos: 1 }).catch((error: { code: number }) => error.code)
  await expect.poll(taken).not.toBe(0x97)
  await expect.poll(() => got.at(-1)).toBe('after')
  expect(got).not.toContain('refused')
})

test('a replica that was named by mistake, or after a fail-over, keeps nothing and is taken when it is the master', async () => {
  const master = await serverWith()
  const server = await serverWith('--replicaof', `127.0.0.1 ${master.port}`)
  const running = await brokerOn({ url: server.url })
  await servesCleanSessions(running)
  // Refused at once or when the time for an answer is over, never let in.
  await expect(connect(running, durable('d'))).rejects.toMatchObject(refusedForNow)
  await server.call('REPLICAOF', 'NO', 'ONE')
  expect((await comesBack(running, durable('d'))).connected).toBe(true)
})

test('what is published before the stored sessions are known waits for them', async () => {
  const server = await serverWith('--appendonly', 'yes', '--appendfsync', 'always')
  const before = await brokerOn({ url: server.url })
  const reader = await connect(before, durable('reader'))
  await reader.subscribeAsync('kept', { qos: 1 })
  await reader.endAsync()
  await before.stop()
  await server.kill()

  const running = await brokerOn({ url: server.url })
  const writer = await connect(running, { clientId: 'writer' })
  let acknowledged = false
  const during = writer.publishAsync('kept', 'early', { qos: 1 }).then(() => {
    acknowledged = true
  })
  await servesCleanSessions(running)
  expect(acknowledged).toBe(false)
  await server.start()
  await during
  const got: string[] = []
  const again = await comesBack(running, durable('reader'))
  again.on('message', (_topic, payload) => got.push(String(payload)))
  await expect.poll(() => got).toEqual(['early'])
})

test('what was under way when the connection broke is sent again at the next one, not when the time for an answer is over', async () => {
  const server = await serverWith('--appendonly', 'yes', '--appendfsync', 'always')
  const running = await brokerOn({ url: server.url, commandTimeout: '1h' })
  const reader = await connect(running, durable('reader'))
  await reader.subscribeAsync('kept', { qos: 1 })
  await reader.endAsync()
  const writer = await connect(running, { clientId: 'writer' })
  for (let round = 0; round < 3; round++) {
    const published = Array.from({ length: 20 }, (_, i) => writer.publishAsync('kept', `${round} ${i}`, { qos: 1 }))
    await published[0]
    // It hangs, so that what follows is on its way when it dies.
    server.freeze()
    const under = Array.from({ length: 20 }, (_, i) => writer.publishAsync('kept', `${round} ${20 + i}`, { qos: 1 }))
    await new Promise(resolve => setImmediate(resolve))
    await server.kill()
    await server.start()
    await Promise.all([...published, ...under])
  }
  const got: string[] = []
  const again = await comesBack(running, { ...durable('reader') })
  again.on('message', (_topic, payload) => got.push(String(payload)))
  await expect.poll(() => got).toEqual([0, 1, 2].flatMap(round => Array.from({ length: 40 }, (_, i) => `${round} ${i}`)))
})
