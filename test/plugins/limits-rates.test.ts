import { connect as connectSocket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { publishBytes, TestClient } from '../support/client.ts'

const versions = [4, 5] as const
const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

/** Sends so many messages in one write, `prefix` and a number each. */
function burst(client: TestClient, count: number, { qos = 0 as 0 | 1 | 2, topic = 't', from = 0, size = 0 } = {}): void {
  const packets = Array.from({ length: count }, (_, i) => {
    const packetId = qos > 0 ? client.nextId() : 0
    return publishBytes(topic, String(from + i).padEnd(size, '.'), { qos, packetId, version: client.version })
  })
  client.stream.write(Buffer.concat(packets))
}

/** A client that hears everything. */
async function listener({ connect }: TestBroker): Promise<TestClient> {
  const client = await connect({ version: 5 })
  await client.subscribe('#', 2)
  return client
}

function heardBy(client: TestClient): string[] {
  return client.heard.flatMap(packet => (packet.type === PacketType.Publish ? [packet.payload.toString().replace(/\.+$/, '')] : []))
}

describe.each(versions)('MQTT %i, overRate pause', version => {
  test.each([0, 1] as const)('QoS %i: a burst passes, the rest comes at the rate, all of it and in order', async qos => {
    const broker = await startBroker({ limits: { messagesPerSecond: 10, messageBurst: 5 } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version })
    burst(writer, 45, { qos })
    await settled()
    // The one that is too many is not taken back; it is paid for.
    expect(heardBy(reader)).toEqual(numbers(6))
    for (let second = 1; second <= 4; second++) {
      await broker.advance(1000)
      const { length } = heardBy(reader)
      expect(length).toBeGreaterThanOrEqual(5 + second * 10 - 1)
      expect(length).toBeLessThanOrEqual(6 + second * 10)
    }
    await broker.advance(1000)
    expect(heardBy(reader)).toEqual(numbers(45))
    expect(broker.broker.counters.dropped.refused).toBe(0)
    expect(broker.broker.counters.limited.messageRate).toBeGreaterThan(0)
    if (qos === 1)
      for (let i = 1; i <= 45; i++) expect(await writer.next<AckPacket>(PacketType.Puback)).toMatchObject({ packetId: i, reasonCode: 0 })
    // Nobody was thrown out, and it is read as before.
    expect(await writer.rest()).toEqual([])
  })

  test('QoS 2 keeps its handshakes and its order', async () => {
    const broker = await startBroker({ limits: { messagesPerSecond: 20, messageBurst: 3 } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version })
    burst(writer, 20, { qos: 2 })
    let acked = 0
    for (let i = 0; i < 20; i++) {
      await broker.advance(100)
      const pubrecs = writer.heard.filter(({ type }) => type === PacketType.Pubrec) as AckPacket[]
      for (; acked < pubrecs.length; acked++) writer.ack(PacketType.Pubrel, pubrecs[acked]!.packetId)
      await settled()
    }
    await broker.advance(2000)
    expect(heardBy(reader)).toEqual(numbers(20))
    expect(writer.heard.filter(({ type }) => type === PacketType.Pubcomp)).toHaveLength(20)
  })

  test('bytes above the rate wait too, whatever packets they are', async () => {
    const broker = await startBroker({ limits: { bytesPerSecond: 1000, byteBurst: 1000 } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version })
    burst(writer, 10, { size: 500 })
    await settled()
    // What one read brought is handled whole; the debt of about 4 KB is paid off before the next.
    expect(heardBy(reader)).toEqual(numbers(10))
    burst(writer, 1, { from: 10 })
    await broker.advance(3900)
    expect(heardBy(reader)).toHaveLength(10)
    await broker.advance(600)
    expect(heardBy(reader)).toEqual(numbers(11))
    writer.sendBytes('c000'.repeat(1000))
    await settled()
    await broker.advance(50)
    const pinged = writer.rest()
    await broker.advance(800)
    expect(writer.heard.filter(({ type }) => type === PacketType.Pingresp)).toHaveLength(1000)
    await broker.advance(1500)
    await pinged
    expect(broker.broker.counters.limited.byteRate).toBeGreaterThanOrEqual(2)
  })

  test('a client that keeps within its rate is never paused, even when it has just used it up', async () => {
    const { connect, broker } = await startBroker({ limits: { messagesPerSecond: 0.01, messageBurst: 3 } })
    const writer = await connect({ version })
    for (let i = 0; i < 3; i++) await writer.publish('t', String(i), { qos: 1 })
    // Time stands still, and it is heard all the same.
    expect(await writer.rest()).toEqual([])
    expect(await writer.subscribe('a')).toEqual([0])
    expect(broker.counters.limited.messageRate).toBe(0)
  })

  test('a paused client is not taken for a silent one', async () => {
    const broker = await startBroker({ limits: { messagesPerSecond: 0.02, messageBurst: 1 } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version, keepAlive: 10 })
    burst(writer, 2)
    for (let second = 0; second < 49; second++) await broker.advance(1000)
    expect(writer.isClosed).toBe(false)
    await broker.advance(2000)
    expect(heardBy(reader)).toEqual(numbers(2))
    // From now on it is silent by itself.
    for (let second = 0; second < 70; second++) await broker.advance(1000)
    expect(writer.isClosed).toBe(true)
  })
})

describe('overRate refuse', () => {
  const limits = { messagesPerSecond: 1, messageBurst: 3, overRate: 'refuse' } as const

  test.each([1, 2] as const)('MQTT 5, QoS %i: 0x97 with a reason, and nothing of Receive Maximum is lost by it', async qos => {
    const broker = await startBroker({ limits, mqtt: { receiveMaximum: 5 } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version: 5 })
    const said: number[] = []
    for (let i = 0; i < 20; i++) {
      const ack = await writer.publish('t', String(i), { qos })
      said.push(ack!.reasonCode)
      if (i === 3) expect(ack!.properties?.reasonString).toBe('too many messages a second')
    }
    expect(said).toEqual([0, 0, 0, ...new Array(17).fill(ReasonCode.QuotaExceeded)])
    // A client that has never stopped is heard all the same, once a second.
    await broker.advance(1000)
    expect(await writer.publish('t', 'again', { qos })).toMatchObject({ reasonCode: 0 })
    expect(await writer.publish('t', 'too soon', { qos })).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
    await settled()
    expect(heardBy(reader)).toEqual(['0', '1', '2', 'again'])
    expect(broker.broker.counters).toMatchObject({ limited: { messageRate: 18 }, dropped: { refused: 18 } })
  })

  test('MQTT 3.1.1: acknowledged and dropped, or closed, as mqtt.deniedPublish says; QoS 0 is dropped', async () => {
    const broker = await startBroker({ limits })
    const reader = await listener(broker)
    const writer = await broker.connect()
    for (const qos of [0, 1, 2, 0, 1, 2] as const) await writer.publish('t', `qos ${qos}`, { qos })
    await writer.rest()
    await settled()
    expect(heardBy(reader)).toEqual(['qos 0', 'qos 1', 'qos 2'])
    const strict = await startBroker({ limits, mqtt: { deniedPublish: 'close' } })
    const closed = await strict.connect()
    burst(closed, 4, { qos: 1 })
    await closed.closed
    expect(closed.heard.filter(({ type }) => type === PacketType.Puback)).toHaveLength(3)
  })

  test('a topic alias that a refused message brought is known all the same', async () => {
    const broker = await startBroker({ limits: { ...limits, messageBurst: 1 } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version: 5 })
    await writer.publish('first', '', { qos: 1 })
    await writer.publish('aliased', '', { qos: 1, properties: { topicAlias: 1 } })
    await broker.advance(1000)
    expect(await writer.publish('', 'by alias', { qos: 1, properties: { topicAlias: 1 } })).toMatchObject({ reasonCode: 0 })
    await settled()
    expect(heardBy(reader)).toEqual(['', 'by alias'])
  })

  test('bytes of refused messages count nothing', async () => {
    const broker = await startBroker({ limits: { bytesPerSecond: 1000, byteBurst: 1000, overRate: 'refuse' } })
    const writer = await broker.connect({ version: 5 })
    const codes: number[] = []
    for (let i = 0; i < 5; i++) codes.push((await writer.publish('t', Buffer.alloc(600), { qos: 1 }))!.reasonCode)
    expect(codes).toEqual([
      ReasonCode.NoMatchingSubscribers,
      ReasonCode.NoMatchingSubscribers,
      ...new Array(3).fill(ReasonCode.QuotaExceeded),
    ])
    await broker.advance(300)
    expect((await writer.publish('t', 'x', { qos: 1 }))!.reasonCode).toBe(ReasonCode.NoMatchingSubscribers)
    expect(broker.broker.counters.limited.byteRate).toBe(3)
  })
})

describe('overRate disconnect', () => {
  test.each(versions)('MQTT %i: ends that client only, MQTT 5 with 0x96', async version => {
    const broker = await startBroker({ limits: { messagesPerSecond: 10, messageBurst: 3, overRate: 'disconnect' } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version })
    burst(writer, 10)
    const disconnect = await writer.ended()
    if (version === 5)
      expect(disconnect).toMatchObject({
        reasonCode: ReasonCode.MessageRateTooHigh,
        properties: { reasonString: 'too many messages a second' },
      })
    expect(heardBy(reader).length).toBeLessThanOrEqual(3)
    expect(reader.isClosed).toBe(false)
    expect(broker.broker.counters.limited.messageRate).toBe(1)
  })
})

describe('connecting again', () => {
  test('gives no new burst, by taking over or by coming back', async () => {
    const broker = await startBroker({ limits: { messagesPerSecond: 1, messageBurst: 2, overRate: 'refuse' } })
    const codes: number[] = []
    for (const clientId of ['a', 'a', 'a', 'b']) {
      const writer = await broker.connect({ version: 5, clientId })
      for (let i = 0; i < 2; i++) codes.push((await writer.publish('t', '', { qos: 1 }))!.reasonCode)
      if (codes.length === 4) {
        writer.disconnect()
        await writer.closed
        await settled()
      }
    }
    const [yes, no] = [ReasonCode.NoMatchingSubscribers, ReasonCode.QuotaExceeded]
    expect(codes).toEqual([yes, yes, no, no, no, no, yes, yes])
    await broker.advance(60_000)
    const writer = await broker.connect({ version: 5, clientId: 'a' })
    for (const expected of [yes, yes, no]) expect((await writer.publish('t', '', { qos: 1 }))!.reasonCode).toBe(expected)
  })

  test('what came behind CONNECT in the same write is counted too', async () => {
    const broker = await startBroker({ limits: { messagesPerSecond: 10, messageBurst: 5 } })
    const reader = await listener(broker)
    const writer = broker.open(5)
    const connected = writer.connect({ clientId: 'eager' })
    burst(writer, 10)
    await connected
    await settled()
    // It had been read already; its debt is paid before anything else is.
    expect(heardBy(reader)).toEqual(numbers(10))
    burst(writer, 1, { from: 10 })
    await broker.advance(500)
    expect(heardBy(reader)).toEqual(numbers(10))
    await broker.advance(150)
    expect(heardBy(reader)).toEqual(numbers(11))
  })
})

describe('topicRates', () => {
  const rate = { filter: 'slow/#', messagesPerSecond: 10, messageBurst: 2 } as const

  test.each(versions)('MQTT %i, pause: all who publish there share the rate, in order each; other topics are free', async version => {
    const broker = await startBroker({ limits: { topicRates: [rate] } })
    const reader = await listener(broker)
    const writers = [await broker.connect({ version }), await broker.connect({ version })]
    for (const [index, writer] of writers.entries()) burst(writer, 20, { topic: `slow/${index}` })
    const free = await broker.connect({ version })
    burst(free, 50, { topic: 'fast' })
    await settled()
    const of = (topic: string) =>
      reader.heard.flatMap(packet => (packet.type === PacketType.Publish && packet.topic === topic ? [packet.payload.toString()] : []))
    expect(of('fast')).toEqual(numbers(50))
    const slow = () => of('slow/0').length + of('slow/1').length
    expect(slow()).toBeLessThanOrEqual(4)
    for (let second = 1; second <= 3; second++) {
      await broker.advance(1000)
      expect(slow()).toBeGreaterThanOrEqual(2 + second * 10 - 2)
      expect(slow()).toBeLessThanOrEqual(2 + second * 10 + 2)
    }
    await broker.advance(3000)
    for (const topic of ['slow/0', 'slow/1']) expect(of(topic)).toEqual(numbers(20))
    expect(broker.broker.counters.limited.topicRate).toBeGreaterThan(0)
  })

  test('refuse: 0x97 names the filter; a message that one filter refuses costs the others nothing', async () => {
    const other = { filter: '+/a', messagesPerSecond: 1, messageBurst: 3, overRate: 'refuse' } as const
    const broker = await startBroker({ limits: { topicRates: [other, { ...rate, overRate: 'refuse' }] } })
    const writer = await broker.connect({ version: 5 })
    const publish = async (topic: string) => writer.publish(topic, '', { qos: 1 })
    for (let i = 0; i < 2; i++) expect((await publish('slow/a'))!.reasonCode).toBe(ReasonCode.NoMatchingSubscribers)
    for (let i = 0; i < 5; i++)
      expect(await publish('slow/a')).toMatchObject({
        reasonCode: ReasonCode.QuotaExceeded,
        properties: { reasonString: 'too many messages a second to slow/#' },
      })
    expect((await publish('x/a'))!.reasonCode).toBe(ReasonCode.NoMatchingSubscribers)
    expect((await publish('x/a'))!.reasonCode).toBe(ReasonCode.QuotaExceeded)
  })

  test.each(versions)('MQTT %i, drop: acknowledged, counted, and not routed, as the Java mqttx did it', async version => {
    const broker = await startBroker({ limits: { topicRates: [{ ...rate, overRate: 'drop' }] } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version })
    for (let i = 0; i < 5; i++) expect(await writer.publish('slow/a', String(i), { qos: 1 })).toMatchObject({ reasonCode: 0 })
    await settled()
    expect(heardBy(reader)).toEqual(numbers(2))
    expect(broker.broker.counters).toMatchObject({ dropped: { refused: 3 }, limited: { topicRate: 3 } })
  })

  test('disconnect: 0x96, and a will beyond the rate goes nowhere', async () => {
    const broker = await startBroker({ limits: { topicRates: [{ ...rate, overRate: 'disconnect' }] } })
    const reader = await listener(broker)
    const writer = await broker.connect({ version: 5, will: { topic: 'slow/will', payload: Buffer.from('will') } })
    burst(writer, 5, { topic: 'slow/a' })
    expect((await writer.ended())?.reasonCode).toBe(ReasonCode.MessageRateTooHigh)
    await settled()
    expect(heardBy(reader)).toEqual(numbers(2))
  })
})

test('on real sockets a flood is slowed by TCP: nothing is lost, and the broker keeps one read of it at most', async () => {
  const { running, broker, clock } = await startBroker({ socket: { port: 0 }, limits: { messagesPerSecond: 1000, messageBurst: 100 } })
  const reader = new TestClient(connectSocket(running.port, '127.0.0.1'), 4)
  await reader.connect()
  await reader.subscribe('t', 0)
  const writer = new TestClient(connectSocket(running.port, '127.0.0.1'), 4)
  await writer.connect({ clientId: 'flood' })
  burst(writer, 5000, { size: 2000 })
  for (let i = 0; i < 101; i++) await reader.message()
  const client = broker.clientOf('flood')!
  // Time stands still, so nothing more comes; a pong goes to and fro beside it.
  expect(await reader.rest()).toEqual([])
  let heldMax = 0
  while (heardBy(reader).length < 5000) {
    heldMax = Math.max(heldMax, client.heldBytes)
    clock.advance(100)
    await settled()
  }
  expect(heardBy(reader)).toEqual(numbers(5000))
  expect(heldMax).toBeGreaterThan(0)
  expect(heldMax).toBeLessThanOrEqual(131_072 * 2)
  expect(client.closed).toBe(false)
})
