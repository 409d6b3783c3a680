import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Message } from '../../core/messages/message.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Properties, PublishPacket, UserProperty } from '../../core/protocol/packets.ts'
import { unreadOf } from '../../core/protocol/user-properties.ts'
import { ReasonCode } from '../../core/reason.ts'
import { propertyBytes } from '../../core/sessions/queue-policy.ts'
import { decodeMessage, encodeMessage } from '../../plugins/kit/stored-message.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { startBroker } from '../support/broker.ts'

// Goal: many bytes of user properties stay the bytes that they came as, until somebody asks, and nobody can tell the difference.

const letters: UserProperty[] = [
  ['b', '1'],
  ['größe', '𝄞'],
  ['', ''],
  ['b', '3'],
  ['long', 'x'.repeat(1100)],
]

function decoded(properties: Properties, userPropertiesMax = Number.POSITIVE_INFINITY): Properties {
  const packets: PublishPacket[] = []
  const decoder = new PacketDecoder(
    { onPacket: packet => packets.push(packet as PublishPacket) },
    { maximumPacketSize: 1e6, receiver: 'client', userPropertiesMax },
  )
  decoder.version = 5
  const publish = {
    type: PacketType.Publish,
    topic: 'a',
    payload: Buffer.alloc(0),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties,
  } as const
  const bytes = encodePacket(publish, 5)
  decoder.feed(bytes, 0, bytes.length)
  // The chunk is overwritten by the next read.
  bytes.fill(0)
  return packets[0]!.properties!
}

describe('long user properties', () => {
  test('are bytes until they are asked for, and then values like any other', () => {
    const properties = decoded({ contentType: 'x', userProperties: letters })
    expect(unreadOf(properties)).not.toBeNull()
    expect(Object.keys(properties).sort()).toEqual(['contentType', 'userProperties'])
    expect(unreadOf(properties)).not.toBeNull()
    expect(properties.userProperties).toEqual(letters)
    expect(unreadOf(properties)).toBeNull()
    properties.userProperties!.push(['c', '4'])
    expect(properties).toStrictEqual({ contentType: 'x', userProperties: [...letters, ['c', '4']] })
  })

  test('come the same by whatever way they are asked for', () => {
    const same = { contentType: 'x', userProperties: letters }
    expect({ ...decoded(same) }).toStrictEqual(same)
    expect(JSON.parse(JSON.stringify(decoded(same)))).toStrictEqual(same)
    expect(structuredClone(decoded(same))).toStrictEqual(same)
    expect(Object.entries(decoded(same)).length).toBe(2)
    const frozen = Object.freeze(decoded(same))
    expect([frozen.userProperties, frozen.userProperties]).toEqual([letters, letters])
    const { userProperties, ...rest } = decoded(same)
    expect([userProperties, rest]).toEqual([letters, { contentType: 'x' }])
  })

  test('can be set, taken out and left out', () => {
    const set = decoded({ userProperties: letters })
    set.userProperties = [['x', 'y']]
    expect(decoded(set)).toEqual({ userProperties: [['x', 'y']] })
    const without = decoded({ contentType: 'x', userProperties: letters })
    delete without.userProperties
    expect(without).toStrictEqual({ contentType: 'x' })
    expect(decoded(without)).toStrictEqual({ contentType: 'x' })
  })

  test('stay bytes through stores and the wire', () => {
    const properties = decoded({ userProperties: letters, messageExpiry: 7 })
    expect(unreadOf(properties)).not.toBeNull()
    const message = new Message({
      topic: 'a',
      payload: Buffer.from('x'),
      qos: 0,
      retain: false,
      properties,
      origin: 'client',
      clientId: 'c',
      receivedAt: 0,
    })
    const stored = decodeMessage(encodeMessage(message)).properties!
    const sent = decoded(stored)
    expect([unreadOf(properties), unreadOf(stored), unreadOf(sent)]).not.toContain(null)
    expect(sent).toEqual({ messageExpiry: 7, userProperties: letters })
  })

  test('count the same in a queue whether they were read or not', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' })), { maxLength: 5 }), given => {
        const userProperties = [
          ...letters,
          ...given.map(pair => pair.map(text => text.replaceAll('\0', '').replaceAll(/\p{Surrogate}/gu, '')) as [string, string]),
        ]
        const properties = decoded({ contentType: 'x', userProperties })
        const before = propertyBytes(properties)
        expect(properties.userProperties ?? []).toEqual(userProperties)
        expect(propertyBytes(properties)).toBe(before)
      }),
      { numRuns: 30 },
    )
  })

  /** What is decoded from properties in hex. */
  function read(hex: string): Properties {
    const packets: PublishPacket[] = []
    const decoder = new PacketDecoder(
      { onPacket: packet => packets.push(packet as PublishPacket) },
      { maximumPacketSize: 1e6, receiver: 'client' },
    )
    decoder.version = 5
    const properties = Buffer.from(hex.replaceAll(' ', ''), 'hex')
    const size = (length: number): number[] => (length < 128 ? [length] : [(length & 127) | 128, length >>> 7])
    const body = Buffer.concat([Buffer.from([0, 1, 0x61, ...size(properties.length)]), properties])
    const bytes = Buffer.concat([Buffer.from([0x30, ...size(body.length)]), body])
    decoder.feed(bytes, 0, bytes.length)
    return packets[0]!.properties!
  }
  const filler = `26 0000 0400 ${'78'.repeat(1024)}`

  test('keep their order where other properties stand between them', () => {
    // a=1, expiry 7, b=2, subscription identifier 5, the long one, c=3
    const properties = read(`26 0001 61 0001 31  02 00000007  26 0001 62 0001 32  0b 05  ${filler}  26 0001 63 0001 33`)
    expect(unreadOf(properties)).not.toBeNull()
    expect(properties).toEqual({
      messageExpiry: 7,
      subscriptionIdentifiers: [5],
      userProperties: [
        ['a', '1'],
        ['b', '2'],
        ['', 'x'.repeat(1024)],
        ['c', '3'],
      ],
    })
  })

  test('are checked though nobody asks for them [MQTT-1.5.4-1] [MQTT-1.5.4-2]', () => {
    expect(() => read(`${filler} 26 0001 61 0001 62`)).not.toThrow()
    for (const hex of ['c3', '00', 'eda080']) {
      const property = `26 0001 61 000${hex.length / 2} ${hex}`
      expect(() => read(`${filler} ${property}`)).toThrow(expect.objectContaining({ reasonCode: ReasonCode.MalformedPacket }))
    }
    // One that ends in the middle, and one whose value is not there.
    for (const property of ['26 0001', '26 0001 61', '26 0001 61 0002 62'])
      expect(() => read(`${filler} ${property}`)).toThrow(expect.objectContaining({ reasonCode: ReasonCode.MalformedPacket }))
  })

  test('of short properties are texts at once', () => {
    expect(unreadOf(decoded({ userProperties: [['a', 'b']] }))).toBeNull()
  })

  test('are no more than the receiver allows', () => {
    expect(decoded({ userProperties: letters }, 5)).toEqual({ userProperties: letters })
    expect(() => decoded({ userProperties: letters }, 4)).toThrow(expect.objectContaining({ reasonCode: ReasonCode.QuotaExceeded }))
    const short = letters.slice(0, 4)
    expect(decoded({ userProperties: short }, 4)).toEqual({ userProperties: short })
    expect(() => decoded({ userProperties: short }, 3)).toThrow(expect.objectContaining({ reasonCode: ReasonCode.QuotaExceeded }))
  })

  test('are read by nobody in a broker whose plugins do not ask, and are what the receiver gets', async () => {
    const { connect, hooks } = await startBroker()
    const seen: (Properties | undefined)[] = []
    hooks.onRoute.tap('test', ({ properties }) => void seen.push(properties))
    const reader = await connect({ version: 5 })
    await reader.subscribe('a', 1, { properties: { subscriptionIdentifiers: [7] } })
    const plain = await connect({ version: 5 })
    await plain.subscribe('a', 1)
    const writer = await connect({ version: 5 })
    await writer.publish('a', 'x', { qos: 1, properties: { userProperties: letters } })
    expect((await plain.next<PublishPacket>(PacketType.Publish)).properties).toEqual({ userProperties: letters })
    const expected = { userProperties: letters, subscriptionIdentifiers: [7] }
    expect((await reader.next<PublishPacket>(PacketType.Publish)).properties).toEqual(expected)
    expect(seen).toHaveLength(1)
  })
})
