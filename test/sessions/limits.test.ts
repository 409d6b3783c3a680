import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'

test('QoS 2 messages that are never completed are bounded: beyond Receive Maximum the connection is closed', async () => {
  const { connect, broker } = await startBroker({ mqtt: { receiveMaximum: 10 } })
  for (const version of [4, 5] as const) {
    const client = await connect({ version })
    for (let packetId = 1; packetId <= 10; packetId++) client.sendPublish('a', 'x', { qos: 2, packetId })
    for (let i = 0; i < 10; i++) await client.next(PacketType.Pubrec)
    // One that is known already is no new one.
    client.sendPublish('a', 'x', { qos: 2, packetId: 3, dup: true })
    expect(await client.next(PacketType.Pubrec)).toMatchObject({ packetId: 3 })
    client.sendPublish('a', 'x', { qos: 2, packetId: 11 })
    const disconnect = await client.ended()
    if (version === 5) expect(disconnect?.reasonCode).toBe(ReasonCode.ReceiveMaximumExceeded)
  }
  await settled()
  expect(broker.clients.size).toBe(0)
})

test('a message larger than a client accepts is left out for it alone, counted, and its window stays free', async () => {
  const { connect, broker } = await startBroker()
  const small = await connect({ version: 5, properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
  const large = await connect({ version: 5 })
  await small.subscribe('a', 1)
  await large.subscribe('a', 1)
  const writer = await connect({ version: 5 })
  for (let i = 0; i < 3; i++) expect(await writer.publish('a', 'x'.repeat(200), { qos: 1 })).toMatchObject({ reasonCode: 0 })
  await writer.publish('a', 'fits', { qos: 1 })
  expect((await small.receive()).payload.toString()).toBe('fits')
  for (let i = 0; i < 3; i++) expect((await large.receive()).payload).toHaveLength(200)
  expect(broker.counters.dropped.tooLarge).toBe(3)
})

test('a payload that says it is text is looked at where that is asked for', async () => {
  const { connect } = await startBroker({ mqtt: { validatePayloadFormat: true } })
  const client = await connect({ version: 5 })
  const bad = { qos: 1, properties: { payloadFormat: 1 } } as const
  expect(await client.publish('a', Buffer.from([0xc3, 0x28]), bad)).toMatchObject({ reasonCode: ReasonCode.PayloadFormatInvalid })
  expect(await client.publish('a', 'größer', bad)).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
})

test('a client that only hears, and says nothing, is disconnected after one and a half keep-alives, within a tick of the clock', async () => {
  const { connect, advance, broker } = await startBroker()
  const silent = await connect({ version: 5, keepAlive: 10 })
  await silent.subscribe('a')
  for (let second = 0; second < 15; second++) {
    await broker.publish({ topic: 'a', payload: 'x' })
    await advance(999)
    expect(silent.isClosed).toBe(false)
  }
  await advance(15 + 250)
  expect((await silent.ended())?.reasonCode).toBe(ReasonCode.KeepAliveTimeout)
})
