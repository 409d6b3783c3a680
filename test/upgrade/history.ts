import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnectOptions, TestClient } from '../support/client.ts'

// What an older version is made to store, and what a newer one must then know. `writeHistory` runs against a broker of the older version, which
// is killed when it is done; `expectHistory` (expected.ts) runs against a broker of this version on what the older one kept. Both speak MQTT only.

export const never = 0xff_ff_ff_ff
const { Puback, Pubrec, Pubrel } = PacketType

/** Opens a connection, on which nothing has been said yet. */
export type Connect = (version: 4 | 5) => TestClient | Promise<TestClient>

/** Longer than what a store puts into each queue rather than apart, once for all. */
export const forThree = `for three: ${'x'.repeat(300)}`
export const longTopic = `long/${'ä'.repeat(1000)}/end`
export const waitingCount = 40
export const delayedCount = 300
export const retainedCount = 200
/** The client ids of all sessions that are stored when `writeHistory` is done. */
export const storedSessions = ['absent', 'expires', 'late-will', 'old', 'other', 'publisher', 'reader', 'will', 'worker']

export async function join(connect: Connect, clientId: string, options: ConnectOptions & { expiry?: number } = {}): Promise<TestClient> {
  const { version = 5, expiry = never, properties, ...rest } = options
  const client = await connect(version as 4 | 5)
  const given = version === 5 ? { properties: { sessionExpiry: expiry, ...properties } } : {}
  await client.connect({ clientId, cleanStart: false, version, ...given, ...rest })
  return client
}

/** Lets an older broker store one of everything. The connections that are returned stay open, for the broker to be killed under them. */
export async function writeHistory(connect: Connect): Promise<TestClient[]> {
  const publisher = await join(connect, 'publisher')
  const reader = await join(connect, 'reader', { username: 'eve', properties: { receiveMaximum: 6 } })
  await reader.subscribe('flight/#', 2)
  const options = { noLocal: true, retainAsPublished: true, retainHandling: 2 } as const
  await reader.subscribe('options/+', 2, { ...options, properties: { subscriptionIdentifiers: [268_435_455] } })
  await reader.subscribe('options/#', 1, { properties: { subscriptionIdentifiers: [7] } })
  await reader.subscribe('gone')
  await reader.unsubscribe('gone')

  // One body for three queues, of which one has gone already.
  const absent = await join(connect, 'absent')
  await absent.subscribe(['fan/#', 'waits/#'], 2)
  const other = await join(connect, 'other')
  await other.subscribe('fan/#', 1)
  await reader.subscribe('fan/#', 1)
  absent.disconnect()
  await absent.closed
  await publisher.publish('fan/1', forThree, { qos: 1 })
  await other.receive()
  other.disconnect()
  await other.closed

  // In flight at the reader: QoS 1 and QoS 2 that it has not acknowledged, and QoS 2 of which it has said PUBREC.
  await publisher.publish('flight/a', 'qos 1', { qos: 1 })
  await publisher.publish('flight/b', 'qos 2', { qos: 2 })
  await publisher.publish('flight/c', 'qos 2, received', { qos: 2 })
  await publisher.publish('options/x', 'retained flag', {
    qos: 2,
    retain: true,
    properties: { contentType: 'x', userProperties: [['k', 'v']] },
  })
  let received = 0
  for (let i = 0; i < 5; i++) {
    const { payload, packetId } = await reader.message()
    if (payload.toString() === 'qos 2, received') received = packetId
  }
  reader.ack(Pubrec, received)
  await reader.next(Pubrel)
  // One more fills its window; one is freed, so that the next was first kept without a packet identifier. The rest wait.
  await publisher.publish('flight/d', 'acknowledged', { qos: 1 })
  for (let i = 0; i < 10; i++) await publisher.publish('flight/w', `waits ${i}`, { qos: 1 })
  const { packetId } = await reader.message()
  reader.ack(Puback, packetId)
  await reader.message()

  // Many messages in one queue, and messages with an expiry, of different lengths.
  for (let i = 0; i < waitingCount; i++) {
    const expiry = i % 3 === 0 ? { properties: { messageExpiry: i === 0 ? 60 : 100_000 } } : {}
    await publisher.publish(`waits/${i}`, String(i).repeat(1 + (i % 40) * 20), { qos: i % 2 === 0 ? 1 : 2, ...expiry })
  }

  const worker = await join(connect, 'worker')
  await worker.subscribe('$share/workers/jobs/#', 2)
  worker.disconnect()
  await worker.closed
  await publisher.publish('jobs/1', 'job', { qos: 2 })

  const old = await join(connect, 'old', { version: 4 })
  await old.subscribe('old/#', 1)
  old.disconnect()
  await old.closed
  await publisher.publish('old/1', 'for 3.1.1', { qos: 1 })

  for (let i = 0; i < retainedCount; i++)
    await publisher.publish(`retained/${i % 10}/${i}`, `r${i}`, { qos: (i % 3) as 0 | 1 | 2, retain: true })
  await publisher.publish(longTopic, 'long', { qos: 1, retain: true, properties: { messageExpiry: 100_000 } })
  await publisher.publish('retained/short', 'short', { qos: 1, retain: true, properties: { messageExpiry: 60 } })
  await publisher.publish('retained/0/0', '', { qos: 1, retain: true })

  const will = {
    topic: 'wills/now',
    payload: Buffer.from('no delay'),
    qos: 1 as const,
    retain: true,
    properties: { contentType: 'text/plain' },
  }
  const kept = [publisher, reader, await join(connect, 'will', { will })]
  const late = { topic: 'wills/late', payload: Buffer.from('delayed'), qos: 2 as const, properties: { willDelay: 3600 } }
  const lateWill = await join(connect, 'late-will', { will: late, username: 'eve' })
  lateWill.drop()
  const expires = await join(connect, 'expires', { expiry: 600 })
  await expires.subscribe('expires/#', 1)
  expires.disconnect()
  await expires.closed
  await publisher.publish('expires/1', 'expires', { qos: 1 })

  // All in one write, so that they lie in few segments.
  for (let i = 0; i < delayedCount; i++) publisher.sendPublish('$delayed/3600/later/x', `d${i}`, { qos: 1 })
  for (let i = 0; i < delayedCount; i++) await publisher.next(Puback)

  // Half done at the publisher's side: PUBREC has come, PUBREL was never sent.
  publisher.sendPublish('nobody/hears', 'half done', { qos: 2, packetId: 7777 })
  await publisher.next(Pubrec)
  return kept
}
