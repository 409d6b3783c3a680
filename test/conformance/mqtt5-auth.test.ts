import { expect, test } from 'vitest'
import type { Hooks } from '../../core/hooks.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AuthPacket, ConnackPacket, Packet } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { AuthStep } from '../../core/refusals.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { startBroker } from '../support/broker.ts'
import { connectPacket, type TestClient } from '../support/client.ts'

const method = 'ADD-ONE'
const data = (text: string) => Buffer.from(text)

/** Knows one method: the broker sends a number, the client answers with the next one; `begin` is what the client begins with. */
function addOne(hooks: Hooks, more: Partial<Extract<AuthStep, { continue: true }>> = {}): void {
  let due = ''
  hooks.onAuth.tap('addOne', (_client, { reasonCode, properties }) => {
    if (properties?.authenticationMethod !== method) return undefined
    const said = properties.authenticationData?.toString() ?? ''
    if (reasonCode !== ReasonCode.ContinueAuthentication) {
      if (said !== 'begin') return ReasonCode.NotAuthorized
      due = '42'
      return { continue: true, data: data('41'), ...more }
    }
    return said === due ? { admission: { username: `counted-${said}` }, data: data('well done') } : ReasonCode.NotAuthorized
  })
}

function begin(client: TestClient, authenticationMethod = method, first = 'begin', more = {}): void {
  const properties = { authenticationMethod, authenticationData: data(first), ...more }
  client.send(connectPacket({ version: 5, clientId: 'me', properties }))
}

function auth(
  client: TestClient,
  text: string,
  reasonCode: number = ReasonCode.ContinueAuthentication,
  authenticationMethod = method,
): void {
  client.send({ type: PacketType.Auth, reasonCode, properties: { authenticationMethod, authenticationData: data(text) } })
}

const nextAuth = (client: TestClient) => client.next<AuthPacket>(PacketType.Auth)
const connack = (client: TestClient) => client.next<ConnackPacket>(PacketType.Connack)

/** A client that has been admitted by the whole exchange. */
async function admitted(open: (version: 5) => TestClient): Promise<TestClient> {
  const client = open(5)
  begin(client)
  await nextAuth(client)
  auth(client, '42')
  expect(await connack(client)).toMatchObject({ reasonCode: 0 })
  return client
}

test('authenticates step by step: AUTH 0x18 with the challenge, AUTH 0x18 with the answer, CONNACK, each with the method [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.2-1]', async () => {
  const { open, hooks, broker } = await startBroker()
  addOne(hooks)
  const client = open(5)
  begin(client)
  const challenge = await nextAuth(client)
  expect(challenge).toEqual({
    type: PacketType.Auth,
    reasonCode: 0x18,
    properties: { authenticationMethod: method, authenticationData: data('41') },
  })
  auth(client, '42')
  expect(await connack(client)).toMatchObject({
    reasonCode: 0,
    properties: { authenticationMethod: method, authenticationData: data('well done') },
  })
  expect(broker.clientOf('me')?.username).toBe('counted-42')
})

test('admits in one step where the method needs no more, with the method in CONNACK [MQTT-4.12.0-5]', async () => {
  const { open, hooks } = await startBroker()
  hooks.onAuth.tap('once', () => ({ admission: {} }))
  const client = open(5)
  begin(client, 'token')
  const { reasonCode, properties } = await connack(client)
  expect([reasonCode, properties?.authenticationMethod, properties?.authenticationData]).toEqual([0, 'token', undefined])
})

test('refuses a method with 0x8C and closes where no plugin authenticates so [MQTT-4.12.0-1]', async () => {
  const { open } = await startBroker()
  const client = open(5)
  begin(client)
  expect(await connack(client)).toMatchObject({ reasonCode: ReasonCode.BadAuthenticationMethod })
  await client.closed
})

test('refuses a method that no plugin knows with 0x8C and closes [MQTT-4.12.0-1]', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  const client = open(5)
  begin(client, 'SCRAM-SHA-1')
  expect(await connack(client)).toMatchObject({ reasonCode: ReasonCode.BadAuthenticationMethod })
  await client.closed
})

const refusals: [why: string, step: AuthStep, code: number][] = [
  ['a reason code', ReasonCode.Banned, ReasonCode.Banned],
  ['false', false, ReasonCode.NotAuthorized],
  ['a refusal with a reason', { reasonCode: ReasonCode.ServerBusy, reasonString: 'later' }, ReasonCode.ServerBusy],
]
for (const [why, step, code] of refusals) {
  test(`refuses at the first step with CONNACK and closes: ${why} [MQTT-4.12.0-4] [MQTT-4.13.2-1]`, async () => {
    const { open, hooks } = await startBroker()
    hooks.onAuth.tap('test', () => step)
    const client = open(5)
    begin(client)
    expect(await connack(client)).toMatchObject({ reasonCode: code })
    await client.closed
  })
}

test('refuses at a later step with CONNACK and closes [MQTT-4.12.0-4]', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  const client = open(5)
  begin(client)
  await nextAuth(client)
  auth(client, '43')
  expect(await connack(client)).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
  await client.closed
})

test('refuses with 0x83 where the plugin fails [MQTT-4.12.0-4]', async () => {
  const { open, hooks } = await startBroker()
  hooks.onAuth.tap('broken', () => {
    throw new Error('broken')
  })
  const client = open(5)
  begin(client)
  expect(await connack(client)).toMatchObject({ reasonCode: ReasonCode.ImplementationSpecificError })
  await client.closed
})

test('refuses an answer that has another method or another reason code than the exchange [MQTT-4.12.0-3] [MQTT-4.12.0-5]', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  const other = open(5)
  begin(other)
  await nextAuth(other)
  auth(other, '42', ReasonCode.ContinueAuthentication, 'OTHER')
  expect(await connack(other)).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  const again = open(5)
  begin(again)
  await nextAuth(again)
  auth(again, '42', ReasonCode.ReAuthenticate)
  expect(await connack(again)).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  await Promise.all([other.closed, again.closed])
})

test('closes the connection of a client that does not answer a challenge within the heartbeat time', async () => {
  const { open, hooks, advance } = await startBroker({ heartbeat: '10s' })
  addOne(hooks)
  const client = open(5)
  begin(client)
  await nextAuth(client)
  await advance(11_000)
  await client.closed
})

test('closes the connection of a client whose exchange has no end within the heartbeat time, though it answers each challenge at once', async () => {
  const { open, hooks, advance, broker } = await startBroker({ heartbeat: '10s' })
  hooks.onAuth.tap('endless', () => ({ continue: true }))
  const client = open(5)
  begin(client)
  for (let second = 0; second < 9; second++) {
    await nextAuth(client)
    await advance(1000)
    expect(client.isClosed).toBe(false)
    auth(client, '42', ReasonCode.ContinueAuthentication)
  }
  await nextAuth(client)
  await advance(2000)
  await client.closed
  expect(broker.counters.limited.heartbeat).toBe(1)
})

test('ends the exchange of a client that goes in the middle of it, and lets the next one in', async () => {
  const { open, hooks, broker, advance } = await startBroker()
  addOne(hooks)
  const client = open(5)
  begin(client)
  await nextAuth(client)
  client.drop()
  await advance(0)
  expect(broker.clients.size).toBe(0)
  await admitted(open)
})

test('sends neither AUTH nor an Authentication Method to a client that gave none, whatever plugins there are [MQTT-4.12.0-6]', async () => {
  const { connect, hooks } = await startBroker({ allowAnonymous: true })
  addOne(hooks)
  const client = await connect({ version: 5 })
  await client.rest()
  expect(client.heard.some(({ type }) => type === PacketType.Auth)).toBe(false)
  const { properties } = client.heard[0] as ConnackPacket
  expect(properties).not.toHaveProperty('authenticationMethod')
})

for (const reasonCode of [0x00, 0x18, 0x19]) {
  test(`closes with 0x82 if a client that gave no method sends AUTH 0x${reasonCode.toString(16)} [MQTT-4.12.0-7]`, async () => {
    const { connect, hooks } = await startBroker({ allowAnonymous: true })
    addOne(hooks)
    const client = await connect({ version: 5 })
    auth(client, 'begin', reasonCode)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  })
}

for (const flags of ['f1', 'f2', 'f4', 'f8']) {
  test(`closes with 0x81 if the first byte of AUTH is 0x${flags} [MQTT-3.15.1-1]`, async () => {
    const { open, hooks } = await startBroker()
    addOne(hooks)
    const client = await admitted(open)
    client.sendBytes(`${flags} 00`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

for (const code of ['01', '17', '1a', '80', '87']) {
  test(`closes with 0x82 if AUTH has reason code 0x${code} [MQTT-3.15.2-1]`, async () => {
    const { open, hooks } = await startBroker()
    addOne(hooks)
    const client = await admitted(open)
    client.sendBytes(`f0 0c  ${code}  0a  15 00 07 41 44 44 2d 4f 4e 45`)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  })
}

test('closes with 0x82 if AUTH comes without a method, or in its shortest form', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  for (const bytes of ['f0 00', 'f0 01 19', 'f0 02 19 00']) {
    const client = await admitted(open)
    client.sendBytes(bytes)
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
  }
})

test('leaves the reason string of AUTH out where it would make the packet larger than the client accepts [MQTT-3.15.2-2] [MQTT-3.15.2-3]', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks, { reasonString: 'because '.repeat(20) })
  const generous = open(5)
  begin(generous)
  expect((await nextAuth(generous)).properties?.reasonString).toBe('because '.repeat(20))
  const maximumPacketSize = 60
  const client = open(5)
  begin(client, method, 'begin', { maximumPacketSize })
  const challenge: Packet = await nextAuth(client)
  expect(challenge.properties).toEqual({ authenticationMethod: method, authenticationData: data('41') })
  expect(encodePacket(challenge, 5).length).toBeLessThanOrEqual(maximumPacketSize)
})

test('authenticates a connected client again: AUTH 0x19, the exchange, AUTH 0x00, and what it says holds from then on [MQTT-4.12.1-1] [MQTT-4.12.0-2] [MQTT-3.15.2-1]', async () => {
  const { open, hooks, broker } = await startBroker()
  let round = 0
  hooks.onAuth.tap('rounds', (_client, { reasonCode }) => {
    if (reasonCode === ReasonCode.ReAuthenticate) return { continue: true, data: data('again?') }
    round += 1
    return { admission: { username: `round-${round}` }, data: data('fine') }
  })
  const client = open(5)
  begin(client)
  await connack(client)
  auth(client, '', ReasonCode.ReAuthenticate)
  expect(await nextAuth(client)).toMatchObject({ reasonCode: 0x18, properties: { authenticationMethod: method } })
  expect(broker.clientOf('me')?.username).toBe('round-1')
  auth(client, 'yes')
  expect(await nextAuth(client)).toEqual({
    type: PacketType.Auth,
    reasonCode: 0,
    properties: { authenticationMethod: method, authenticationData: data('fine') },
  })
  expect(broker.clientOf('me')?.username).toBe('round-2')
  expect(await client.subscribe('t', 1)).toEqual([1])
})

test('closes with 0x82 if a client authenticates again with another method [MQTT-4.12.1-1]', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  const client = await admitted(open)
  auth(client, 'begin', ReasonCode.ReAuthenticate, 'OTHER')
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
})

test('sends DISCONNECT with the reason and closes if authenticating again fails, at the first step or later [MQTT-4.12.1-2]', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  const first = await admitted(open)
  auth(first, 'nonsense', ReasonCode.ReAuthenticate)
  expect(await first.ended()).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
  const second = await admitted(open)
  auth(second, 'begin', ReasonCode.ReAuthenticate)
  await nextAuth(second)
  auth(second, '7')
  expect(await second.ended()).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
})

test('carries on with everything else while a client authenticates again', async () => {
  const { open, connect, hooks } = await startBroker()
  addOne(hooks)
  const client = await admitted(open)
  const other = await connect()
  await other.subscribe('from')
  auth(client, 'begin', ReasonCode.ReAuthenticate)
  await nextAuth(client)
  expect(await client.subscribe('to')).toEqual([0])
  expect(await client.publish('from', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  await other.publish('to', 'y')
  expect((await client.receive()).payload.toString()).toBe('y')
  expect(await client.rest()).toEqual([])
  auth(client, '42')
  expect(await nextAuth(client)).toMatchObject({ reasonCode: 0 })
})

test('closes with 0x82 if a client begins to authenticate again while a challenge waits for its answer', async () => {
  const { open, hooks } = await startBroker()
  addOne(hooks)
  const client = await admitted(open)
  auth(client, 'begin', ReasonCode.ReAuthenticate)
  await nextAuth(client)
  auth(client, 'begin', ReasonCode.ReAuthenticate)
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
})

test('closes with 0x82 if a client begins to authenticate again while the plugin still thinks', async () => {
  const { open, hooks } = await startBroker()
  hooks.onAuth.tapPromise('slow', async (_client, { reasonCode }) => {
    return reasonCode === ReasonCode.ReAuthenticate ? new Promise<undefined>(() => {}) : { admission: {} }
  })
  const client = open(5)
  begin(client)
  await connack(client)
  auth(client, 'begin', ReasonCode.ReAuthenticate)
  auth(client, 'begin', ReasonCode.ReAuthenticate)
  expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.ProtocolError })
})

test('gives plugins authentication data that stays as it was, whatever is read later', async () => {
  const { open, hooks } = await startBroker()
  const kept: Buffer[] = []
  hooks.onAuth.tap('keeper', (_client, { properties }) => {
    kept.push(properties!.authenticationData!)
    return kept.length < 3 ? { continue: true } : { admission: {} }
  })
  const client = open(5)
  begin(client, method, 'one')
  await nextAuth(client)
  auth(client, 'two')
  await nextAuth(client)
  auth(client, 'six')
  await connack(client)
  for (let i = 0; i < 1000; i++) client.sendPublish('t', 'overwrites what was read before')
  await client.rest()
  expect(kept.map(String)).toEqual(['one', 'two', 'six'])
})
