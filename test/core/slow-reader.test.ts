import { connect as connectSocket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'

describe('a reader that has stopped reading', () => {
  test('loses QoS 0, is owed a bounded number of bytes, and neither the publisher nor another reader notices', async () => {
    const { running, broker } = await startBroker({ socket: { port: 0 }, mqtt: { writeBufferMax: 100_000 } })
    const open = async (clientId: string) => {
      const client = new TestClient(connectSocket(running.port!, '127.0.0.1'), 4)
      await client.connect({ clientId })
      return client
    }
    const [frozen, reader, writer] = [await open('frozen'), await open('reader'), await open('writer')]
    for (const client of [frozen, reader]) await client.subscribe('a', 0)
    frozen.stream.pause()
    const payload = Buffer.alloc(10_000)
    let owedMax = 0
    // The kernel takes some megabytes on the frozen reader's behalf; then the broker has to decide.
    for (let sent = 0; sent < 2000; sent += 10) {
      for (let i = 0; i < 10; i++) writer.sendPublish('a', payload)
      for (let i = 0; i < 10; i++) await reader.message()
      owedMax = Math.max(owedMax, broker.clientOf('frozen')!.outbox.pendingBytes)
    }
    expect(broker.counters.dropped.slowReader).toBeGreaterThan(0)
    expect(owedMax).toBeGreaterThan(0)
    expect(owedMax).toBeLessThanOrEqual(100_000 + 65_536 + 10_020)
    expect(broker.clientOf('frozen')).toBeDefined()
  })

  test('is not read from once its answers pile up, and gets them all when it reads again', async () => {
    const { open, broker } = await startBroker({ mqtt: { writeBufferMax: 1024 } })
    const client = open()
    await client.connect({ clientId: 'asker' })
    client.stream.pause()
    const asked = 150_000
    for (let i = 0; i < asked / 100; i++) client.sendBytes('c000'.repeat(100))
    for (let i = 0; i < 20; i++) await settled()
    const answered = broker.counters.packetsSent
    expect(answered).toBeLessThan(asked / 2)
    expect(broker.clientOf('asker')!.outbox.pendingBytes).toBeLessThan(150_000)
    client.stream.resume()
    for (let i = 0; i < asked; i++) await client.next(PacketType.Pingresp)
    expect(client.heard).toHaveLength(asked + 1)
  })

  test('of QoS 1 is owed what its window holds; the rest waits in its queue, in order', async () => {
    const { connect, broker } = await startBroker({ mqtt: { writeBufferMax: 10_000 } })
    const reader = await connect({ clientId: 'reader', version: 5, properties: { receiveMaximum: 5 } })
    const writer = await connect()
    await reader.subscribe('a', 1)
    reader.stream.pause()
    for (let i = 0; i < 300; i++) await writer.publish('a', `${i}`.padEnd(1000, '.'), { qos: 1 })
    expect(broker.clientOf('reader')!.outbox.pendingBytes).toBeLessThan(10_000)
    reader.stream.resume()
    for (let i = 0; i < 300; i++) expect((await reader.receive()).payload.toString()).toBe(`${i}`.padEnd(1000, '.'))
  })

  test('is told why it is disconnected, behind what it has not read yet', async () => {
    const { connect, broker } = await startBroker()
    const reader = await connect({ clientId: 'reader', version: 5 })
    const writer = await connect()
    await reader.subscribe('a', 0)
    reader.stream.pause()
    for (let i = 0; i < 10; i++) writer.sendPublish('a', Buffer.alloc(20_000))
    await writer.rest()
    await settled()
    expect(broker.clientOf('reader')!.outbox.blocked).toBe(true)
    await connect({ clientId: 'reader', version: 5 })
    reader.stream.resume()
    expect((await reader.ended())?.reasonCode).toBe(ReasonCode.SessionTakenOver)
    expect(reader.heard.filter(({ type }) => type === PacketType.Publish)).toHaveLength(10)
  })
})
