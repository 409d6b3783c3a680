import { expect, test } from 'vitest'
import type { Properties, PublishPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'

// What MQTT 5 carries with a message arrives as it was sent (3.3.2.3), whichever way the message takes.

const everything: Properties = {
  payloadFormat: 1,
  contentType: 'text/plain; charset=utf-8 ☂',
  responseTopic: 'answers/here',
  correlationData: Buffer.from([0, 1, 2, 254, 255]),
  userProperties: [
    ['z', 'first'],
    ['a', 'second'],
    ['z', 'third'],
    ['z', 'first'],
    ['', ''],
    ['ключ', '値'],
  ],
}

const cases: [string, Properties][] = [
  ['a payload format indicator of 0 [MQTT-3.3.2-4]', { payloadFormat: 0 }],
  ['a payload format indicator of 1 [MQTT-3.3.2-4]', { payloadFormat: 1 }],
  ['the response topic [MQTT-3.3.2-15]', { responseTopic: 'answers/here' }],
  ['the correlation data [MQTT-3.3.2-16]', { correlationData: Buffer.from([0, 1, 2, 254, 255]) }],
  ['empty correlation data [MQTT-3.3.2-16]', { correlationData: Buffer.alloc(0) }],
  ['the longest correlation data [MQTT-3.3.2-16]', { correlationData: Buffer.alloc(65_535, 'xyz') }],
  ['user properties in their order, repeated ones too [MQTT-3.3.2-17] [MQTT-3.3.2-18]', { userProperties: everything.userProperties! }],
  ['the content type [MQTT-3.3.2-20]', { contentType: 'application/json' }],
  ['an empty content type [MQTT-3.3.2-20]', { contentType: '' }],
  ['everything at once [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]', everything],
]

interface Way {
  name: string
  /** Brings one message with these properties to one subscriber, and returns what that one got. */
  bring(broker: TestBroker, properties: Properties): Promise<PublishPacket>
}

const live = (qos: 0 | 1 | 2): Way => ({
  name: `at QoS ${qos}`,
  async bring({ connect }, properties) {
    const reader = await connect({ version: 5 })
    await reader.subscribe('a', 2)
    const writer = await connect({ version: 5 })
    await writer.publish('a', 'x', { qos, properties })
    return reader.receive()
  },
})

const ways: Way[] = [
  live(0),
  live(1),
  live(2),
  {
    name: 'to a session that was away',
    async bring({ connect }, properties) {
      const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
      await first.subscribe('a', 1)
      first.drop()
      await settled()
      const writer = await connect({ version: 5 })
      await writer.publish('a', 'x', { qos: 1, properties })
      // What lay in the read buffer is overwritten by then.
      for (let i = 0; i < 20; i++) await writer.publish('b', 'y'.repeat(4000), { qos: 1 })
      const second = await connect({ version: 5, clientId: 'c', cleanStart: false })
      return second.receive()
    },
  },
  {
    name: 'to one that waited for its window',
    async bring({ connect }, properties) {
      const reader = await connect({ version: 5, properties: { receiveMaximum: 1 } })
      await reader.subscribe('#', 1)
      const writer = await connect({ version: 5 })
      await writer.publish('b', 'first', { qos: 1 })
      await writer.publish('a', 'x', { qos: 1, properties })
      await reader.receive()
      return reader.receive()
    },
  },
  {
    name: 'as a retained message',
    async bring({ connect }, properties) {
      const writer = await connect({ version: 5 })
      await writer.publish('a', 'x', { qos: 1, retain: true, properties })
      for (let i = 0; i < 20; i++) await writer.publish('b', 'y'.repeat(4000), { qos: 1 })
      const reader = await connect({ version: 5 })
      await reader.subscribe('a', 1)
      return reader.receive()
    },
  },
  {
    name: 'as a will',
    async bring({ connect }, properties) {
      const reader = await connect({ version: 5 })
      await reader.subscribe('a', 1)
      const client = await connect({ version: 5, will: { topic: 'a', payload: Buffer.from('x'), qos: 1, properties } })
      client.drop()
      return reader.receive()
    },
  },
  {
    name: 'as a delayed and retained will',
    async bring({ connect, advance }, properties) {
      const will = { topic: 'a', payload: Buffer.from('x'), retain: true, properties: { ...properties, willDelay: 5 } }
      const client = await connect({ version: 5, properties: { sessionExpiry: 100 }, will })
      client.drop()
      await settled()
      await advance(6000)
      const reader = await connect({ version: 5 })
      await reader.subscribe('a')
      return reader.receive()
    },
  },
  {
    name: 'through a shared subscription',
    async bring({ connect }, properties) {
      const reader = await connect({ version: 5 })
      await reader.subscribe('$share/g/a', 1)
      const writer = await connect({ version: 5 })
      await writer.publish('a', 'x', { qos: 1, properties })
      return reader.receive()
    },
  },
  {
    name: 'with a large payload',
    async bring({ connect }, properties) {
      const reader = await connect({ version: 5 })
      await reader.subscribe('a', 1)
      const writer = await connect({ version: 5 })
      const payload = Buffer.alloc(300_000, 'payload')
      await writer.publish('a', payload, { qos: 1, properties })
      const packet = await reader.receive()
      expect(packet.payload.equals(payload)).toBe(true)
      return packet
    },
  },
]

for (const { name, bring } of ways) {
  for (const [what, properties] of cases) {
    test(`passes on, ${name}: ${what}`, async () => {
      const { properties: arrived } = await bring(await startBroker(), properties)
      expect(arrived).toEqual(properties)
    })
  }
}

test('passes properties on beside what it adds itself: identifier, alias, expiry', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5, properties: { topicAliasMaximum: 3 } })
  await reader.subscribe('a/long/topic', 0, { properties: { subscriptionIdentifiers: [4] } })
  await reader.publish('a/long/topic', 'x', { properties: { ...everything, messageExpiry: 60, topicAlias: 9 } })
  expect((await reader.message()).properties).toEqual({ ...everything, messageExpiry: 60, topicAlias: 1, subscriptionIdentifiers: [4] })
})

test('adds no properties where there were none', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  await reader.subscribe('a')
  const old = await connect({ version: 4 })
  await old.publish('a', 'x')
  expect((await reader.message()).properties).toBeUndefined()
})

test('sends clients of 3.1.1 the payload without the properties', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 4 })
  await reader.subscribe('a', 1)
  const writer = await connect({ version: 5 })
  await writer.publish('a', 'x', { qos: 1, properties: { ...everything, messageExpiry: 10 } })
  expect(await reader.receive()).toMatchObject({ payload: Buffer.from('x'), properties: undefined })
})

const textCases = [
  ['response topic [MQTT-3.3.2-13]', '08'],
  ['content type [MQTT-3.3.2-19]', '03'],
] as const
for (const [what, id] of textCases) {
  for (const [kind, byte] of [
    ['ill-formed UTF-8', 'ff'],
    ['U+0000', '00'],
  ] as const) {
    test(`ends a client that publishes ${kind} as ${what}`, async () => {
      const { connect } = await startBroker()
      const client = await connect({ version: 5 })
      client.sendBytes(`30 08 0001 61 04 ${id} 0001 ${byte}`)
      expect((await client.ended())?.reasonCode).toBe(ReasonCode.MalformedPacket)
    })
  }
}

for (const responseTopic of ['a/+', '#', 'a/#', '']) {
  test(`ends a client that publishes with the response topic "${responseTopic}" [MQTT-3.3.2-14] [MQTT-4.7.3-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendPublish('a', 'x', { properties: { responseTopic } })
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
  })
}

test('looks at a payload that says it is text only where the config wants that', async () => {
  const { connect } = await startBroker({ mqtt: { validatePayloadFormat: true } })
  const client = await connect({ version: 5 })
  await client.subscribe('a')
  const bad = Buffer.from([0xff])
  expect((await client.publish('a', bad, { qos: 1, properties: { payloadFormat: 1 } }))?.reasonCode).toBe(ReasonCode.PayloadFormatInvalid)
  expect((await client.publish('a', bad, { qos: 1, properties: { payloadFormat: 0 } }))?.reasonCode).toBe(0)
  expect((await client.publish('a', '☂', { qos: 1, properties: { payloadFormat: 1 } }))?.reasonCode).toBe(0)
  const lenient = await (await startBroker()).connect({ version: 5 })
  await lenient.subscribe('a')
  expect((await lenient.publish('a', bad, { qos: 1, properties: { payloadFormat: 1 } }))?.reasonCode).toBe(0)
})
