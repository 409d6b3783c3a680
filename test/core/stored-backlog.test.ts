import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { answerLater } from './later-store.ts'
import { messageOf } from './messages.ts'

const textOf = ({ payload }: PublishPacket) => payload.toString()
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `${from + i}`)

async function take(client: TestClient, count: number): Promise<PublishPacket[]> {
  const packets: PublishPacket[] = []
  while (packets.length < count) packets.push(await client.message())
  return packets
}

for (const [name, prepare] of [
  ['answers at once', () => {}],
  ['answers later', ({ broker }: TestBroker) => answerLater(broker.sessions)],
] as [string, (broker: TestBroker) => void][]) {
  describe(`the queue of a session in a store that ${name}`, () => {
    async function start() {
      const broker = await startBroker()
      prepare(broker)
      const reader = (receiveMaximum = 10) =>
        broker.connect({ version: 5, clientId: 'reader', cleanStart: false, properties: { sessionExpiry: 1000, receiveMaximum } })
      const leave = async (client: TestClient) => {
        client.drop()
        while (broker.broker.clientOf('reader') !== undefined) await settled()
      }
      const first = await reader()
      await first.subscribe('a', 2)
      return { ...broker, reader, leave, first, writer: await broker.connect({ clientId: 'writer' }) }
    }

    test('comes in order over many pages, whatever the window, with live messages behind it', async () => {
      const { reader, leave, first, writer } = await start()
      await leave(first)
      for (const text of numbers(250)) await writer.publish('a', text, { qos: 1 })
      const again = await reader(7)
      const texts: string[] = []
      for (let i = 0; i < 250; i++) {
        if (i % 5 === 0) writer.sendPublish('a', `${250 + i / 5}`, { qos: 1 })
        texts.push(textOf(await again.receive()))
      }
      for (let i = 0; i < 50; i++) texts.push(textOf(await again.receive()))
      expect(texts).toEqual(numbers(300))
    })

    test('begins with what was in flight: DUP, the same identifiers, the same order [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.4.0-1]', async () => {
      const { reader, leave, first, writer } = await start()
      for (const text of numbers(8)) await writer.publish('a', text, { qos: 1 })
      const before = await take(first, 8)
      first.ack(PacketType.Puback, before[1]!.packetId)
      first.ack(PacketType.Puback, before[4]!.packetId)
      await first.rest()
      await leave(first)
      await writer.publish('a', 'new', { qos: 1 })
      const again = await reader()
      const after = await take(again, 7)
      const inflight = [0, 2, 3, 5, 6, 7].map(i => before[i]!)
      expect(after.slice(0, 6).map(packet => [packet.packetId, textOf(packet), packet.dup])).toEqual(
        inflight.map(packet => [packet.packetId, textOf(packet), true]),
      )
      expect(after[6]).toMatchObject({ dup: false })
      expect(textOf(after[6]!)).toBe('new')
      expect(inflight.map(({ packetId }) => packetId)).not.toContain(after[6]!.packetId)
    })

    test('goes on where the new connection accepts fewer in flight than the one before', async () => {
      const { reader, leave, first, writer } = await start()
      for (const text of numbers(10)) await writer.publish('a', text, { qos: 1 })
      const before = await take(first, 10)
      await leave(first)
      const again = await reader(2)
      for (const { packetId } of before) {
        const packet = await again.receive()
        expect(packet).toMatchObject({ packetId, dup: true })
      }
      await writer.publish('a', 'new', { qos: 1 })
      expect(textOf(await again.receive())).toBe('new')
    })

    test('gives no identifier that is in flight to a message that another node has put before it', async () => {
      const { broker, reader, leave, first, writer } = await start()
      const target = { clientId: 'reader', qos: 1 as const, retain: false, identifiers: null, group: null, packetId: 0, epoch: 0 }
      await broker.sessions.append(messageOf('from another node'), [target], null)
      await writer.publish('a', 'from here', { qos: 1 })
      const sent = await first.message()
      expect(textOf(sent)).toBe('from here')
      await leave(first)
      const again = await reader()
      const packets = await take(again, 2)
      expect(packets.map(packet => [textOf(packet), packet.dup])).toEqual([
        ['from here', true],
        ['from another node', false],
      ])
      expect(packets[0]!.packetId).toBe(sent.packetId)
      expect(packets[1]!.packetId).not.toBe(sent.packetId)
    })

    test('owes PUBREL, not the message, where PUBREC has come [MQTT-4.3.3-4] [MQTT-4.4.0-1]', async () => {
      const { reader, leave, first, writer } = await start()
      await writer.publish('a', 'x', { qos: 2 })
      const { packetId } = await first.message()
      first.ack(PacketType.Pubrec, packetId)
      await first.next(PacketType.Pubrel)
      await leave(first)
      const again = await reader()
      expect(await again.next(PacketType.Pubrel)).toMatchObject({ packetId })
      again.ack(PacketType.Pubcomp, packetId)
      await writer.publish('a', 'y', { qos: 2 })
      expect(textOf(await again.receive())).toBe('y')
      expect(again.heard.filter(({ type }) => type === PacketType.Publish)).toHaveLength(1)
    })

    test('brings each QoS 2 message once and each QoS 1 message at least once, in order, whenever the reader comes and goes', async () => {
      const aStep = fc.oneof(
        fc.record({ kind: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 12 }) }),
        fc.record({ kind: fc.constant('read' as const), count: fc.integer({ min: 1, max: 8 }) }),
        fc.record({ kind: fc.constant('reconnect' as const), count: fc.integer({ min: 1, max: 6 }) }),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(aStep, { minLength: 5, maxLength: 25, size: 'max' }), async steps => {
          const { reader, leave, first, writer } = await start()
          let client = first
          let published = 0
          let looked = 0
          const first1: number[] = []
          const seen2: number[] = []
          // A client that remembers which QoS 2 identifiers it has, as it must [MQTT-4.3.3-10].
          const have = new Set<number>()
          const look = (limit: number): boolean => {
            let acks = 0
            while (looked < client.heard.length && acks < limit) {
              const packet = client.heard[looked]!
              looked += 1
              acks += 1
              if (packet.type === PacketType.Publish) {
                const number = Number(textOf(packet))
                if (packet.qos === 1) {
                  if (!first1.includes(number)) first1.push(number)
                  client.ack(PacketType.Puback, packet.packetId)
                } else {
                  if (!have.has(packet.packetId)) seen2.push(number)
                  have.add(packet.packetId)
                  client.ack(PacketType.Pubrec, packet.packetId)
                }
              } else if (packet.type === PacketType.Pubrel) {
                have.delete(packet.packetId)
                client.ack(PacketType.Pubcomp, packet.packetId)
              } else acks -= 1
            }
            return acks > 0
          }
          for (const { kind, count } of steps) {
            if (kind === 'publish') {
              for (let i = 0; i < count; i++, published++) await writer.publish('a', `${published}`, { qos: published % 2 === 0 ? 1 : 2 })
            } else if (kind === 'read') {
              await settled()
              look(count)
            } else {
              await leave(client)
              client = await reader(count)
              looked = 0
            }
          }
          for (let idle = 0; idle < 10; idle = look(1000) ? 0 : idle + 1) await settled()
          const all = Array.from({ length: published }, (_, i) => i)
          expect(first1).toEqual(all.filter(i => i % 2 === 0))
          expect(seen2).toEqual(all.filter(i => i % 2 === 1))
        }),
        { numRuns: 15 },
      )
    })
  })
}
