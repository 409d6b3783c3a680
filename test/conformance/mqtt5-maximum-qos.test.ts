import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startBroker } from '../support/broker.ts'

test.each([0, 1] as const)(
  'tells MQTT 5 clients that QoS %s is the most, where mqtt.maximumQoS says so [MQTT-3.2.2-9]',
  async maximumQoS => {
    const { open } = await startBroker({ mqtt: { maximumQoS } })
    expect((await open(5).connect()).properties).toMatchObject({ maximumQoS })
    expect((await open(4).connect()).reasonCode).toBe(0)
  },
)

test('says nothing of it where all three may be used', async () => {
  const { open } = await startBroker()
  expect((await open(5).connect()).properties).not.toHaveProperty('maximumQoS')
})

test('takes subscriptions of every QoS all the same [MQTT-3.2.2-10]', async () => {
  const { connect } = await startBroker({ mqtt: { maximumQoS: 0 } })
  const client = await connect({ version: 5 })
  expect(await client.subscribe(['a', 'b', 'c'], 2)).toEqual([2, 2, 2])
})

test.each([4, 5] as const)('ends a client of level %s that publishes above the maximum, and the others go on', async version => {
  const { connect } = await startBroker({ mqtt: { maximumQoS: 1 } })
  const reader = await connect({ version: 5 })
  await reader.subscribe('#', 2)
  const client = await connect({ version })
  client.sendPublish('a', 'too high', { qos: 2 })
  const said = await client.ended()
  if (version === 5) expect(said).toMatchObject({ type: PacketType.Disconnect, reasonCode: 0x9b })
  const other = await connect({ version })
  await other.publish('a', 'as allowed', { qos: 1 })
  expect(await reader.payloads()).toEqual(['as allowed'])
})

test.each([4, 5] as const)('refuses a client of level %s whose will is above the maximum [MQTT-3.2.2-12]', async version => {
  const { open } = await startBroker({ mqtt: { maximumQoS: 1 } })
  const connack = await open(version).connect({ version, will: { topic: 'w', qos: 2 } })
  expect(connack.reasonCode).toBe(version === 5 ? 0x9b : 3)
  expect((await open(version).connect({ version, will: { topic: 'w', qos: 1 } })).reasonCode).toBe(0)
})
