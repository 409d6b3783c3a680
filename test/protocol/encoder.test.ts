import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { clientCases, serverCases } from './valid-cases.ts'

const cases = [...clientCases, ...serverCases].filter(one => one.decodeOnly !== true)

test.each(cases)('writes $name', ({ bytes, version, packet }) => {
  expect(encodePacket(packet, version).toString('hex')).toBe(bytes.replaceAll(/\s/g, ''))
})

test('writes a remaining length in as few bytes as it needs [MQTT-1.5.5-1]', () => {
  const lengthOf = (payload: number): string => {
    const packet = {
      type: PacketType.Publish,
      topic: 'a',
      payload: Buffer.alloc(payload),
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
      properties: undefined,
    } as const
    const bytes = encodePacket(packet, 4)
    return bytes.subarray(1, bytes.length - payload - 3).toString('hex')
  }
  expect([124, 125, 16_380, 16_381, 2_097_148, 2_097_149].map(lengthOf)).toEqual(['7f', '8001', 'ff7f', '808001', 'ffff7f', '80808001'])
})

test('says which string is too long to be written', () => {
  const packet = { type: PacketType.Unsubscribe, packetId: 1, filters: ['x'.repeat(65_536)], properties: undefined } satisfies Packet
  expect(() => encodePacket(packet, 4)).toThrow('a string of 65536 bytes does not fit: MQTT allows 65,535')
})
