import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { settled, startBroker } from '../support/broker.ts'
import { packet, text } from './bytes.ts'

const violations = [
  { what: 'closes on PUBLISH at QoS 3 [MQTT3-3.3.1-4] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('36', text('a'), '0001', '78') },
  { what: 'closes on PUBLISH at QoS 0 with DUP [MQTT3-3.3.1-2] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('38', text('a'), '78') },
  { what: 'closes on PUBLISH at QoS 1 under identifier 0 [MQTT3-2.3.1-1]', bytes: packet('32', text('a'), '0000', '78') },
  { what: 'closes on PUBLISH at QoS 2 under identifier 0 [MQTT3-2.3.1-1]', bytes: packet('34', text('a'), '0000', '78') },
  { what: 'closes on SUBSCRIBE under identifier 0 [MQTT3-2.3.1-1]', bytes: packet('82', '0000', text('a'), '00') },
  { what: 'closes on UNSUBSCRIBE under identifier 0 [MQTT3-2.3.1-1]', bytes: packet('a2', '0000', text('a')) },
  { what: 'closes on PUBLISH that ends in its topic name', bytes: packet('30', '000561') },
  { what: 'closes on PUBLISH that ends in its identifier', bytes: packet('32', text('a'), '00') },
  {
    what: 'closes on SUBSCRIBE whose fixed header says 0000 [MQTT3-3.8.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]',
    bytes: packet('80', '0001', text('a'), '00'),
  },
  {
    what: 'closes on SUBSCRIBE whose fixed header says 1010 [MQTT3-3.8.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]',
    bytes: packet('8a', '0001', text('a'), '00'),
  },
  { what: 'closes on SUBSCRIBE without a filter [MQTT3-3.8.3-3]', bytes: packet('82', '0001') },
  { what: 'closes on SUBSCRIBE whose filter has no QoS [MQTT3-3.8.3-3]', bytes: packet('82', '0001', text('a')) },
  { what: 'closes on SUBSCRIBE at QoS 3 [MQTT3-3.8.3-4]', bytes: packet('82', '0001', text('a'), '03') },
  { what: 'closes on SUBSCRIBE with a reserved bit beside its QoS [MQTT3-3.8.3-4]', bytes: packet('82', '0001', text('a'), '04') },
  {
    what: 'closes on SUBSCRIBE whose second QoS has a reserved bit [MQTT3-3.8.3-4]',
    bytes: packet('82', '0001', text('a'), '00', text('b'), '80'),
  },
  {
    what: 'closes on UNSUBSCRIBE whose fixed header says 0000 [MQTT3-3.10.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]',
    bytes: packet('a0', '0001', text('a')),
  },
  { what: 'closes on UNSUBSCRIBE without a filter [MQTT3-3.10.3-2]', bytes: packet('a2', '0001') },
  { what: 'closes on UNSUBSCRIBE that ends in a filter [MQTT3-3.10.3-1]', bytes: packet('a2', '0001', '000261') },
  { what: 'closes on PUBREL whose fixed header says 0000 [MQTT3-3.6.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('60', '0001') },
  { what: 'closes on PUBREL whose fixed header says 0011 [MQTT3-3.6.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('63', '0001') },
  { what: 'closes on PUBACK with a flag in its fixed header [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('42', '0001') },
  { what: 'closes on PUBREC with a flag in its fixed header [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('51', '0001') },
  { what: 'closes on PUBCOMP with a flag in its fixed header [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: packet('78', '0001') },
  { what: 'closes on PINGREQ with a flag in its fixed header [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: 'c1 00' },
  { what: 'closes on DISCONNECT with a flag in its fixed header [MQTT3-3.14.1-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]', bytes: 'e1 00' },
  { what: 'closes on PINGREQ with a payload', bytes: 'c0 01 00' },
  { what: 'closes on DISCONNECT with a payload', bytes: 'e0 01 00' },
  { what: 'closes on PUBACK that is a byte too long', bytes: packet('40', '0001', '00') },
  { what: 'closes on PUBREL that is a byte too short', bytes: packet('62', '01') },
  { what: 'closes on packet type 0', bytes: '00 00' },
  { what: 'closes on packet type 15', bytes: 'f0 00' },
  { what: 'closes on CONNACK, which only a server sends', bytes: '20 02 00 00' },
  { what: 'closes on SUBACK, which only a server sends', bytes: packet('90', '0001', '00') },
  { what: 'closes on UNSUBACK, which only a server sends', bytes: packet('b0', '0001') },
  { what: 'closes on PINGRESP, which only a server sends', bytes: 'd0 00' },
  { what: 'closes on a remaining length of five bytes', bytes: '30 ff ff ff ff 01' },
]

for (const { what, bytes } of violations) {
  test(`${what}, does nothing else, and goes on with the others [MQTT3-4.8.0-1]`, async () => {
    const { connect } = await startBroker()
    const other = await connect()
    await other.subscribe('#')
    const client = await connect()
    client.sendBytes(bytes)
    await client.ended()
    expect(client.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
    expect(await other.rest()).toEqual([])
  })
}

test('closes on PUBACK for a QoS 2 message and on PUBREC for a QoS 1 message [MQTT3-4.8.0-1]', async () => {
  for (const { qos, answer } of [
    { qos: 2, answer: PacketType.Puback },
    { qos: 1, answer: PacketType.Pubrec },
    { qos: 1, answer: PacketType.Pubcomp },
  ] as const) {
    const { connect } = await startBroker()
    const reader = await connect()
    await reader.subscribe('a', qos)
    await (await connect()).publish('a', 'x', { qos })
    reader.ack(answer, (await reader.message()).packetId)
    await reader.ended()
  }
})

test('closes the connection where a message cannot be kept just now, and acknowledges nothing [MQTT3-4.8.0-2]', async () => {
  for (const qos of [1, 2] as const) {
    const { connect, hooks } = await startBroker()
    hooks.onRoute.tap('test', (_message, _route, receipt) => {
      receipt.hold()
      setImmediate(() => receipt.release(new Error('the disk is full')))
    })
    const client = await connect()
    client.sendPublish('a', 'x', { qos })
    await client.ended()
    expect(client.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
  }
})

test('answers PINGREQ with PINGRESP [MQTT3-3.12.4-1]', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  client.sendBytes('c0 00 c0 00')
  await client.next(PacketType.Pingresp)
  await client.next(PacketType.Pingresp)
  expect(client.heard).toHaveLength(3)
})

test('reads packets that arrive a byte at a time', async () => {
  const { connect, open } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a')
  const client = open()
  const bytes = [packet('10', text('MQTT'), '04', '02', '0000', text('slow')), packet('32', text('a'), '0001', '78'.repeat(200)), 'c000']
  for (const byte of bytes.join('').match(/../g)!) {
    client.sendBytes(byte)
    await settled()
  }
  await client.next(PacketType.Pingresp)
  expect(client.heard.map(({ type }) => type)).toEqual([PacketType.Connack, PacketType.Puback, PacketType.Pingresp])
  expect(await reader.payloads()).toEqual(['x'.repeat(200)])
})
