import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { SubackPacket, SubscriptionRequest } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { allPayloads, allPublishes, deferred } from './heard.ts'

const request = (filter: string, options: Partial<SubscriptionRequest> = {}): SubscriptionRequest => ({
  filter,
  qos: 2,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...options,
})

/** Sends one SUBSCRIBE whose requests may differ in their options. */
async function subscribe(client: TestClient, requests: SubscriptionRequest[], packetId = client.nextId()): Promise<SubackPacket> {
  client.send({ type: PacketType.Subscribe, packetId, subscriptions: requests, properties: undefined })
  return client.next<SubackPacket>(PacketType.Suback)
}

for (const flags of ['80', '81', '83', '8a', '86']) {
  test(`closes with 0x81 if the first byte of SUBSCRIBE is 0x${flags} [MQTT-3.8.1-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`${flags} 09  00 01  00  00 03 61 2f 62  00`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

const illFormed: Record<string, string> = {
  'a surrogate': '82 09  00 01  00  00 03 ed a0 80  00',
  'a byte that begins nothing': '82 09  00 01  00  00 03 61 ff 62  00',
  'an overlong slash': '82 09  00 01  00  00 03 61 c0 af  00',
}
for (const [name, bytes] of Object.entries(illFormed)) {
  test(`closes with 0x81 if a topic filter in SUBSCRIBE holds ${name} [MQTT-3.8.3-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(bytes)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

test('closes with 0x82 if SUBSCRIBE has no filter [MQTT-3.8.3-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendBytes('82 03  00 01  00')
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
})

test('does not bring a No Local subscriber what its own client id publishes, and brings it what others do [MQTT-3.8.3-3]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const other = await connect({ version: 5 })
  await client.subscribe('t', 1, { noLocal: true })
  await client.publish('t', 'own', { qos: 1 })
  await other.publish('t', 'foreign', { qos: 1 })
  expect(await allPayloads(client)).toEqual(['foreign'])
})

test('does not bring a No Local subscriber its own retained message or its own will [MQTT-3.8.3-3]', async () => {
  const { connect, advance } = await startBroker()
  const options = { version: 5, clientId: 'me', properties: { sessionExpiry: 100 } } as const
  const first = await connect({ ...options, will: { topic: 't', qos: 1 } })
  await first.publish('t', 'retained', { qos: 1, retain: true })
  await first.subscribe('t', 1, { noLocal: true })
  expect(await first.payloads()).toEqual([])
  first.drop()
  await advance(1000)
  const second = await connect({ ...options, cleanStart: false })
  expect(await second.payloads()).toEqual([])
})

test('joins a No Local filter with an overlapping one without it: the copy comes for the latter alone [MQTT-3.8.3-3]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('a/#', 2, { noLocal: true, properties: { subscriptionIdentifiers: [1] } })
  await client.subscribe('a/+', 0, { properties: { subscriptionIdentifiers: [2] } })
  await client.publish('a/b', 'own', { qos: 1 })
  expect(await allPublishes(client)).toMatchObject([{ qos: 0, properties: { subscriptionIdentifiers: [2] } }])
})

test('closes with 0x82 if No Local is set on a shared subscription [MQTT-3.8.3-4]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.send({
    type: PacketType.Subscribe,
    packetId: 1,
    subscriptions: [request('$share/g/t', { noLocal: true })],
    properties: undefined,
  })
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
})

for (const options of ['40', '80', 'c1']) {
  test(`closes with 0x81 if the options of a subscription are 0x${options} [MQTT-3.8.3-5]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`82 07  00 01  00  00 01 61  ${options}`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

for (const [name, options] of [
  ['QoS 3', '03'],
  ['Retain Handling 3', '30'],
] as const) {
  test(`closes with 0x82 if a subscription asks for ${name}`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`82 07  00 01  00  00 01 61  ${options}`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  })
}

for (const packetId of [1, 2, 0x1234, 65_535]) {
  test(`answers SUBSCRIBE with a SUBACK of its packet identifier ${packetId} [MQTT-3.8.4-1] [MQTT-3.8.4-2]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    expect(await subscribe(client, [request('t')], packetId)).toMatchObject({ packetId, reasonCodes: [2] })
  })
}

test('replaces a subscription with the same filter: QoS, options and identifier are the new ones, one copy comes [MQTT-3.8.4-3]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('t', 2, { noLocal: true, properties: { subscriptionIdentifiers: [1] } })
  await client.subscribe('t', 1, { properties: { subscriptionIdentifiers: [2] } })
  await client.publish('t', 'x', { qos: 2 })
  expect(await allPublishes(client)).toMatchObject([{ qos: 1, properties: { subscriptionIdentifiers: [2] } }])
})

test('replaces a subscription of a stored session too [MQTT-3.8.4-3]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'me', properties: { sessionExpiry: 100 } })
  await first.subscribe('t', 2)
  await first.subscribe('t', 1)
  first.disconnect()
  await first.closed
  const writer = await connect()
  await writer.publish('t', 'x', { qos: 2 })
  const second = await connect({ version: 5, clientId: 'me', cleanStart: false })
  expect(await second.receive()).toMatchObject({ qos: 1, dup: false })
  expect(await second.payloads()).toEqual([])
})

test('sends retained messages again at each SUBSCRIBE with Retain Handling 0 and loses nothing in replacing [MQTT-3.8.4-4]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const writer = await connect()
  await writer.publish('t', 'kept', { qos: 1, retain: true })
  await client.subscribe('t', 1)
  expect(await client.receive()).toMatchObject({ retain: true })
  // Both arrive together: the live message meets the old subscription or the new one.
  writer.sendPublish('t', 'live', { qos: 1 })
  await client.subscribe('t', 1)
  const publishes = await allPublishes(client)
  expect(publishes.filter(({ retain }) => retain).map(({ payload }) => payload.toString())).toEqual(['kept', 'kept'])
  expect(publishes.filter(({ retain }) => !retain).map(({ payload }) => payload.toString())).toEqual(['live'])
})

test('keeps what a subscription has in flight and waiting when it is replaced [MQTT-3.8.4-4]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { receiveMaximum: 1 } })
  const writer = await connect()
  await client.subscribe('t', 1)
  for (const payload of ['1', '2', '3']) await writer.publish('t', payload, { qos: 1 })
  await client.subscribe('t', 2)
  const [first] = await allPublishes(client)
  client.ack(PacketType.Puback, first!.packetId)
  await client.receive()
  await client.receive()
  expect(await allPayloads(client)).toEqual(['1', '2', '3'])
})

test('handles several filters in one SUBSCRIBE as so many SUBSCRIBEs in a row, with one SUBACK [MQTT-3.8.4-5]', async () => {
  const { connect } = await startBroker()
  const writer = await connect()
  await writer.publish('a', 'ra', { retain: true })
  await writer.publish('b', 'rb', { retain: true })
  const client = await connect({ version: 5 })
  const suback = await subscribe(client, [
    request('a', { qos: 0 }),
    request('b', { qos: 1, retainHandling: 2 }),
    // Had it come in a SUBSCRIBE of its own, the filter would have existed: nothing retained is sent again.
    request('a', { qos: 2, retainHandling: 1 }),
  ])
  expect(suback.reasonCodes).toEqual([0, 1, 2])
  expect(await client.payloads()).toEqual(['ra'])
  await writer.publish('a', 'live', { qos: 2 })
  expect(await client.receive()).toMatchObject({ qos: 2 })
  expect(client.heard.filter(({ type }) => type === PacketType.Suback)).toHaveLength(1)
})

test('answers each filter of a SUBSCRIBE with its own code, in order: the QoS granted or why not [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2]', async () => {
  const { connect, hooks } = await startBroker({ shareTopic: false, mqtt: { topicLevelsMax: 3 } })
  hooks.onAuthorize.tap('test', (_publisher, _action, topic) => topic !== 'secret')
  hooks.onSubscribe.tap('test', (_client, attempt) => {
    if (attempt.filter === 'lower') attempt.qos = 0
    return attempt.filter === 'full' ? ReasonCode.QuotaExceeded : undefined
  })
  const client = await connect({ version: 5 })
  const filters = ['a', 'secret', 'b', '$share/g/t', 'lower', '1/2/3/4', 'full', 'c']
  const { reasonCodes } = await subscribe(
    client,
    filters.map((filter, i) => request(filter, { qos: (i % 3) as 0 | 1 | 2 })),
  )
  expect(reasonCodes).toEqual([0, 0x87, 2, 0x9e, 0, 0x8f, 0x97, 1])
})

test('answers 0x80 where a plugin refuses with a code that SUBACK does not have [MQTT-3.9.3-2]', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onSubscribe.tap('test', () => ReasonCode.Banned)
  const client = await connect({ version: 5 })
  expect(await client.subscribe('a', 1)).toEqual([0x80])
})

test('answers a filter that a failing plugin was asked about with 0x83 and the others as usual [MQTT-3.9.3-2]', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onSubscribe.tap('broken', (_client, attempt) => {
    if (attempt.filter === 'b') throw new Error('broken')
  })
  const client = await connect({ version: 5 })
  expect(await client.subscribe(['a', 'b', 'c'], 1)).toEqual([1, 0x83, 1])
})

for (const granted of [0, 1, 2] as const) {
  for (const published of [0, 1, 2] as const) {
    test(`delivers a QoS ${published} message at QoS ${Math.min(granted, published)} where QoS ${granted} was granted [MQTT-3.8.4-8]`, async () => {
      const { connect } = await startBroker()
      const reader = await connect({ version: 5 })
      const writer = await connect({ version: 5 })
      await reader.subscribe('t', granted)
      await writer.publish('t', 'x', { qos: published })
      expect(await reader.receive()).toMatchObject({ qos: Math.min(granted, published) })
    })
  }
}

test('leaves reason string and user properties of SUBACK out where they would make it larger than the client accepts [MQTT-3.9.2-1] [MQTT-3.9.2-2]', async () => {
  const { connect, hooks } = await startBroker()
  const why = { reasonString: 'no'.repeat(100), userProperties: [['why', 'no'.repeat(100)]] as [string, string][] }
  hooks.onSubscribe.tap('test', () => ({ reasonCode: ReasonCode.NotAuthorized, ...why }))
  const generous = await connect({ version: 5 })
  expect(await subscribe(generous, [request('t')])).toMatchObject({ reasonCodes: [0x87], properties: why })
  const client = await connect({ version: 5, properties: { maximumPacketSize: 30 } })
  expect(await subscribe(client, [request('t')])).toMatchObject({ reasonCodes: [0x87], properties: undefined })
})

test('sends no reason string and no user property in SUBACK to a client that asked for none', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onSubscribe.tap('test', () => ({ reasonCode: ReasonCode.NotAuthorized, reasonString: 'no', userProperties: [['why', 'no']] }))
  const client = await connect({ version: 5, properties: { requestProblemInformation: 0 } })
  expect(await subscribe(client, [request('t')])).toMatchObject({ reasonCodes: [0x87], properties: undefined })
})

test('sends no retained message for a refused filter', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onSubscribe.tap('test', () => ReasonCode.NotAuthorized)
  const writer = await connect()
  await writer.publish('t', 'kept', { qos: 1, retain: true })
  const client = await connect({ version: 5 })
  await client.subscribe('t', 1)
  expect(await client.payloads()).toEqual([])
})

test('leaves no subscription behind if the client goes while a plugin thinks about it', async () => {
  const { connect, hooks, broker, advance } = await startBroker()
  const asked = deferred()
  const answer = deferred<undefined>()
  hooks.onSubscribe.tapPromise('slow', () => {
    asked.resolve()
    return answer.promise
  })
  const client = await connect({ version: 5 })
  client.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [request('t')], properties: undefined })
  await asked.promise
  client.drop()
  await advance(0)
  answer.resolve(undefined)
  await advance(0)
  expect(broker.router.size).toBe(0)
})
