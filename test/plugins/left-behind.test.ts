import { describe, expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'

// What all clients leave behind together has a bound: sessions, and retained messages.

const versions = [4, 5] as const
const lasting = (clientId: string, username?: string) => ({
  version: 5 as const,
  clientId,
  cleanStart: false,
  ...(username === undefined ? {} : { username }),
  properties: { sessionExpiry: 0xffffffff },
})

describe.each(versions)('MQTT %i', version => {
  test('a client id that is longer than limits.maxClientIdLength is refused', async () => {
    const { open, broker } = await startBroker({ limits: { maxClientIdLength: 30 } })
    const codes: number[] = []
    for (const length of [30, 31]) codes.push((await open(version).connect({ clientId: 'x'.repeat(length) })).reasonCode)
    expect(codes).toEqual([0, version === 5 ? ReasonCode.ClientIdentifierNotValid : 2])
    expect(broker.counters.limited.clientIdLength).toBe(1)
  })

  test('shared subscriptions have a bound of their own; what replaces one, or is not shared, makes no trouble', async () => {
    const log = keptLog()
    const { connect, broker } = await startBroker({ log: false, plugins: [log.plugin], mqtt: { sharedSubscriptionsMax: 2 } })
    const again = { ...lasting('c'), version, ...(version === 4 ? { properties: {} } : {}) }
    const client = await connect(again)
    const no = version === 5 ? ReasonCode.QuotaExceeded : 0x80
    expect(await client.subscribe(['$share/a/x', '$share/a/x', '$share/b/x', '$share/c/x', 'x'])).toEqual([0, 0, 0, no, 0])
    expect(await client.subscribe(['$share/a/x', '$share/d/x'], 1)).toEqual([1, no])
    await client.unsubscribe('$share/a/x')
    expect(await client.subscribe(['$share/d/x', '$share/e/x'])).toEqual([0, no])
    client.drop()
    await client.closed
    await settled()
    // A session that comes back counts what it holds.
    const back = await connect(again)
    expect(await back.subscribe(['$share/e/x'])).toEqual([no])
    expect(broker.counters.limited.sharedSubscriptions).toBe(4)
    // One line, not four.
    const said = log.lines.filter(({ message }) => message.startsWith('subscription refused'))
    expect(said).toMatchObject([{ fields: { clientId: 'c', filter: '$share/c/x', reasonCode: ReasonCode.QuotaExceeded } }])
  })

  test('one session more than limits.maxSessions is refused; those that are there come back, and one that ends makes room', async () => {
    const { open, broker } = await startBroker({ limits: { maxSessions: 2 } })
    const connect = async (clientId: string, cleanStart = false) => {
      const client = open(version)
      const { reasonCode } = await client.connect({
        ...lasting(clientId),
        version,
        cleanStart,
        ...(version === 5 && cleanStart ? { properties: {} } : {}),
      })
      client.disconnect()
      await client.closed
      await settled()
      return reasonCode
    }
    const full = version === 5 ? ReasonCode.QuotaExceeded : 3
    expect([await connect('a'), await connect('b'), await connect('c')]).toEqual([0, 0, full])
    expect([await connect('a'), await connect('b')]).toEqual([0, 0])
    expect(await connect('a', true)).toBe(0)
    expect(await connect('c')).toBe(0)
    expect(broker.counters.limited.sessions).toBe(1)
  })

  test('a retained message beyond retain.messagesMax is delivered and not retained; one that takes the place of another is', async () => {
    const log = keptLog()
    const { connect, broker } = await startBroker({ log: false, plugins: [log.plugin], retain: { messagesMax: 2 } })
    const [writer, reader] = [await connect({ version, clientId: 'writer' }), await connect()]
    await reader.subscribe('#')
    const codes: number[] = []
    for (const topic of ['a', 'b', 'c', 'd', 'b']) codes.push((await writer.publish(topic, topic, { qos: 1, retain: true }))!.reasonCode)
    const no = version === 5 ? ReasonCode.QuotaExceeded : 0
    expect(codes).toEqual([0, 0, no, no, 0])
    expect(await reader.payloads()).toEqual(['a', 'b', 'c', 'd', 'b'])
    writer.sendPublish('e', 'e', { retain: true })
    await writer.publish('a', '', { qos: 1, retain: true })
    await writer.publish('f', 'f', { qos: 2, retain: true })
    const late = await connect()
    await late.subscribe('#')
    expect((await late.payloads()).sort()).toEqual(['b', 'f'])
    expect(broker.counters.limited.retained).toBe(3)
    const said = log.lines.filter(({ level, message }) => level === 'warn' && message.startsWith('retain: '))
    expect(said.map(({ fields }) => fields)).toEqual([{ clientId: 'writer', topic: 'c', times: 1 }])
  })
})

test('sessions of one user have a bound of their own; another user, and clients without a name, go on', async () => {
  const { open, broker } = await startBroker({ allowAnonymous: true, limits: { maxSessionsPerUser: 2 } })
  broker.hooks.onAuthenticate.tap('test', ({ username }) => (username === null ? undefined : { username }))
  const connect = async (clientId: string, username?: string) => (await open(5).connect(lasting(clientId, username))).reasonCode
  expect([await connect('a', 'u'), await connect('b', 'u'), await connect('c', 'u'), await connect('a', 'u')]).toEqual([0, 0, 0x97, 0])
  expect([await connect('c', 'v'), await connect('d'), await connect('e'), await connect('f')]).toEqual([0, 0, 0, 0])
  expect(broker.counters.limited.sessionsPerUser).toBe(1)
  // A session that ends makes room for another of its user.
  expect((await open(5).connect({ version: 5, clientId: 'a', username: 'u' })).reasonCode).toBe(0)
  expect(await connect('g', 'u')).toBe(0)
})

test('retain.bytesMax bounds all retained messages together', async () => {
  const { connect, broker } = await startBroker({ retain: { bytesMax: 5000 } })
  const client = await connect({ version: 5 })
  const publish = async (topic: string, bytes: number) =>
    (await client.publish(topic, Buffer.alloc(bytes), { qos: 1, retain: true }))!.reasonCode & 0x80
  expect([await publish('a', 2000), await publish('b', 2000), await publish('c', 2000)]).toEqual([0, 0, 0x80])
  await client.publish('a', '', { qos: 1, retain: true })
  expect([await publish('c', 2000), await publish('d', 2000)]).toEqual([0, 0x80])
  expect(broker.counters.limited.retained).toBe(2)
})

test('both options are taken up while the broker runs', async () => {
  const { connect, running } = await startBroker({ retain: { messagesMax: 1 } })
  const client = await connect({ version: 5 })
  const publish = async (topic: string) => (await client.publish(topic, 'x', { qos: 1, retain: true }))!.reasonCode
  expect([await publish('a'), await publish('b')]).toEqual([ReasonCode.NoMatchingSubscribers, ReasonCode.QuotaExceeded])
  await running.reload('retain', { messagesMax: 2 })
  expect(await publish('b')).toBe(ReasonCode.NoMatchingSubscribers)
})
