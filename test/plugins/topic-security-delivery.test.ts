import { expect, test } from 'vitest'
import { startOnSocket } from '../interop/mosquitto.ts'
import { startBroker } from '../support/broker.ts'
import { eventually } from '../support/eventually.ts'
import { socketClient } from '../support/socket-client.ts'

const everything = { allow: 'publish', topics: ['#'] } as const

test('with readRights delivery every filter is granted, and what may not be read is left out', async () => {
  const { connect, broker } = await startBroker({
    topicSecurity: {
      readRights: 'delivery',
      rules: [everything, { deny: 'subscribe', topics: ['rooms/cellar'] }, { allow: 'subscribe', topics: ['rooms/#', 'users/%u'] }],
    },
  })
  const alice = await connect({ version: 5, username: 'alice' })
  expect(await alice.subscribe(['#', 'rooms/+', '$share/g/other'], 1)).toEqual([1, 1, 1])
  const writer = await connect({ version: 5 })
  for (const topic of ['rooms/hall', 'rooms/cellar', 'users/alice', 'users/bob', 'other']) await writer.publish(topic, topic, { qos: 1 })
  expect(await alice.payloads()).toEqual(['rooms/hall', 'users/alice'])
  // What is other goes to its own subscription, and to the group's.
  expect(broker.counters.dropped.filtered).toBe(4)
})

test('by itself a filter has to be covered', async () => {
  const { connect } = await startBroker({ topicSecurity: { rules: [{ allow: 'subscribe', topics: ['rooms/#'] }] } })
  const client = await connect({ version: 5 })
  expect(await client.subscribe(['#', 'rooms/+'], 1)).toEqual([0x87, 1])
})

test('what may be read follows the rules while the broker runs', async () => {
  const rulesOf = (topics: string[]) => ({ readRights: 'delivery', rules: [everything, { allow: 'subscribe', topics }] }) as const
  const { connect, running } = await startBroker({ topicSecurity: rulesOf(['a']) })
  const reader = await connect()
  await reader.subscribe('#', 1)
  const writer = await connect({ version: 5 })
  const publishBoth = async () => {
    for (const topic of ['a', 'b']) await writer.publish(topic, topic, { qos: 1 })
    return reader.payloads()
  }
  expect(await publishBoth()).toEqual(['a'])
  await running.reload('topicSecurity', rulesOf(['b']))
  expect(await publishBoth()).toEqual(['b'])
})

test('a rule may be about clients without a user name, alone or beside users', async () => {
  const { connect } = await startBroker({
    topicSecurity: {
      rules: [
        { allow: 'publish', topics: ['guests'], anonymous: true },
        { allow: 'publish', topics: ['both'], anonymous: true, users: ['alice'] },
      ],
    },
  })
  const may = async (username: string | undefined) => {
    const client = await connect({ version: 5, ...(username === undefined ? {} : { username }) })
    const codes = []
    for (const topic of ['guests', 'both']) codes.push((await client.publish(topic, '', { qos: 1 }))?.reasonCode)
    return codes.map(code => code !== 0x87)
  }
  expect(await may(undefined)).toEqual([true, true])
  expect(await may('alice')).toEqual([false, true])
  expect(await may('bob')).toEqual([false, false])
})

test('with retainedSource a retained message goes when its publisher may not publish it any more, after a restart too', async () => {
  const rulesOf = (...users: string[]) =>
    ({
      retainedSource: true,
      rules: [
        { allow: 'publish', topics: ['#'], users },
        { allow: 'subscribe', topics: ['#'] },
      ],
    }) as const
  const { connect, running } = await startBroker({ topicSecurity: rulesOf('alice', 'bob') })
  for (const username of ['alice', 'bob']) {
    const client = await connect({ username, clientId: username })
    await client.publish(username, username, { qos: 1, retain: true })
    client.disconnect()
    await client.closed
  }
  await running.publish({ topic: 'broker', payload: 'broker', retain: true })
  await running.reload('topicSecurity', rulesOf('bob'))
  const reader = await connect()
  await reader.subscribe('#', 0)
  expect((await reader.payloads()).sort()).toEqual(['bob', 'broker'])
  const own = await connect({ username: 'bob' })
  await own.publish('live', 'not retained here', { qos: 1 })
  expect(await reader.payloads()).toEqual(['not retained here'])
})

test('a rule of some listeners holds for clients that come by them, and for their wills', async () => {
  const broker = await startOnSocket({
    allowAnonymous: true,
    socket: [
      { name: 'office', port: 0 },
      { name: 'street', port: 0 },
    ],
    topicSecurity: {
      rules: [
        { deny: 'publish', topics: ['door'], listeners: ['street'] },
        { allow: 'publish', topics: ['door', 'bell'], listeners: ['office', 'street'] },
        { allow: 'subscribe', topics: ['#'], listeners: ['office'] },
      ],
    },
  })
  const [office, street] = broker.broker.listeners.map(({ port }) => port)
  const inside = await socketClient(office!)
  await inside.connect({ clientId: 'inside' })
  expect(await inside.subscribe('#', 1)).toEqual([1])
  const outside = await socketClient(street!)
  await outside.connect({ clientId: 'outside', will: { topic: 'bell', payload: Buffer.from('will'), qos: 1 } })
  expect(await outside.subscribe('#', 1)).toEqual([0x87])
  expect(await outside.publish('door', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0x87 })
  expect(await outside.publish('bell', 'ring', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  outside.drop()
  const heard: string[] = []
  await eventually(async () => {
    heard.push(...(await inside.payloads()))
    return heard.length >= 2
  })
  expect(heard).toEqual(['ring', 'will'])
})
