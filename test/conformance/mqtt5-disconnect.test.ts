import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { DisconnectPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { startBroker } from '../support/broker.ts'
import { deferred } from './heard.ts'

test('sends no DISCONNECT before CONNACK: a connection that is refused gets CONNACK alone [MQTT-3.14.0-1] [MQTT-4.13.2-1]', async () => {
  const { open, hooks } = await startBroker()
  hooks.onConnect.tap('test', () => ReasonCode.Banned)
  const client = open(5)
  expect(await client.connect()).toMatchObject({ reasonCode: ReasonCode.Banned })
  await client.closed
  expect(client.heard).toHaveLength(1)
})

test('sends no DISCONNECT before CONNACK: what breaks the protocol while a plugin thinks about CONNECT only closes [MQTT-3.14.0-1] [MQTT-4.13.1-1]', async () => {
  const { open, hooks } = await startBroker()
  const asked = deferred()
  hooks.onConnect.tapPromise('slow', () => {
    asked.resolve()
    return new Promise(() => {})
  })
  const client = open(5)
  client.connect().catch(() => {})
  await asked.promise
  client.sendBytes('c1 00')
  expect(await client.ended()).toBe(undefined)
  expect(client.heard).toEqual([])
})

for (const flags of ['e1', 'e2', 'e4', 'e8']) {
  test(`answers a DISCONNECT whose first byte is 0x${flags} with DISCONNECT 0x81 and closes [MQTT-3.14.1-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`${flags} 00`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

for (const code of ['01', '18', '82', '8b', '8e', '9d', 'a2', 'ff']) {
  const refused = code !== '82'
  test(`${refused ? 'answers' : 'takes'} a DISCONNECT with reason code 0x${code}${refused ? ', which no client may send, with 0x82' : ''} [MQTT-3.14.2-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(`e0 01 ${code}`)
    expect((await client.ended())?.reasonCode).toBe(refused ? ReasonCode.ProtocolError : undefined)
  })
}

const endings: [why: string, code: number, bytes: string][] = [
  ['a packet that only a server sends', ReasonCode.ProtocolError, '90 04  00 01  00 00'],
  ['a malformed packet', ReasonCode.MalformedPacket, '82 02  00 01'],
  ['a packet that is too large', ReasonCode.PacketTooLarge, '30 ff ff ff 7f'],
  ['a topic alias above the maximum', ReasonCode.TopicAliasInvalid, '30 07  00 01 61  03 23 ff ff'],
]
for (const [why, code, bytes] of endings) {
  test(`says why it disconnects, with a code of DISCONNECT and without a Session Expiry Interval: ${why} [MQTT-3.14.2-1] [MQTT-3.14.2-2]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5, properties: { sessionExpiry: 100 } })
    client.sendBytes(bytes)
    const disconnect = await client.ended()
    expect(disconnect?.reasonCode).toBe(code)
    expect(disconnect?.properties).toEqual({ reasonString: expect.any(String) })
  })
}

test('tells a client that is taken over, and one of a broker that stops, why [MQTT-3.14.2-1] [MQTT-3.14.2-2]', async () => {
  const { connect, running } = await startBroker()
  const first = await connect({ version: 5, clientId: 'me', properties: { sessionExpiry: 100 } })
  const second = await connect({ version: 5, clientId: 'me', properties: { sessionExpiry: 100 } })
  await running.stop()
  const [taken, stopped] = await Promise.all([first.ended(), second.ended()])
  expect(taken).toMatchObject({ reasonCode: ReasonCode.SessionTakenOver })
  expect(stopped).toMatchObject({ reasonCode: ReasonCode.ServerShuttingDown })
  expect(taken!.properties).not.toHaveProperty('sessionExpiry')
  expect(stopped!.properties).not.toHaveProperty('sessionExpiry')
})

for (const [reason, said] of [
  [ReasonCode.ServerUnavailable, ReasonCode.ServerBusy],
  [ReasonCode.Banned, ReasonCode.NotAuthorized],
  [ReasonCode.PacketIdentifierInUse, ReasonCode.UnspecifiedError],
] as const) {
  test(`sends 0x${said.toString(16)} where DISCONNECT has no such code as 0x${reason.toString(16)} [MQTT-3.14.2-1]`, async () => {
    const { connect, broker } = await startBroker()
    const client = await connect({ version: 5, clientId: 'me' })
    broker.clientOf('me')!.close(reason, 'for some reason')
    expect(await client.ended()).toMatchObject({ reasonCode: said })
  })
}

test('leaves the reason string of DISCONNECT out where it would make the packet larger than the client accepts [MQTT-3.14.2-3] [MQTT-3.14.2-4]', async () => {
  const { connect } = await startBroker()
  const maximumPacketSize = 20
  const client = await connect({ version: 5, properties: { maximumPacketSize } })
  client.sendBytes('c1 00')
  const disconnect = (await client.ended()) as DisconnectPacket
  expect(disconnect).toMatchObject({ reasonCode: ReasonCode.MalformedPacket, properties: undefined })
  expect(encodePacket(disconnect, 5).length).toBeLessThanOrEqual(maximumPacketSize)
})

test('sends nothing more behind DISCONNECT, and closes [MQTT-3.14.4-1] [MQTT-3.14.4-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const writer = await connect()
  await client.subscribe('t', 1)
  // A ping and a subscription in the same bytes, behind what ends the connection.
  client.sendBytes('c0 00  c1 00  c0 00  82 07 00 09 00 00 01 61 01')
  writer.sendPublish('t', 'late', { qos: 1 })
  await client.closed
  const at = client.heard.findIndex(({ type }) => type === PacketType.Disconnect)
  expect(client.heard.slice(at + 1)).toEqual([])
  expect(client.heard[at - 1]!.type).toBe(PacketType.Pingresp)
})

test('closes the connection of a client that sent DISCONNECT, and takes nothing behind it [MQTT-3.14.4-1] [MQTT-3.14.4-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const reader = await connect()
  await reader.subscribe('t')
  client.disconnect()
  client.sendPublish('t', 'late')
  expect(await client.ended()).toBe(undefined)
  expect(await reader.payloads()).toEqual([])
})

for (const [bytes, name] of [
  ['e0 00', 'without a reason code'],
  ['e0 01 00', 'with reason code 0x00'],
  ['e0 02 00 00', 'with reason code 0x00 and no properties'],
] as const) {
  for (const sessionExpiry of [0, 100]) {
    test(`publishes no will after a DISCONNECT ${name}, Session Expiry Interval ${sessionExpiry} [MQTT-3.14.4-3]`, async () => {
      const { connect, advance } = await startBroker()
      const reader = await connect()
      await reader.subscribe('will')
      const client = await connect({ version: 5, will: { topic: 'will' }, properties: { sessionExpiry } })
      client.sendBytes(bytes)
      await client.closed
      await advance(200_000)
      expect(await reader.payloads()).toEqual([])
    })
  }
}

test('publishes the will after a DISCONNECT with 0x04 [MQTT-3.14.4-3]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('will')
  const client = await connect({ version: 5, will: { topic: 'will', payload: Buffer.from('gone') } })
  client.disconnect(ReasonCode.DisconnectWithWillMessage)
  expect((await reader.receive()).payload.toString()).toBe('gone')
})

test('lets DISCONNECT change how long the session lives on, but not raise it from 0', async () => {
  const { connect, advance } = await startBroker()
  const options = { version: 5, cleanStart: false, properties: { sessionExpiry: 10 } } as const
  const first = await connect({ ...options, clientId: 'shortened' })
  first.disconnect(0, { sessionExpiry: 0 })
  await first.closed
  const second = await connect({ ...options, clientId: 'lengthened' })
  second.disconnect(0, { sessionExpiry: 1000 })
  await second.closed
  const third = await connect({ version: 5, clientId: 'raised' })
  third.disconnect(0, { sessionExpiry: 10 })
  expect(await third.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  await advance(500_000)
  for (const [clientId, sessionPresent] of [
    ['shortened', false],
    ['lengthened', true],
    ['raised', false],
  ] as const) {
    const again = await connect({ ...options, clientId })
    expect([clientId, again.heard[0]]).toMatchObject([clientId, { sessionPresent }])
  }
})
