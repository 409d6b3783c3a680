import { expect, test } from 'vitest'
import { settled, startBroker } from '../support/broker.ts'
import type { ConnectOptions } from '../support/client.ts'
import { Gate } from '../support/gated-store.ts'

const durable: ConnectOptions = {
  version: 5,
  clientId: 'reader',
  cleanStart: false,
  properties: { sessionExpiry: 3600, receiveMaximum: 5 },
}

test.each([
  ['at once', {}],
  ['later', new Gate().config],
] as const)(
  'a replay that a lost connection broke off goes on with its session, each message once, on a store that answers %s',
  async (_when, config) => {
    const { connect, broker } = await startBroker({ ...config, retain: { pageSize: 10 } })
    const topics = Array.from({ length: 60 }, (_, i) => `r/${String(i).padStart(2, '0')}`)
    for (const topic of topics) await broker.publish({ topic, payload: topic, qos: 1, retain: true })
    const first = await connect(durable)
    await first.subscribe('r/#', 1)
    const got: string[] = []
    for (let i = 0; i < 23; i++) got.push((await first.receive()).topic)
    await first.rest()
    first.drop()
    await first.closed
    await settled()
    // One that it has not got yet changes meanwhile: it gets the new one, and not the old one behind it.
    await broker.publish({ topic: 'r/40', payload: 'new', qos: 1, retain: true })
    const again = await connect(durable)
    const payloads = new Map<string, string[]>()
    while (got.length + payloads.size < 60 || !payloads.has('r/40')) {
      const { topic, payload, dup } = await again.receive()
      if (dup && got.includes(topic)) continue
      payloads.set(topic, [...(payloads.get(topic) ?? []), payload.toString()])
    }
    await again.rest()
    expect([...got, ...payloads.keys()].toSorted()).toEqual(topics)
    expect(new Set(payloads.get('r/40'))).toEqual(new Set(['new']))
  },
)

test('a replay at QoS 0 ends with its connection', async () => {
  const { connect, broker } = await startBroker({ retain: { pageSize: 10 } })
  for (let i = 0; i < 60; i++) await broker.publish({ topic: `r/${i}`, payload: 'x', retain: true })
  const first = await connect(durable)
  await first.subscribe('r/#', 0)
  first.drop()
  await first.closed
  const again = await connect(durable)
  await settled()
  expect(await again.payloads()).toEqual([])
})
