import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { SubackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { SubscribeRefusal } from '../../core/refusals.ts'
import { settled, startBroker } from '../support/broker.ts'
import { noteCalls } from './calls.ts'

describe('onAuthorize', () => {
  test('is called once for each filter and each publish, with the publisher, what it wants and the topic as it came', async () => {
    const { connect, hooks } = await startBroker()
    const calls = noteCalls(hooks, 'onAuthorize')
    const client = await connect({ clientId: 'a', version: 5 })
    await client.subscribe(['t/#', '$share/g/t'])
    await client.publish('t/1', '', { qos: 1 })
    expect(calls.map(({ args }) => args)).toEqual([
      [expect.objectContaining({ clientId: 'a', username: null, rights: null }), 'subscribe', 't/#'],
      [expect.objectContaining({ clientId: 'a' }), 'subscribe', '$share/g/t'],
      [expect.objectContaining({ clientId: 'a' }), 'publish', 't/1'],
    ])
  })

  test('lets through by true, refuses by false, and the first opinion wins', async () => {
    const { connect, hooks } = await startBroker()
    hooks.onAuthorize.tap('first', (_publisher, _action, topic) => (topic === 'open' ? true : undefined))
    hooks.onAuthorize.tap('second', () => false)
    const calls = noteCalls(hooks, 'onSubscribe', 'onPublish')
    const client = await connect({ version: 5 })
    expect(await client.subscribe(['open', 'closed'], 1)).toEqual([1, ReasonCode.NotAuthorized])
    expect((await client.publish('closed', '', { qos: 1 }))?.reasonCode).toBe(ReasonCode.NotAuthorized)
    expect(calls).toHaveLength(1)
  })

  test('is not asked about what the broker publishes by itself', async () => {
    const { hooks, broker } = await startBroker()
    const calls = noteCalls(hooks, 'onAuthorize', 'onPublish')
    await broker.publish({ topic: 't', payload: '' })
    expect(calls).toEqual([])
  })
})

describe('onSubscribe', () => {
  test('is called once for each filter, in order, with the client and all that it asked for', async () => {
    const { connect, hooks } = await startBroker()
    const client = await connect({ clientId: 'a', version: 5 })
    await client.subscribe('old')
    const calls = noteCalls(hooks, 'onSubscribe')
    await client.subscribe(['old', 'new'], 2, {
      noLocal: true,
      retainAsPublished: true,
      retainHandling: 1,
      properties: { subscriptionIdentifiers: [7] },
    })
    const asked = { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 1, identifier: 7, lifetime: 'session' }
    expect(calls.map(({ args }) => args)).toEqual([
      [expect.objectContaining({ clientId: 'a' }), { ...asked, requested: 'old', filter: 'old', existed: true }],
      [expect.objectContaining({ clientId: 'a' }), { ...asked, requested: 'new', filter: 'new', existed: false }],
    ])
  })

  test('lowers the QoS of a subscription, and of what it gets', async () => {
    const { connect, hooks, broker } = await startBroker()
    hooks.onSubscribe.tap('test', (_client, subscription) => {
      subscription.qos = 0
    })
    const client = await connect()
    expect(await client.subscribe('t', 2)).toEqual([0])
    await broker.publish({ topic: 't', payload: '', qos: 2 })
    expect((await client.message()).qos).toBe(0)
  })

  for (const qos of [2, 5, -1, Number.NaN, '1', undefined]) {
    test(`does not let a tap make QoS 1 into ${qos}`, async () => {
      const { connect, hooks } = await startBroker()
      hooks.onSubscribe.tap('test', (_client, subscription) => {
        subscription.qos = qos as 2
      })
      expect(await (await connect()).subscribe('t', 1)).toEqual([1])
    })
  }

  for (const [answer, code, properties] of [
    [false, ReasonCode.NotAuthorized, undefined],
    [ReasonCode.QuotaExceeded, ReasonCode.QuotaExceeded, undefined],
    [{ reasonCode: ReasonCode.QuotaExceeded, reasonString: 'too many' }, ReasonCode.QuotaExceeded, { reasonString: 'too many' }],
  ] as const) {
    test(`refuses one filter of several by ${JSON.stringify(answer)}`, async () => {
      const { connect, hooks, broker } = await startBroker()
      hooks.onSubscribe.tap('test', (_client, { filter }) => (filter === 'b' ? (answer as SubscribeRefusal) : undefined))
      const [newer, older] = [await connect({ version: 5 }), await connect()]
      expect(await newer.subscribe(['a', 'b', 'c'], 1)).toEqual([1, code, 1])
      expect(newer.heard.find((packet): packet is SubackPacket => packet.type === PacketType.Suback)?.properties).toEqual(properties)
      expect(await older.subscribe(['a', 'b', 'c'], 1)).toEqual([1, 0x80, 1])
      await broker.publish({ topic: 'b', payload: 'refused' })
      await broker.publish({ topic: 'c', payload: 'granted' })
      expect(await newer.payloads()).toEqual(['granted'])
    })
  }

  test('asks for one filter after the other, and SUBACK waits for the last', async () => {
    const { connect, hooks } = await startBroker()
    const decide: (() => void)[] = []
    const asked: string[] = []
    hooks.onSubscribe.tapPromise('test', (_client, { filter }) => {
      asked.push(filter)
      return new Promise<undefined>(resolve => decide.push(() => resolve(undefined)))
    })
    const client = await connect()
    const subscribing = client.subscribe(['a', 'b'], 1)
    await settled()
    expect(asked).toEqual(['a'])
    decide[0]!()
    await settled()
    expect(asked).toEqual(['a', 'b'])
    expect(client.heard).toHaveLength(1)
    decide[1]!()
    expect(await subscribing).toEqual([1, 1])
  })

  test('ends a subscription with the connection where a tap says so', async () => {
    const { connect, hooks, broker } = await startBroker()
    hooks.onSubscribe.tap('test', (_client, subscription) => {
      if (subscription.filter === 'short') subscription.lifetime = 'connection'
    })
    const options = { clientId: 'a', cleanStart: false } as const
    const first = await connect(options)
    expect(await first.subscribe(['short', 'long'], 1)).toEqual([1, 1])
    await broker.publish({ topic: 'short', payload: 'while connected' })
    expect((await first.message()).payload.toString()).toBe('while connected')
    first.disconnect()
    await first.closed
    for (const topic of ['short', 'long']) await broker.publish({ topic, payload: topic, qos: 1 })
    const again = await connect(options)
    expect(await again.payloads()).toEqual(['long'])
  })

  test('puts another filter in the place of the client’s own, which the client knows it by', async () => {
    const { connect, hooks, broker } = await startBroker()
    hooks.onSubscribe.tap('test', (_client, subscription) => {
      if (subscription.requested === 'old/#') subscription.filter = 'new/+'
    })
    const client = await connect({ version: 5, clientId: 'a' })
    const calls = noteCalls(hooks, 'onSubscribed', 'onUnsubscribed')
    expect(await client.subscribe(['old/#', 'x'], 1)).toEqual([1, 1])
    await broker.publish({ topic: 'new/1', payload: 'matches' })
    await broker.publish({ topic: 'old/1', payload: 'does not' })
    expect(await client.payloads()).toEqual(['matches'])
    expect([...broker.roster.get('a')!.subscriptions.values()]).toEqual([
      expect.objectContaining({ requested: 'old/#', filter: 'new/+' }),
      expect.not.objectContaining({ requested: 'x' }),
    ])
    // It exists by the name that the client gave.
    await client.subscribe('old/#', 0)
    expect(broker.roster.get('a')!.subscriptions.size).toBe(2)
    expect(await client.unsubscribe('new/+', 'old/#')).toEqual([ReasonCode.NoSubscriptionExisted, 0])
    expect(calls.map(({ hook, args }) => [hook, args[1]])).toEqual([
      ['onSubscribed', expect.objectContaining({ requested: 'old/#', filter: 'new/+', existed: false })],
      ['onSubscribed', expect.objectContaining({ requested: 'x', filter: 'x', existed: false })],
      ['onSubscribed', expect.objectContaining({ requested: 'old/#', filter: 'new/+', existed: true })],
      ['onUnsubscribed', { requested: 'old/#', filter: 'new/+' }],
    ])
  })

  test('takes one subscription in the place of another that the client knows by the same name', async () => {
    const { connect, hooks, broker } = await startBroker()
    let place = 'first'
    hooks.onSubscribe.tap('test', (_client, subscription) => {
      subscription.filter = `${place}/${subscription.requested}`
    })
    const options = { clientId: 'a', cleanStart: false } as const
    const client = await connect(options)
    await client.subscribe('x', 1)
    place = 'second'
    await client.subscribe('x', 1)
    client.drop()
    await settled()
    const again = await connect(options)
    for (const topic of ['first/x', 'second/x']) await broker.publish({ topic, payload: topic, qos: 1 })
    expect(await again.payloads()).toEqual(['second/x'])
  })

  test.each([
    ['no topic filter', 'a', 'a/#/b'],
    ['no text', 'a', 7],
    ['a shared one of its own', 'a', '$share/g/a'],
    ['one of its own, of a shared', '$share/g/a', 'a'],
  ])('a tap that makes %s of a filter gets that filter refused, and is said', async (_what, requested, filter) => {
    const { connect, hooks } = await startBroker()
    hooks.onSubscribe.tap('test', (_client, subscription) => {
      if (subscription.requested === requested) subscription.filter = filter as string
    })
    const calls = noteCalls(hooks, 'onError')
    const client = await connect({ version: 5 })
    expect(await client.subscribe([requested, 'b'], 1)).toEqual([ReasonCode.ImplementationSpecificError, 1])
    expect(calls).toHaveLength(1)
  })

  test('subscribes to nothing where a tap serves the filter by itself', async () => {
    const { connect, hooks, broker } = await startBroker()
    hooks.onSubscribe.tap('test', (_client, subscription) => {
      subscription.lifetime = 'none'
    })
    const calls = noteCalls(hooks, 'onSubscribed')
    const client = await connect()
    expect(await client.subscribe('t', 1)).toEqual([1])
    await broker.publish({ topic: 't', payload: '' })
    expect(await client.payloads()).toEqual([])
    expect(calls).toHaveLength(1)
  })
})

describe('onSubscribed', () => {
  test('is called once for each filter that was granted, after SUBACK and before retained messages', async () => {
    const { connect, hooks, broker } = await startBroker()
    await broker.publish({ topic: 'a', payload: 'kept', retain: true })
    hooks.onSubscribe.tap('test', (_client, { filter }) => (filter === 'b' ? false : undefined))
    broker.trace('client')
    const client = await connect({ clientId: 'client' })
    const calls = noteCalls(hooks, 'onSubscribed', 'onPacketSent')
    await client.subscribe(['a', 'b'], 1)
    await client.message()
    expect(calls).toEqual([
      { hook: 'onPacketSent', args: [expect.anything(), expect.objectContaining({ type: PacketType.Suback })] },
      { hook: 'onSubscribed', args: [expect.objectContaining({ clientId: 'client' }), expect.objectContaining({ filter: 'a', qos: 1 })] },
      { hook: 'onPacketSent', args: [expect.anything(), expect.objectContaining({ type: PacketType.Publish })] },
    ])
  })
})

describe('onUnsubscribe', () => {
  test('decides about each filter, in order, before the session loses any', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect({ version: 5, clientId: 'a' })
    await client.subscribe(['a', 'b', 'c'], 1)
    const held = () => [...broker.roster.get('a')!.subscriptions.keys()].join()
    const asked: unknown[] = []
    hooks.onUnsubscribe.tap('test', ({ clientId }, unsubscription) => {
      asked.push([clientId, { ...unsubscription }, held()])
      if (unsubscription.requested === 'a') return false
      if (unsubscription.requested === 'b') return { reasonCode: ReasonCode.QuotaExceeded, reasonString: 'which UNSUBACK cannot say' }
      if (unsubscription.requested === 'x') unsubscription.filter = 'c'
      return undefined
    })
    const { NotAuthorized, UnspecifiedError, NoSubscriptionExisted } = ReasonCode
    expect(await client.unsubscribe('a', 'b', 'x', 'c')).toEqual([NotAuthorized, UnspecifiedError, 0, NoSubscriptionExisted])
    expect(asked).toEqual(['a', 'b', 'x', 'c'].map(requested => ['a', { requested, filter: requested }, 'a,b,c']))
    expect(held()).toBe('a,b')
    // Before MQTT 5 UNSUBACK says nothing; the subscription stays all the same.
    const older = await connect({ clientId: 'older' })
    await older.subscribe('a')
    await older.unsubscribe('a')
    expect([...broker.roster.get('older')!.subscriptions.keys()]).toEqual(['a'])
  })

  test('decides about each of very many', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect({ version: 5, clientId: 'a' })
    const filters = Array.from({ length: 1000 }, (_, i) => `t/${i}`)
    await client.subscribe(filters)
    hooks.onUnsubscribe.tap('test', (_client, { requested }) => (requested.endsWith('0') ? false : undefined))
    const codes = await client.unsubscribe(...filters)
    expect(codes.filter(code => code === ReasonCode.NotAuthorized)).toHaveLength(100)
    expect(broker.roster.get('a')!.subscriptions.size).toBe(100)
  })
})

describe('onUnsubscribed', () => {
  test('is called once for each filter that was there, after UNSUBACK', async () => {
    const { connect, hooks, broker } = await startBroker()
    broker.trace('a')
    const client = await connect({ clientId: 'a' })
    await client.subscribe(['x', 'y'])
    const calls = noteCalls(hooks, 'onUnsubscribed', 'onPacketSent')
    await client.unsubscribe('x', 'never', 'x')
    expect(calls).toEqual([
      { hook: 'onPacketSent', args: [expect.anything(), expect.objectContaining({ type: PacketType.Unsuback })] },
      { hook: 'onUnsubscribed', args: [expect.objectContaining({ clientId: 'a' }), { requested: 'x', filter: 'x' }] },
    ])
  })
})
