import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { ConnectOptions } from '../support/client.ts'
import { Gate } from '../support/gated-store.ts'
import { keptLog } from '../support/log.ts'

const durable = (clientId: string): ConnectOptions => ({ version: 5, clientId, cleanStart: false, properties: { sessionExpiry: 3600 } })
const away = () => new StoreAwayError('the store is away')

test('a connection that needs no store comes in though that is away, but not under the id of a stored session', async () => {
  const gate = new Gate()
  const { open, connect, broker } = await startBroker(gate.config)
  const stored = await connect(durable('stored'))
  await stored.subscribe('a', 1)
  stored.drop()
  await stored.closed
  gate.hold('claim')
  const clean = open(4)
  const connack = clean.connect({ clientId: 'clean', cleanStart: true })
  const other = open(4).connect({ clientId: 'stored', cleanStart: true })
  const durably = open(4).connect({ clientId: 'new', cleanStart: false })
  await settled()
  gate.fail(away())
  expect((await connack).reasonCode).toBe(0)
  expect((await other).reasonCode).toBe(3)
  expect((await durably).reasonCode).toBe(3)
  // It is served, with acknowledgements, as long as nobody who is stored is to have a copy.
  gate.hold('append')
  expect(await clean.subscribe('b', 2)).toEqual([2])
  clean.sendPublish('b', 'x', { qos: 2, packetId: 9 })
  expect((await clean.receive()).payload.toString()).toBe('x')
  expect(clean.heard).toContainEqual(expect.objectContaining({ type: PacketType.Pubrec, packetId: 9 }))
  expect(gate.waiting).toEqual([])
  expect(broker.clientOf('stored')).toBeUndefined()
})

test('withheld acknowledgements are bounded: by Receive Maximum, and by the bytes of their messages', async () => {
  const gate = new Gate({ mqtt: { receiveMaximum: 5 } })
  const { connect } = await startBroker(gate.config)
  await (await connect(durable('reader'))).subscribe('a', 1)
  for (const [payload, most] of [
    ['x', 6],
    ['x'.repeat(1_500_000), 4],
  ] as const) {
    gate.hold('append')
    const writer = await connect({ version: 4 })
    for (let i = 1; i <= 20; i++) writer.sendPublish('a', payload, { qos: 1, packetId: i })
    await settled()
    await settled()
    expect(gate.waiting.length).toBeGreaterThan(1)
    expect(gate.waiting.length).toBeLessThanOrEqual(most)
    gate.release()
    for (let i = 1; i <= 20; i++) expect(await writer.next(PacketType.Puback)).toMatchObject({ packetId: i })
    writer.drop()
  }
})

test('an acknowledgement that is kept back for too long ends the connection, which may send again; the first is not routed twice', async () => {
  const gate = new Gate({ mqtt: { receiptTimeout: '20s' } })
  const { connect, advance } = await startBroker(gate.config)
  const reader = await connect(durable('reader'))
  await reader.subscribe('a', 2)
  gate.hold('append')
  const writer = await connect(durable('writer'))
  writer.sendPublish('a', 'x', { qos: 2, packetId: 3 })
  await settled()
  await advance(19_000)
  expect(writer.isClosed).toBe(false)
  await advance(2000)
  expect((await writer.ended())?.reasonCode).toBe(ReasonCode.ServerBusy)
  // It waits for the first one's outcome, and not for ever either.
  const again = await connect(durable('writer'))
  again.sendPublish('a', 'x', { qos: 2, packetId: 3, dup: true })
  await settled()
  await advance(21_000)
  expect((await again.ended())?.reasonCode).toBe(ReasonCode.ServerBusy)
  const last = await connect(durable('writer'))
  last.sendPublish('a', 'x', { qos: 2, packetId: 3, dup: true })
  await settled()
  gate.release()
  await last.next(PacketType.Pubrec)
  last.ack(PacketType.Pubrel, 3)
  await last.next(PacketType.Pubcomp)
  expect(await reader.payloads()).toEqual(['x'])
})

test('an acknowledgement that a plugin holds and forgets ends the connection too; one that a slow reader holds does not', async () => {
  const { connect, advance, hooks } = await startBroker({ mqtt: { receiptTimeout: '5s', queueMessagesMax: 10 } })
  hooks.onRoute.tap('forgetful', ({ topic }, _route, receipt) => {
    if (topic === 'held') receipt.hold()
  })
  const writer = await connect({ version: 5 })
  writer.sendPublish('held', 'x', { qos: 1 })
  await settled()
  await advance(6000)
  expect((await writer.ended())?.reasonCode).toBe(ReasonCode.ServerBusy)

  const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('a', 1)
  const patient = await connect({ version: 5 })
  for (let i = 0; i < 9; i++) patient.sendPublish('a', String(i), { qos: 1 })
  await settled()
  const acked = () => patient.heard.filter(({ type }) => type === PacketType.Puback).length
  expect(acked()).toBeLessThan(9)
  for (let second = 0; second < 9; second++) {
    await advance(4000)
    await reader.receive()
    await settled()
    expect(patient.isClosed).toBe(false)
  }
  expect(acked()).toBe(9)
})

test('the end of a connection is told to the store when that is back, so that its session expires', async () => {
  const gate = new Gate()
  const { connect, advance, broker, hooks } = await startBroker(gate.config)
  const expired: string[] = []
  hooks.onSessionExpired.tap('test', clientId => void expired.push(clientId))
  const closing = await connect(durable('closing'))
  const ending = await connect(durable('ending'))
  await ending.subscribe('a', 1)
  gate.hold('close', 'end')
  closing.disconnect(0, { sessionExpiry: 60 })
  ending.disconnect(0, { sessionExpiry: 0 })
  await Promise.all([closing.closed, ending.closed])
  await settled()
  expect(gate.waiting.toSorted()).toEqual(['close', 'end'])
  gate.fail(away())
  await settled()
  await advance(1500)
  expect(expired).toEqual(['ending'])
  await advance(60_000)
  await advance(1000)
  expect(expired).toEqual(['ending', 'closing'])
  expect(broker.roster.size).toBe(0)
})

test('a client that is back before the store took the end of its connection keeps its session', async () => {
  const gate = new Gate()
  const { connect, advance } = await startBroker(gate.config)
  const first = await connect(durable('c'))
  await first.subscribe('a', 1)
  gate.hold('close')
  first.disconnect(0, { sessionExpiry: 1 })
  await first.closed
  await settled()
  gate.fail(away())
  await settled()
  const again = await connect(durable('c'))
  await advance(60_000)
  await advance(60_000)
  expect(again.isClosed).toBe(false)
  again.sendPublish('a', 'x', { qos: 1 })
  expect((await again.receive()).payload.toString()).toBe('x')
})

test('a store that is away is one line a second in the log, not one for each client', async () => {
  const log = keptLog()
  const gate = new Gate({ log: false, plugins: [log.plugin] })
  const { connect, advance } = await startBroker(gate.config)
  const readers = await Promise.all(Array.from({ length: 50 }, (_, i) => connect(durable(`reader-${i}`))))
  gate.hold('subscribe')
  for (const reader of readers) reader.subscribe('a', 1).catch(() => {})
  await settled()
  gate.fail(away())
  await Promise.all(readers.map(reader => reader.closed))
  const lines = () => log.lines.filter(({ message }) => message.includes('the store is away'))
  expect(lines()).toHaveLength(1)
  await advance(1000)
  gate.hold('claim')
  const refused = connect(durable('late'))
  await settled()
  gate.fail(away())
  expect(await refused).toBeDefined()
  expect(lines()).toHaveLength(2)
  expect(lines()[1]!.fields).toMatchObject({ code: 'ERR_STORE_AWAY', alsoFailed: 49 })
})

test('what nobody will send again and the store does not take is a drop: QoS 0 to be kept, and a will', async () => {
  const gate = new Gate({ mqtt: { queueQoS0: true } })
  const { connect, hooks } = await startBroker(gate.config)
  const dropped: string[] = []
  hooks.onDrop.tap('test', (clientId, message, reason) => void dropped.push(`${clientId} ${message.payload} ${reason}`))
  const reader = await connect(durable('reader'))
  await reader.subscribe('a', 1)
  reader.drop()
  await reader.closed
  await settled()
  const dying = await connect({ clientId: 'dying', will: { topic: 'a', payload: Buffer.from('will'), qos: 1 } })
  const writer = await connect()
  gate.hold('append')
  writer.sendPublish('a', 'at most once', { qos: 0 })
  dying.drop()
  await dying.closed
  await settled()
  gate.fail(away())
  await settled()
  expect(dropped).toEqual(['reader at most once storeFailed', 'dying will storeFailed'])
})
