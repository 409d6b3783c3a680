import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

// PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7): what the broker says in them, and what it bears from clients.

const { Puback, Pubrec, Pubrel, Pubcomp } = PacketType
const publishCodes = [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]

for (const [qos, name, statement] of [
  [1, 'PUBACK', '[MQTT-3.4.2-1]'],
  [2, 'PUBREC', '[MQTT-3.5.2-1]'],
] as const) {
  test(`answers with the codes of ${name} only, whatever a plugin says ${statement}`, async () => {
    const { connect, hooks } = await startBroker()
    let code: ReasonCode = ReasonCode.UnspecifiedError
    hooks.onPublish.tap('test', () => code)
    const client = await connect({ version: 5 })
    for (const reason of new Set(Object.values(ReasonCode))) {
      if (reason < 0x80) continue
      code = reason
      const ack = await client.publish('a', 'x', { qos })
      expect(ack?.reasonCode).toBe(publishCodes.includes(reason) ? reason : ReasonCode.UnspecifiedError)
    }
  })

  test(`answers with success or, where nobody matched, with 0x10 in ${name} ${statement}`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    expect((await client.publish('a', 'x', { qos }))?.reasonCode).toBe(ReasonCode.NoMatchingSubscribers)
    await client.subscribe('a')
    expect((await client.publish('a', 'x', { qos }))?.reasonCode).toBe(ReasonCode.Success)
  })

  const [reason, user] = qos === 1 ? ['[MQTT-3.4.2-2]', '[MQTT-3.4.2-3]'] : ['[MQTT-3.5.2-2]', '[MQTT-3.5.2-3]']
  test(`leaves reason and user properties out of a ${name} that would be larger than the client accepts ${reason} ${user}`, async () => {
    const { connect, hooks } = await startBroker()
    hooks.onPublish.tap('test', () => ({
      reasonCode: ReasonCode.QuotaExceeded,
      reasonString: 'x'.repeat(40),
      userProperties: [['k'.repeat(20), 'v'.repeat(20)]],
    }))
    const small = await connect({ version: 5, properties: { maximumPacketSize: 30 } })
    const large = await connect({ version: 5, properties: { maximumPacketSize: 300 } })
    expect(await small.publish('a', 'x', { qos })).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded, properties: undefined })
    const ack = await large.publish('a', 'x', { qos })
    expect(ack).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded, properties: { reasonString: 'x'.repeat(40) } })
  })

  test(`says what an accepted publish is not told in ${name} of 3.1.1: nothing but the packet identifier`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 4 })
    const bytes = new Promise<Buffer>(resolve => client.stream.once('data', resolve))
    client.sendPublish('a', 'x', { qos, packetId: 0x1234 })
    expect((await bytes).toString('hex')).toBe(qos === 1 ? '40021234' : '50021234')
  })
}

for (const first of ['60', '61', '63', '64', '66', '6a', '6f']) {
  test(`ends a client whose PUBREL begins with 0x${first} [MQTT-3.6.1-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendPublish('a', 'x', { qos: 2, packetId: 1 })
    await client.next(Pubrec)
    client.sendBytes(`${first} 02 0001`)
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.MalformedPacket)
  })
}

test('sends PUBREL with the flags 0010 [MQTT-3.6.1-1]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  await client.subscribe('a', 2)
  client.sendPublish('a', 'x', { qos: 2, packetId: 1 })
  const { packetId } = await client.message()
  const bytes = new Promise<Buffer>(resolve => client.stream.once('data', resolve))
  client.ack(Pubrec, packetId)
  expect((await bytes).subarray(0, 4)).toEqual(Buffer.from([0x62, 2, 0, packetId]))
})

async function received(client: TestClient, qos: 1 | 2): Promise<number> {
  await client.subscribe('a', qos)
  await client.publish('a', 'x', { qos })
  return (
    client.heard.flatMap(packet => (packet.type === PacketType.Publish ? [packet.packetId] : []))[0] ?? (await client.message()).packetId
  )
}

// However little the client accepts, PUBREL and PUBCOMP fit: they carry neither reason nor user properties.
for (const maximumPacketSize of [undefined, 16]) {
  const small = maximumPacketSize === undefined ? '' : `, to a client that accepts ${maximumPacketSize} bytes`
  const properties = maximumPacketSize === undefined ? {} : { maximumPacketSize }

  test(`answers PUBREC with PUBREL 0x00 or, for an unknown identifier, 0x92${small} [MQTT-3.6.2-1] [MQTT-3.6.2-2] [MQTT-3.6.2-3]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5, properties })
    await client.subscribe('a', 2)
    client.ack(Pubrec, 4711)
    expect(await client.next(Pubrel)).toEqual({
      type: Pubrel,
      packetId: 4711,
      reasonCode: ReasonCode.PacketIdentifierNotFound,
      properties: undefined,
    })
    if (maximumPacketSize === undefined) {
      const other = await connect({ version: 5 })
      const packetId = await received(other, 2)
      other.ack(Pubrec, packetId)
      expect(await other.next(Pubrel)).toEqual({ type: Pubrel, packetId, reasonCode: 0, properties: undefined })
    }
  })

  test(`answers PUBREL with PUBCOMP 0x00 or, for an unknown identifier, 0x92${small} [MQTT-3.7.2-1] [MQTT-3.7.2-2] [MQTT-3.7.2-3]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5, properties })
    client.sendPublish('a', 'x', { qos: 2, packetId: 5 })
    await client.next(Pubrec)
    for (const reasonCode of [0, ReasonCode.PacketIdentifierNotFound]) {
      client.ack(Pubrel, 5)
      expect(await client.next(Pubcomp)).toEqual({ type: Pubcomp, packetId: 5, reasonCode, properties: undefined })
    }
  })
}

test('says nothing to a PUBREC that carries an error for an identifier that nobody knows [MQTT-4.3.3-4]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  for (const reasonCode of [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]) client.ack(Pubrec, 4711, reasonCode)
  expect(await client.rest()).toEqual([])
})

const resumable = { version: 5, clientId: 'c', cleanStart: false, properties: { sessionExpiry: 100 } } as const

test('a handshake that was over before the session was resumed is no error: PUBCOMP and PUBREL carry 0x00', async () => {
  const { connect } = await startBroker()
  const first = await connect(resumable)
  await first.publish('a', 'x', { qos: 2, packetId: 5 })
  first.drop()
  await first.closed
  const client = await connect(resumable)
  // PUBCOMP was lost, so PUBREL comes again; PUBREC of a message that the session no longer has.
  client.ack(Pubrel, 5)
  expect(await client.next(Pubcomp)).toEqual({ type: Pubcomp, packetId: 5, reasonCode: 0, properties: undefined })
  client.ack(Pubrec, 6)
  expect(await client.next(Pubrel)).toEqual({ type: Pubrel, packetId: 6, reasonCode: 0, properties: undefined })
})

test('what the connection itself has used is not known when its handshake is over, in a resumed session too: 0x92', async () => {
  const { connect } = await startBroker()
  ;(await connect(resumable)).drop()
  const client = await connect(resumable)
  await client.publish('a', 'x', { qos: 2, packetId: 5 })
  client.ack(Pubrel, 5)
  expect((await client.next<AckPacket>(Pubcomp)).reasonCode).toBe(ReasonCode.PacketIdentifierNotFound)
  await client.subscribe('a', 2)
  client.sendPublish('a', 'x', { qos: 2, packetId: 7 })
  const { packetId } = await client.receive()
  await client.rest()
  client.ack(Pubrec, packetId)
  expect((await client.next<AckPacket>(Pubrel)).reasonCode).toBe(ReasonCode.PacketIdentifierNotFound)
})

// ---- from clients

const codes = {
  [Puback]: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [Pubrec]: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [Pubrel]: [0x00, 0x92],
  [Pubcomp]: [0x00, 0x92],
}
const acks = [
  [Puback, 'PUBACK', '[MQTT-3.4.2-1]'],
  [Pubrec, 'PUBREC', '[MQTT-3.5.2-1]'],
  [Pubrel, 'PUBREL', '[MQTT-3.6.2-1]'],
  [Pubcomp, 'PUBCOMP', '[MQTT-3.7.2-1]'],
] as const
for (const [type, name, statement] of acks) {
  test(`takes from a client just the reason codes that ${name} has ${statement}`, async () => {
    const { connect } = await startBroker()
    for (const reasonCode of [0x00, 0x01, 0x10, 0x11, 0x7f, 0x80, 0x83, 0x87, 0x90, 0x91, 0x92, 0x93, 0x97, 0x99, 0xff]) {
      const client = await connect({ version: 5 })
      client.send({ type, packetId: 77, reasonCode, properties: { reasonString: 'because', userProperties: [['k', 'v']] } })
      if (codes[type].includes(reasonCode)) {
        await client.rest()
        expect(client.isClosed).toBe(false)
      } else {
        expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
      }
    }
  })
}

for (const [qos, type, name] of [
  [1, Pubrec, 'PUBREC'],
  [1, Pubcomp, 'PUBCOMP'],
  [2, Puback, 'PUBACK'],
] as const) {
  test(`ends a client that answers QoS ${qos} with ${name}`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    const packetId = await received(client, qos)
    client.ack(type, packetId)
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.ProtocolError)
  })
}

test('does not send a message again that a client has answered with an error', async () => {
  const { connect } = await startBroker()
  const first = await connect({ version: 5, clientId: 'c', properties: { sessionExpiry: 100 } })
  await first.subscribe('a', 2)
  const writer = await connect({ version: 5 })
  for (const qos of [1, 2] as const) {
    await writer.publish('a', 'x', { qos })
    const { packetId } = await first.message()
    first.ack(qos === 1 ? Puback : Pubrec, packetId, ReasonCode.QuotaExceeded)
  }
  await first.rest()
  first.drop()
  const second = await connect({ version: 5, clientId: 'c', cleanStart: false })
  expect(await second.rest()).toEqual([])
})

test('does not keep a packet identifier that it has refused in PUBREC', async () => {
  const { connect, hooks } = await startBroker()
  let refuse = true
  hooks.onPublish.tap('test', () => (refuse ? ReasonCode.NotAuthorized : undefined))
  const client = await connect({ version: 5 })
  await client.subscribe('a')
  client.sendPublish('a', 'no', { qos: 2, packetId: 3 })
  await client.next(Pubrec)
  refuse = false
  client.sendPublish('a', 'yes', { qos: 2, packetId: 3 })
  expect((await client.message()).payload.toString()).toBe('yes')
})
