import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { bridgingBroker, judgeNumbers, publishNumbers } from '../support/bridge.ts'
import { startNodes } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { KafkaServer } from '../support/kafka.ts'
import { KafkaReader } from '../support/kafka-reader.ts'
import { TestCa } from '../support/test-ca.ts'

const user = { name: 'bridge', password: 'right' }
let server: KafkaServer | undefined
let brokers: string[]
let reader: KafkaReader
let ca: TestCa

beforeAll(async () => {
  // One of the user's own will do for all that does not have to stop it or log in to it.
  const given = process.env.KAFKA_BROKERS
  ca = await TestCa.create(mkdtempSync(path.join(tmpdir(), 'mqttx-kafka-ca-')))
  server = await KafkaServer.start({ user, ca })
  brokers = given === undefined ? [server.address] : given.split(',')
  reader = new KafkaReader(brokers.join(','))
}, 300_000)
afterAll(async () => {
  await server?.stop()
  rmSync(ca.folder, { recursive: true })
})

let topics = 0
/** A topic that no other test, and no other run, has. */
const newTopic = (): string => `t${process.pid}.${Date.now()}.${topics++}`

test('a message arrives byte for byte, with key, time and headers', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 3 })
  const { connect } = await bridgingBroker({ brokers, topics: [{ filter: 'sensors/+/temp', to: topic, key: '{topic[1]}' }] })
  const client = await connect({ clientId: 'device-1' })
  const payload = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const before = Date.now()
  await client.publishAsync('sensors/kitchen/temp', payload, {
    qos: 1,
    retain: true,
    properties: {
      contentType: 'application/x-raw',
      correlationData: Buffer.from([0, 255]),
      responseTopic: 'answers',
      userProperties: { room: ['a', 'b'], 'mqtt.topic': 'forged' },
    },
  })
  const [message] = await reader.read(topic, 1)
  expect(message!.value.equals(payload)).toBe(true)
  expect(message!.key).toBe('kitchen')
  expect(message!.timestamp).toBeGreaterThan(before - 2000)
  const texts = Object.fromEntries(Object.entries(message!.headers).map(([name, value]) => [name, [value].flat().map(String)]))
  expect(texts).toEqual({
    'mqtt.topic': ['sensors/kitchen/temp'],
    'mqtt.clientId': ['device-1'],
    'mqtt.qos': ['1'],
    'mqtt.retain': ['true'],
    'mqtt.contentType': ['application/x-raw'],
    'mqtt.correlationData': [String(Buffer.from([0, 255]))],
    'mqtt.responseTopic': ['answers'],
    'mqtt.user.mqtt.topic': ['forged'],
    room: ['a', 'b'],
  })
})

test('user properties that are called like members of every object arrive by their own names, also twice', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 1 })
  const { connect } = await bridgingBroker({ brokers, topics: [{ filter: 'x', to: topic }] })
  const client = await connect()
  const names = ['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__', 'prototype', '']
  for (const name of names) {
    // MQTT.js keeps them in an object, so `__proto__` has to be put there with care.
    const userProperties = Object.create(null) as Record<string, string[]>
    userProperties[name] = ['a', 'b']
    await client.publishAsync('x', name, { qos: 1, properties: { userProperties } })
  }
  const messages = await reader.read(topic, names.length)
  const found = messages.map(({ value, headers }) => {
    const own = Object.getOwnPropertyDescriptor(headers, String(value))?.value
    // kafkajs, reading, takes what every object has for an earlier header.
    return [String(value), [own].flat().filter(Buffer.isBuffer).map(String)]
  })
  expect(found).toEqual(names.map(name => [name, ['a', 'b']]))
})

test('two names that Kafka does not tell apart: the second is refused alone, and all others go on', async () => {
  const name = newTopic()
  const { connect, drops, lines, running } = await bridgingBroker({ brokers, createTopics: true, topics: ['k/+'] })
  const client = await connect()
  await client.publishAsync(`k/${name}.y`, 'first', { qos: 1 })
  const [collides, good] = await Promise.allSettled([
    client.publishAsync(`k/${name}_y`, 'collides', { qos: 1 }),
    client.publishAsync(`k/${name}.y`, 'second', { qos: 1 }),
  ])
  expect(collides).toMatchObject({ status: 'rejected', reason: { code: 0x83 } })
  expect(good.status).toBe('fulfilled')
  expect((await reader.read(`k.${name}.y`, 2)).map(({ value }) => String(value))).toEqual(['first', 'second'])
  expect(drops).toEqual([{ clientId: 'bridge:kafka', reason: 'bridgeRefused', payload: 'collides' }])
  const said = lines.find(({ message }) => message.includes('INVALID_TOPIC_EXCEPTION'))
  expect(said?.message).toContain(`k.${name}_y`)
  expect(lines.some(({ message }) => message.includes('takes no messages'))).toBe(false)
  const reasons = [...running.broker.figures].find(figure => figure.name === 'bridge_refused_messages_total')!.read()
  expect(reasons).toEqual([{ value: 1, labels: { target: 'kafka', reason: 'INVALID_TOPIC_EXCEPTION' } }])
})

test('a plain filter goes to the topic of the same name with dots, as raw payload, keyed by client id', async () => {
  const name = newTopic()
  await reader.createTopics({ [name]: 1 })
  const { connect } = await bridgingBroker({ brokers, topics: [`${name.replaceAll('.', '/')}/#`] })
  const client = await connect({ clientId: 'java', protocolVersion: 4 })
  await client.publishAsync(name.replaceAll('.', '/'), 'raw', { qos: 1 })
  const [message] = await reader.read(name, 1)
  expect(String(message!.value)).toBe('raw')
  expect(message!.key).toBe('java')
})

test('a JSON value tells all of a message, and compression changes nothing', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 1 })
  const { connect, running } = await bridgingBroker({
    brokers,
    compression: 'gzip',
    topics: [{ filter: '#', to: topic, value: 'json', headers: false }],
  })
  const client = await connect({ clientId: 'json' })
  await client.publishAsync('a', 'text', { qos: 1, properties: { correlationData: Buffer.from([1]) } })
  await client.publishAsync('a', Buffer.from([255]), { qos: 1 })
  await running.publish({ topic: 'own', payload: 'of the broker' })
  const [first, second, third] = (await reader.read(topic, 3)).map(({ key, value, headers }) => ({
    key,
    headers,
    ...JSON.parse(String(value)),
  }))
  expect(first).toMatchObject({
    key: 'json',
    headers: {},
    topic: 'a',
    clientId: 'json',
    qos: 1,
    retain: false,
    encoding: 'utf8',
    payload: 'text',
  })
  expect(first.properties.correlationData).toBe('AQ==')
  expect(second).toMatchObject({ encoding: 'base64', payload: '/w==' })
  expect(third).toMatchObject({ key: 'own', topic: 'own', clientId: '', payload: 'of the broker' })
})

test('messages of one key keep their order over partitions and lanes', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 3 })
  const { running } = await bridgingBroker({ brokers, lanes: 3, linger: '1ms', batchMessages: 50, topics: [{ filter: 'n/+', to: topic }] })
  const clients = Array.from({ length: 20 }, (_, index) => `device-${index}`)
  await Promise.all(clients.map(client => publishNumbers(running.port, client, `n/${client}`, 200)))
  const messages = await reader.read(topic, 4000)
  expect(judgeNumbers(messages, clients, 200)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
  expect(new Set(messages.map(({ partition }) => partition)).size).toBe(3)
})

test('a topic that is not there costs its own messages only, and says so', async () => {
  const [there, missing] = [newTopic(), newTopic()]
  await reader.createTopics({ [there]: 1 })
  const { connect, drops, lines, running } = await bridgingBroker({
    brokers,
    topics: [
      { filter: 'there', to: there },
      { filter: 'missing', to: missing },
    ],
  })
  const client = await connect()
  const [good, bad] = await Promise.allSettled([
    client.publishAsync('there', 'good', { qos: 1 }),
    client.publishAsync('missing', 'bad', { qos: 1 }),
    client.publishAsync('there', 'good too', { qos: 1 }),
  ])
  expect(good.status).toBe('fulfilled')
  // 0x83: Kafka's own acknowledgement was asked for, and there will be none.
  expect(bad).toMatchObject({ status: 'rejected', reason: { code: 0x83 } })
  expect((await reader.read(there, 2)).map(({ value }) => String(value))).toEqual(['good', 'good too'])
  expect(drops).toEqual([{ clientId: 'bridge:kafka', reason: 'bridgeRefused', payload: 'bad' }])
  expect(running.broker.counters.dropped.bridgeRefused).toBe(1)
  expect(lines.find(({ message }) => message.includes(`no topic ${missing}`))?.message).toContain('createTopics')
})

test('a topic that is not there is made where that is wanted', async () => {
  const topic = newTopic()
  const { connect } = await bridgingBroker({ brokers, createTopics: true, topics: [{ filter: 'x', to: topic }] })
  const client = await connect()
  await client.publishAsync('x', 'made', { qos: 1 })
  expect(String((await reader.read(topic, 1))[0]!.value)).toBe('made')
})

test('a message that is too large for its topic is refused alone, and before MQTT 5 acknowledged', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 1 }, [{ name: 'max.message.bytes', value: '20000' }])
  const { connect, drops } = await bridgingBroker({ brokers, linger: '50ms', topics: [{ filter: 'x', to: topic }] })
  const client = await connect({ clientId: 'mixed' })
  const results = await Promise.allSettled(
    Array.from({ length: 31 }, (_, index) => client.publishAsync('x', index === 17 ? 'L'.repeat(50_000) : `m${index}`, { qos: 1 })),
  )
  expect(results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([17])
  const old = await connect({ clientId: 'old', protocolVersion: 4 })
  await old.publishAsync('x', 'L'.repeat(50_000), { qos: 1 })
  await client.publishAsync('x', 'after', { qos: 1 })
  expect(drops.map(({ reason }) => reason)).toEqual(['bridgeRefused', 'bridgeRefused'])
  const values = (await reader.read(topic, 31)).map(({ value }) => String(value))
  // What was halved may have come twice: a new producer is not known by its number.
  const firsts = [...new Set(values)]
  expect(firsts).toEqual([...Array.from({ length: 31 }, (_, index) => `m${index}`).filter((_, index) => index !== 17), 'after'])
})

test('a wrong password is said, and what waits is sent when it is right', async () => {
  const topic = newTopic()
  await new KafkaReader(server!.address).createTopics({ [topic]: 1 })
  const queue = await folderWith()
  const sasl = { mechanism: 'scram-sha-256', username: user.name, password: 'wrong' } as const
  const config = (password: string): [Config['messageBridge'] & object, Config] => [
    { brokers: [server!.loginAddress], sasl: { ...sasl, password }, topics: [{ filter: 'x', to: topic }] },
    { diskQueue: { path: queue } },
  ]
  const wrong = await bridgingBroker(...config('wrong'))
  const client = await wrong.connect()
  await client.publishAsync('x', 'kept', { qos: 1 })
  await eventually(() => wrong.lines.some(({ level, message }) => level === 'error' && message.includes('messageBridge.sasl')))
  // The broker serves all the same.
  await client.subscribeAsync('y')
  expect(JSON.stringify(wrong.lines)).not.toContain('password":"wrong')
  await wrong.running.stop()

  await bridgingBroker(...config(user.password))
  expect((await new KafkaReader(server!.address).read(topic, 1)).map(({ value }) => String(value))).toEqual(['kept'])
})

test('every message is bridged once, also a will and a retained one, and what Kafka says goes by hook', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 1 })
  const { connect, running } = await bridgingBroker({ brokers, topics: [{ filter: '#', to: topic }] })
  const reports: number[] = []
  running.broker.services.get('bridge').onBridged.tap('test', ({ sent, lagMs }) => {
    expect(lagMs).toBeGreaterThanOrEqual(0)
    reports.push(sent)
  })
  const doomed = await connect({ clientId: 'doomed', will: { topic: 'will', payload: Buffer.from('died'), qos: 1 } })
  const client = await connect()
  await client.subscribeAsync('#', { qos: 1 })
  await client.publishAsync('r', 'retained', { qos: 1, retain: true })
  await client.publishAsync('$SYS/x', 'not for #').catch(() => {})
  doomed.stream.destroy()
  expect((await reader.read(topic, 2)).map(({ value }) => String(value))).toEqual(['retained', 'died'])
  await eventually(() => reports.reduce((sum, sent) => sum + sent, 0) === 2)
})

test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('what is compressed by %s arrives as it was', async compression => {
  const topic = newTopic()
  const own = new KafkaReader(server!.address)
  await own.createTopics({ [topic]: 1 })
  const { connect } = await bridgingBroker({ brokers: [server!.address], compression, topics: [{ filter: '#', to: topic }] })
  const client = await connect()
  const payload = 'the same again '.repeat(500)
  await client.publishAsync('a', payload, { qos: 1 })
  const [message] = await own.read(topic, 1)
  expect(String(message!.value)).toBe(payload)
  // Less lies there than was sent.
  expect(server!.bytes(topic)).toBeLessThan(payload.length / 2)
})

/** A token as Kafka takes it unsigned. */
function token(subject: string): string {
  const now = Math.trunc(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ sub: subject, iat: now, exp: now + 600 })}.`
}

test('TLS with a certificate of its own, a password or a token: each gets there, and without them each is said', async () => {
  const topic = newTopic()
  await new KafkaReader(server!.address).createTopics({ [topic]: 1 })
  await ca.client('bridge', 'bridge')
  const tokenFile = ca.path('token')
  writeFileSync(tokenFile, `${token('bridge')}\n`)
  const ssl = { enable: true, ca: ca.path('ca.crt'), cert: ca.path('bridge.crt'), key: ca.path('bridge.key') }
  const topics = [{ filter: 'x', to: topic }]
  const byPassword = { mechanism: 'plain', username: user.name, password: user.password } as const
  const byToken = { mechanism: 'oauthbearer', tokenFile } as const

  for (const [to, sasl] of [
    [server!.plainAddress, byPassword],
    [server!.tokenAddress, byToken],
  ] as const) {
    const { connect } = await bridgingBroker({ brokers: [to], ssl, sasl, topics })
    await (await connect()).publishAsync('x', sasl.mechanism, { qos: 1 })
  }
  const values = (await new KafkaReader(server!.address).read(topic, 2)).map(({ value }) => String(value))
  expect(values).toEqual(['plain', 'oauthbearer'])

  const broken = [
    [{ enable: true }, byPassword, /TLS fails .*messageBridge\.ssl/],
    [{ ...ssl, cert: undefined, key: undefined }, byPassword, /messageBridge\.ssl/],
    [{ enable: false }, byPassword, /messageBridge\.ssl/],
    [ssl, undefined, /messageBridge\.sasl/],
    [ssl, { ...byPassword, mechanism: 'scram-sha-512' }, /messageBridge\.sasl/],
  ] as const
  for (const [wrongSsl, sasl, cure] of broken) {
    const files = Object.fromEntries(Object.entries(wrongSsl).filter(([, value]) => value !== undefined))
    const { lines, running } = await bridgingBroker({ brokers: [server!.plainAddress], ssl: files, ...(sasl && { sasl }), topics })
    await eventually(() => lines.some(({ level, message }) => level === 'warn' && cure.test(message)))
    await running.stop()
  }
})

test('in a cluster a message is bridged once, by the node that its publisher is on, whoever else gets it', async () => {
  const topic = newTopic()
  await reader.createTopics({ [topic]: 1 })
  const bridge = { brokers, topics: [{ filter: '#', to: topic }] }
  const [a, b] = await startNodes(2, { messageBridge: bridge })
  const sent = { a: 0, b: 0 }
  a.running.broker.services.get('bridge').onBridged.tap('test', report => void (sent.a += report.sent))
  b.running.broker.services.get('bridge').onBridged.tap('test', report => void (sent.b += report.sent))
  // Subscribers of every kind on both nodes, so that every message crosses over.
  const readers = await Promise.all([
    a.connect(),
    b.connect(),
    a.connect({ clientId: 'kept-a', cleanStart: false, properties: { sessionExpiry: 1000 } }),
    b.connect({ clientId: 'kept-b', cleanStart: false, properties: { sessionExpiry: 1000 } }),
  ])
  for (const one of readers) await one.subscribe(['m/+', '$share/g/m/+'], 1)
  await a.wants('m/1', b)
  await b.wants('m/1', a)
  const [onA, onB] = await Promise.all([a.connect({ clientId: 'pub-a' }), b.connect({ clientId: 'pub-b' })])
  const wanted: string[] = []
  for (let number = 0; number < 20; number++) {
    for (const [client, name] of [
      [onA, 'a'],
      [onB, 'b'],
    ] as const) {
      const qos = (number % 3) as 0 | 1 | 2
      const payload = `${name} ${number}`
      await client.publish('m/1', payload, { qos, retain: number === 19 })
      wanted.push(`pub-${name} ${payload}`)
    }
  }
  const will = { topic: 'm/will', payload: Buffer.from('gone'), qos: 1 as const }
  const doomed = await b.connect({ clientId: 'doomed', will })
  doomed.stream.destroy()
  wanted.push('doomed gone')
  const got = (await reader.read(topic, wanted.length)).map(({ key, value }) => `${key} ${value}`)
  expect(got.sort()).toEqual(wanted.sort())
  await eventually(() => sent.a === 20 && sent.b === 21)
})

test('rules that change while it runs: new ones go, those that are gone do not, wrong ones change nothing', async () => {
  const [first, second] = [newTopic(), newTopic()]
  await reader.createTopics({ [first]: 1, [second]: 1 })
  const { connect, running } = await bridgingBroker({ brokers, topics: [{ filter: 'x', to: first }] })
  const client = await connect()
  await client.publishAsync('x', 'before', { qos: 1 })
  const follow = (topics: object[]) => running.reload('messageBridge', { brokers, topics })
  await expect(follow([{ filter: 'x', to: 'not/legal' }])).rejects.toThrow('messageBridge.topics[0].to')
  await expect(follow([{ filter: 'x', to: first, ack: 'local' }])).rejects.toThrow('diskQueue')
  await client.publishAsync('x', 'still', { qos: 1 })
  await follow([{ filter: '+', to: second, ack: 'none' }])
  await client.publishAsync('x', 'after', { qos: 1 })
  await client.publishAsync('y', 'too', { qos: 1 })
  expect((await reader.read(second, 2)).map(({ value }) => String(value))).toEqual(['after', 'too'])
  expect((await reader.read(first, 2)).map(({ value }) => String(value))).toEqual(['before', 'still'])
})
