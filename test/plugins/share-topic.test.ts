import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { allPayloads } from '../conformance/heard.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

const filter = '$share/g/t'

/** What each of them has got. */
async function got(members: readonly TestClient[]): Promise<string[][]> {
  const all: string[][] = []
  for (const member of members) all.push(await allPayloads(member))
  return all
}

const strategies = ['round', 'random', 'hash', 'sticky'] as const

for (const shareSubStrategy of strategies) {
  for (const version of [3, 4, 5] as const) {
    test(`brings each message to one member: ${shareSubStrategy}, MQTT ${version}`, async () => {
      const { connect } = await startBroker({ shareTopic: { shareSubStrategy } })
      const members = [await connect({ version }), await connect({ version }), await connect({ version })]
      for (const member of members) expect(await member.subscribe(filter, 1)).toEqual([1])
      const writer = await connect()
      for (let i = 0; i < 30; i++) await writer.publish('t', String(i), { qos: 1 })
      const all = (await got(members)).flat()
      expect(all.sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 30 }, (_, i) => String(i)))
    })
  }

  test(`picks only members that are online while one is: ${shareSubStrategy}`, async () => {
    const { connect, advance } = await startBroker({ shareTopic: { shareSubStrategy } })
    const members: TestClient[] = []
    for (let i = 0; i < 4; i++) members.push(await connect({ version: 5, clientId: `m${i}`, properties: { sessionExpiry: 100 } }))
    for (const member of members) await member.subscribe(filter, 1)
    for (const i of [0, 1, 3]) members[i]!.drop()
    await advance(0)
    const writer = await connect()
    for (let i = 0; i < 20; i++) await writer.publish('t', String(i), { qos: 1 })
    expect(await allPayloads(members[2]!)).toHaveLength(20)
    for (const i of [0, 1, 3]) {
      const again = await connect({ version: 5, clientId: `m${i}`, cleanStart: false })
      expect(await allPayloads(again)).toEqual([])
    }
  })

  test(`keeps messages for a parked member while nobody of the group is online: ${shareSubStrategy}`, async () => {
    const { connect } = await startBroker({ shareTopic: { shareSubStrategy } })
    const options = (clientId: string) => ({ version: 5, clientId, cleanStart: false, properties: { sessionExpiry: 100 } }) as const
    for (const clientId of ['one', 'two']) {
      const member = await connect(options(clientId))
      await member.subscribe(filter, 1)
      member.disconnect()
      await member.closed
    }
    const writer = await connect({ version: 5 })
    for (let i = 0; i < 10; i++) expect(await writer.publish('t', String(i), { qos: 1 })).toMatchObject({ reasonCode: 0 })
    const all = await got([await connect(options('one')), await connect(options('two'))])
    expect(all.flat().sort()).toEqual(Array.from({ length: 10 }, (_, i) => String(i)))
  })
}

test('takes the members in turn: round', async () => {
  const { connect } = await startBroker({ shareTopic: { shareSubStrategy: 'round' } })
  const members = [await connect(), await connect(), await connect()]
  for (const member of members) await member.subscribe(filter)
  const writer = await connect()
  for (let i = 0; i < 7; i++) await writer.publish('t', String(i), { qos: 1 })
  expect(await got(members)).toEqual([
    ['0', '3', '6'],
    ['1', '4'],
    ['2', '5'],
  ])
})

test('takes the members of each group in a turn of its own: round', async () => {
  const { connect } = await startBroker()
  const members = [await connect(), await connect()]
  for (const member of members) await member.subscribe(['$share/g/a', '$share/h/a', '$share/g/b'])
  const writer = await connect()
  for (const topic of ['a', 'b', 'a', 'b']) await writer.publish(topic, topic, { qos: 1 })
  expect(await got(members)).toEqual([
    ['a', 'a', 'b'],
    ['a', 'a', 'b'],
  ])
})

test('gives every member some: random', async () => {
  const { connect } = await startBroker({ shareTopic: { shareSubStrategy: 'random' } })
  const members = [await connect(), await connect()]
  for (const member of members) await member.subscribe(filter)
  const writer = await connect()
  for (let i = 0; i < 100; i++) writer.sendPublish('t', String(i))
  await writer.rest()
  // That one of two gets none of 100 happens once in 2^99 times.
  for (const payloads of await got(members)) expect(payloads.length).toBeGreaterThan(0)
})

test("brings one publisher's messages to one member, and different publishers' to several: hash", async () => {
  const { connect, advance } = await startBroker({ shareTopic: { shareSubStrategy: 'hash' } })
  const members: TestClient[] = []
  for (let i = 0; i < 3; i++) members.push(await connect({ clientId: `member-${i}` }))
  for (const member of members) await member.subscribe('$share/g/#', 0)
  const writers: TestClient[] = []
  for (let i = 0; i < 20; i++) writers.push(await connect({ clientId: `writer-${i}` }))
  for (const [i, writer] of writers.entries()) for (const topic of ['a', 'b', 'c']) await writer.publish(topic, String(i), { qos: 1 })
  const before = await got(members)
  for (let i = 0; i < 20; i++) {
    const counts = before.map(payloads => payloads.filter(payload => payload === String(i)).length)
    expect([...counts].sort()).toEqual([0, 0, 3])
  }
  for (const payloads of before) expect(payloads.length).toBeGreaterThan(0)
  // A member goes: only its own publishers go to others.
  members[0]!.drop()
  await advance(0)
  for (const [i, writer] of writers.entries()) await writer.publish('d', `${i}`, { qos: 1 })
  const after = await got(members.slice(1))
  for (const [m, payloads] of after.entries()) {
    expect([...new Set(payloads)]).toEqual(expect.arrayContaining([...new Set(before[m + 1])]))
    const fresh = payloads.slice(before[m + 1]!.length)
    expect(new Set(fresh).size).toBe(fresh.length)
  }
})

test('stays with one member until it is gone, then with another: sticky', async () => {
  const { connect, advance } = await startBroker({ shareTopic: { shareSubStrategy: 'sticky' } })
  const members = [await connect(), await connect(), await connect()]
  for (const member of members) await member.subscribe(filter)
  const writer = await connect()
  for (let i = 0; i < 10; i++) await writer.publish('t', 'first', { qos: 1 })
  const first = (await got(members)).findIndex(payloads => payloads.length > 0)
  expect(await allPayloads(members[first]!)).toHaveLength(10)
  members[first]!.drop()
  await advance(0)
  for (let i = 0; i < 10; i++) await writer.publish('t', 'second', { qos: 1 })
  const others = await got(members.filter((_member, i) => i !== first))
  expect(others.map(({ length }) => length).sort()).toEqual([0, 10])
})

for (const version of [3, 4, 5] as const) {
  test(`lets a clean session leave its group at disconnect: MQTT ${version}`, async () => {
    const { connect, broker, advance } = await startBroker()
    const leaver = await connect({ version })
    const stayer = await connect({ version })
    await leaver.subscribe(filter, 1)
    await stayer.subscribe(filter, 1)
    leaver.disconnect()
    await leaver.closed
    const writer = await connect()
    for (let i = 0; i < 4; i++) await writer.publish('t', String(i), { qos: 1 })
    expect(await allPayloads(stayer)).toEqual(['0', '1', '2', '3'])
    stayer.drop()
    await advance(0)
    expect(broker.router.groupOf(filter)).toBe(undefined)
  })
}

test('lets a member leave by UNSUBSCRIBE of the whole filter only', async () => {
  const { connect, broker } = await startBroker()
  const member = await connect({ version: 5 })
  await member.subscribe(filter)
  expect(await member.unsubscribe('t', '$share/h/t')).toEqual([0x11, 0x11])
  expect(broker.router.groupOf(filter)?.size).toBe(1)
  expect(await member.unsubscribe(filter)).toEqual([0])
  expect(broker.router.groupOf(filter)).toBe(undefined)
})

test('keeps $share/g/t, $share/h/t and t apart: a client that has all three gets three copies', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('$share/g/t', 0, { properties: { subscriptionIdentifiers: [1] } })
  await client.subscribe('$share/h/t', 1, { properties: { subscriptionIdentifiers: [2] } })
  await client.subscribe('t', 2, { properties: { subscriptionIdentifiers: [3] } })
  const writer = await connect()
  await writer.publish('t', 'x', { qos: 2 })
  await client.rest()
  const copies = client.heard.flatMap(packet =>
    packet.type === PacketType.Publish ? [[packet.qos, packet.properties?.subscriptionIdentifiers]] : [],
  )
  expect(copies.sort()).toEqual([
    [0, [1]],
    [1, [2]],
    [2, [3]],
  ])
})

test('keeps the groups of different filters apart that match the same topic', async () => {
  const { connect } = await startBroker()
  const [plus, hash] = [await connect(), await connect()]
  await plus.subscribe('$share/g/+/b')
  await hash.subscribe('$share/g/a/#')
  const writer = await connect()
  await writer.publish('a/b', 'x', { qos: 1 })
  expect(await got([plus, hash])).toEqual([['x'], ['x']])
})

test("delivers at the lower of the message's QoS and what the member was granted [MQTT-4.8.2-3]", async () => {
  const { connect } = await startBroker()
  const members = [await connect({ version: 5 }), await connect({ version: 5 }), await connect({ version: 5 })]
  for (const [qos, member] of members.entries()) await member.subscribe(filter, qos as 0 | 1 | 2)
  const writer = await connect()
  for (let i = 0; i < 3; i++) await writer.publish('t', '', { qos: 2 })
  const qos: number[] = []
  for (const member of members) qos.push((await member.receive()).qos)
  expect(qos).toEqual([0, 1, 2])
})

for (const bad of ['$share//t', '$share/', '$share/g', '$share/g/', '$share/+/t', '$share/g+/t', '$share/#/t', '$share/g#/t']) {
  test(`closes if a shared subscription has no name, a wildcard in it or no filter: ${bad} [MQTT-4.8.2-1] [MQTT-4.8.2-2]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.send({
      type: PacketType.Subscribe,
      packetId: 1,
      subscriptions: [{ filter: bad, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: undefined,
    })
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

test('takes a filter behind the name that begins with /, or is the like of another name [MQTT-4.8.2-2]', async () => {
  const { connect } = await startBroker()
  const member = await connect({ version: 5 })
  expect(await member.subscribe(['$share/g//t', '$share/g/$share/h', '$share/g/#'], 0)).toEqual([0, 0, 0])
  const writer = await connect()
  await writer.publish('/t', 'x', { qos: 1 })
  expect(await allPayloads(member)).toEqual(['x', 'x'])
})

test('sends no retained messages for a shared subscription', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  await writer.publish('t', 'kept', { qos: 1, retain: true })
  const member = await connect({ version: 5 })
  await member.subscribe(filter, 1)
  expect(await allPayloads(member)).toEqual([])
})

test('is refused where the plugin is off: 0x9E, and 0x80 before MQTT 5; CONNACK says so', async () => {
  const { connect, broker } = await startBroker({ shareTopic: false })
  const five = await connect({ version: 5 })
  const four = await connect({ version: 4 })
  expect(five.heard[0]).toMatchObject({ properties: { sharedSubscriptionAvailable: 0 } })
  expect(await five.subscribe([filter, 't'], 1)).toEqual([0x9e, 1])
  expect(await four.subscribe([filter, 't'], 1)).toEqual([0x80, 1])
  expect(broker.router.groupOf(filter)).toBe(undefined)
})

test('keeps the group of a session that is resumed', async () => {
  const { connect } = await startBroker()
  const options = { version: 5, clientId: 'me', cleanStart: false, properties: { sessionExpiry: 100 } } as const
  const first = await connect(options)
  await first.subscribe(filter, 1)
  first.disconnect()
  await first.closed
  const again = await connect(options)
  const other = await connect({ version: 5 })
  await other.subscribe(filter, 1)
  const writer = await connect()
  for (const payload of ['0', '1']) await writer.publish('t', payload, { qos: 1 })
  expect(await got([again, other])).toEqual([['0'], ['1']])
})

test('brings every message to somebody through members that come and go', async () => {
  const { connect } = await startBroker()
  const writer = await connect({ version: 5 })
  const constant = await connect({ version: 5 })
  await constant.subscribe(filter, 1)
  const heard: string[] = []
  for (let i = 0; i < 40; i++) {
    const guest = await connect({ version: 5 })
    await guest.subscribe(filter, 1)
    writer.sendPublish('t', `${i}a`, { qos: 1 })
    writer.sendPublish('t', `${i}b`, { qos: 1 })
    await writer.rest()
    const packets = (await guest.rest()).concat(guest.heard)
    const mine = new Set(packets.flatMap(packet => (packet.type === PacketType.Publish ? [packet] : [])))
    for (const packet of mine) {
      heard.push(packet.payload.toString())
      guest.ack(PacketType.Puback, packet.packetId)
    }
    await guest.rest()
    guest.drop()
    await settled()
  }
  heard.push(...(await allPayloads(constant)))
  expect(new Set(heard).size).toBe(80)
  expect(heard).toHaveLength(80)
})
