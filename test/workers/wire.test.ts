import { expect, test } from 'vitest'
import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import { receiveWire, WireBatch } from '../../plugins/cluster/wire-batch.ts'
import { messageOf } from '../core/messages.ts'
import { startBroker } from '../support/broker.ts'

// Goal: a message is at another worker what it was where it came in, whoever published it and whatever plugins made of it.

interface Received {
  readonly message: Message
  readonly plain: boolean
  readonly picked: readonly PickedMember[]
}

/** What the broker is told of a frame. `rests`: after how many messages it has enough for a turn. */
function reading(broker: Broker, frame: Buffer, rests = Number.POSITIVE_INFINITY) {
  const got: Received[] = []
  const receive: Broker['receive'] = (message, plain, picked) => {
    got.push({ message, plain, picked })
    return got.length % rests === 0 ? Promise.resolve() : undefined
  }
  const other: Broker = Object.assign(Object.create(broker) as Broker, {
    receive,
    readWire: (...given: Parameters<Broker['readWire']>) => broker.readWire(...given),
  })
  return { got, steps: receiveWire(other, 'one', frame, () => {}) }
}

function fieldsOf({ topic, qos, retain, properties, clientId, username, receivedAt, payload }: Message): object {
  const said = properties === undefined || Object.keys(properties).length === 0 ? null : properties
  return { topic, qos, retain, properties: said, clientId, username, receivedAt, payload: payload.toString('latin1') }
}

/** Has clients publish at a broker whose messages are put into a batch, in order; `frame` ends it. */
async function publishing() {
  const { hooks, broker, connect } = await startBroker()
  const batch = new WireBatch()
  const sent: Message[] = []
  let pick: PickedMember | null = null
  hooks.onRoute.tap('test', message => {
    batch.add(message, pick)
    sent.push(message.own())
  })
  hooks.onPublish.tap('test', (_publisher, message) => {
    if (message.topic === 'changed') message.payload = 'otherwise'
    if (message.topic === 'lowered') message.qos = 0
    return undefined
  })
  return { broker, connect, batch, sent, forMember: (member: PickedMember | null) => void (pick = member) }
}

test('messages of 3.1.1 and 5, of every QoS, with properties and aliases, changed and lowered by plugins, come as they were', async () => {
  const { broker, connect, batch, sent } = await publishing()
  const four = await connect({ version: 4, clientId: 'four' })
  const five = await connect({ version: 5, clientId: 'fünf', username: 'überall' })
  for (const qos of [0, 1, 2] as const) {
    await four.publish(`four/${qos}`, `at ${qos}`, { qos, retain: qos === 1 })
    await five.publish('five/ä', `at ${qos}`, {
      qos,
      properties: { messageExpiry: 7, contentType: 'text', correlationData: Buffer.from([0, 255]), userProperties: [['a', 'b']] },
    })
  }
  await five.publish('aliased', 'first', { qos: 1, properties: { topicAlias: 1 } })
  await five.publish('', 'again', { qos: 1, properties: { topicAlias: 1 } })
  for (const topic of ['changed', 'lowered']) for (const client of [four, five]) await client.publish(topic, 'as it was', { qos: 1 })
  await four.publish('empty', '', { qos: 1 })
  await four.publish('large', 'x'.repeat(300_000), { qos: 1 })
  await broker.publish({ topic: 'own', payload: 'of the broker', qos: 1 })
  expect(sent.length).toBeGreaterThanOrEqual(14)
  const { got, steps } = reading(broker, batch.take())
  expect([...steps]).toEqual([])
  expect(got.map(({ message }) => fieldsOf(message))).toEqual(sent.map(fieldsOf))
  expect(new Set(got.map(({ message }) => message.origin))).toEqual(new Set(['peer']))
})

test('members that were picked are named, with those whose own filters match or without', async () => {
  const { broker, connect, batch, forMember } = await publishing()
  const client = await connect({ version: 5 })
  const [a, b] = [
    { group: '$share/g/+', clientId: 'a' },
    { group: '$share/h/ü', clientId: 'bé' },
  ]
  await client.publish('plain', '', { qos: 1 })
  forMember(a)
  await client.publish('one', '', { qos: 1 })
  await client.publish('two', '', { qos: 1 })
  batch.also(b)
  batch.also(null)
  const { got, steps } = reading(broker, batch.take())
  expect([...steps]).toEqual([])
  expect(got.map(({ message, plain, picked }) => [message.topic, plain, picked])).toEqual([
    ['plain', true, []],
    ['one', false, [a]],
    ['two', true, [a, b]],
  ])
})

test('a frame that the broker does not deal with in one turn is read on from bytes of its own', async () => {
  const { broker } = await startBroker()
  const batch = new WireBatch()
  for (let i = 0; i < 10; i++) batch.add(messageOf(String(i), { topic: `t/${i}`, clientId: i < 5 ? 'a' : 'b' }), null)
  const frame = batch.take()
  const { got, steps } = reading(broker, frame, 3)
  const said: string[] = []
  for (const rest of steps) {
    said.push(...got.splice(0).map(({ message }) => `${message.clientId} ${message.topic} ${message.payload}`))
    // The bus reads the next frame to where this one lay.
    frame.fill(0xff)
    await rest
  }
  said.push(...got.map(({ message }) => `${message.clientId} ${message.topic} ${message.payload}`))
  expect(said).toEqual(Array.from({ length: 10 }, (_, i) => `${i < 5 ? 'a' : 'b'} t/${i} ${i}`))
})

test('a batch begins anew once it was taken, whatever was in it', async () => {
  const { broker } = await startBroker()
  const batch = new WireBatch()
  for (const size of [10, 500_000, 10]) {
    batch.add(messageOf(Buffer.alloc(size, 'x'), { clientId: 'a' }), null)
    expect(batch.bytes).toBeGreaterThan(size)
    const { got, steps } = reading(broker, batch.take())
    expect([...steps]).toEqual([])
    expect(got.map(({ message }) => [message.clientId, message.payload.length])).toEqual([['a', size]])
    expect(batch.bytes).toBe(0)
  }
})
