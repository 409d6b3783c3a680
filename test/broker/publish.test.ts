import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'

for (const qos of [0, 1, 2] as const) {
  test(`brings a QoS ${qos} message to a subscriber`, async () => {
    const { connect } = await startBroker()
    const reader = await connect()
    const writer = await connect()
    expect(await reader.subscribe('a/+', 2)).toEqual([2])
    await writer.publish('a/b', 'hello', { qos })
    const message = await reader.receive()
    expect(message).toMatchObject({ topic: 'a/b', qos, retain: false, dup: false })
    expect(message.payload.toString()).toBe('hello')
  })
}
