import { describe, expect, test } from 'vitest'
import { Stage } from '../../core/hooks.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { settled, startBroker } from '../support/broker.ts'
import { noteCalls } from './calls.ts'

const names = Object.fromEntries(Object.entries(PacketType).map(([name, type]) => [type, name.toUpperCase()]))

test('a client’s whole life calls the hooks in the order of docs/lifecycle.md, and packets leave between them', async () => {
  const { connect, hooks, broker } = await startBroker({ allowAnonymous: true })
  broker.trace('a')
  const steps = noteCalls(hooks)
  const client = await connect({ clientId: 'a', will: { topic: 'will' } })
  await client.subscribe('t', 2)
  client.sendPublish('t', 'hello', { qos: 1 })
  await client.receive()
  await client.unsubscribe('t')
  client.drop()
  await settled()
  const story = steps.map(({ hook, args }) => {
    if (hook === 'onPacketReceived') return `<-- ${names[(args[1] as Packet).type]}`
    if (hook === 'onPacketSent') return `--> ${names[(args[1] as Packet).type]}`
    return hook
  })
  expect(story).toEqual([
    'onAccept',
    '<-- CONNECT',
    'onAttempt',
    'onAuthenticate',
    'onAttempted',
    'onConnect',
    'onSessionOpened',
    'onAnswer',
    '--> CONNACK',
    'onConnected',
    '<-- SUBSCRIBE',
    'onAuthorize',
    'onSubscribe',
    'onRoutesChanged',
    'onAnswer',
    '--> SUBACK',
    'onSubscribed',
    '<-- PUBLISH',
    'onAuthorize',
    'onPublish',
    'onMatch',
    'onRoute',
    'onDeliver',
    '--> PUBLISH',
    'onDelivered',
    '--> PUBACK',
    '<-- PUBACK',
    'onAcked',
    '<-- UNSUBSCRIBE',
    'onUnsubscribe',
    'onRoutesChanged',
    'onAnswer',
    '--> UNSUBACK',
    'onUnsubscribed',
    'onSessionClosed',
    'onAuthorize',
    'onWill',
    'onPublish',
    'onMatch',
    'onRoute',
    'onDisconnect',
    'onClosed',
  ])
})

describe('within a hook', () => {
  test('taps run by stage, and within a stage in the order of the plugin list', async () => {
    const order: string[] = []
    const plugin = (name: string, ...stages: (keyof typeof Stage)[]) => ({
      name,
      apply({ hooks }: { hooks: Awaited<ReturnType<typeof startBroker>>['hooks'] }) {
        for (const stage of stages) {
          const options = stage === 'Default' ? name : { name, stage: Stage[stage] }
          hooks.onPublish.tap(options, () => void order.push(`${stage} ${name}`))
        }
      },
    })
    const all = ['Observe', 'Record', 'Default', 'Transform', 'Guard'] as const
    const { connect } = await startBroker({ plugins: [plugin('a', ...all), plugin('b', ...all)] })
    await (await connect()).publish('t', '', { qos: 1 })
    const stages = ['Guard', 'Transform', 'Default', 'Record', 'Observe']
    expect(order).toEqual(stages.flatMap(stage => [`${stage} a`, `${stage} b`]))
  })

  test('a later tap waits for the promise of an earlier one', async () => {
    const { connect, hooks } = await startBroker()
    const order: string[] = []
    hooks.onPublish.tapPromise('first', async () => {
      await settled()
      order.push('first')
    })
    hooks.onPublish.tap('second', () => void order.push('second'))
    await (await connect()).publish('t', '', { qos: 1 })
    expect(order).toEqual(['first', 'second'])
  })

  test('an async function may be given to tap, and its answer counts', async () => {
    const { open, hooks } = await startBroker()
    // Only plain JavaScript can: for TypeScript this is what tapPromise is for.
    const refuseLater = async () => {
      await settled()
      return false
    }
    hooks.onConnect.tap('test', refuseLater as unknown as () => false)
    expect((await open().connect()).reasonCode).toBe(5)
  })

  test('an answer may be given by callback', async () => {
    const { open, hooks } = await startBroker()
    hooks.onConnect.tapAsync('test', (_client, _connect, callback) => void settled().then(() => callback(null, false)))
    expect((await open().connect()).reasonCode).toBe(5)
  })
})

describe('tracing', () => {
  test('shows the packets of traced clients only, as long as they are traced', async () => {
    const { connect, hooks, broker } = await startBroker()
    const calls = noteCalls(hooks, 'onPacketReceived', 'onPacketSent')
    const [traced, other] = [await connect({ clientId: 'a' }), await connect({ clientId: 'b' })]
    await traced.rest()
    expect(calls).toEqual([])
    broker.trace('a')
    for (const client of [traced, other]) await client.rest()
    expect(calls.map(({ hook, args }) => [hook, (args[0] as { clientId: string }).clientId, (args[1] as Packet).type])).toEqual([
      ['onPacketReceived', 'a', PacketType.Pingreq],
      ['onPacketSent', 'a', PacketType.Pingresp],
    ])
    broker.trace('a', false)
    await traced.rest()
    expect(calls).toHaveLength(2)
  })

  test('gives packets whose payloads stay as they are', async () => {
    const { connect, hooks, broker } = await startBroker()
    broker.trace('a')
    const kept: Buffer[] = []
    hooks.onPacketReceived.tap('test', (_client, packet) => void (packet.type === PacketType.Publish && kept.push(packet.payload)))
    const client = await connect({ clientId: 'a' })
    for (let i = 0; i < 1000; i++) client.sendPublish('t', `${i}`)
    await client.rest()
    expect(kept.map(String)).toEqual(Array.from({ length: 1000 }, (_, i) => `${i}`))
  })

  test('shows a PUBLISH as the client gets it', async () => {
    const { connect, hooks, broker } = await startBroker()
    broker.trace('a')
    const client = await connect({ clientId: 'a', version: 5 })
    await client.subscribe('t', 1, { properties: { subscriptionIdentifiers: [7] } })
    hooks.onDeliver.tap('test', (_client, delivery) => {
      delivery.topic = 'changed'
      delivery.payload = 'changed too'
    })
    const calls = noteCalls(hooks, 'onPacketSent')
    await broker.publish({ topic: 't', payload: 'hello', qos: 1, properties: { messageExpiry: 60 } })
    const { type, topic, payload, qos, retain, dup, packetId, properties } = await client.message()
    expect(calls[0]!.args[1]).toEqual({ type, topic, payload, qos, retain, dup, packetId, properties })
  })
})
