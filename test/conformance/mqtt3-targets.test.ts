import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { connectAsync } from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'

async function overTcp(port: number): Promise<TestClient> {
  const socket = connectSocket(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  const client = new TestClient(socket, 4)
  await client.connect()
  return client
}

test('serves TCP, which brings bytes in order and loses none, both ways [MQTT3-7.1.1-1]', async () => {
  const { running } = await startBroker({ socket: { port: 0 } })
  const reader = await overTcp(running.port)
  await reader.subscribe('a', 0)
  const writer = await overTcp(running.port)
  const expected = Array.from({ length: 500 }, (_, i) => `${i} `.repeat(200))
  for (const payload of expected) writer.sendPublish('a', payload)
  await writer.publish('a', 'last', { qos: 1 })
  while (reader.heard.filter(({ type }) => type === PacketType.Publish).length <= expected.length) await reader.message()
  const got = reader.heard.flatMap(packet => (packet.type === PacketType.Publish ? [packet.payload.toString()] : []))
  expect(got).toEqual([...expected, 'last'])
})

test('asks nothing of a client beyond the standard: one of another maker connects, subscribes and publishes [MQTT3-7.0.0-2]', async () => {
  const { running } = await startBroker({ socket: { port: 0 } })
  for (const options of [
    { protocolId: 'MQTT', protocolVersion: 4 },
    { protocolId: 'MQIsdp', protocolVersion: 3 },
  ] as const) {
    const client = await connectAsync(`mqtt://127.0.0.1:${running.port}`, { ...options, reconnectPeriod: 0 })
    onTestFinished(() => client.endAsync(true))
    expect(await client.subscribeAsync('a/#', { qos: 2 })).toMatchObject([{ topic: 'a/#', qos: 2 }])
    const message = new Promise<[string, Buffer]>(resolve => client.once('message', (topic, payload) => resolve([topic, payload])))
    await client.publishAsync('a/b', 'hello', { qos: 2 })
    const [topic, payload] = await message
    expect([topic, payload.toString()]).toEqual(['a/b', 'hello'])
  }
})
