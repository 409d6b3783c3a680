import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import { connectBytes, packet, text } from './bytes.ts'

const mqtt31 = { name: 'MQIsdp', level: '03' }

test('serves an MQTT 3.1 client, which calls itself MQIsdp', async () => {
  const { open, connect } = await startBroker()
  const client = open(3)
  client.sendBytes(connectBytes(mqtt31, text('old')))
  expect(await client.next(PacketType.Connack)).toMatchObject({ reasonCode: 0 })
  expect(await client.subscribe('a', 2)).toEqual([2])
  await (await connect()).publish('a', 'x', { qos: 2 })
  expect(await client.receive()).toMatchObject({ qos: 2, payload: Buffer.from('x') })
})

test('admits MQTT 3.1 client ids of 1 to 23 characters, and longer ones, which that version forbids', async () => {
  const { open } = await startBroker()
  for (const clientId of ['a', 'x'.repeat(23), 'x'.repeat(24), 'x'.repeat(200)]) {
    expect(await open(3).connect({ clientId })).toMatchObject({ reasonCode: 0 })
  }
})

test('answers return code 2 to an MQTT 3.1 client without a client id, with a clean session too', async () => {
  const { open } = await startBroker()
  for (const cleanStart of [true, false]) {
    const client = open(3)
    expect(await client.connect({ clientId: '', cleanStart })).toMatchObject({ reasonCode: 2 })
    await client.ended()
  }
})

test('leaves the first byte of an MQTT 3.1 CONNACK 0, which that version reserves, though the session is resumed', async () => {
  const { open, connect } = await startBroker()
  const first = await connect({ clientId: 'old', version: 3, cleanStart: false })
  await first.subscribe('a', 1)
  first.drop()
  await (await connect()).publish('a', 'waits', { qos: 1 })
  const again = open(3)
  expect(await again.connect({ clientId: 'old', cleanStart: false })).toMatchObject({ reasonCode: 0, sessionPresent: false })
  expect(await again.receive()).toMatchObject({ payload: Buffer.from('waits') })
})

test('takes the DUP flag that MQTT 3.1 has in PUBREL, SUBSCRIBE and UNSUBSCRIBE', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 3 })
  client.sendBytes(packet('8a', '0001', text('a'), '01'))
  expect(await client.next(PacketType.Suback)).toMatchObject({ packetId: 1, reasonCodes: [1] })
  client.sendBytes(packet('aa', '0002', text('a')))
  expect(await client.next(PacketType.Unsuback)).toMatchObject({ packetId: 2 })
  client.sendPublish('a', 'x', { qos: 2, packetId: 3 })
  await client.next(PacketType.Pubrec)
  client.sendBytes(packet('6a', '0003'))
  expect(await client.next(PacketType.Pubcomp)).toMatchObject({ packetId: 3 })
})

test('admits an MQTT 3.1 client whose flags announce a user name and password that do not come', async () => {
  const { open, hooks } = await startBroker()
  const seen: unknown[] = []
  hooks.onAuthenticate.tap('test', (_client, { username, password }) => {
    seen.push([username, password?.toString()])
    return true
  })
  for (const [clientId, flags, payload] of [
    ['one', '82', ''],
    ['two', 'c2', ''],
    ['three', 'c2', text('user')],
  ] as const) {
    const client = open(3)
    client.sendBytes(connectBytes({ ...mqtt31, flags }, text(clientId), payload))
    expect(await client.next(PacketType.Connack)).toMatchObject({ reasonCode: 0 })
  }
  expect(seen).toEqual([
    [undefined, undefined],
    [undefined, undefined],
    ['user', undefined],
  ])
})

for (const { what, refusal, code } of [
  { what: 'a client id', refusal: ReasonCode.ClientIdentifierNotValid, code: 2 },
  { what: 'a server that is away', refusal: ReasonCode.ServerUnavailable, code: 3 },
  { what: 'a password', refusal: ReasonCode.BadUserNameOrPassword, code: 4 },
  { what: 'a client that may not come in', refusal: ReasonCode.NotAuthorized, code: 5 },
]) {
  test(`refuses an MQTT 3.1 client for ${what} with return code ${code}`, async () => {
    const { open, hooks } = await startBroker()
    hooks.onAuthenticate.tap('test', () => refusal)
    const client = open(3)
    expect(await client.connect()).toMatchObject({ reasonCode: code })
    await client.ended()
  })
}

test('publishes the will of an MQTT 3.1 client, and keeps its session', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('will', 1)
  const client = await connect({
    version: 3,
    clientId: 'old',
    cleanStart: false,
    will: { topic: 'will', payload: Buffer.from('gone'), qos: 1 },
  })
  await client.subscribe('a', 2)
  client.drop()
  expect(await reader.receive()).toMatchObject({ qos: 1, payload: Buffer.from('gone') })
  await (await connect()).publish('a', 'waits', { qos: 2 })
  const again = await connect({ version: 3, clientId: 'old', cleanStart: false })
  expect(await again.receive()).toMatchObject({ payload: Buffer.from('waits') })
})
