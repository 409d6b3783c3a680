import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnectPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { At, connectBytes } from './connect-bytes.ts'

// What CONNECT says and when it may come (3.1), but for the will, which has a file of its own.

const { Connack } = PacketType

test('closes a connection whose first packet is not CONNECT, without a word [MQTT-3.1.0-1]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  client.send({ type: PacketType.Pingreq })
  await client.closed
  expect(client.heard).toEqual([])
})

for (const begun of ['', '10 10 0004']) {
  test(`closes a connection on which no whole CONNECT comes within the heartbeat time, ${begun === '' ? 'none at all' : 'a part of one'}`, async () => {
    const { open, advance } = await startBroker({ heartbeat: '10s' })
    const client = open(5)
    client.sendBytes(begun)
    await advance(9500)
    expect(client.isClosed).toBe(false)
    await advance(1000)
    await client.closed
    expect(client.heard).toEqual([])
  })
}

test('ends a client that sends a second CONNECT with a protocol error [MQTT-3.1.0-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5, clientId: 'twice' })
  client.send(connectPacket({ version: 5, clientId: 'twice' }))
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
  expect(client.heard.filter(packet => packet.type === Connack)).toHaveLength(1)
})

test('closes where a second CONNECT comes in the same segment as the first [MQTT-3.1.0-2]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  client.sendBytes(connectBytes({ clientId: 'a' }) + connectBytes({ clientId: 'a' }))
  expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
})

test('closes a connection with another protocol name than MQTT [MQTT-3.1.2-1]', async () => {
  const { open, broker } = await startBroker()
  const client = open(5)
  client.sendBytes(connectBytes({}, bytes => bytes.write('MQTX', At.name)))
  await client.closed
  expect(client.heard.filter(packet => packet.type === Connack && packet.reasonCode === 0)).toEqual([])
  expect(broker.clients.size).toBe(0)
})

for (const level of [6, 127]) {
  test(`answers protocol level ${level} with CONNACK 0x84 and closes [MQTT-3.1.2-2]`, async () => {
    const { open } = await startBroker()
    const client = open(5)
    client.sendBytes(connectBytes({}, bytes => bytes.writeUInt8(level, At.level)))
    await client.closed
    expect(client.heard).toMatchObject([{ type: Connack, sessionPresent: false, reasonCode: ReasonCode.UnsupportedProtocolVersion }])
  })
}

test('answers a CONNECT with the reserved flag set with Malformed Packet and closes [MQTT-3.1.2-3] [MQTT-3.1.4-1]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  client.sendBytes(connectBytes({}, bytes => bytes.writeUInt8(0x03, At.flags)))
  await client.closed
  expect(client.heard).toMatchObject([{ type: Connack, reasonCode: ReasonCode.MalformedPacket }])
})

test('throws an old session away on Clean Start [MQTT-3.1.2-4] [MQTT-3.1.4-4]', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 1)
  first.disconnect()
  await first.closed
  const writer = await connect()
  await writer.publish('a', 'for the old session', { qos: 1 })

  const second = await connect({ version: 5, clientId: 'c', cleanStart: true, properties: { sessionExpiry: 100 } })

  await writer.publish('a', 'for nobody', { qos: 1 })
  expect(await second.payloads()).toEqual([])
})

test('resumes a session without Clean Start: subscriptions and what waited [MQTT-3.1.2-5] [MQTT-3.1.2-23]', async () => {
  const { connect, advance } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 1)
  first.drop()
  await settled()
  const writer = await connect()
  await writer.publish('a', 'kept', { qos: 1 })
  await advance(99_000)

  const second = await connect({ version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } })

  expect((await second.receive()).payload.toString()).toBe('kept')
  await writer.publish('a', 'still subscribed', { qos: 1 })
  expect((await second.receive()).payload.toString()).toBe('still subscribed')
})

test('begins a new session without Clean Start where there was none [MQTT-3.1.2-6]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  const connack = await client.connect({ clientId: 'new', cleanStart: false })
  expect(connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
  expect(await client.subscribe('a', 1)).toEqual([1])
})

test('tells sessions apart by their client ids [MQTT-3.1.3-2]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ version: 5, clientId: 'one', properties: { sessionExpiry: 100 } })
  first.disconnect()
  await first.closed
  const other = await open(5).connect({ clientId: 'One', cleanStart: false })
  const same = await open(5).connect({ clientId: 'one', cleanStart: false })
  expect([other.sessionPresent, same.sessionPresent]).toEqual([false, true])
})

test('forgets a session when its expiry interval is over', async () => {
  const { connect, open, advance } = await startBroker()
  const client = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  client.drop()
  await settled()
  await advance(100_000)
  expect((await open(5).connect({ clientId: 'c', cleanStart: false })).sessionPresent).toBe(false)
})

// ---- user name and password

interface Flags {
  given: { username?: string; password?: string }
  seen: { username: string | undefined; password: string | undefined }
}
const flagCases: Flags[] = [
  { given: {}, seen: { username: undefined, password: undefined } },
  { given: { username: 'u' }, seen: { username: 'u', password: undefined } },
  { given: { password: 'p' }, seen: { username: undefined, password: 'p' } },
  { given: { username: '', password: '' }, seen: { username: '', password: '' } },
  { given: { username: 'u', password: 'p' }, seen: { username: 'u', password: 'p' } },
]
for (const { given, seen } of flagCases) {
  const statements = '[MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19]'
  test(`reads just the credentials that the flags announce: ${JSON.stringify(given)} ${statements}`, async () => {
    const { connect, hooks } = await startBroker()
    let heard: ConnectPacket | undefined
    hooks.onAuthenticate.tap('test', (_client, packet) => {
      heard = packet
      return {}
    })
    await connect({ version: 5, ...given })
    expect({ username: heard?.username, password: heard?.password?.toString() }).toEqual(seen)
  })
}

const misflagged = [
  ['a user name without its flag [MQTT-3.1.2-16]', { username: 'u' }, 0x02],
  ['a user name flag without a user name [MQTT-3.1.2-17]', {}, 0x82],
  ['a password without its flag [MQTT-3.1.2-18]', { username: 'u', password: 'p' }, 0x82],
  ['a password flag without a password [MQTT-3.1.2-19]', { username: 'u' }, 0xc2],
] as const
for (const [what, given, flags] of misflagged) {
  test(`refuses a CONNECT with ${what} [MQTT-3.1.4-1]`, async () => {
    const { open } = await startBroker()
    const client = open(5)
    client.sendBytes(connectBytes(given, bytes => bytes.writeUInt8(flags, At.flags)))
    await client.closed
    expect(client.heard).toMatchObject([{ type: Connack, reasonCode: ReasonCode.MalformedPacket }])
  })
}

// Ill-formed UTF-8 in place of the last character of the field.
const illFormed = [
  ['client id [MQTT-3.1.3-4]', { clientId: 'idX' }],
  ['will topic [MQTT-3.1.3-11]', { will: { topic: 'topicX' } }],
  ['user name [MQTT-3.1.3-12]', { username: 'userX' }],
] as const
for (const [field, given] of illFormed) {
  for (const [kind, byte] of [
    ['a byte that is no UTF-8', 0xff],
    ['U+0000', 0],
  ] as const) {
    test(`refuses ${kind} in the ${field}`, async () => {
      const { open } = await startBroker()
      const client = open(5)
      client.sendBytes(connectBytes({ clientId: 'id', ...given }, bytes => bytes.writeUInt8(byte, bytes.indexOf('X'))))
      await client.closed
      expect(client.heard).toMatchObject([{ type: Connack, reasonCode: ReasonCode.MalformedPacket }])
    })
  }
}

test('reads the payload in the order client id, will, user name, password [MQTT-3.1.3-1] [MQTT-3.1.3-3]', async () => {
  const { open, hooks } = await startBroker()
  let heard: ConnectPacket | undefined
  hooks.onConnect.tap('test', (_client, packet) => {
    heard = packet
  })
  const whole = open(5)
  whole.sendBytes('10 1d 00044d515454 05 c6 0000 00 00026964 00 0001 74 0002 7065 0001 75 0001 70')
  expect(await whole.next(Connack)).toMatchObject({ reasonCode: 0 })
  expect(heard).toMatchObject({ clientId: 'id', will: { topic: 't' }, username: 'u' })
  expect([heard?.will?.payload.toString(), heard?.password?.toString()]).toEqual(['pe', 'p'])
})

test('refuses a CONNECT that ends before its client id [MQTT-3.1.3-3]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  client.sendBytes('10 0b 00044d515454 05 02 0000 00')
  await client.closed
  expect(client.heard).toMatchObject([{ type: Connack, reasonCode: ReasonCode.MalformedPacket }])
})

for (const clientId of ['0', '0123456789abcdefghijklm', 'NOPQRSTUVWXYZnopqrstuvw', 'x'.repeat(60), 'Zähler/äöü ☂']) {
  test(`accepts the client id "${clientId}" [MQTT-3.1.3-5]`, async () => {
    const { open, broker } = await startBroker()
    expect((await open(5).connect({ clientId })).reasonCode).toBe(0)
    expect(broker.clientOf(clientId)?.state).toBe('connected')
  })
}

test('gives each client without an id one of its own and says which [MQTT-3.1.3-6] [MQTT-3.1.3-7]', async () => {
  const { open, broker } = await startBroker()
  const ids: (string | undefined)[] = []
  for (const cleanStart of [true, false, true]) {
    const connack = await open(5).connect({ clientId: '', cleanStart })
    expect(connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
    ids.push(connack.properties?.assignedClientId)
  }
  expect(new Set(ids).size).toBe(3)
  for (const id of ids) expect(broker.clientOf(id!)?.state).toBe('connected')
})

test('keeps the session of a client whose id it gave [MQTT-3.1.3-7]', async () => {
  const { open } = await startBroker()
  const first = open(5)
  const { properties } = await first.connect({ clientId: '', properties: { sessionExpiry: 100 } })
  first.disconnect()
  await first.closed
  const again = await open(5).connect({ clientId: properties!.assignedClientId!, cleanStart: false })
  expect(again.sessionPresent).toBe(true)
  expect(again.properties?.assignedClientId).toBeUndefined()
})

test('answers a client id that it does not want with 0x85 and closes [MQTT-3.1.3-8]', async () => {
  const { open, hooks } = await startBroker()
  hooks.onConnect.tap('test', client => (client.clientId === 'root' ? ReasonCode.ClientIdentifierNotValid : undefined))
  const client = open(5)
  expect((await client.connect({ clientId: 'root' })).reasonCode).toBe(ReasonCode.ClientIdentifierNotValid)
  await client.closed
})

// ---- what the server does with it

test('closes after an authentication that says no [MQTT-3.1.4-2]', async () => {
  const { open, hooks, broker } = await startBroker()
  hooks.onAuthenticate.tap('test', () => ReasonCode.BadUserNameOrPassword)
  const client = open(5)
  expect((await client.connect({ username: 'u' })).reasonCode).toBe(ReasonCode.BadUserNameOrPassword)
  await client.closed
  expect(broker.roster.size).toBe(0)
})

test('tells the earlier connection of a client id 0x8E and closes it [MQTT-3.1.4-3]', async () => {
  const { connect, broker } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c' })
  const second = await connect({ version: 5, clientId: 'c' })
  expect((await first.ended())?.reasonCode).toBe(ReasonCode.SessionTakenOver)
  expect(await second.subscribe('a')).toEqual([0])
  expect([...broker.clients].map(client => client.state)).toEqual(['connected'])
})

test('acknowledges a CONNECT with CONNACK 0x00 [MQTT-3.1.4-5]', async () => {
  const { open } = await startBroker()
  expect(await open(5).connect()).toMatchObject({ reasonCode: 0, sessionPresent: false })
})

test('does nothing of what came behind a CONNECT that it refuses [MQTT-3.1.4-6]', async () => {
  const { open, connect, hooks, broker } = await startBroker()
  hooks.onConnect.tapPromise('test', async client => {
    await settled()
    return client.clientId === 'bad' ? ReasonCode.Banned : undefined
  })
  const reader = await connect()
  await reader.subscribe('#')
  const client = open(5)
  const publish = encodePacket(
    {
      type: PacketType.Publish,
      topic: 'a',
      payload: Buffer.from('x'),
      qos: 1,
      packetId: 1,
      dup: false,
      retain: true,
      properties: undefined,
    },
    5,
  )
  client.sendBytes(connectBytes({ clientId: 'bad' }) + publish.toString('hex'))
  await client.closed
  expect(client.heard).toMatchObject([{ type: Connack, reasonCode: ReasonCode.Banned }])
  expect(await reader.payloads()).toEqual([])
  expect(broker.services.get('retained').size).toBe(0)
})

test('lets what comes behind CONNECT in one segment wait for the answer', async () => {
  const { open, hooks } = await startBroker()
  hooks.onConnect.tapPromise('test', () => settled())
  const client = open(5)
  client.sendBytes(`${connectBytes({})} 82 08 0001 00 0002 612f 00 c000`)
  await client.next(PacketType.Pingresp)
  expect(client.heard.map(packet => packet.type)).toEqual([Connack, PacketType.Suback, PacketType.Pingresp])
})
