import { createHook } from 'node:async_hooks'
import { expect, onTestFinished, test } from 'vitest'
import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'

// Goal: the shape of the hot path is held by counting, not by timing. A transport that takes everything at once, as a socket does
// whose reader keeps up, shows each write that the broker makes and the very buffer that it hands over.

class CountingTransport implements Transport {
  readonly protocol = 'memory'
  readonly remoteAddress = ''
  readonly remotePort = 0
  readonly listener = 'test'
  readonly bufferedBytes = 0
  readonly writes: Buffer[] = []
  #events: TransportEvents | null = null

  write(bytes: Buffer): boolean {
    this.writes.push(bytes)
    return true
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    this.writes.push(...buffers)
    return true
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.#events?.onClose(undefined)
  }

  listen(events: TransportEvents): void {
    this.#events = events
  }

  say(bytes: Buffer): void {
    this.#events!.onData(bytes, 0, bytes.length)
  }
}

async function connect({ running }: TestBroker, version: ProtocolVersion, filter?: string, qos: 0 | 1 = 0): Promise<CountingTransport> {
  const transport = new CountingTransport()
  transport.listen(running.accept(transport)!)
  transport.say(encodePacket(connectPacket({ version }), version))
  await settled()
  if (filter !== undefined) {
    const subscriptions = [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }]
    transport.say(encodePacket({ type: PacketType.Subscribe, packetId: 1, properties: undefined, subscriptions }, version))
    await settled()
  }
  transport.writes.length = 0
  return transport
}

function publishes(count: number, qos: 0 | 1, version: ProtocolVersion): Buffer {
  const packet = (i: number): Packet => ({
    type: PacketType.Publish,
    topic: 'a/b',
    payload: Buffer.from(`payload ${i}`),
    qos,
    retain: false,
    dup: false,
    packetId: qos === 0 ? 0 : i + 1,
    properties: undefined,
  })
  return Buffer.concat(Array.from({ length: count }, (_, i) => encodePacket(packet(i), version)))
}

test.each([0, 1] as const)('what one turn of the event loop has for a connection leaves in one write: QoS %i', async qos => {
  const broker = await startBroker()
  const reader = await connect(broker, 4, 'a/+', qos)
  const writer = await connect(broker, 4)
  writer.say(publishes(100, qos, 4))
  await settled()
  expect(reader.writes).toHaveLength(1)
  // Its hundred acknowledgements too.
  expect(writer.writes).toHaveLength(qos)
})

test('a message to a hundred subscribers is put together once for each format, and the same bytes go to all', async () => {
  const broker = await startBroker()
  const readers = [
    ...(await Promise.all(Array.from({ length: 50 }, () => connect(broker, 4, 'a/+')))),
    ...(await Promise.all(Array.from({ length: 50 }, () => connect(broker, 5, 'a/+')))),
  ]
  const writer = await connect(broker, 4)
  writer.say(publishes(1, 0, 4))
  await settled()
  const places = new Map<string, number>()
  const areas = new Map<ArrayBufferLike, number>()
  for (const { writes } of readers) {
    expect(writes).toHaveLength(1)
    const { buffer, byteOffset, length } = writes[0]!
    if (!areas.has(buffer)) areas.set(buffer, areas.size)
    const place = `${areas.get(buffer)}:${byteOffset}+${length}`
    places.set(place, (places.get(place) ?? 0) + 1)
  }
  // In the publisher's own format the first receiver has a copy of its own, made before anybody knew of a second.
  expect([...places.values()].sort((a, b) => b - a)).toEqual([50, 49, 1])
})

test('several messages of one turn to many are put together once, not once for each connection', async () => {
  const broker = await startBroker()
  const readers = await Promise.all(Array.from({ length: 20 }, () => connect(broker, 4, 'a/+', 1)))
  const writer = await connect(broker, 4)
  writer.say(publishes(5, 1, 4))
  await settled()
  const [first, ...others] = readers.slice(1).map(({ writes }) => writes[0]!)
  for (const bytes of others) {
    expect(bytes.buffer).toBe(first!.buffer)
    expect(bytes.byteOffset).toBe(first!.byteOffset)
  }
})

test.each([0, 1] as const)('a publish at QoS %i creates no promise and no timer on its way through the broker', async qos => {
  const broker = await startBroker()
  const reader = await connect(broker, 4, 'a/+', qos)
  const writer = await connect(broker, 4)
  const bytes = publishes(200, qos, 4)
  writer.say(bytes)
  await settled()
  const created: string[] = []
  const hook = createHook({ init: (_id, type) => void created.push(type) })
  onTestFinished(() => void hook.disable())
  hook.enable()
  writer.say(bytes)
  broker.broker.flusher.flush()
  hook.disable()
  // One immediate flushes them all.
  expect(created.filter(type => type !== 'Immediate')).toEqual([])
  expect(created.length).toBeLessThanOrEqual(1)
  expect(reader.writes.length).toBeGreaterThan(0)
})
