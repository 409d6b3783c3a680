import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { invalidCases } from '../protocol/invalid-cases.ts'
import { startBroker } from '../support/broker.ts'

for (const { name, bytes, reason, version, first } of invalidCases) {
  test(`closes the connection on ${name}, says why in MQTT 5, and goes on with the others`, async () => {
    const { open, connect, broker } = await startBroker()
    const other = await connect()
    await other.subscribe('quiet')
    const client = open(version)
    if (first !== true) await client.connect({ version })
    client.sendBytes(bytes)
    const disconnect = await client.ended()
    if (first !== true) expect(disconnect?.reasonCode).toBe(reason)
    // A bad CONNECT is answered by CONNACK, where the client has shown so much as its version.
    else if (version === 5 && bytes.startsWith('10') && reason !== ReasonCode.ProtocolError) {
      const connack = client.heard.find((packet): packet is ConnackPacket => packet.type === PacketType.Connack)
      expect(connack?.reasonCode).toBe(reason)
    }
    await broker.publish({ topic: 'quiet', payload: 'still here' })
    expect((await other.receive()).payload.toString()).toBe('still here')
  })
}

test('answers under the packet identifier that it was asked under [MQTT-2.2.1-5] [MQTT-2.2.1-6]', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.sendBytes('32 07  0001 61  1234  00  68')
  expect(await client.next(PacketType.Puback)).toMatchObject({ packetId: 0x1234 })
  client.sendBytes('34 07  0001 61  4321  00  68')
  expect(await client.next(PacketType.Pubrec)).toMatchObject({ packetId: 0x4321 })
  client.ack(PacketType.Pubrel, 0x4321)
  expect(await client.next(PacketType.Pubcomp)).toMatchObject({ packetId: 0x4321 })
  client.sendBytes('82 07  0007  00  0001 61  00')
  expect(await client.next(PacketType.Suback)).toMatchObject({ packetId: 7 })
  client.sendBytes('a2 06  0008  00  0001 61')
  expect(await client.next(PacketType.Unsuback)).toMatchObject({ packetId: 8 })
})
