import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { allPayloads, allPublishes } from '../conformance/heard.ts'
import { startBroker, type TestBroker } from '../support/broker.ts'
import type { ConnectOptions, TestClient } from '../support/client.ts'
import { onLaterStore } from '../support/later-store.ts'

const filter = '$share/g/t'

/** The drops so far, as `clientId payload reason`. */
function drops({ hooks }: TestBroker): string[] {
  const seen: string[] = []
  hooks.onDrop.tap('test', (clientId, message, reason) => seen.push(`${clientId} ${message.payload} ${reason}`))
  return seen
}

const inflight = (client: TestClient) => client.heard.filter((packet): packet is PublishPacket => packet.type === PacketType.Publish)

/** The ways in which a member goes for good. */
const goings: [how: string, options: ConnectOptions, go: (member: TestClient, broker: TestBroker) => Promise<void>][] = [
  [
    'a clean session whose connection ends',
    { version: 5, clientId: 'goer' },
    async (member, { advance }) => {
      member.drop()
      await advance(0)
    },
  ],
  [
    'a clean 3.1.1 session whose connection ends',
    { version: 4, clientId: 'goer' },
    async (member, { advance }) => {
      member.drop()
      await advance(0)
    },
  ],
  [
    'a stored session that expires',
    { version: 5, clientId: 'goer', properties: { sessionExpiry: 10 } },
    async (member, { advance }) => {
      member.drop()
      await advance(0)
      await advance(12_000)
    },
  ],
  [
    'a stored session that DISCONNECT ends',
    { version: 5, clientId: 'goer', properties: { sessionExpiry: 10 } },
    async member => {
      member.disconnect(0, { sessionExpiry: 0 })
      await member.closed
    },
  ],
  [
    'a stored session in whose place a clean one begins',
    { version: 4, clientId: 'goer', cleanStart: false },
    async (_member, { connect }) => {
      await connect({ version: 4, clientId: 'goer' })
    },
  ],
]

for (const [how, options, go] of goings) {
  test(`gives what a member had not acknowledged at QoS 1, and what was not yet sent, to others in order: ${how}`, async () => {
    const started = await startBroker({ mqtt: { inflightMax: 2 } })
    const { connect } = started
    const dropped = drops(started)
    const goer = await connect(options)
    await goer.subscribe(filter, 1)
    const writer = await connect()
    for (const payload of ['acked', '1', '2', '3', '4']) await writer.publish('t', payload, { qos: 1 })
    await goer.rest()
    goer.ack(PacketType.Puback, inflight(goer)[0]!.packetId)
    expect(await allPayloads(goer)).toEqual(['acked', '1', '2'])
    const heir = await connect({ version: 5, clientId: 'heir' })
    await heir.subscribe(filter, 1)
    await go(goer, started)
    const heard: string[] = []
    for (let i = 0; i < 4; i++) heard.push((await heir.receive()).payload.toString())
    expect(heard).toEqual(['1', '2', '3', '4'])
    // A new message for its new owner: not a repeat of what another one got.
    expect(inflight(heir).every(({ dup }) => !dup)).toBe(true)
    expect(dropped).toEqual([])
  })

  test(`gives a QoS 2 message that had been sent to nobody, and what was not yet sent to others: ${how} [MQTT-4.8.2-5]`, async () => {
    const started = await startBroker({ mqtt: { inflightMax: 2 } })
    const { connect } = started
    const dropped = drops(started)
    const goer = await connect(options)
    await goer.subscribe(filter, 2)
    const writer = await connect()
    for (const payload of ['received', 'sent', 'waiting']) await writer.publish('t', payload, { qos: 2 })
    await goer.rest()
    // PUBREC says that it has the message: nothing is lost there, and nothing is dropped.
    goer.ack(PacketType.Pubrec, inflight(goer)[0]!.packetId)
    await goer.next(PacketType.Pubrel)
    const heir = await connect({ version: 5, clientId: 'heir' })
    await heir.subscribe(filter, 2)
    await go(goer, started)
    expect((await heir.receive()).payload.toString()).toBe('waiting')
    expect(await allPayloads(heir)).toEqual(['waiting'])
    expect(dropped).toEqual(['goer sent noMember'])
  })
}

test('delivers a QoS 2 message to the member that it was sent to when that one comes back [MQTT-4.8.2-4]', async () => {
  const { connect, advance } = await startBroker()
  const options = { version: 5, clientId: 'me', cleanStart: false, properties: { sessionExpiry: 100 } } as const
  const first = await connect(options)
  await first.subscribe(filter, 2)
  const writer = await connect()
  await writer.publish('t', 'mine', { qos: 2 })
  const { packetId } = await first.message()
  const other = await connect({ version: 5 })
  await other.subscribe(filter, 2)
  first.drop()
  await advance(50_000)
  const second = await connect(options)
  expect(await second.receive()).toMatchObject({ packetId, dup: true, qos: 2 })
  expect(await allPayloads(other)).toEqual([])
})

for (const [type, qos] of [
  [PacketType.Puback, 1],
  [PacketType.Pubrec, 2],
] as const) {
  test(`discards a QoS ${qos} message that its member refuses with 0x80 or above: no other member gets it [MQTT-4.8.2-6]`, async () => {
    const { connect, advance } = await startBroker()
    const member = await connect({ version: 5 })
    await member.subscribe(filter, 2)
    const writer = await connect()
    await writer.publish('t', 'refused', { qos })
    member.ack(type, (await member.message()).packetId, 0x83)
    await member.rest()
    const other = await connect({ version: 5 })
    await other.subscribe(filter, 2)
    member.drop()
    await advance(0)
    expect(await allPayloads(other)).toEqual([])
  })
}

test('tells onDrop where nobody is left in the group of a member that is gone for good', async () => {
  const started = await startBroker()
  const { connect, advance } = started
  const dropped = drops(started)
  const member = await connect({ version: 5, clientId: 'last' })
  await member.subscribe(filter, 1)
  const writer = await connect()
  await writer.publish('t', 'lost', { qos: 1 })
  await member.rest()
  member.drop()
  await advance(0)
  expect(dropped).toEqual(['last lost noMember'])
})

test('keeps what a member left for another that is parked, while nobody of the group is online', async () => {
  const { connect, advance } = await startBroker()
  const options = { version: 5, clientId: 'parked', cleanStart: false, properties: { sessionExpiry: 100 } } as const
  const parked = await connect(options)
  await parked.subscribe(filter, 1)
  parked.disconnect()
  await parked.closed
  const goer = await connect({ version: 5 })
  await goer.subscribe(filter, 1)
  const writer = await connect()
  await writer.publish('t', 'left', { qos: 1 })
  expect(await allPayloads(goer)).toEqual(['left'])
  goer.drop()
  await advance(0)
  expect(await allPayloads(await connect(options))).toEqual(['left'])
})

test("gives the heir what was left by the heir's own subscription: QoS, identifier, Retain As Published", async () => {
  const { connect, advance } = await startBroker()
  const goer = await connect({ version: 5 })
  await goer.subscribe(filter, 1, { properties: { subscriptionIdentifiers: [1] } })
  const writer = await connect({ version: 5 })
  await writer.publish('t', 'x', { qos: 2, retain: true, properties: { userProperties: [['k', 'v']] } })
  expect(await allPublishes(goer)).toMatchObject([{ qos: 1, retain: false }])
  const heir = await connect({ version: 5 })
  await heir.subscribe(filter, 2, { retainAsPublished: true, properties: { subscriptionIdentifiers: [2] } })
  goer.drop()
  await advance(0)
  expect(await heir.receive()).toMatchObject({
    qos: 2,
    retain: true,
    dup: false,
    properties: { subscriptionIdentifiers: [2], userProperties: [['k', 'v']] },
  })
})

test('leaves plain subscriptions of a member alone: what it had from them goes with it', async () => {
  const started = await startBroker()
  const { connect, advance } = started
  const dropped = drops(started)
  const goer = await connect({ version: 5, clientId: 'goer' })
  await goer.subscribe(['t', '$share/g/u'], 1)
  const other = await connect({ version: 5 })
  await other.subscribe('$share/g/u', 1)
  const writer = await connect()
  await writer.publish('t', 'plain', { qos: 1 })
  await goer.rest()
  goer.drop()
  await advance(0)
  expect(await allPayloads(other)).toEqual([])
  expect(dropped).toEqual(['goer plain sessionEnded'])
})

test('does not give leftovers to the very session that ends, nor to a group that it had left', async () => {
  const started = await startBroker()
  const { connect } = started
  const dropped = drops(started)
  const goer = await connect({ version: 4, clientId: 'goer', cleanStart: false })
  await goer.subscribe(filter, 1)
  const writer = await connect()
  await writer.publish('t', 'left', { qos: 1 })
  await goer.rest()
  const again = await connect({ version: 4, clientId: 'goer' })
  expect(await allPayloads(again)).toEqual([])
  expect(dropped).toEqual(['goer left noMember'])
})

test('gives nothing more to a session that DISCONNECT has ended while the store is still at it', async () => {
  const { connect } = await startBroker(onLaterStore())
  const parked = { version: 5, clientId: 'parked', cleanStart: false, properties: { sessionExpiry: 100 } } as const
  const heir = await connect(parked)
  const goer = await connect({ version: 5, properties: { sessionExpiry: 100 } })
  const writer = await connect({ version: 5 })
  // The goer joins first, so that its turn comes first.
  await goer.subscribe(filter, 1)
  await heir.subscribe(filter, 1)
  heir.disconnect()
  await heir.closed
  goer.disconnect(0, { sessionExpiry: 0 })
  for (let i = 0; i < 4; i++) writer.sendPublish('t', String(i), { qos: 1 })
  for (let i = 0; i < 4; i++) await writer.next(PacketType.Puback)
  const again = await connect(parked)
  const heard: string[] = []
  for (let i = 0; i < 4; i++) heard.push((await again.receive()).payload.toString())
  expect(heard).toEqual(['0', '1', '2', '3'])
})
