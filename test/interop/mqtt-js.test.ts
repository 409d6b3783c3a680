import type { IClientOptions } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { startOnSocket } from './mosquitto.ts'
import { connect } from './mqtt-js.ts'

const versions: [string, IClientOptions][] = [
  ['3.1', { protocolVersion: 3, protocolId: 'MQIsdp' }],
  ['3.1.1', { protocolVersion: 4 }],
  ['5', { protocolVersion: 5 }],
]

describe.each(versions)('npm’s mqtt in version %s', (name, version) => {
  test.each([0, 1, 2] as const)('publishes and subscribes at QoS %i, with wildcards', async qos => {
    const broker = await startOnSocket()
    const reader = await connect(broker, version)
    await reader.client.subscribeAsync('a/+/#', { qos })
    const writer = await connect(broker, version)
    for (let i = 0; i < 50; i++) await writer.client.publishAsync(`a/${i}`, `${i}`, { qos })
    expect(await reader.inbox.texts(50)).toEqual(Array.from({ length: 50 }, (_, i) => `a/${i} ${i}`))
    expect(reader.inbox.packets.every(packet => packet.qos === qos)).toBe(true)
  })

  test('is sent what is retained, and its will goes out', async () => {
    const broker = await startOnSocket()
    const dying = await connect(broker, { ...version, will: { topic: 'wills/dying', payload: Buffer.from('gone'), qos: 1, retain: true } })
    const watcher = await connect(broker, version)
    await watcher.client.subscribeAsync('wills/#', { qos: 1 })
    dying.client.stream.destroy()
    expect(await watcher.inbox.first(1)).toMatchObject([{ topic: 'wills/dying', retain: false }])
    const late = await connect(broker, version)
    await late.client.subscribeAsync('wills/+', { qos: 1 })
    expect(await late.inbox.first(1)).toMatchObject([{ topic: 'wills/dying', retain: true }])
  })

  test('is not sent what was retained and has been cleared', async () => {
    const broker = await startOnSocket()
    const { client, inbox } = await connect(broker, version)
    for (const topic of ['state/a', 'state/b']) await client.publishAsync(topic, 'on', { qos: 1, retain: true })
    await client.publishAsync('state/a', '', { qos: 1, retain: true })
    await client.subscribeAsync('state/#', { qos: 1 })
    await client.publishAsync('state/end', '.', { qos: 1 })
    expect(await inbox.texts(2)).toEqual(['state/b on', 'state/end .'])
  })

  test('resumes its session', async () => {
    const broker = await startOnSocket()
    const session: IClientOptions = { ...version, clientId: 'keeper', clean: false }
    if (name === '5') session.properties = { sessionExpiryInterval: 3600 }
    const before = await connect(broker, session)
    await before.client.subscribeAsync('jobs', { qos: 2 })
    await before.client.endAsync()
    const writer = await connect(broker, version)
    for (let i = 0; i < 100; i++) await writer.client.publishAsync('jobs', `${i}`, { qos: 2 })
    const after = await connect(broker, session)
    expect(await after.inbox.texts(100)).toEqual(Array.from({ length: 100 }, (_, i) => `jobs ${i}`))
  })

  test('shares a subscription', async () => {
    const broker = await startOnSocket()
    const members = [await connect(broker, version), await connect(broker, version)]
    for (const { client } of members) await client.subscribeAsync('$share/g/work/#', { qos: 1 })
    const writer = await connect(broker, version)
    for (let i = 0; i < 10; i++) await writer.client.publishAsync('work/x', `${i}`, { qos: 1 })
    const halves = await Promise.all(members.map(({ inbox }) => inbox.texts(5)))
    expect(halves.map(lines => lines.length)).toEqual([5, 5])
  })

  test('publishes a mebibyte', async () => {
    const broker = await startOnSocket()
    const { client, inbox } = await connect(broker, version)
    await client.subscribeAsync('large', { qos: 1 })
    const payload = Buffer.alloc(1_048_576, 'mqtt')
    await client.publishAsync('large', payload, { qos: 1 })
    const [packet] = await inbox.first(1)
    // Compared by hand: an assertion goes through a mebibyte number by number, for seconds.
    expect(payload.equals(packet!.payload as Buffer)).toBe(true)
  })
})

describe('npm’s mqtt in version 5', () => {
  const version: IClientOptions = { protocolVersion: 5 }

  test('has its properties passed on', async () => {
    const broker = await startOnSocket()
    const { client, inbox } = await connect(broker, version)
    await client.subscribeAsync('a', { qos: 1, properties: { subscriptionIdentifier: 7 } })
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answers',
      correlationData: Buffer.from('id'),
      userProperties: { unit: '°C' },
    }
    await client.publishAsync('a', 'x', { qos: 1, properties })
    const [packet] = await inbox.first(1)
    expect(packet!.properties).toMatchObject({ ...properties, subscriptionIdentifier: 7 })
  })

  test('uses topic aliases both ways', async () => {
    const broker = await startOnSocket()
    const { client, inbox } = await connect(broker, { ...version, autoAssignTopicAlias: true, properties: { topicAliasMaximum: 10 } })
    await client.subscribeAsync('long/topic/name/of/a/device')
    for (let i = 0; i < 3; i++) await client.publishAsync('long/topic/name/of/a/device', `${i}`)
    expect(await inbox.texts(3)).toEqual([0, 1, 2].map(i => `long/topic/name/of/a/device ${i}`))
  })

  test('is told why it has to go when another takes its client id', async () => {
    const broker = await startOnSocket()
    const first = await connect(broker, { ...version, clientId: 'same' })
    const told = new Promise(resolve => first.client.on('disconnect', packet => resolve(packet.reasonCode)))
    await connect(broker, { ...version, clientId: 'same' })
    expect(await told).toBe(0x8e)
  })

  test('is told when the broker shuts down', async () => {
    const broker = await startOnSocket()
    const { client } = await connect(broker, version)
    const told = new Promise(resolve => client.on('disconnect', packet => resolve(packet.reasonCode)))
    await broker.stop()
    expect(await told).toBe(0x8b)
  })
})

test('two hundred clients talk at once, in all versions', async () => {
  const broker = await startOnSocket()
  const clients = await Promise.all(Array.from({ length: 200 }, (_, i) => connect(broker, versions[i % 3]![1])))
  await Promise.all(clients.map(({ client }, i) => client.subscribeAsync([`to/${i}`, 'all'], { qos: 1 })))
  await Promise.all(clients.map(({ client }, i) => client.publishAsync(`to/${(i + 1) % 200}`, `${i}`, { qos: 1 })))
  await clients[0]!.client.publishAsync('all', 'end', { qos: 1 })
  const received = await Promise.all(clients.map(({ inbox }) => inbox.texts(2)))
  expect(received).toEqual(clients.map((_, i) => [`to/${i} ${(i + 199) % 200}`, 'all end']))
})
