import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startBroker } from '../support/broker.ts'

test('a client without an id gets one of the prefix that mqtt.assignedIdPrefix says, and never the same twice', async () => {
  const { open } = await startBroker({ mqtt: { assignedIdPrefix: 'made-' } })
  const ids = []
  for (let i = 0; i < 3; i++) ids.push((await open(5).connect({ clientId: '' })).properties?.assignedClientId)
  for (const id of ids) expect(id).toMatch(/^made-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  expect(new Set(ids).size).toBe(3)
})

test('with mqtt.emptyClientIds false nobody comes in without an id', async () => {
  const { open } = await startBroker({ mqtt: { emptyClientIds: false } })
  expect((await open(5).connect({ clientId: '' })).reasonCode).toBe(0x85)
  expect((await open(4).connect({ clientId: '' })).reasonCode).toBe(2)
  expect((await open(5).connect({ clientId: 'a' })).reasonCode).toBe(0)
})

test('with mqtt.clientIdFrom username a user has one session, whatever id its clients give', async () => {
  const { open, connect, broker } = await startBroker({ mqtt: { clientIdFrom: 'username' } })
  const first = await connect({ version: 5, clientId: 'one', username: 'alice' })
  await first.subscribe('a', 1)
  const second = await connect({ version: 5, clientId: 'two', username: 'alice', cleanStart: false })
  expect(await first.ended()).toMatchObject({ reasonCode: 0x8e })
  expect([...broker.clients].map(({ clientId }) => clientId)).toEqual(['alice'])
  expect((await second.rest()).length).toBe(0)
  expect((await open(5).connect({ clientId: 'three' })).reasonCode).toBe(0x87)
  expect((await open(4).connect({ clientId: 'three' })).reasonCode).toBe(5)
})

test('with mqtt.reasonStrings false clients are told codes, and no words', async () => {
  const said = async (reasonStrings: boolean) => {
    const { open, connect } = await startBroker({ mqtt: { reasonStrings, emptyClientIds: false, topicLevelsMax: 2 } })
    const refused = await open(5).connect({ clientId: '' })
    const client = await connect({ version: 5, clientId: 'a' })
    const puback = await client.publish('a/b/c', 'x', { qos: 1 })
    client.sendBytes('30 00')
    const disconnect = await client.ended()
    return [refused, puback, disconnect].map(packet => packet?.properties?.reasonString !== undefined)
  }
  expect(await said(true)).toEqual([true, true, true])
  expect(await said(false)).toEqual([false, false, false])
})

test('with mqtt.tellFaults requests a client is told what was wrong with its requests, and nothing else', async () => {
  const said = async (tellFaults: 'all' | 'requests', hex: string, connects = true) => {
    const { open, connect } = await startBroker({ mqtt: { tellFaults } })
    const client = connects ? await connect({ version: 5, clientId: 'a' }) : open(5)
    client.sendBytes(hex)
    await client.closed
    return client.heard.slice(connects ? 1 : 0).map(({ type }) => type)
  }
  const connectWithReservedFlag = '10 0e  0004 4d515454  05  03  003c  00  0001 63'
  const [malformedPublish, secondConnect, pingresp] = ['30 00', '10 0e  0004 4d515454  05  02  003c  00  0001 63', 'd0 00']
  for (const hex of [malformedPublish, secondConnect, pingresp]) expect(await said('all', hex)).toEqual([PacketType.Disconnect])
  expect(await said('all', connectWithReservedFlag, false)).toEqual([PacketType.Connack])
  expect(await said('requests', malformedPublish)).toEqual([PacketType.Disconnect])
  for (const hex of [secondConnect, pingresp]) expect(await said('requests', hex)).toEqual([])
  expect(await said('requests', connectWithReservedFlag, false)).toEqual([])
})

test.each([
  ['always', 0x10, 0x10],
  ['puback', 0x10, 0],
  ['never', 0, 0],
] as const)(
  'with mqtt.tellUnmatched %s publishers are told 0x%s and 0x%s that nobody has subscribed',
  async (tellUnmatched, puback, pubrec) => {
    const { connect } = await startBroker({ mqtt: { tellUnmatched } })
    const client = await connect({ version: 5 })
    expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(puback)
    expect((await client.publish('a', 'x', { qos: 2 }))?.reasonCode).toBe(pubrec)
    await client.subscribe('a', 0)
    expect((await client.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0)
  },
)

test('CONNACK says no Maximum Packet Size where it is that of MQTT itself', async () => {
  const { open } = await startBroker({ mqtt: { maximumPacketSize: 268_435_460 } })
  expect((await open(5).connect()).properties).not.toHaveProperty('maximumPacketSize')
  const small = await startBroker({ mqtt: { maximumPacketSize: 30 } })
  const client = small.open(5)
  expect((await client.connect({ clientId: 'a' })).properties).toMatchObject({ maximumPacketSize: 30 })
  client.sendPublish('a', 'x'.repeat(40))
  expect(await client.ended()).toMatchObject({ reasonCode: 0x95 })
})
