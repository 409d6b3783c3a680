import { connect as connectSocket } from 'node:net'
import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { ClientRates, departedMax } from '../../plugins/limits/client-rates.ts'
import { ConnectionLimits } from '../../plugins/limits/connection-limits.ts'
import { LimitLog } from '../../plugins/limits/limit-log.ts'
import { limitsManifest } from '../../plugins/limits/manifest.ts'
import { PausedClients } from '../../plugins/limits/paused-clients.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { publishBytes, TestClient } from '../support/client.ts'

// Goal: whoever attacks the limits themselves gets nothing by it. What they remember is bounded, nobody else pays, time may do what it likes.

type LimitsInput = Parameters<typeof startBroker>[0] extends infer C ? (C extends { limits?: infer L } ? L : never) : never

const optionsOf = (given: LimitsInput) =>
  checkOptions(limitsManifest.options, given, 'limits') as ConstructorParameters<typeof ConnectionLimits>[0]

test('addresses that change all the time fill no table, and all together stay within the rate for all', async () => {
  const { broker, clock } = await startBroker()
  const options = optionsOf({ connectsPerSecond: 1000, connectsPerSecondPerAddress: 0.1, connectBurstPerAddress: 2 })
  const limits = new ConnectionLimits(options, broker, new LimitLog(broker), null)
  const transportOf = (remoteAddress: string) => ({ remoteAddress, listener: 'test' }) as Parameters<typeof limits.accept>[0]
  let accepted = 0
  let addressesMax = 0
  for (let i = 0; i < 100_000; i++) {
    if (i % 100 === 0) clock.advance(50)
    const transport = transportOf(`2001:db8:${(i >> 8).toString(16)}:${(i & 0xff).toString(16)}::1`)
    if (limits.accept(transport) === undefined) accepted += 1
    limits.closed(transport)
    addressesMax = Math.max(addressesMax, limits.addresses)
  }
  // 50 seconds at 1,000 and the burst.
  expect(accepted).toBeGreaterThan(51_000)
  expect(accepted).toBeLessThanOrEqual(52_300)
  expect(addressesMax).toBeLessThanOrEqual(16_384)
  // One of them that had used its rate up cannot have been forgotten by fewer others than that.
  clock.advance(60_000)
  const last = transportOf('192.0.2.1')
  limits.accept(last)
  limits.closed(last)
  expect(limits.addresses).toBeLessThanOrEqual(1)
})

test('what closes without ever having been let in, and what closes twice, changes no count', async () => {
  const { broker } = await startBroker()
  const limits = new ConnectionLimits(optionsOf({ maxConnections: 2, maxConnectionsPerAddress: 1 }), broker, new LimitLog(broker), null)
  const transportOf = (remoteAddress: string) => ({ remoteAddress, listener: 'test' }) as Parameters<typeof limits.accept>[0]
  const [first, second, refused, stranger] = ['a', 'b', 'a', 'c'].map(transportOf) as [never, never, never, never]
  expect([limits.accept(first), limits.accept(second)]).toEqual([undefined, undefined])
  expect(limits.accept(refused)).toBeDefined()
  for (const transport of [refused, refused, stranger]) limits.closed(transport)
  expect(limits.accept(transportOf('d'))).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
  limits.closed(first)
  limits.closed(first)
  expect(limits.accept(transportOf('a'))).toBeUndefined()
  expect(limits.accept(transportOf('e'))).toBeDefined()
})

test('a storm of take-overs under one user name leaves the count as it was', async () => {
  const { open, connect, broker } = await startBroker({ limits: { maxConnectionsPerUser: 2 } })
  const storm = Array.from({ length: 50 }, () => open(5))
  const codes = await Promise.all(
    storm.map(client =>
      client.connect({ clientId: 'same', username: 'anna' }).then(
        ({ reasonCode }) => reasonCode,
        () => -1,
      ),
    ),
  )
  expect(codes.filter(code => code === 0).length).toBeGreaterThan(0)
  await settled()
  for (const client of storm) client.drop()
  await settled()
  expect(broker.clients.size).toBe(0)
  const knock = async (clientId: string) => (await open(5).connect({ clientId, username: 'anna' })).reasonCode
  expect([await knock('a'), await knock('b'), await knock('c')]).toEqual([0, 0, ReasonCode.QuotaExceeded])
  expect((await connect({ username: 'bert' })).isClosed).toBe(false)
})

test('user names that change all the time leave nothing behind', async () => {
  const { broker } = await startBroker()
  const limits = new ConnectionLimits(optionsOf({ maxConnectionsPerUser: 3 }), broker, new LimitLog(broker), null)
  type TheClient = Parameters<typeof limits.connect>[0]
  const clientOf = (clientId: string, username: string) => ({ clientId, username }) as TheClient
  let refused = 0
  for (let i = 0; i < 20_000; i++) {
    const clients = Array.from({ length: 4 }, (_, n) => clientOf(`${i}-${n}`, `user ${i}`))
    for (const client of clients) if (limits.connect(client) !== undefined) refused += 1
    expect(limits.users).toBe(3)
    // Whoever was refused has its onDisconnect too.
    for (const client of clients) limits.disconnected(client)
  }
  expect(refused).toBe(20_000)
  expect(limits.users).toBe(0)
})

test('client ids that change all the time leave a bounded number of buckets behind, none once time has passed', async () => {
  const { broker, clock } = await startBroker()
  const metering = { overRate: 'refuse', paused: new PausedClients(clock), memory: null, log: new LimitLog(broker) } as const
  const rates = new ClientRates(broker, { perSecond: 1, burst: 2 }, null, metering)
  type TheClient = Parameters<typeof rates.connect>[0]
  const come = (clientId: string) => {
    const client = { clientId, meter: null } as unknown as TheClient
    rates.connect(client)
    client.meter!.publish({ start: 0, end: 10 } as never)
    rates.disconnected(client)
  }
  for (let i = 0; i < departedMax + 5000; i++) come(`c${i}`)
  expect(rates.departed).toBe(departedMax)
  clock.advance(10_000)
  come('last')
  expect(rates.departed).toBe(1)
})

test('a clock that stands still, jumps a year ahead, or wakes from sleep neither locks a client out nor lets a flood through', async () => {
  const { connect, clock, broker } = await startBroker({ limits: { messagesPerSecond: 10, messageBurst: 5 } })
  const reader = await connect()
  await reader.subscribe('t')
  const writer = await connect({ clientId: 'writer' })
  writer.stream.write(Buffer.concat(Array.from({ length: 40 }, (_, i) => publishBytes('t', String(i)))))
  await settled()
  let heard = (await reader.payloads()).length
  expect(heard).toBe(5 + 1)
  for (let turn = 0; turn < 10; turn++) await settled()
  expect(await reader.payloads()).toEqual([])
  for (const jump of [86_400_000 * 365, 3_600_000, 1]) {
    clock.sleep(jump)
    await settled()
    const more = (await reader.payloads()).length
    expect(more).toBeLessThanOrEqual(5 + 1)
    heard += more
  }
  expect(broker.clientOf('writer')).toBeDefined()
  for (let second = 0; second < 5; second++) {
    clock.advance(1000)
    await settled()
    heard += (await reader.payloads()).length
  }
  expect(heard).toBe(40)
})

test('a thousand clients above their rate: each gets its own, in order, and one that is within it does not notice', async () => {
  const broker = await startBroker({ limits: { messagesPerSecond: 10, messageBurst: 1 } })
  const heard = new Map<string, string[]>()
  broker.hooks.onRoute.tap('test', ({ clientId, payload }) => {
    const list = heard.get(clientId)
    if (list === undefined) heard.set(clientId, [payload.toString()])
    else list.push(payload.toString())
  })
  const flooders = await Promise.all(Array.from({ length: 1000 }, (_, i) => broker.connect({ clientId: `f${i}` })))
  const flood = Buffer.concat(Array.from({ length: 20 }, (_, i) => publishBytes('t', String(i))))
  for (const { stream } of flooders) stream.write(flood)
  const quiet = await broker.connect({ version: 5 })
  for (let second = 0; second < 3; second++) {
    await broker.advance(1000)
    expect(await quiet.publish('q', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
    expect(await quiet.rest()).toEqual([])
  }
  const all = Array.from({ length: 20 }, (_, i) => String(i))
  for (let i = 0; i < 1000; i++) expect(heard.get(`f${i}`)).toEqual(all)
  expect(broker.broker.clients.size).toBe(1001)
})

test('a topic that many flood gives each of them its turn; nobody is left out for ever', async () => {
  const broker = await startBroker({ limits: { topicRates: [{ filter: 't', messagesPerSecond: 100, messageBurst: 1 }] } })
  const count = new Map<string, number>()
  broker.hooks.onRoute.tap('test', ({ clientId }) => void count.set(clientId, (count.get(clientId) ?? 0) + 1))
  const flooders = await Promise.all(Array.from({ length: 50 }, (_, i) => broker.connect({ clientId: `f${i}` })))
  const flood = Buffer.concat(Array.from({ length: 500 }, () => publishBytes('t', 'x')))
  for (const { stream } of flooders) stream.write(flood)
  await settled()
  for (let second = 0; second < 20; second++) await broker.advance(1000)
  const counts = [...count.values()]
  expect(counts).toHaveLength(50)
  const total = counts.reduce((sum, each) => sum + each, 0)
  expect(total).toBeGreaterThan(1800)
  expect(total).toBeLessThanOrEqual(2000 + 50 + 1)
  expect(Math.min(...counts) * 3).toBeGreaterThan(Math.max(...counts))
})

test('topic names that change all the time make no memory of them', async () => {
  const broker = await startBroker({
    limits: { topicRates: [{ filter: 'a/+/b', messagesPerSecond: 1000, messageBurst: 10, overRate: 'refuse' }] },
  })
  const writer = await broker.connect({ version: 5 })
  const topics = Array.from({ length: 30_000 }, (_, i) => publishBytes(`a/${i}/${i % 3 === 0 ? 'b' : 'c'}`, '', { version: 5 }))
  writer.stream.write(Buffer.concat(topics))
  await writer.rest()
  // The bucket is that of the filter, however the topics are called.
  expect(broker.broker.counters.limited.topicRate).toBe(10_000 - 10)
})

test('a client that is paused and goes leaves nothing behind: no timer, and its place is free', async () => {
  const { connect, broker, clock, advance } = await startBroker({ limits: { messagesPerSecond: 1, messageBurst: 1, maxConnections: 1 } })
  for (let round = 0; round < 3; round++) {
    const writer = await connect({ clientId: `w${round}` })
    writer.stream.write(Buffer.concat(Array.from({ length: 10 }, () => publishBytes('t', 'x'))))
    await settled()
    broker.clientOf(`w${round}`)!.close(ReasonCode.AdministrativeAction, 'enough')
    await advance(2000)
    await advance(100)
    expect(broker.clients.size).toBe(0)
  }
  expect(clock.now()).toBeGreaterThan(0)
})

test('bursts that overflow a bucket at every size of packet and read are paid for, not lost', async () => {
  const broker = await startBroker({ limits: { messagesPerSecond: 50, messageBurst: 7, bytesPerSecond: 5000, byteBurst: 500 } })
  const got: string[] = []
  broker.hooks.onRoute.tap('test', ({ payload }) => void got.push(payload.toString().replace(/\.+$/, '')))
  const writer = await broker.connect({ version: 4 })
  const stream = Buffer.concat(Array.from({ length: 60 }, (_, i) => publishBytes('t', String(i).padEnd((i * 37) % 300, '.'))))
  // Cut anywhere, also within packets.
  for (let at = 0, step = 1; at < stream.length; at += step, step = (step * 7) % 501 || 1) {
    writer.stream.write(stream.subarray(at, at + step))
    await settled()
  }
  const bytes = stream.length
  const began = broker.clock.now()
  while (got.length < 60) await broker.advance(100)
  expect(got).toEqual(Array.from({ length: 60 }, (_, i) => String(i)))
  expect(broker.clock.now() - began).toBeGreaterThanOrEqual(((bytes - 500 - 501) / 5000) * 1000 - 100)
  expect(await pingsBack(broker, writer)).toBe(true)
})

async function pingsBack(broker: TestBroker, client: TestClient): Promise<boolean> {
  const rest = client.rest()
  await broker.advance(1000)
  return (await rest).length === 0
}

test('a flood of connections on real sockets: most are closed at once, and who was there before is served', async () => {
  const { running, broker } = await startBroker({
    socket: { port: 0 },
    limits: { connectsPerSecondPerAddress: 1, connectBurstPerAddress: 5 },
  })
  const before = new TestClient(connectSocket(running.port, '127.0.0.1'), 5)
  await before.connect()
  const flood = Array.from({ length: 500 }, () => new TestClient(connectSocket(running.port, '127.0.0.1'), 5))
  while (broker.counters.connections < 501) await settled()
  expect(broker.clients.size).toBeLessThanOrEqual(5 + 256)
  expect(await before.publish('a', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
  const closed = flood.filter(({ isClosed }) => isClosed)
  expect(broker.counters.limited.connectRatePerAddress).toBe(496)
  await Promise.all(closed.map(client => client.closed))
  for (const client of flood) client.drop()
  while (broker.clients.size > 1) await settled()
  expect(await before.rest()).toEqual([])
})
