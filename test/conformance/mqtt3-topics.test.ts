import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startBroker } from '../support/broker.ts'
import { field, packet, text } from './bytes.ts'

const illFormed = [
  { what: 'a surrogate', hex: 'eda080' },
  { what: 'a byte that begins nothing', hex: 'ff' },
  { what: 'a sequence that breaks off', hex: '61e282' },
  { what: 'a letter in two bytes', hex: 'c1a1' },
  { what: 'a code point above U+10FFFF', hex: 'f4908080' },
]

/** Sends bytes as a connected client and resolves when the broker has closed the connection, without an answer. */
async function closes(bytes: string): Promise<void> {
  const { connect } = await startBroker()
  const client = await connect()
  client.sendBytes(bytes)
  await client.ended()
  expect(client.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
}

for (const { what, hex } of illFormed) {
  test(`closes on a topic name that is not UTF-8: ${what} [MQTT3-1.5.3-1] [MQTT3-3.3.2-1]`, () => closes(packet('30', field(hex), '78')))
  test(`closes on a filter in SUBSCRIBE that is not UTF-8: ${what} [MQTT3-1.5.3-1] [MQTT3-3.8.3-1]`, () =>
    closes(packet('82', '0001', field(hex), '00')))
  test(`closes on a filter in UNSUBSCRIBE that is not UTF-8: ${what} [MQTT3-1.5.3-1] [MQTT3-3.10.3-1]`, () =>
    closes(packet('a2', '0001', text('a'), field(hex))))
}

for (const { where, bytes } of [
  { where: 'a topic name', bytes: packet('30', text('a\0b'), '78') },
  { where: 'a filter in SUBSCRIBE', bytes: packet('82', '0001', text('a\0b'), '00') },
  { where: 'a filter in UNSUBSCRIBE', bytes: packet('a2', '0001', text('\0')) },
]) {
  test(`closes on U+0000 in ${where} [MQTT3-1.5.3-2] [MQTT3-4.7.3-2]`, () => closes(bytes))
}

test('keeps U+FEFF wherever it stands [MQTT3-1.5.3-3]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe(['\uFEFFa', 'b/\uFEFF', '\uFEFF'], 0)
  const writer = await connect()
  for (const topic of ['\uFEFFa', 'a', 'b/\uFEFF', 'b/', '\uFEFF']) await writer.publish(topic, 'x', { qos: 1 })
  expect(await reader.rest()).toMatchObject([{ topic: '\uFEFFa' }, { topic: 'b/\uFEFF' }, { topic: '\uFEFF' }])
})

for (const topic of ['a/#', '+', '#', 'a+', 'a/+/b', 'a#b']) {
  test(`closes on a PUBLISH to ${topic}, which holds a wildcard [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]`, () =>
    closes(packet('30', text(topic), '78')))
}

for (const filter of ['a#', '#/a', 'a/#/b', '##', 'a/b#', '+#', '#+']) {
  test(`closes on the filter ${filter}, whose # is not a last level of its own [MQTT3-4.7.1-2]`, () =>
    closes(packet('82', '0001', text(filter), '00')))
}

for (const filter of ['a+', '+a', 'a/b+', 'a/+b/c', '++', '+/a+']) {
  test(`closes on the filter ${filter}, whose + is not a level of its own [MQTT3-4.7.1-3]`, () =>
    closes(packet('82', '0001', text(filter), '00')))
}

for (const { what, bytes } of [
  { what: 'topic name', bytes: packet('30', text(''), '78') },
  { what: 'filter in SUBSCRIBE', bytes: packet('82', '0001', text(''), '00') },
  { what: 'filter in UNSUBSCRIBE', bytes: packet('a2', '0001', text('')) },
]) {
  test(`closes on an empty ${what} [MQTT3-4.7.3-1]`, () => closes(bytes))
}

test('serves topic names and filters of up to 65,535 bytes [MQTT3-4.7.3-3]', async () => {
  const { connect } = await startBroker()
  const topic = `${'ä'.repeat(32_767)}x`
  const reader = await connect()
  expect(await reader.subscribe(topic)).toEqual([0])
  await (await connect()).publish(topic, 'x', { qos: 1 })
  expect((await reader.message()).topic).toBe(topic)
})

for (const { filter, hits, misses } of [
  {
    filter: 'sport/tennis/player1/#',
    hits: ['sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport/tennis/player1/score/wimbledon'],
  },
  { filter: 'sport/#', hits: ['sport', 'sport/', 'sport/a'], misses: ['sports', 'Sport'] },
  { filter: '#', hits: ['a', '/', 'a/b/c', ' '], misses: ['$a', '$own/b'] },
  { filter: 'sport/tennis/+', hits: ['sport/tennis/player1', 'sport/tennis/'], misses: ['sport/tennis/player1/ranking', 'sport/tennis'] },
  { filter: 'sport/+', hits: ['sport/', 'sport/a'], misses: ['sport', 'sport/a/'] },
  { filter: '+/+', hits: ['/finance', 'a/b', '/'], misses: ['a', 'a/b/c'] },
  { filter: '/+', hits: ['/finance', '/'], misses: ['finance', '/a/b'] },
  { filter: '+', hits: ['finance', ' '], misses: ['/finance', 'a/'] },
  { filter: '+/tennis/#', hits: ['a/tennis', '/tennis/b', 'a/tennis/b/c'], misses: ['tennis', 'a/b/tennis'] },
  { filter: 'sport/+/player1', hits: ['sport/tennis/player1', 'sport//player1'], misses: ['sport/player1', 'sport/a/b/player1'] },
  { filter: '/a/b/+', hits: ['/a/b/abc'], misses: ['a/b/abc', '/a/b'] },
  { filter: 'a//b', hits: ['a//b'], misses: ['a/b', 'a/ /b'] },
  { filter: 'a/', hits: ['a/'], misses: ['a', 'a//'] },
]) {
  test(`matches ${filter} with ${hits.join(', ')} and not with ${misses?.join(', ') ?? 'others'} [MQTT3-4.7.1-2] [MQTT3-4.7.1-3]`, async () => {
    const { connect } = await startBroker()
    const reader = await connect()
    await reader.subscribe(filter)
    const writer = await connect()
    for (const topic of [...hits, ...(misses ?? [])]) await writer.publish(topic, topic, { qos: 1 })
    expect(await reader.payloads()).toEqual(hits)
  })
}

test('matches no filter that begins with a wildcard with a topic that begins with $ [MQTT3-4.7.2-1]', async () => {
  const { connect } = await startBroker()
  const reader = await connect()
  await reader.subscribe(['#', '+/a', '+/#', '+'], 0)
  const other = await connect()
  await other.subscribe(['$own/#', '$own/+', '$own'], 0)
  const writer = await connect()
  for (const topic of ['$own', '$own/a', '$']) await writer.publish(topic, topic, { qos: 1, retain: true })
  expect(await reader.payloads()).toEqual([])
  expect(await other.payloads()).toEqual(['$own', '$own/a'])
  const late = await connect()
  await late.subscribe(['#', '+/a', '+'], 0)
  expect(await late.payloads()).toEqual([])
})

test('takes every character as it is: case, spaces, composed and decomposed letters [MQTT3-4.7.3-4]', async () => {
  const { connect } = await startBroker()
  const topics = [
    'Accounts',
    'accounts',
    'a b',
    ' a b',
    'a  b',
    '\u00e4',
    'a\u0308',
    '\u212b',
    '\u00c5',
    'a/./b',
    'a/../b',
    'a%2fb',
    '\u{1F600}',
  ]
  const readers = []
  for (const topic of topics) {
    const reader = await connect()
    await reader.subscribe(topic)
    readers.push(reader)
  }
  const writer = await connect()
  for (const topic of topics) await writer.publish(topic, topic, { qos: 1 })
  for (const [i, reader] of readers.entries()) expect(await reader.payloads()).toEqual([topics[i]])
})
