import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { packet, text } from './bytes.ts'

const will = { topic: 'will', payload: Buffer.from('gone') }

async function watcher({ connect }: TestBroker) {
  const client = await connect()
  await client.subscribe('will', 2)
  return client
}

for (const cleanStart of [true, false]) {
  const session = cleanStart ? 'clean' : 'stored'
  test(`publishes the will of a ${session} session when the connection breaks off, once [MQTT3-3.1.2-8] [MQTT3-3.1.2-10]`, async () => {
    const broker = await startBroker()
    const reader = await watcher(broker)
    const client = await broker.connect({ clientId: 'a', cleanStart, will })
    client.drop()
    expect((await reader.message()).payload.toString()).toBe('gone')
    const again = await broker.connect({ clientId: 'a', cleanStart })
    again.drop()
    await broker.advance(3_600_000)
    expect(await reader.payloads()).toEqual([])
  })

  test(`publishes the will of a ${session} session that broke the protocol [MQTT3-3.1.2-8]`, async () => {
    const broker = await startBroker()
    const reader = await watcher(broker)
    const client = await broker.connect({ cleanStart, will })
    client.sendBytes('f0 00')
    await client.ended()
    expect(await reader.payloads()).toEqual(['gone'])
  })

  test(`publishes the will of a ${session} session that is taken over [MQTT3-3.1.2-8]`, async () => {
    const broker = await startBroker()
    const reader = await watcher(broker)
    await broker.connect({ clientId: 'a', cleanStart, will })
    await broker.connect({ clientId: 'a', cleanStart })
    expect(await reader.payloads()).toEqual(['gone'])
  })

  test(`publishes the will of a ${session} session that is silent for one and a half keep-alives [MQTT3-3.1.2-24]`, async () => {
    const broker = await startBroker()
    const reader = await watcher(broker)
    const client = await broker.connect({ cleanStart, keepAlive: 10, will })
    await broker.advance(14_500)
    expect(client.isClosed).toBe(false)
    await broker.advance(1000)
    await client.ended()
    expect(await reader.payloads()).toEqual(['gone'])
  })

  test(`discards the will of a ${session} session that says DISCONNECT [MQTT3-3.1.2-8] [MQTT3-3.1.2-10] [MQTT3-3.14.4-3]`, async () => {
    const broker = await startBroker()
    const reader = await watcher(broker)
    const client = await broker.connect({ clientId: 'a', cleanStart, will })
    client.disconnect()
    await client.ended()
    await broker.advance(3_600_000)
    const again = await broker.connect({ clientId: 'a', cleanStart })
    again.drop()
    await broker.advance(3_600_000)
    expect(await reader.payloads()).toEqual([])
  })
}

test('publishes nothing when a connection without a will breaks off [MQTT3-3.1.2-12]', async () => {
  const broker = await startBroker()
  const reader = await broker.connect()
  await reader.subscribe('#')
  const client = await broker.connect()
  client.drop()
  await broker.advance(60_000)
  expect(await reader.rest()).toEqual([])
})

test('publishes no will of a client that was refused [MQTT3-3.1.2-8]', async () => {
  const broker = await startBroker()
  const reader = await watcher(broker)
  broker.hooks.onConnect.tap('test', client => (client.clientId === 'bad' ? ReasonCode.NotAuthorized : undefined))
  const client = broker.open()
  await client.connect({ clientId: 'bad', will })
  await client.ended()
  await broker.advance(60_000)
  expect(await reader.payloads()).toEqual([])
})

for (const qos of [0, 1, 2] as const) {
  test(`publishes a will at QoS ${qos}, as CONNECT says [MQTT3-3.1.2-9] [MQTT3-3.1.2-14]`, async () => {
    const broker = await startBroker()
    const reader = await watcher(broker)
    const client = await broker.connect({ will: { ...will, qos } })
    client.drop()
    expect(await reader.receive()).toMatchObject({ topic: 'will', qos, retain: false, payload: will.payload })
  })
}

test('publishes a will without will retain as a message that is not retained [MQTT3-3.1.2-16]', async () => {
  const broker = await startBroker()
  const reader = await watcher(broker)
  const client = await broker.connect({ will: { ...will, retain: false } })
  client.drop()
  expect(await reader.message()).toMatchObject({ retain: false })
  expect(await (await watcher(broker)).payloads()).toEqual([])
})

test('publishes a will with will retain as a retained message [MQTT3-3.1.2-17]', async () => {
  const broker = await startBroker()
  const reader = await watcher(broker)
  const client = await broker.connect({ will: { ...will, retain: true } })
  client.drop()
  expect(await reader.message()).toMatchObject({ retain: false })
  const late = await watcher(broker)
  expect(await late.message()).toMatchObject({ retain: true, payload: will.payload })
})

test('publishes a will without a message', async () => {
  const broker = await startBroker()
  const reader = await watcher(broker)
  const client = await broker.connect({ will: { topic: 'will' } })
  client.drop()
  expect((await reader.message()).payload).toHaveLength(0)
})

test('never disconnects a silent client whose keep-alive is 0', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect({ keepAlive: 0 })
  await advance(24 * 3_600_000)
  expect(await client.rest()).toEqual([])
})

test('counts every packet of a client against its keep-alive, and none that is sent to it [MQTT3-3.1.2-24]', async () => {
  const { connect, advance, broker } = await startBroker()
  const client = await connect({ keepAlive: 10 })
  await client.subscribe('a')
  for (let i = 0; i < 5; i++) {
    await advance(10_000)
    await client.publish('b', 'x', { qos: 1 })
  }
  for (let i = 0; i < 5; i++) {
    await advance(2800)
    await broker.publish({ topic: 'a', payload: 'x' })
  }
  expect(client.isClosed).toBe(false)
  await advance(1500)
  await client.ended()
})

test('does not count against a keep-alive the time in which the broker itself does not read [MQTT3-3.1.2-24]', async () => {
  const { connect, advance, hooks } = await startBroker({ mqtt: { receiveMaximum: 2, verdictTimeout: '60s' } })
  const verdicts: (() => void)[] = []
  hooks.onPublish.tapPromise('test', () => new Promise(resolve => verdicts.push(() => resolve(undefined))))
  const client = await connect({ keepAlive: 10 })
  for (let i = 0; i < 3; i++) client.sendPublish('a', 'x')
  await advance(10_000)
  client.sendBytes('c000')
  await advance(10_000)
  client.sendBytes('c000')
  await advance(10_000)
  while (verdicts.length > 0) {
    verdicts.shift()!()
    await settled()
  }
  await client.next(PacketType.Pingresp)
  await client.next(PacketType.Pingresp)
  expect(client.isClosed).toBe(false)
  await advance(16_000)
  await client.ended()
})

test('counts against a keep-alive the time in which a client does not read its answers, for which it is not read from', async () => {
  const { connect, advance, broker } = await startBroker({ mqtt: { writeBufferMax: 1024 } })
  const client = await connect({ keepAlive: 10, clientId: 'asker' })
  const asker = broker.clientOf('asker')!
  client.stream.pause()
  // Until the broker stops reading: what comes after that it does not see.
  for (let i = 0; i < 1500; i++) client.sendBytes('c000'.repeat(100))
  for (let i = 0; i < 20; i++) await settled()
  expect(asker.outbox.blocked).toBe(true)
  const answered = broker.counters.packetsSent
  await advance(14_000)
  client.sendBytes('c000')
  expect(broker.clientOf('asker')).toBe(asker)
  expect(broker.counters.packetsSent).toBe(answered)
  await advance(2000)
  expect(broker.clientOf('asker')).toBeUndefined()
})

test('closes the connection after DISCONNECT though the client does not [MQTT3-3.14.4-1]', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  client.disconnect()
  await client.ended()
  expect(client.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
})

test('processes nothing that comes behind a DISCONNECT [MQTT3-3.14.4-2]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe('a')
  const client = await connect()
  client.sendBytes(`e000${packet('30', text('a'), '78')}`)
  await client.ended()
  expect(await reader.payloads()).toEqual([])
})

test('processes what stands before a DISCONNECT in the same segment', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onPublish.tapPromise('test', async () => undefined)
  const reader = await connect()
  await reader.subscribe('a')
  const client = await connect()
  client.sendBytes(`${packet('30', text('a'), '78')}e000`)
  await client.ended()
  expect(await reader.payloads()).toEqual(['x'])
})
