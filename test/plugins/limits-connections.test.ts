import { connect as connectSocket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

/** Connects from an address, and says what the CONNACK said. */
async function knock({ open }: TestBroker, address: string, version: 4 | 5 = 5, username?: string) {
  const client = open(version, address)
  const connack = await client.connect(username === undefined ? {} : { username })
  return { client, ...connack }
}

describe.each([
  [4, 3, 3],
  [5, ReasonCode.QuotaExceeded, ReasonCode.ConnectionRateExceeded],
] as const)('MQTT %i', (version, quota, rate) => {
  test('beyond limits.maxConnections a client is told why and closed; a place that is free again is given', async () => {
    const broker = await startBroker({ limits: { maxConnections: 2 } })
    const first = await knock(broker, '192.0.2.1', version)
    await knock(broker, '192.0.2.2', version)
    const third = await knock(broker, '192.0.2.3', version)
    expect(third).toMatchObject({ reasonCode: quota, sessionPresent: false })
    if (version === 5) expect(third.properties?.reasonString).toBe('the broker has as many connections as it takes')
    await third.client.closed
    expect(broker.broker.counters.limited.connections).toBe(1)
    first.client.drop()
    await settled()
    expect(await knock(broker, '192.0.2.3', version)).toMatchObject({ reasonCode: 0 })
  })

  test('limits.maxConnectionsPerAddress counts each address for itself', async () => {
    const broker = await startBroker({ limits: { maxConnectionsPerAddress: 2 } })
    for (const address of ['192.0.2.1', '::ffff:192.0.2.1', '192.0.2.2', '192.0.2.2']) {
      expect(await knock(broker, address, version)).toMatchObject({ reasonCode: 0 })
    }
    expect(await knock(broker, '192.0.2.1', version)).toMatchObject({ reasonCode: quota })
    expect(await knock(broker, '192.0.2.2', version)).toMatchObject({ reasonCode: quota })
    expect(await knock(broker, '192.0.2.3', version)).toMatchObject({ reasonCode: 0 })
    expect(broker.broker.counters.limited.connectionsPerAddress).toBe(2)
  })

  test('one IPv6 network counts as one address, of the length that is asked for', async () => {
    const wide = await startBroker({ limits: { maxConnectionsPerAddress: 1 } })
    expect(await knock(wide, '2001:db8:0:1::1', version)).toMatchObject({ reasonCode: 0 })
    expect(await knock(wide, '2001:db8:0:1:ffff::2%eth0', version)).toMatchObject({ reasonCode: quota })
    expect(await knock(wide, '2001:db8:0:2::1', version)).toMatchObject({ reasonCode: 0 })
    const wider = await startBroker({ limits: { maxConnectionsPerAddress: 1, ipv6Prefix: 48 } })
    expect(await knock(wider, '2001:db8:0:1::1', version)).toMatchObject({ reasonCode: 0 })
    expect(await knock(wider, '2001:db8:0:2::1', version)).toMatchObject({ reasonCode: quota })
  })

  test('limits.maxConnectionsPerUser counts a user’s clients; those without a name are not counted, and one that comes again is not counted twice', async () => {
    const broker = await startBroker({ limits: { maxConnectionsPerUser: 2 } })
    const connect = async (clientId: string, username?: string) => {
      const client = broker.open(version)
      const { reasonCode, properties } = await client.connect(username === undefined ? { clientId } : { clientId, username })
      return { client, reasonCode, text: properties?.reasonString }
    }
    const a = await connect('a', 'anna')
    expect(a.reasonCode).toBe(0)
    expect((await connect('b', 'anna')).reasonCode).toBe(0)
    const c = await connect('c', 'anna')
    expect(c.reasonCode).toBe(quota)
    if (version === 5) expect(c.text).toBe('too many connections of this user')
    // It takes the place of the one before.
    expect((await connect('b', 'anna')).reasonCode).toBe(0)
    expect((await connect('c', 'bert')).reasonCode).toBe(0)
    for (const clientId of ['d', 'e', 'f']) expect((await connect(clientId)).reasonCode).toBe(0)
    a.client.disconnect()
    await a.client.closed
    await settled()
    expect((await connect('c2', 'anna')).reasonCode).toBe(0)
    expect((await connect('c3', 'anna')).reasonCode).toBe(quota)
    expect(broker.broker.counters.limited.connectionsPerUser).toBe(2)
  })

  test('connections that come too fast are refused until time has passed; what was refused does not count', async () => {
    const broker = await startBroker({ limits: { connectsPerSecond: 2, connectBurst: 3 } })
    for (let i = 0; i < 3; i++) expect(await knock(broker, `192.0.2.${i}`, version)).toMatchObject({ reasonCode: 0 })
    for (let i = 0; i < 9; i++) expect(await knock(broker, `192.0.2.${i}`, version)).toMatchObject({ reasonCode: rate })
    await broker.advance(499)
    expect(await knock(broker, '192.0.2.1', version)).toMatchObject({ reasonCode: rate })
    await broker.advance(1)
    expect(await knock(broker, '192.0.2.1', version)).toMatchObject({ reasonCode: 0 })
    expect(await knock(broker, '192.0.2.1', version)).toMatchObject({ reasonCode: rate })
    await broker.advance(3_600_000)
    for (let i = 0; i < 3; i++) expect(await knock(broker, '192.0.2.1', version)).toMatchObject({ reasonCode: 0 })
    expect(await knock(broker, '192.0.2.1', version)).toMatchObject({ reasonCode: rate })
    expect(broker.broker.counters.limited.connectRate).toBe(12)
  })

  test('an address that connects too fast takes nothing from the others, and is remembered though it has no connection', async () => {
    const broker = await startBroker({
      limits: { connectsPerSecond: 4, connectBurst: 4, connectsPerSecondPerAddress: 1, connectBurstPerAddress: 2 },
    })
    for (const reasonCode of [0, 0, rate, rate, rate, rate, rate]) {
      const { client, reasonCode: said } = await knock(broker, '192.0.2.1', version)
      expect(said).toBe(reasonCode)
      client.drop()
      await settled()
    }
    for (let i = 0; i < 2; i++) expect(await knock(broker, '192.0.2.2', version)).toMatchObject({ reasonCode: 0 })
    expect(broker.broker.counters.limited).toMatchObject({ connectRatePerAddress: 5, connectRate: 0 })
  })
})

test('a refused client reaches no hook but onAccept and onClosed: nobody checks its password', async () => {
  const broker = await startBroker({ limits: { maxConnections: 1 }, allowAnonymous: true })
  const asked: string[] = []
  broker.hooks.onAuthenticate.tap('test', (_client, { clientId }) => void asked.push(clientId))
  broker.hooks.onConnect.tap('test', ({ clientId }) => void asked.push(clientId))
  broker.hooks.onDisconnect.tap('test', ({ clientId }) => void asked.push(`end ${clientId}`))
  let closed = 0
  broker.hooks.onClosed.tap('test', () => void (closed += 1))
  await broker.connect({ clientId: 'in' })
  const out = broker.open(5)
  expect(await out.connect({ clientId: 'out' })).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
  await out.closed
  await settled()
  expect(asked).toEqual(['in', 'in'])
  expect(closed).toBe(1)
})

test('of refused connections so many are told why; the rest is closed at once, and a flood gives one line in the log', async () => {
  const log = keptLog()
  const broker = await startBroker({ limits: { maxConnections: 1 }, log: false, plugins: [log.plugin] })
  await broker.connect()
  const silent = Array.from({ length: 300 }, () => broker.open(5))
  await settled()
  expect(silent.filter(({ isClosed }) => isClosed)).toHaveLength(300 - 256)
  expect(broker.broker.clients.size).toBe(257)
  // Their time to CONNECT frees the places.
  await broker.advance(60_250)
  expect(broker.broker.clients.size).toBe(1)
  expect(broker.broker.counters.limited).toMatchObject({ connections: 300, heartbeat: 256 })
  expect(log.lines.filter(({ fields }) => 'limit' in fields)).toEqual([
    {
      level: 'warn',
      message: expect.stringMatching(/^limits: connections are refused: /),
      fields: expect.objectContaining({ limit: 'connections', times: 1 }),
    },
  ])
  const told = broker.open(5)
  expect(await told.connect()).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
  expect(log.lines.findLast(({ fields }) => 'limit' in fields)?.fields).toMatchObject({ limit: 'connections', times: 300 })
})

test('the limits hold on real sockets, and are let go when these close', async () => {
  const { running, broker } = await startBroker({ socket: { port: 0 }, limits: { maxConnections: 2, maxConnectionsPerAddress: 2 } })
  const dial = async () => {
    const client = new TestClient(connectSocket(running.port, '127.0.0.1'), 5)
    return { client, ...(await client.connect()) }
  }
  const [one, two, three] = [await dial(), await dial(), await dial()]
  expect([one.reasonCode, two.reasonCode, three.reasonCode]).toEqual([0, 0, ReasonCode.QuotaExceeded])
  await three.client.closed
  const gone = new Promise<void>(resolve => broker.hooks.onClosed.tap('test', () => resolve()))
  two.client.drop()
  await gone
  expect((await dial()).reasonCode).toBe(0)
  expect(one.client.isClosed).toBe(false)
})
