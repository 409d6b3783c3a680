import { expect, test } from 'vitest'
import { PacketType, type QoS } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { ConnectOptions, TestClient } from '../support/client.ts'
import { At, connectBytes } from './connect-bytes.ts'

// The will of MQTT 5 (3.1.2.5 to 3.1.2.7, 3.1.3.2 to 3.1.3.4).

const will = { topic: 'will', payload: Buffer.from('gone') }

async function withReader(options: ConnectOptions = {}): Promise<TestBroker & { reader: TestClient; client: TestClient }> {
  const broker = await startBroker()
  const reader = await broker.connect({ version: 5 })
  await reader.subscribe('will', 2, { retainAsPublished: true })
  const client = await broker.connect({ version: 5, clientId: 'c', will, ...options })
  return { ...broker, reader, client }
}

async function drop(client: TestClient): Promise<void> {
  client.drop()
  await settled()
}

test('publishes the will when the connection breaks off [MQTT-3.1.2-7] [MQTT-3.1.2-8]', async () => {
  const { client, reader } = await withReader()
  await drop(client)
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes the will of a client that breaks the protocol [MQTT-3.1.2-8]', async () => {
  const { client, reader } = await withReader()
  client.sendBytes('f1 00')
  await client.closed
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes the will of a client that stays silent beyond its keep-alive [MQTT-3.1.2-8]', async () => {
  const { client, reader, advance } = await withReader({ keepAlive: 10 })
  await advance(16_000)
  await client.closed
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes the will after DISCONNECT 0x04 [MQTT-3.1.2-8]', async () => {
  const { client, reader } = await withReader()
  client.disconnect(ReasonCode.DisconnectWithWillMessage)
  await client.closed
  expect(await reader.payloads()).toEqual(['gone'])
})

for (const sessionExpiry of [0, 100]) {
  test(`deletes the will on DISCONNECT 0x00, with session expiry ${sessionExpiry} [MQTT-3.1.2-8] [MQTT-3.1.2-10]`, async () => {
    const { client, reader, advance } = await withReader({ properties: { sessionExpiry } })
    client.disconnect()
    await client.closed
    await advance(200_000)
    expect(await reader.payloads()).toEqual([])
  })
}

test('publishes the will when its delay has elapsed, and not before [MQTT-3.1.2-8]', async () => {
  const { client, reader, advance } = await withReader({
    properties: { sessionExpiry: 100 },
    will: { ...will, properties: { willDelay: 10 } },
  })
  await drop(client)
  await advance(9000)
  expect(await reader.payloads()).toEqual([])
  await advance(2000)
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes the will when the session ends before the delay has elapsed [MQTT-3.1.2-8]', async () => {
  const { client, reader, advance } = await withReader({
    properties: { sessionExpiry: 10 },
    will: { ...will, properties: { willDelay: 50 } },
  })
  await drop(client)
  await advance(9000)
  expect(await reader.payloads()).toEqual([])
  await advance(2000)
  expect(await reader.payloads()).toEqual(['gone'])
})

test('counts the will delay against the session expiry that DISCONNECT 0x04 gives [MQTT-3.1.2-8]', async () => {
  const { client, reader, advance } = await withReader({
    properties: { sessionExpiry: 10 },
    will: { ...will, properties: { willDelay: 50 } },
  })
  client.disconnect(ReasonCode.DisconnectWithWillMessage, { sessionExpiry: 100 })
  await client.closed
  await advance(49_000)
  expect(await reader.payloads()).toEqual([])
  await advance(2000)
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes a delayed will at once where the session ends with the connection [MQTT-3.1.2-8]', async () => {
  const { client, reader } = await withReader({ will: { ...will, properties: { willDelay: 50 } } })
  await drop(client)
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes a delayed will at once where Clean Start ends the session [MQTT-3.1.2-8]', async () => {
  const { client, reader, connect } = await withReader({
    properties: { sessionExpiry: 100 },
    will: { ...will, properties: { willDelay: 50 } },
  })
  await drop(client)
  await connect({ version: 5, clientId: 'c', cleanStart: true })
  expect(await reader.payloads()).toEqual(['gone'])
})

test('publishes the will of a connection that another one takes over, where it has no delay [MQTT-3.1.2-8]', async () => {
  const { reader, connect } = await withReader({ properties: { sessionExpiry: 100 } })
  await connect({ version: 5, clientId: 'c', cleanStart: false })
  expect(await reader.payloads()).toEqual(['gone'])
})

for (const ending of ['broken off', 'taken over'] as const) {
  test(`does not publish a delayed will when the session goes on after it was ${ending} [MQTT-3.1.3-9] [MQTT-3.1.2-8]`, async () => {
    const { client, reader, connect, advance } = await withReader({
      properties: { sessionExpiry: 100 },
      will: { ...will, properties: { willDelay: 50 } },
    })
    if (ending === 'broken off') await drop(client)
    const next = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } })
    await drop(next)
    await advance(200_000)
    expect(await reader.payloads()).toEqual([])
  })
}

test('publishes a will once only [MQTT-3.1.2-10]', async () => {
  const { client, reader, connect, advance } = await withReader({ properties: { sessionExpiry: 100 } })
  await drop(client)
  expect(await reader.payloads()).toEqual(['gone'])
  const again = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } })
  await drop(again)
  await advance(200_000)
  expect(await reader.payloads()).toEqual([])
})

for (const qos of [0, 1, 2] as const) {
  for (const retain of [false, true]) {
    const statement = retain ? '[MQTT-3.1.2-15]' : '[MQTT-3.1.2-14]'
    test(`publishes a will as its flags say: QoS ${qos}, retain ${retain} [MQTT-3.1.2-9] ${statement}`, async () => {
      const { client, reader, connect } = await withReader({ will: { ...will, qos, retain } })
      await drop(client)
      expect(await reader.receive()).toMatchObject({ topic: 'will', qos, retain, payload: will.payload })
      const later = await connect({ version: 5 })
      await later.subscribe('will')
      expect(await later.payloads()).toEqual(retain ? ['gone'] : [])
    })
  }
}

test('publishes a will of no bytes', async () => {
  const { client, reader } = await withReader({ will: { topic: 'will' } })
  await drop(client)
  expect(await reader.payloads()).toEqual([''])
})

const wrongFlags = [
  ['the will flag without a will [MQTT-3.1.2-9]', 0x06],
  ['a will QoS without a will [MQTT-3.1.2-11]', 0x0a],
  ['will retain without a will [MQTT-3.1.2-13]', 0x22],
] as const
for (const [what, flags] of wrongFlags) {
  test(`refuses a CONNECT with ${what}`, async () => {
    const { open } = await startBroker()
    const client = open(5)
    client.sendBytes(connectBytes({}, bytes => bytes.writeUInt8(flags, At.flags)))
    await client.closed
    expect(client.heard).toMatchObject([{ type: PacketType.Connack, reasonCode: ReasonCode.MalformedPacket }])
  })
}

test('refuses a will of QoS 3 [MQTT-3.1.2-12]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  client.sendBytes(connectBytes({ will: { topic: 'w', qos: 2 } }, bytes => bytes.writeUInt8(0x1e, At.flags)))
  await client.closed
  expect(client.heard).toMatchObject([{ type: PacketType.Connack, reasonCode: ReasonCode.MalformedPacket }])
})

const wrongWills = [
  ['a wildcard in its topic', { topic: 'a/+' }, ReasonCode.TopicNameInvalid],
  ['an empty topic', { topic: '' }, ReasonCode.MalformedPacket],
  ['a wildcard in its response topic', { topic: 'w', properties: { responseTopic: 'a/#' } }, ReasonCode.ProtocolError],
  ['an empty response topic', { topic: 'w', properties: { responseTopic: '' } }, ReasonCode.ProtocolError],
  ['a property that no will has', { topic: 'w', properties: { topicAlias: 1 } }, ReasonCode.MalformedPacket],
] as const
for (const [what, wrong, reasonCode] of wrongWills) {
  test(`refuses a will with ${what}`, async () => {
    const { open } = await startBroker()
    const client = open(5)
    expect((await client.connect({ will: wrong })).reasonCode).toBe(reasonCode)
    await client.closed
  })
}

test('forwards every property of a will, user properties in their order [MQTT-3.1.3-10]', async () => {
  const properties = {
    payloadFormat: 0,
    messageExpiry: 30,
    contentType: 'text/plain',
    responseTopic: 'answers/here',
    correlationData: Buffer.from([0, 1, 255]),
    userProperties: [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
      ['', ''],
    ] as [string, string][],
  }
  const { client, reader, connect } = await withReader({
    properties: { sessionExpiry: 100 },
    will: { ...will, qos: 1 as QoS, retain: true, properties: { ...properties, willDelay: 0 } },
  })
  await drop(client)
  expect((await reader.receive()).properties).toEqual(properties)
  const later = await connect({ version: 5 })
  await later.subscribe('will')
  expect((await later.message()).properties).toEqual(properties)
})

test('lets the expiry of a will begin when the will is published', async () => {
  const { client, reader, advance } = await withReader({
    properties: { sessionExpiry: 100 },
    will: { ...will, properties: { willDelay: 20, messageExpiry: 10 } },
  })
  await advance(30_000)
  await drop(client)
  await advance(21_000)
  expect((await reader.message()).properties).toEqual({ messageExpiry: 10 })
})

test('never says a longer expiry than the will has, whenever within a tick of the clock it is published [MQTT-3.3.2-6]', async () => {
  const { client, reader, advance } = await withReader({ will: { ...will, properties: { messageExpiry: 10 } } })
  await advance(100)
  await drop(client)
  expect((await reader.message()).properties).toEqual({ messageExpiry: 10 })
})
