import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'

test.each(['topicLevelsMax', 'topicLengthMax'] as const)(
  'with mqtt.overTopicMax disconnect a client beyond mqtt.%s is disconnected, and counted',
  async limit => {
    const { connect, broker } = await startBroker({ mqtt: { [limit]: 3, overTopicMax: 'disconnect' } })
    const [subscriber, publisher, old] = [await connect({ version: 5 }), await connect({ version: 5 }), await connect()]
    subscriber.subscribe('a/b/c/d', 0).catch(() => {})
    expect(await subscriber.ended()).toMatchObject({ reasonCode: 0x8f })
    publisher.sendPublish('a/b/c/d', 'x', { qos: 1 })
    expect(await publisher.ended()).toMatchObject({ reasonCode: 0x90 })
    old.sendPublish('a/b/c/d', 'x')
    await old.closed
    expect(broker.counters.limited[limit === 'topicLevelsMax' ? 'topicLevels' : 'topicLength']).toBe(3)
  },
)

test('with mqtt.bridgeStates a bridge may say whether it is connected, and nothing else of $SYS', async () => {
  const { connect } = await startBroker({ mqtt: { bridgeStates: true } })
  const reader = await connect()
  await reader.subscribe('$SYS/broker/connection/#', 0)
  const bridge = await connect({ version: 5 })
  const code = async (topic: string) => (await bridge.publish(topic, '1', { qos: 1, retain: true }))?.reasonCode
  expect(await code('$SYS/broker/connection/house.office/state')).toBe(0)
  for (const topic of ['$SYS/broker/connection/house/x/state', '$SYS/broker/connection/house', '$SYS/broker/uptime', '$share/a/b'])
    expect(await code(topic)).toBe(0x87)
  expect(await reader.payloads()).toEqual(['1'])
  const other = await startBroker()
  const stranger = await other.connect({ version: 5 })
  expect((await stranger.publish('$SYS/broker/connection/house.office/state', '1', { qos: 1 }))?.reasonCode).toBe(0x87)
})
