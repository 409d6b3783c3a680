import { describe, expect, test } from 'vitest'
import type { Receipt } from '../../core/messages/receipt.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Config } from '../../presets/index.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { ConnectOptions, TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

/** A broker in which every publish waits until the test lets its receipt go, by payload. */
async function start(config: Config = {}): Promise<TestBroker & { receipts: Map<string, Receipt> }> {
  const broker = await startBroker(config)
  const receipts = new Map<string, Receipt>()
  broker.hooks.onRoute.tap('test', (message, _route, receipt) => {
    receipt.hold()
    receipts.set(message.payload.toString(), receipt)
  })
  await broker.advance(1000)
  return { ...broker, receipts }
}

const acks = (client: TestClient) =>
  client.heard.flatMap(packet => (packet.type === PacketType.Puback || packet.type === PacketType.Pubrec ? [packet.packetId] : []))

const durable: ConnectOptions = { version: 5, clientId: 'writer', cleanStart: false, properties: { sessionExpiry: 1000 } }

test('acknowledges in the order of arrival, whatever settles first [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]', async () => {
  const { connect, receipts } = await start()
  const client = await connect()
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) client.sendPublish('t', name, { qos: i % 2 === 0 ? 1 : 2, packetId: 10 + i })
  await settled()
  receipts.get('d')!.release()
  receipts.get('b')!.release()
  await client.rest()
  expect(acks(client)).toEqual([])
  receipts.get('a')!.release()
  await client.rest()
  expect(acks(client)).toEqual([10, 11])
  receipts.get('c')!.release()
  await client.rest()
  expect(acks(client)).toEqual([10, 11, 12, 13])
})

test('keeps the words of a refusal that waits behind another acknowledgement', async () => {
  const { connect, hooks, receipts } = await start()
  hooks.onPublish.tap('test', (_publisher, message) =>
    message.topic === 'no' ? { reasonCode: ReasonCode.QuotaExceeded, reasonString: 'enough' } : undefined,
  )
  const client = await connect({ version: 5 })
  client.sendPublish('t', 'a', { qos: 1 })
  client.sendPublish('no', 'b', { qos: 1 })
  await settled()
  receipts.get('a')!.release()
  await client.next(PacketType.Puback)
  expect(await client.next<AckPacket>(PacketType.Puback)).toMatchObject({
    reasonCode: ReasonCode.QuotaExceeded,
    properties: { reasonString: 'enough' },
  })
})

test('stops reading from a client with Receive Maximum publishes unacknowledged, and goes on', async () => {
  const { connect, receipts } = await start({ mqtt: { receiveMaximum: 3 } })
  const client = await connect({ version: 4 })
  for (let i = 0; i < 10; i++) client.sendPublish('t', `${i}`, { qos: 1 })
  await settled()
  expect([...receipts.keys()]).toEqual(['0', '1', '2'])
  receipts.get('0')!.release()
  await settled()
  expect([...receipts.keys()]).toEqual(['0', '1', '2', '3'])
  for (let i = 1; i < 10; i++) {
    receipts.get(`${i}`)!.release()
    await settled()
  }
  expect(acks(client)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})

describe('a message that could not be kept', () => {
  for (const version of [4, 5] as const) {
    test(`is not acknowledged, nor is anything behind it: the connection ends, so that MQTT ${version} sends it again`, async () => {
      const { connect, receipts } = await start()
      const client = await connect({ version })
      client.sendPublish('t', 'a', { qos: 1 })
      client.sendPublish('t', 'b', { qos: 1 })
      await settled()
      receipts.get('b')!.release()
      receipts.get('a')!.release(new Error('disk full'))
      const goodbye = await client.ended()
      // DISCONNECT cannot say 0x88.
      expect(goodbye?.reasonCode).toBe(version === 5 ? ReasonCode.ServerBusy : undefined)
      expect(acks(client)).toEqual([])
    })
  }

  test.each(['fails', 'hangs'] as const)(
    'of many publishers, while a store %s: some lines say whose, and one how many they were',
    async how => {
      const { lines, plugin } = keptLog()
      const broker = await startBroker({ log: false, plugins: [plugin], mqtt: { receiptTimeout: '1s' } })
      const receipts: Receipt[] = []
      broker.hooks.onRoute.tap('test', (message, _route, receipt) => {
        if (message.topic !== 't') return
        receipt.hold()
        receipts.push(receipt)
      })
      const said = () => lines.filter(({ level, message }) => level === 'warn' && message.includes('its publisher is disconnected'))
      const round = async (publishers: number) => {
        const clients = await Promise.all(Array.from({ length: publishers }, () => broker.connect()))
        for (const client of clients) client.sendPublish('t', 'x', { qos: 1 })
        await settled()
        if (how === 'fails') for (const receipt of receipts.splice(0)) receipt.release(new Error('disk full'))
        else await broker.advance(3000)
        await Promise.all(clients.map(client => client.ended()))
      }
      await round(50)
      expect(said()).toHaveLength(20)
      expect(said().every(({ fields }) => typeof fields.clientId === 'string' && fields.count === 1)).toBe(true)
      await broker.advance(10_000)
      await round(1)
      // The thirty that had no line, and this one.
      expect(said()).toHaveLength(21)
      expect(said().at(-1)!.fields.count).toBe(31)
    },
  )

  test('is not acknowledged where that is known before routing is over', async () => {
    const { connect, hooks } = await startBroker()
    hooks.onRoute.tap('test', (_message, _route, receipt) => {
      receipt.hold()
      receipt.release(new Error('bridge away'))
    })
    const client = await connect({ version: 5 })
    await client.publish('wakes/the/hook')
    client.sendPublish('t', 'a', { qos: 1 })
    await client.ended()
    expect(acks(client)).toEqual([])
  })

  test('is new when QoS 2 brings it again', async () => {
    const { connect, receipts } = await start()
    const first = await connect(durable)
    first.sendPublish('t', 'lost', { qos: 2, packetId: 7 })
    await settled()
    receipts.get('lost')!.release(new Error('disk full'))
    await first.ended()
    receipts.clear()
    const second = await connect(durable)
    second.sendPublish('t', 'lost', { qos: 2, packetId: 7, dup: true })
    await settled()
    receipts.get('lost')!.release()
    expect(await second.next(PacketType.Pubrec)).toMatchObject({ packetId: 7 })
  })

  test('does not make those behind it come twice: QoS 2 knows what it has kept [MQTT-4.3.3-10]', async () => {
    const { connect, receipts } = await start()
    const first = await connect(durable)
    first.sendPublish('t', 'lost', { qos: 2, packetId: 7 })
    first.sendPublish('t', 'kept', { qos: 2, packetId: 8 })
    await settled()
    receipts.get('kept')!.release()
    receipts.get('lost')!.release(new Error('disk full'))
    await first.ended()
    receipts.clear()
    const second = await connect(durable)
    second.sendPublish('t', 'kept', { qos: 2, packetId: 8, dup: true })
    expect(await second.next(PacketType.Pubrec)).toMatchObject({ packetId: 8 })
    expect(receipts.size).toBe(0)
  })

  test('ends a connection too that has sent it again meanwhile and waits for the same outcome', async () => {
    const { connect, receipts } = await start()
    const first = await connect(durable)
    first.sendPublish('t', 'lost', { qos: 2, packetId: 7 })
    await settled()
    const second = await connect(durable)
    second.sendPublish('t', 'lost', { qos: 2, packetId: 7, dup: true })
    await settled()
    receipts.get('lost')!.release(new Error('disk full'))
    await second.ended()
    expect(acks(second)).toEqual([])
  })
})
