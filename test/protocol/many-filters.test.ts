import { describe, expect, test } from 'vitest'
import { MqttError } from '../../core/errors.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { ManyFilters } from '../../core/protocol/many-filters.ts'
import type { Packet, SubackPacket, SubscribePacket, UnsubackPacket, UnsubscribePacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { startBroker } from '../support/broker.ts'

const filters = Array.from({ length: 1000 }, (_, i) => `site/${i}/+/#`)
const subscribe: SubscribePacket = {
  type: PacketType.Subscribe,
  packetId: 7,
  subscriptions: filters.map((filter, i) => ({
    filter,
    qos: (i % 3) as 0 | 1 | 2,
    noLocal: i % 2 === 0,
    retainAsPublished: i % 5 === 0,
    retainHandling: (i % 3) as 0 | 1 | 2,
  })),
  properties: { subscriptionIdentifiers: [5] },
}
const unsubscribe: UnsubscribePacket = { type: PacketType.Unsubscribe, packetId: 8, filters, properties: undefined }

function bodyOf(packet: Packet): Buffer {
  const bytes = encodePacket(packet, 5)
  return bytes.subarray(bytes.findIndex((byte, at) => at > 0 && byte < 0x80) + 1)
}

/** Reads `limit` filters at a time; says how many steps it took. */
function readInSteps(packet: SubscribePacket | UnsubscribePacket, body: Buffer, limit: number): { read: Packet; steps: number } {
  const many = new ManyFilters(packet.type, body, 5)
  for (let steps = 1; ; steps++) {
    const read = many.read(limit)
    if (read !== null) return { read, steps }
  }
}

describe('a SUBSCRIBE or UNSUBSCRIBE with many filters', () => {
  test.each([subscribe, unsubscribe])('is the same packet read slice by slice: type $type', packet => {
    expect(readInSteps(packet, bodyOf(packet), 128)).toEqual({ read: packet, steps: 8 })
    expect(readInSteps(packet, bodyOf(packet), 1000)).toEqual({ read: packet, steps: 1 })
  })

  test('that ends in the middle of a filter is malformed, once that is reached', () => {
    const body = bodyOf(subscribe)
    const many = new ManyFilters(PacketType.Subscribe, body.subarray(0, body.length - 1), 5)
    expect(many.read(999)).toBeNull()
    expect(() => many.read(1)).toThrow(MqttError)
  })

  test.each([4, 5] as const)('is granted whole and in order, and what stands behind it waits, in MQTT level %i', async version => {
    const { connect, broker } = await startBroker()
    const client = await connect({ version })
    const requests = subscribe.subscriptions.map(({ filter, qos }) => {
      return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
    })
    client.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: requests, properties: undefined })
    client.sendPublish('site/999/x/y', 'behind it')
    const suback = await client.next<SubackPacket>(PacketType.Suback)
    expect(suback.reasonCodes).toEqual(requests.map(({ qos }) => qos))
    expect((await client.receive()).payload.toString()).toBe('behind it')
    client.send({ type: PacketType.Unsubscribe, packetId: 2, filters: [...filters, 'never/there'], properties: undefined })
    const unsuback = await client.next<UnsubackPacket>(PacketType.Unsuback)
    if (version === 5) expect(unsuback.reasonCodes).toEqual([...filters.map(() => 0), ReasonCode.NoSubscriptionExisted])
    expect(broker.router.size).toBe(0)
  })

  test('that is malformed at its end subscribes to nothing and closes its own connection only', async () => {
    const { connect, broker } = await startBroker()
    const [client, other] = [await connect({ version: 5 }), await connect()]
    client.send({ ...subscribe, subscriptions: [...subscribe.subscriptions, { ...subscribe.subscriptions[0]!, filter: 'a/#/b' }] })
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.MalformedPacket)
    expect(broker.router.size).toBe(0)
    await other.subscribe('a', 0)
  })

  test('whose client goes in the middle leaves nothing behind', async () => {
    const { connect, broker } = await startBroker()
    const client = await connect({ version: 5 })
    client.send(subscribe)
    client.drop()
    await client.closed
    await (await connect()).subscribe('still/there', 0)
    expect(broker.router.size).toBe(1)
  })
})
