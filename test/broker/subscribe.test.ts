import { expect, test } from 'vitest'
import type { Message } from '../../core/messages/message.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import { startNodes } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'

const text = ({ topic, payload }: Message) => `${topic} ${payload}`

test('the program gets what its filter matches, from clients, wills and itself, and nothing after it has unsubscribed', async () => {
  const { connect, running } = await startBroker()
  const got: string[] = []
  const subscription = running.subscribe('a/#', message => void got.push(text(message)))
  const client = await connect({ version: 5, will: { topic: 'a/will', payload: Buffer.from('gone') } })
  expect(await client.publish('a/1', 'one', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.Success })
  expect(await client.publish('b', 'two', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
  await client.publish('a', 'three', { qos: 2 })
  await running.publish({ topic: 'a/2', payload: 'four' })
  client.drop()
  await settled()
  expect(got).toEqual(['a/1 one', 'a three', 'a/2 four', 'a/will gone'])
  subscription.unsubscribe()
  await running.publish({ topic: 'a/2', payload: 'five' })
  expect(got).toHaveLength(4)
  for (const filter of ['a/#/b', '', '$share/g/a']) expect(() => running.subscribe(filter, () => {})).toThrow(TypeError)
})

test('the acknowledgement waits for the handler, and others do not', async () => {
  const { connect, running } = await startBroker()
  const finish: (() => void)[] = []
  const payloads: string[] = []
  running.subscribe('slow', async message => {
    await new Promise<void>(resolve => finish.push(resolve))
    // It is the handler's for as long as it likes.
    payloads.push(message.payload.toString())
  })
  const [client, other] = [await connect(), await connect()]
  client.sendPublish('slow', 'kept', { qos: 1, packetId: 1 })
  client.sendPublish('quick', 'behind', { qos: 1, packetId: 2 })
  expect(await client.rest()).toEqual([])
  expect(await other.publish('quick', 'x', { qos: 1 })).toBeDefined()
  finish[0]!()
  expect(await client.next(PacketType.Puback)).toMatchObject({ packetId: 1 })
  expect(await client.next(PacketType.Puback)).toMatchObject({ packetId: 2 })
  expect(payloads).toEqual(['kept'])
})

test.each([
  [
    'throws',
    () => {
      throw new Error('no room')
    },
  ],
  ['rejects', () => Promise.reject(new Error('no room'))],
] as const)('a handler that %s withholds the acknowledgement, and is named', async (_what, handler) => {
  const { connect, running, hooks } = await startBroker()
  const errors: string[] = []
  hooks.onError.tap('test', ({ message }) => void errors.push(message))
  running.subscribe('t', handler)
  const client = await connect({ version: 5 })
  client.sendPublish('t', 'x', { qos: 1 })
  await client.ended()
  expect(client.heard.some(({ type }) => type === PacketType.Puback)).toBe(false)
  expect(errors).toEqual(['broker.subscribe("t"): the handler failed: no room'])
  await expect(running.publish({ topic: 't', payload: 'x' })).rejects.toThrow('no room')
})

test('of QoS 0 no more than 1,000 messages are under way', async () => {
  const { connect, running, broker } = await startBroker()
  let finish: () => void = () => {}
  const finished = new Promise<void>(resolve => (finish = resolve))
  let got = 0
  running.subscribe('t', () => {
    got += 1
    return finished
  })
  const client = await connect()
  for (let i = 0; i < 1005; i++) client.sendPublish('t', 'x')
  await client.rest()
  expect([got, broker.counters.dropped.slowReader]).toEqual([1000, 5])
  finish()
  await settled()
  client.sendPublish('t', 'x')
  await client.rest()
  expect(got).toBe(1001)
})

test('in a cluster it gets what other nodes accept, too', async () => {
  const [one, two] = await startNodes(2)
  const got: string[] = []
  one.running.subscribe('t/+', message => void got.push(text(message)))
  await two.wants('t/1', one)
  await (await two.connect()).publish('t/1', 'from there', { qos: 1 })
  await (await one.connect()).publish('t/2', 'from here', { qos: 1 })
  await eventually(() => got.length === 2)
  expect(got.sort()).toEqual(['t/1 from there', 't/2 from here'])
})

test('a receipt that is too late names who holds it', async () => {
  const log = keptLog()
  const { connect, hooks, advance } = await startBroker({ log: false, mqtt: { receiptTimeout: '10s' }, plugins: [log.plugin] })
  hooks.onRoute.tap('audit', (_message, _route, receipt) => {
    const release = receipt.hold('audit')
    receipt.hold('quick')()
    expect(release).toBeTypeOf('function')
  })
  const client = await connect()
  client.sendPublish('t', 'x', { qos: 1 })
  await client.rest()
  await advance(11_000)
  await client.ended()
  expect(log.lines.find(({ message }) => message.includes('was not kept in time'))?.fields).toMatchObject({ heldBy: ['audit'] })
})

test('publisher.kind tells a client from what is left of one', async () => {
  const { connect, hooks } = await startBroker()
  const seen: string[] = []
  hooks.onPublish.tap('test', (publisher, { topic }) => {
    // Narrowed: only a client has a transport.
    seen.push(`${topic} ${publisher.kind === 'client' ? publisher.transport.protocol : publisher.kind}`)
  })
  const client = await connect({ clientId: 'a', will: { topic: 'will' } })
  await client.publish('t', '', { qos: 1 })
  client.drop()
  await settled()
  expect(seen).toEqual(['t memory', 'will undefined'])
})

test('a plugin reports by its name what failed outside of a tap', async () => {
  let fail: (error: unknown) => void = () => {}
  const { hooks } = await startBroker({ plugins: [{ name: 'mine', apply: ({ report }) => void (fail = report) }] })
  const errors: Error[] = []
  hooks.onError.tap('test', error => void errors.push(error))
  const cause = new Error('no route')
  fail(cause)
  fail('text')
  expect(errors.map(({ message }) => message)).toEqual(['mine: no route', 'mine: text'])
  expect(errors[0]!.cause).toBe(cause)
})

test('a client is subscribed and unsubscribed from the server’s side, by the way of its own packets', async () => {
  const { connect, broker, hooks, running } = await startBroker()
  await running.publish({ topic: 'a/1', payload: 'retained', retain: true })
  const asked: string[] = []
  hooks.onAuthorize.tap('test', (_client, action, topic) => (action === 'subscribe' && topic === 'secret' ? false : undefined))
  hooks.onSubscribe.tap('test', (_client, { filter }) => void asked.push(filter))
  const options = { clientId: 'a', version: 5, cleanStart: false, properties: { sessionExpiry: 60 } } as const
  const device = await connect(options)
  const client = broker.clientOf('a')!
  expect(await broker.subscribeClient(client, 'a/#', 1)).toBe(1)
  expect(await broker.subscribeClient(client, 'secret', 1)).toBe(ReasonCode.NotAuthorized)
  await expect(broker.subscribeClient(client, 'a/#/b', 1)).rejects.toThrow('not a topic filter')
  expect((await device.receive()).payload.toString()).toBe('retained')
  expect(asked).toEqual(['a/#'])
  expect(device.heard.map(({ type }) => type)).not.toContain(PacketType.Suback)
  device.drop()
  await eventually(() => broker.clientOf('a') === undefined)
  await running.publish({ topic: 'a/2', payload: 'queued', qos: 1 })
  const again = await connect(options)
  expect((await again.receive()).payload.toString()).toBe('queued')
  expect(await broker.unsubscribeClient(broker.clientOf('a')!, 'a/#')).toBe(0)
  expect(await broker.unsubscribeClient(broker.clientOf('a')!, 'a/#')).toBe(ReasonCode.NoSubscriptionExisted)
  await expect(broker.unsubscribeClient(client, 'a/#')).rejects.toThrow('not connected')
  expect(again.heard.map(({ type }) => type)).not.toContain(PacketType.Unsuback)
})
