import { expect, test } from 'vitest'
import type { DropReason } from '../../core/counter-names.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnackPacket, Properties } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'

// What a client of MQTT 5 says in CONNECT of what it wants and bears: keep-alive, packet size, topic aliases, information.

// ---- values that no client may give

const wrong: [Properties, ReasonCode][] = [
  [{ receiveMaximum: 0 }, ReasonCode.ProtocolError],
  [{ maximumPacketSize: 0 }, ReasonCode.ProtocolError],
  [{ requestProblemInformation: 2 }, ReasonCode.ProtocolError],
  [{ requestResponseInformation: 2 }, ReasonCode.ProtocolError],
  [{ authenticationData: Buffer.from('x') }, ReasonCode.ProtocolError],
  // 2.2.2.2: properties of other packets.
  [{ serverKeepAlive: 5 }, ReasonCode.MalformedPacket],
  [{ messageExpiry: 5 }, ReasonCode.MalformedPacket],
]
for (const [properties, reasonCode] of wrong) {
  test(`refuses a CONNECT with ${Object.keys(properties)[0]} ${Object.values(properties)[0]}`, async () => {
    const { open } = await startBroker()
    const client = open(5)
    expect((await client.connect({ properties })).reasonCode).toBe(reasonCode)
    await client.closed
  })
}

for (const [name, property] of [
  ['Session Expiry Interval', '11 00000001'],
  ['Receive Maximum', '21 0001'],
  ['Maximum Packet Size', '27 00001000'],
  ['Topic Alias Maximum', '22 0001'],
  ['Request Problem Information', '17 01'],
  ['Request Response Information', '19 01'],
  ['Authentication Method', '15 0001 6d'],
] as const) {
  test(`refuses a CONNECT in which ${name} comes twice as a protocol error`, async () => {
    const { open } = await startBroker()
    const client = open(5)
    const bytes = (hex: string) => hex.replaceAll(' ', '').length / 2
    const length = (value: number) => value.toString(16).padStart(2, '0')
    const size = 2 * bytes(property)
    client.sendBytes(`10 ${length(13 + size)} 00044d515454 05 02 0000 ${length(size)} ${property} ${property} 0000`)
    expect((await client.next<ConnackPacket>(PacketType.Connack)).reasonCode).toBe(ReasonCode.ProtocolError)
    await client.closed
  })
}

// ---- keep-alive

test('closes a client of which nothing is heard for one and a half keep-alives, and not before [MQTT-3.1.2-22]', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect({ version: 5, keepAlive: 10 })
  await advance(14_900)
  expect(client.isClosed).toBe(false)
  await advance(500)
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
})

test('keeps a client that sends anything in time, PINGREQ or another packet [MQTT-3.1.2-22]', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect({ version: 5, keepAlive: 10 })
  for (let time = 0; time < 4; time++) {
    await advance(12_000)
    if (time % 2 === 0) await client.rest()
    else await client.publish('a')
  }
  expect(client.isClosed).toBe(false)
})

test('does not count what it sends itself as a sign of life [MQTT-3.1.2-22]', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect({ version: 5, keepAlive: 10 })
  await client.subscribe('a')
  const writer = await connect()
  for (let time = 0; time < 4; time++) {
    await advance(4000)
    await writer.publish('a')
  }
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
})

test('waits for ever for a client with keep-alive 0', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect({ version: 5, keepAlive: 0 })
  await advance(7 * 24 * 3600 * 1000)
  expect(await client.rest()).toEqual([])
})

test('bears the longest keep-alive', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect({ version: 5, keepAlive: 65_535 })
  await advance(65_535 * 1500 - 1000)
  expect(client.isClosed).toBe(false)
  await advance(2000)
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
})

// ---- maximum packet size

for (const qos of [0, 1, 2] as const) {
  const title = `leaves a QoS ${qos} message out for a client for which it is too large, and goes on [MQTT-3.1.2-24] [MQTT-3.1.2-25]`
  for (const sessionExpiry of [0, 100]) {
    test(`${title}, session expiry ${sessionExpiry}`, async () => {
      const { connect, hooks } = await startBroker()
      const drops: [string, DropReason][] = []
      hooks.onDrop.tap('test', (clientId, _message, reason) => drops.push([clientId, reason]))
      const small = await connect({
        version: 5,
        clientId: 'small',
        properties: { maximumPacketSize: 40, receiveMaximum: 1, sessionExpiry },
      })
      const large = await connect({ version: 5 })
      const writer = await connect({ version: 5 })
      await small.subscribe('a', 2)
      await large.subscribe('a', 2)

      // 40 bytes are 2 of header, 3 of topic, 1 of properties' length and, above QoS 0, 2 of packet id.
      const fits = 'x'.repeat(qos === 0 ? 34 : 32)
      for (const payload of [`${fits}y`, `${fits}y`, fits]) expect((await writer.publish('a', payload, { qos }))?.reasonCode ?? 0).toBe(0)

      expect((await small.receive()).payload.toString()).toBe(fits)
      expect(await small.payloads()).toEqual([])
      expect(await large.payloads()).toEqual([`${fits}y`, `${fits}y`, fits])
      expect(drops).toEqual([
        ['small', 'tooLarge'],
        ['small', 'tooLarge'],
      ])
    })
  }
}

test('counts the properties of a message into its packet, subscription identifiers too [MQTT-3.1.2-24]', async () => {
  const { connect } = await startBroker()
  const small = await connect({ version: 5, properties: { maximumPacketSize: 40 } })
  await small.subscribe('a', 0, { properties: { subscriptionIdentifiers: [5] } })
  const writer = await connect({ version: 5 })
  await writer.publish('a', 'x'.repeat(33))
  await writer.publish('a', 'x'.repeat(32))
  await writer.rest()
  expect((await small.payloads()).map(payload => payload.length)).toEqual([32])
})

test('leaves the reason out of a DISCONNECT that would be too large with it [MQTT-3.1.2-24]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, clientId: 'c', properties: { maximumPacketSize: 20 } })
  await connect({ version: 5, clientId: 'c' })
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.SessionTakenOver, properties: undefined })
})

test('closes without a word where not even CONNACK is small enough for the client [MQTT-3.1.2-24]', async () => {
  const { open, broker } = await startBroker()
  const client = open(5)
  client.send(connectPacket({ version: 5, clientId: 'c', properties: { maximumPacketSize: 15, sessionExpiry: 100 } }))
  await client.closed
  expect(client.heard).toEqual([])
  expect(broker.counters.connected).toBe(0)
  expect((await open(5).connect({ properties: { maximumPacketSize: 16 } })).reasonCode).toBe(0)
})

test('ends a client whose SUBACK would be larger than it accepts, instead of letting it wait [MQTT-3.1.2-24]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { maximumPacketSize: 16 } })
  const filters = Array.from({ length: 12 }, (_, i) => `f/${i}`)
  await expect(client.subscribe(filters)).rejects.toThrow('closed')
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.PacketTooLarge, properties: undefined })
})

// ---- topic aliases towards the client

test('uses no topic alias towards a client that asks for none [MQTT-3.1.2-27]', async () => {
  const { connect } = await startBroker()
  const absent = await connect({ version: 5 })
  const zero = await connect({ version: 5, properties: { topicAliasMaximum: 0 } })
  const writer = await connect()
  for (const client of [absent, zero]) {
    await client.subscribe('#')
    for (let i = 0; i < 3; i++) await writer.publish('a/long/topic/name', 'x')
    for (let i = 0; i < 3; i++) expect(await client.message()).toMatchObject({ topic: 'a/long/topic/name', properties: undefined })
  }
})

test('uses topic aliases within the client’s maximum, each told with its topic first [MQTT-3.1.2-26] [MQTT-3.3.2-11]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { topicAliasMaximum: 2 } })
  await client.subscribe('#')
  const writer = await connect()
  const topics = ['a/long/topic/one', 'a/long/topic/two', 'a/long/topic/three']
  const known = new Map<number, string>()
  const resolved: string[] = []
  for (const topic of [...topics, ...topics, ...topics]) await writer.publish(topic, 'x')
  for (let i = 0; i < 9; i++) {
    const { topic, properties } = await client.message()
    const alias = properties?.topicAlias
    if (alias !== undefined) {
      expect(alias).toBeGreaterThan(0)
      expect(alias).toBeLessThanOrEqual(2)
      if (topic !== '') known.set(alias, topic)
    }
    resolved.push(topic !== '' ? topic : known.get(alias!)!)
  }
  expect(resolved).toEqual([...topics, ...topics, ...topics])
})

test('uses no alias whose topic it could not send, the first message being too large [MQTT-3.1.2-25]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { topicAliasMaximum: 2, maximumPacketSize: 60 } })
  await client.subscribe('#')
  const writer = await connect()
  const topic = 'a/long/topic/name'
  await writer.publish(topic, 'x'.repeat(60))
  await writer.publish(topic, 'small')
  expect(await client.message()).toMatchObject({ topic, payload: Buffer.from('small') })
})

test('sends a message that would be too large only with its new alias without one [MQTT-3.1.2-25]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { topicAliasMaximum: 2, maximumPacketSize: 40 } })
  await client.subscribe('#')
  const writer = await connect()
  // 40 bytes: 2 of header, 2 + 10 of topic, 1 of properties' length; an alias takes 3 more.
  const payload = 'x'.repeat(25)
  await writer.publish('long/topic', payload)
  await writer.publish('long/topic', 'small')
  await writer.publish('long/topic', payload)
  expect(await client.message()).toMatchObject({ topic: 'long/topic', properties: undefined })
  expect(await client.message()).toMatchObject({ topic: 'long/topic', properties: { topicAlias: 1 } })
  expect(await client.message()).toMatchObject({ topic: '', properties: { topicAlias: 1 }, payload: Buffer.from(payload) })
})

// ---- response and problem information

test('tells Response Information to clients that ask for it and to no other [MQTT-3.1.2-28]', async () => {
  const { open } = await startBroker({ mqtt: { responseInformation: 'answers/' } })
  const told = async (requestResponseInformation?: number) =>
    (await open(5).connect({ properties: requestResponseInformation === undefined ? {} : { requestResponseInformation } })).properties
      ?.responseInformation
  expect([await told(1), await told(0), await told()]).toEqual(['answers/', undefined, undefined])
})

test('tells no Response Information where the broker has none', async () => {
  const { open } = await startBroker()
  const { properties } = await open(5).connect({ properties: { requestResponseInformation: 1 } })
  expect(properties?.responseInformation).toBeUndefined()
})

for (const [requestProblemInformation, reasonString] of [
  [undefined, 'no room'],
  [1, 'no room'],
  [0, undefined],
] as const) {
  const wanted = requestProblemInformation === undefined ? 'says nothing of problem information' : `asks for ${requestProblemInformation}`
  test(`puts a reason into PUBACK and PUBREC only as the client wants: it ${wanted} [MQTT-3.1.2-29]`, async () => {
    const { connect, hooks } = await startBroker()
    hooks.onPublish.tap('test', () => ({ reasonCode: ReasonCode.QuotaExceeded, reasonString: 'no room' }))
    const client = await connect({
      version: 5,
      properties: requestProblemInformation === undefined ? {} : { requestProblemInformation },
    })
    for (const qos of [1, 2] as const) {
      const ack = await client.publish('a', 'x', { qos })
      expect(ack).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
      expect(ack?.properties?.reasonString).toBe(reasonString)
    }
  })
}

test('still forwards user properties to a client that wants no problem information [MQTT-3.1.2-29]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, properties: { requestProblemInformation: 0 } })
  await client.subscribe('a')
  await client.publish('a', 'x', { properties: { userProperties: [['k', 'v']] } })
  expect((await client.message()).properties).toEqual({ userProperties: [['k', 'v']] })
})

test('sends a client that wants no problem information neither reason nor user properties in any other packet [MQTT-3.1.2-29]', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onSubscribe.tap('test', () => ({ reasonCode: ReasonCode.NotAuthorized, reasonString: 'no', userProperties: [['k', 'v']] }))
  const client = await connect({ version: 5, properties: { requestProblemInformation: 0 } })
  await client.subscribe('a')
  await client.unsubscribe('a')
  client.ack(PacketType.Pubrec, 77)
  client.ack(PacketType.Pubrel, 78)
  await client.rest()
  const answers = client.heard.filter(packet => packet.type !== PacketType.Connack && packet.type !== PacketType.Pingresp)
  expect(answers.map(packet => packet.type)).toEqual([PacketType.Suback, PacketType.Unsuback, PacketType.Pubrel, PacketType.Pubcomp])
  for (const packet of answers) expect(packet).toMatchObject({ properties: undefined })
})
