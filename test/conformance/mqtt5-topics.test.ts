import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { covers } from '../../presets/index.ts'
import { startBroker } from '../support/broker.ts'
import { packet, text } from './bytes.ts'
import { allPayloads, allPublishes } from './heard.ts'

const subscribeBytes = (filter: string) => packet('82', '0001', '00', text(filter), '00')
const publishBytes = (topic: string) => packet('30', text(topic), '00')

for (const topic of ['+', '#', 'a/+', 'a/#', 'a+', '#a', 'a/b#/c']) {
  test(`closes if PUBLISH has a wildcard in its topic name: ${topic} [MQTT-4.7.0-1]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect()
    await reader.subscribe('#')
    const client = await connect({ version: 5 })
    client.sendBytes(publishBytes(topic))
    expect([ReasonCode.MalformedPacket, ReasonCode.ProtocolError, ReasonCode.TopicNameInvalid]).toContain(
      (await client.ended())?.reasonCode,
    )
    expect(await reader.payloads()).toEqual([])
  })
}

for (const filter of ['a/#/b', '#/', '#/#', 'a#', 'a/b#', '#a', '/#/', '$share/g/#/a', '$share/g/a#']) {
  test(`closes with 0x81 if # is not the last level of a filter, alone in it: ${filter} [MQTT-4.7.1-1]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(subscribeBytes(filter))
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

for (const filter of ['a+', '+a', 'a/b+', 'a/+b/c', '++', 'a/++', '+#', '#+', '$share/g/a+']) {
  test(`closes with 0x81 if + is not alone in its level of a filter: ${filter} [MQTT-4.7.1-2]`, async () => {
    const { connect } = await startBroker()
    const client = await connect({ version: 5 })
    client.sendBytes(subscribeBytes(filter))
    expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
  })
}

const matching: [filter: string, topics: string[], others: string[]][] = [
  ['#', ['a', 'a/b', '/', '/a', 'a/', ' '], ['$SYS-like', '$a/b']],
  ['+', ['a', ' '], ['a/b', '/', '/a', '$a']],
  ['+/+', ['a/b', '/', '/a', 'a/'], ['a', 'a/b/c', '$a/b']],
  ['a/#', ['a', 'a/b', 'a/', 'a//', 'a/b/c'], ['ab', '/a', 'A/b']],
  ['a/+', ['a/b', 'a/'], ['a', 'a/b/c', 'a//']],
  ['a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/b/c']],
  ['/a', ['/a'], ['a', '/a/', '//a']],
  ['a/', ['a/'], ['a', 'a//']],
  ['a//b', ['a//b'], ['a/b', 'a/x/b']],
  ['+/b/#', ['a/b', '/b', 'a/b/c/d'], ['b', '$a/b']],
  ['$a/#', ['$a', '$a/b'], ['a/b']],
  ['$a/+', ['$a/b'], ['a/b', '$b/b']],
  ['+/$a', ['b/$a'], ['$b/$a']],
]
for (const retain of [false, true]) {
  for (const [filter, topics, others] of matching) {
    test(`matches ${filter} with ${topics.join(' ')} and not with ${others.join(' ')}: ${retain ? 'retained' : 'live'} messages [MQTT-4.7.1-1] [MQTT-4.7.1-2]${filter.match(/^[+#]/) ? ' [MQTT-4.7.2-1]' : ''}`, async () => {
      const { connect } = await startBroker()
      const reader = await connect({ version: 5 })
      const writer = await connect({ version: 5 })
      if (!retain) await reader.subscribe(filter)
      for (const topic of [...others, ...topics]) await writer.publish(topic, topic, { qos: 1, retain })
      if (retain) await reader.subscribe(filter)
      expect((await allPayloads(reader)).sort()).toEqual([...topics].sort())
    })
  }
}

test('closes if a topic name or a filter is empty [MQTT-4.7.3-1]', async () => {
  const { connect } = await startBroker()
  for (const bytes of [publishBytes(''), subscribeBytes(''), packet('a2', '0001', '00', text(''))]) {
    const client = await connect({ version: 5 })
    client.sendBytes(bytes)
    expect((await client.ended())?.reasonCode).toBeGreaterThanOrEqual(0x80)
  }
})

for (const value of ['\u0000', 'a/\u0000', '\u0000b']) {
  test(`closes with 0x81 if a topic name or a filter holds U+0000: ${JSON.stringify(value)} [MQTT-4.7.3-2]`, async () => {
    const { connect } = await startBroker()
    for (const bytes of [publishBytes(value), subscribeBytes(value), packet('a2', '0001', '00', text(value))]) {
      const client = await connect({ version: 5 })
      client.sendBytes(bytes)
      expect(await client.ended()).toMatchObject({ reasonCode: ReasonCode.MalformedPacket })
    }
  })
}

test('takes topic names and filters of 65,535 bytes, the most that their length can say [MQTT-4.7.3-3]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  const writer = await connect({ version: 5 })
  const ascii = 'a'.repeat(65_535)
  const wide = '\u20ac'.repeat(21_845)
  expect(await reader.subscribe([ascii, wide], 1)).toEqual([1, 1])
  for (const topic of [ascii, wide]) await writer.publish(topic, '', { qos: 1 })
  expect((await allPublishes(reader)).map(({ topic }) => topic)).toEqual([ascii, wide])
})

test('changes nothing in topic names and filters before it compares them, and nothing in what it passes on [MQTT-4.7.3-4]', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  const writer = await connect({ version: 5 })
  // Composed and decomposed, upper and lower case, spaces, a byte order mark, characters that nobody has assigned.
  const topics = [
    '\u00e9',
    'e\u0301',
    'A',
    'a',
    ' a',
    'a ',
    '\ufeffa',
    'a\ufeff',
    '\u0378',
    '\u{10ffff}',
    'ﬁ',
    'fi',
    'a/./b',
    'a/../b',
    'a%2Fb',
  ]
  const seen: string[][] = []
  for (const filter of topics) {
    await reader.subscribe(filter)
    const before = reader.heard.length
    for (const topic of topics) writer.sendPublish(topic)
    await writer.rest()
    await reader.rest()
    seen.push(reader.heard.slice(before).flatMap(heard => (heard.type === PacketType.Publish ? [heard.topic] : [])))
    await reader.unsubscribe(filter)
  }
  expect(seen).toEqual(topics.map(topic => [topic]))
})

test('refuses topics and filters of too many levels without closing, and stays well with thousands of them', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const deep = 'a/'.repeat(30_000)
  expect(await client.subscribe([deep, `${'+/'.repeat(30_000)}#`, 'fine'], 1)).toEqual([0x8f, 0x8f, 1])
  expect(await client.publish(deep, '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.TopicNameInvalid })
})

test('lets clients use topics that begin with $ and are not $SYS', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  const writer = await connect({ version: 5 })
  await reader.subscribe(['$app/+', '#', '+/x'], 1)
  expect(await writer.publish('$app/x', 'mine', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  expect(await allPayloads(reader)).toEqual(['mine'])
})

test('delivers one copy at the highest QoS, with every identifier, where filters overlap', async () => {
  const { connect } = await startBroker()
  const reader = await connect({ version: 5 })
  const writer = await connect({ version: 5 })
  await reader.subscribe('a/#', 0, { properties: { subscriptionIdentifiers: [1] } })
  await reader.subscribe('a/+', 2, { properties: { subscriptionIdentifiers: [268_435_455] }, retainAsPublished: true })
  await reader.subscribe('a/b', 1)
  await writer.publish('a/b', 'x', { qos: 2, retain: true })
  const [message, ...more] = await allPublishes(reader)
  expect(more).toEqual([])
  expect(message).toMatchObject({ qos: 2, retain: true })
  expect([...message!.properties!.subscriptionIdentifiers!].sort()).toEqual([1, 268_435_455])
})

test('compares rights by cover: a right on + admits neither # nor a deeper filter', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onAuthorize.tap('rights', (_publisher, action, topic) => action === 'publish' || covers('+', topic))
  const client = await connect({ version: 5 })
  expect(await client.subscribe(['a', '+', '#', 'a/b', '+/#', '$a'], 1)).toEqual([1, 1, 0x87, 0x87, 0x87, 0x87])
})

test('answers PUBACK 0x10 where nobody has subscribed, 0x00 where a parked session or a group has', async () => {
  const { connect } = await startBroker()
  const writer = await connect({ version: 5 })
  const parked = await connect({ version: 5, properties: { sessionExpiry: 100 } })
  await parked.subscribe('parked', 1)
  parked.disconnect()
  await parked.closed
  const member = await connect({ version: 5 })
  await member.subscribe('$share/g/shared', 1)
  const codes = []
  for (const topic of ['nobody', 'parked', 'shared']) codes.push((await writer.publish(topic, '', { qos: 1 }))!.reasonCode)
  expect(codes).toEqual([0x10, 0, 0])
  expect(await writer.publish('nobody', '', { qos: 2 })).toMatchObject({ reasonCode: 0x10 })
})
