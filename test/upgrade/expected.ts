import { expect } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet, PublishPacket } from '../../core/protocol/packets.ts'
import type { TestClient } from '../support/client.ts'
import { type Connect, delayedCount, forThree, join, longTopic, never, retainedCount, storedSessions, waitingCount } from './history.ts'

const { Puback, Publish, Pubcomp, Pubrec, Pubrel } = PacketType

/**
 * Everything that `writeHistory` had stored must be there. `advance` moves the broker's clock, which begins at the moment when the older broker was
 * killed.
 */
export async function expectHistory(connect: Connect, advance: (ms: number) => Promise<void>): Promise<void> {
  const wills = await join(connect, 'wills', { cleanStart: true, expiry: 0 })
  await wills.subscribe(['wills/#', 'later/#'], 2)
  await advance(2000)
  const now = await wills.receive()
  expect(said(now)).toEqual(['wills/now', 'no delay', 1])
  expect(now.properties).toMatchObject({ contentType: 'text/plain' })

  await expectReader(connect)

  const absent = await join(connect, 'absent')
  expect(said(await absent.receive())).toEqual(['fan/1', forThree, 1])
  for (let i = 0; i < waitingCount; i++) {
    const got = await absent.receive()
    expect(said(got)).toEqual([`waits/${i}`, String(i).repeat(1 + (i % 40) * 20), i % 2 === 0 ? 1 : 2])
    if (i > 0 && i % 3 === 0) expect(got.properties?.messageExpiry).toBeGreaterThan(99_000)
  }
  expect(await absent.payloads()).toEqual([])

  const other = await join(connect, 'other')
  expect(await other.payloads()).toEqual([])

  const worker = await join(connect, 'worker')
  expect(said(await worker.receive())).toEqual(['jobs/1', 'job', 2])

  const old = await join(connect, 'old', { version: 4 })
  expect(said(await old.receive())).toEqual(['old/1', 'for 3.1.1', 1])

  // PUBREL releases what was half done; the same again is a new message.
  const publisher = await join(connect, 'publisher')
  publisher.sendPublish('nobody/hears', 'half done', { qos: 2, packetId: 7777, dup: true })
  await publisher.next(Pubrec)
  publisher.ack(Pubrel, 7777)
  expect(await publisher.next(Pubcomp)).toMatchObject({ packetId: 7777, reasonCode: 0 })

  const retained = await join(connect, 'retained', { cleanStart: true, expiry: 0 })
  await retained.subscribe(['retained/#', 'options/#', longTopic], 2)
  const found = new Map<string, PublishPacket>()
  for (const packet of await afterAll(retained, retainedCount + 2)) found.set(packet.topic, packet)
  expect([...found.keys()].sort()).toEqual(
    [
      ...Array.from({ length: retainedCount - 1 }, (_, i) => `retained/${(i + 1) % 10}/${i + 1}`),
      longTopic,
      'options/x',
      'retained/short',
    ].sort(),
  )
  for (let i = 1; i < retainedCount; i++)
    expect(said(found.get(`retained/${i % 10}/${i}`)!)).toEqual([`retained/${i % 10}/${i}`, `r${i}`, i % 3])
  expect(found.get('options/x')).toMatchObject({ retain: true, properties: { contentType: 'x', userProperties: [['k', 'v']] } })

  // By now the session that was closed with an expiry of 600 s has ended, and the shorter messages too.
  await advance(600_000)
  expect((await reconnect(connect, 'expires')).sessionPresent).toBe(false)
  await advance(3_600_000)
  const later = await afterAll(wills, delayedCount + 1)
  expect(later.filter(({ topic }) => topic === 'later/x').map(({ payload }) => payload.toString())).toEqual(
    Array.from({ length: delayedCount }, (_, i) => `d${i}`),
  )
  expect(later.filter(({ topic }) => topic !== 'later/x').map(said)).toEqual([['wills/late', 'delayed', 2]])
  for (const clientId of storedSessions) expect([clientId, (await reconnect(connect, clientId)).sessionPresent]).toEqual([clientId, true])
}

/** What was in flight goes out again with DUP and its identifier, in order; behind it what waited. */
async function expectReader(connect: Connect): Promise<void> {
  const reader = await join(connect, 'reader', { username: 'eve', properties: { receiveMaximum: 100 } })
  const packets: Packet[] = []
  while (packets.length < 15) {
    const packet = await reader.next()
    if (packet.type === Publish || packet.type === Pubrel) packets.push(packet)
  }
  const shown = packets.map(packet =>
    packet.type === Publish ? [packet.payload.toString(), packet.qos, packet.dup, packet.packetId > 0] : ['PUBREL'],
  )
  expect(shown).toEqual([
    [forThree, 1, true, true],
    ['qos 1', 1, true, true],
    ['qos 2', 2, true, true],
    ['PUBREL'],
    ['retained flag', 2, true, true],
    ['waits 0', 1, true, true],
    ...Array.from({ length: 9 }, (_, i) => [`waits ${i + 1}`, 1, false, true]),
  ])
  const flag = packets[4] as PublishPacket
  expect(flag.retain).toBe(true)
  expect([...(flag.properties?.subscriptionIdentifiers ?? [])].sort()).toEqual([268_435_455, 7])
  const released = packets[3] as { packetId: number }
  reader.ack(Pubcomp, released.packetId)
  for (const packet of packets) if (packet.type === Publish && packet.qos === 1) reader.ack(Puback, packet.packetId)
  for (const packet of packets) {
    if (packet.type !== Publish || packet.qos !== 2) continue
    reader.ack(Pubrec, packet.packetId)
    await reader.next(Pubrel)
    reader.ack(Pubcomp, packet.packetId)
  }
  // Its subscriptions are what they were: no echo for No Local, RETAIN as published, and the identifier of each.
  reader.sendPublish('options/own', 'mine', { qos: 1, retain: true })
  const own = await reader.receive()
  expect([own.payload.toString(), own.retain, own.properties?.subscriptionIdentifiers]).toEqual(['mine', false, [7]])
  reader.sendPublish('options/own', '', { qos: 1, retain: true })
  await reader.receive()
  await reader.publish('gone', 'not for it', { qos: 1 })
  expect(await reader.payloads()).toEqual([])
  reader.disconnect()
  await reader.closed
}

/** So many messages, acknowledged; then nothing more may come. */
async function afterAll(client: TestClient, count: number): Promise<PublishPacket[]> {
  const found: PublishPacket[] = []
  while (found.length < count) found.push(await client.receive())
  expect(await client.payloads()).toEqual([])
  return found
}

async function reconnect(connect: Connect, clientId: string): Promise<{ sessionPresent: boolean }> {
  const client = await connect(5)
  const { sessionPresent } = await client.connect({ clientId, cleanStart: false, version: 5, properties: { sessionExpiry: never } })
  client.disconnect()
  await client.closed
  return { sessionPresent }
}

const said = ({ topic, payload, qos }: PublishPacket): unknown[] => [topic, payload.toString(), qos]
