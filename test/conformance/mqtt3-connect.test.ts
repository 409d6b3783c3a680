import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnectPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission } from '../../core/refusals.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { connectBytes, field, packet, text } from './bytes.ts'

/** Sends bytes on a new connection and returns what was said until the broker closed it. */
async function refused({ open }: TestBroker, bytes: string) {
  const client = open()
  client.sendBytes(bytes)
  await client.ended()
  return client.heard
}

test('closes a connection on which something else than CONNECT comes first [MQTT3-3.1.0-1]', async () => {
  const broker = await startBroker()
  expect(await refused(broker, 'c0 00')).toEqual([])
  expect(await refused(broker, packet('30', text('a'), '78'))).toEqual([])
})

test('closes a connection on which CONNECT comes twice [MQTT3-3.1.0-2]', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  client.sendBytes(connectBytes({}, text('again')))
  await client.ended()
  expect(client.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
})

test('closes without a word where the protocol name is another [MQTT3-3.1.2-1]', async () => {
  const broker = await startBroker()
  for (const name of ['mqtt', 'MQTX', 'HTTP', '']) expect(await refused(broker, connectBytes({ name }, text('a')))).toEqual([])
})

test('answers return code 1 to a protocol level that it does not speak, and closes [MQTT3-3.1.2-2]', async () => {
  const broker = await startBroker()
  for (const [name, level] of [
    ['MQTT', '00'],
    ['MQTT', '03'],
    ['MQIsdp', '04'],
  ] as const) {
    expect(await refused(broker, connectBytes({ name, level }, text('a')))).toMatchObject([{ type: PacketType.Connack, reasonCode: 1 }])
  }
})

for (const { what, bytes } of [
  {
    what: 'closes without CONNACK on a CONNECT whose reserved flag is set [MQTT3-3.1.2-3]',
    bytes: connectBytes({ flags: '03' }, text('a')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose will flag is set and the will is missing [MQTT3-3.1.2-9]',
    bytes: connectBytes({ flags: '06' }, text('a')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose will flag is set and the will message is missing [MQTT3-3.1.2-9]',
    bytes: connectBytes({ flags: '06' }, text('a'), text('will')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose will flag is not set and there is a will [MQTT3-3.1.2-11]',
    bytes: connectBytes({}, text('a'), text('will'), text('x')),
  },
  {
    what: 'closes without CONNACK on a CONNECT that has a will QoS without a will [MQTT3-3.1.2-11] [MQTT3-3.1.2-13]',
    bytes: connectBytes({ flags: '0a' }, text('a')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose will QoS is 3 [MQTT3-3.1.2-14]',
    bytes: connectBytes({ flags: '1e' }, text('a'), text('will'), text('x')),
  },
  {
    what: 'closes without CONNACK on a CONNECT that has will retain without a will [MQTT3-3.1.2-11] [MQTT3-3.1.2-15]',
    bytes: connectBytes({ flags: '22' }, text('a')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose user name flag is not set and there is a user name [MQTT3-3.1.2-18]',
    bytes: connectBytes({}, text('a'), text('user')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose user name flag is set and the user name is missing [MQTT3-3.1.2-19]',
    bytes: connectBytes({ flags: '82' }, text('a')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose password flag is not set and there is a password [MQTT3-3.1.2-20]',
    bytes: connectBytes({ flags: '82' }, text('a'), text('user'), text('pass')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose password flag is set and the password is missing [MQTT3-3.1.2-21]',
    bytes: connectBytes({ flags: 'c2' }, text('a'), text('user')),
  },
  {
    what: 'closes without CONNACK on a CONNECT that has a password without a user name [MQTT3-3.1.2-22]',
    bytes: connectBytes({ flags: '42' }, text('a'), text('pass')),
  },
  { what: 'closes without CONNACK on a CONNECT that has no client id [MQTT3-3.1.3-3]', bytes: connectBytes({}) },
  { what: 'closes without CONNACK on a CONNECT whose client id is not UTF-8 [MQTT3-3.1.3-4]', bytes: connectBytes({}, field('61c3')) },
  {
    what: 'closes without CONNACK on a CONNECT whose will topic is not UTF-8 [MQTT3-3.1.3-10]',
    bytes: connectBytes({ flags: '06' }, text('a'), field('ff'), text('x')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose user name is not UTF-8 [MQTT3-3.1.3-11]',
    bytes: connectBytes({ flags: '82' }, text('a'), field('eda080')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose will topic holds a wildcard',
    bytes: connectBytes({ flags: '06' }, text('a'), text('a/#'), text('x')),
  },
  {
    what: 'closes without CONNACK on a CONNECT whose will topic is empty',
    bytes: connectBytes({ flags: '06' }, text('a'), text(''), text('x')),
  },
]) {
  test(`${what} [MQTT3-3.1.4-1]`, async () => {
    const broker = await startBroker()
    expect(await refused(broker, bytes)).toEqual([])
  })
}

test('closes without CONNACK where no return code fits, as for a CONNECT that is too large [MQTT3-3.2.2-6]', async () => {
  const broker = await startBroker({ mqtt: { maximumPacketSize: 128 } })
  expect(await refused(broker, connectBytes({}, text('x'.repeat(128))))).toEqual([])
})

test('reads the payload in the order client id, will topic, will message, user name, password [MQTT3-3.1.3-1] [MQTT3-3.1.3-3]', async () => {
  const { hooks, open } = await startBroker()
  let seen: ConnectPacket | undefined
  hooks.onAuthenticate.tap('test', (_client, connect): Admission => {
    seen = { ...connect }
    return {}
  })
  const client = open()
  client.sendBytes(connectBytes({ flags: 'c6' }, text('id'), text('topic'), text('message'), text('user'), text('pass')))
  await client.next(PacketType.Connack)
  expect(seen).toMatchObject({ clientId: 'id', username: 'user', will: { topic: 'topic' } })
  expect(seen?.will?.payload.toString()).toBe('message')
  expect(seen?.password?.toString()).toBe('pass')
})

test('tells sessions apart by client id, exactly as it is written [MQTT3-3.1.3-2]', async () => {
  const { connect, open } = await startBroker()
  const first = await connect({ clientId: 'one', cleanStart: false })
  await first.subscribe('a', 1)
  first.disconnect()
  expect((await open().connect({ clientId: 'One', cleanStart: false })).sessionPresent).toBe(false)
  expect((await open().connect({ clientId: 'one', cleanStart: false })).sessionPresent).toBe(true)
})

test('admits client ids of 1 to 23 bytes of digits and letters, and longer ones [MQTT3-3.1.3-5]', async () => {
  const { open } = await startBroker()
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
  for (const clientId of ['0', 'Z', alphabet.slice(0, 23), alphabet.slice(23, 46), alphabet.slice(39), alphabet, 'x'.repeat(65_535)]) {
    expect(await open().connect({ clientId })).toMatchObject({ reasonCode: 0 })
  }
})

test('makes a client id up for each client that has none and wants a clean session [MQTT3-3.1.3-6]', async () => {
  const { connect, broker } = await startBroker()
  const first = await connect({ clientId: '' })
  const second = await connect({ clientId: '' })
  expect(await first.rest()).toEqual([])
  expect(await second.rest()).toEqual([])
  expect(new Set([...broker.clients].map(client => client.clientId)).size).toBe(2)
})

test('answers return code 2 to an empty client id without a clean session, and closes [MQTT3-3.1.3-7] [MQTT3-3.1.3-8]', async () => {
  const { open } = await startBroker()
  const client = open()
  expect(await client.connect({ clientId: '', cleanStart: false })).toMatchObject({ reasonCode: 2, sessionPresent: false })
  await client.ended()
})

test('answers return code 2 where a plugin refuses the client id, and closes [MQTT3-3.1.3-9]', async () => {
  const { hooks, open } = await startBroker()
  hooks.onConnect.tap('test', client => (client.clientId === 'bad' ? ReasonCode.ClientIdentifierNotValid : undefined))
  const client = open()
  expect(await client.connect({ clientId: 'bad' })).toMatchObject({ reasonCode: 2 })
  await client.ended()
})

for (const { code, name, reasons } of [
  { code: 3, name: 'server unavailable', reasons: [ReasonCode.ServerUnavailable, ReasonCode.ServerBusy, ReasonCode.QuotaExceeded] },
  { code: 4, name: 'bad user name or password', reasons: [ReasonCode.BadUserNameOrPassword] },
  { code: 5, name: 'not authorized', reasons: [ReasonCode.NotAuthorized, ReasonCode.Banned, false as const] },
]) {
  test(`refuses with return code ${code}, ${name}, session present 0, and closes [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]`, async () => {
    for (const reason of reasons) {
      const { hooks, connect, open } = await startBroker()
      const before = await connect({ clientId: 'known', cleanStart: false })
      before.disconnect()
      hooks.onAuthenticate.tap('test', () => reason)
      const client = open()
      expect(await client.connect({ clientId: 'known', cleanStart: false })).toMatchObject({ reasonCode: code, sessionPresent: false })
      await client.ended()
      expect(client.heard).toHaveLength(1)
    }
  })
}

test('refuses with return code 5 a client on whom no plugin has an opinion', async () => {
  const { hooks, open } = await startBroker()
  hooks.onAuthenticate.tap('test', () => undefined)
  expect(await open().connect()).toMatchObject({ reasonCode: 5 })
})

test('processes nothing that a refused client sends behind its CONNECT [MQTT3-3.1.4-5]', async () => {
  const { hooks, connect, open } = await startBroker()
  const reader = await connect()
  await reader.subscribe('#')
  hooks.onAuthenticate.tapPromise('test', async () => ReasonCode.NotAuthorized)
  const client = open()
  client.sendBytes(connectBytes({}, text('a')) + packet('30', text('t'), '78') + packet('82', '0001', text('t'), '00'))
  await client.ended()
  expect(client.heard).toMatchObject([{ type: PacketType.Connack, reasonCode: 5 }])
  expect(await reader.payloads()).toEqual([])
})

test('processes what an admitted client sends behind its CONNECT, after the CONNACK [MQTT3-3.1.4-4] [MQTT3-3.2.0-1]', async () => {
  const { hooks, connect, open } = await startBroker()
  hooks.onAuthenticate.tapPromise('test', async () => {
    await settled()
    return true
  })
  const reader = await connect()
  await reader.subscribe('#')
  const client = open()
  client.sendBytes(
    [connectBytes({}, text('a')), packet('82', '0001', text('t'), '00'), packet('32', text('t'), '0002', '78'), 'c000'].join(''),
  )
  await client.next(PacketType.Pingresp)
  expect(client.heard.map(({ type }) => type)).toEqual([
    PacketType.Connack,
    PacketType.Suback,
    PacketType.Publish,
    PacketType.Puback,
    PacketType.Pingresp,
  ])
  expect(client.heard[0]).toMatchObject({ reasonCode: 0 })
  expect(await reader.payloads()).toEqual(['x'])
})

test('sends CONNACK before what waits for the session [MQTT3-3.2.0-1]', async () => {
  const { connect, open } = await startBroker()
  const reader = await connect({ clientId: 'reader', cleanStart: false })
  await reader.subscribe('a', 1)
  reader.disconnect()
  await reader.ended()
  await (await connect()).publish('a', 'waits', { qos: 1 })
  const again = open()
  await again.connect({ clientId: 'reader', cleanStart: false })
  await again.message()
  expect(again.heard.map(({ type }) => type)).toEqual([PacketType.Connack, PacketType.Publish])
})

test('disconnects the client that has the same client id already [MQTT3-3.1.4-2]', async () => {
  const { connect, broker } = await startBroker()
  const first = await connect({ clientId: 'same' })
  const second = await connect({ clientId: 'same' })
  await first.ended()
  expect(await second.rest()).toEqual([])
  await settled()
  expect([...broker.clients].filter(client => client.clientId === 'same')).toHaveLength(1)
})

test('leaves one owner where many connections claim a client id at once [MQTT3-3.1.4-2]', async () => {
  const { open, broker } = await startBroker()
  const all = Array.from({ length: 20 }, () => open())
  for (const client of all) client.sendBytes(connectBytes({ flags: '00' }, text('same')))
  await settled()
  await settled()
  expect(all.filter(client => !client.isClosed)).toEqual([all.at(-1)])
  expect(await all.at(-1)!.rest()).toMatchObject([{ type: PacketType.Connack, reasonCode: 0 }])
  expect([...broker.clients].filter(client => client.clientId === 'same')).toHaveLength(1)
})
