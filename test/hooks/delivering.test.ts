import { describe, expect, test } from 'vitest'
import type { Delivery } from '../../core/messages/delivery.ts'
import type { Message } from '../../core/messages/message.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { settled, startBroker } from '../support/broker.ts'
import { noteCalls } from './calls.ts'

describe('onDeliver', () => {
  test('is called once for each subscriber, with what it is to get', async () => {
    const { connect, hooks, broker } = await startBroker()
    for (const clientId of ['a', 'b']) await (await connect({ clientId, version: 5 })).subscribe('t', 1)
    const calls = noteCalls(hooks, 'onDeliver')
    await broker.publish({ topic: 't', payload: 'hello', qos: 2, properties: { contentType: 'text' } })
    expect(calls.map(({ args }) => (args[0] as { clientId: string }).clientId)).toEqual(['a', 'b'])
    const delivery = calls[0]!.args[1] as Delivery
    expect(delivery).toMatchObject({ topic: 't', qos: 1, retain: false, properties: { contentType: 'text' } })
    expect(delivery.payload.toString()).toBe('hello')
    expect(delivery.message).toMatchObject({ qos: 2, origin: 'server' })
  })

  test('leaves out one subscriber where a tap answers false, and says so to onDrop', async () => {
    for (const qos of [0, 1, 2] as const) {
      const { connect, hooks, broker } = await startBroker()
      const [a, b] = [await connect({ clientId: 'a' }), await connect({ clientId: 'b' })]
      for (const client of [a, b]) await client.subscribe('t', 2)
      hooks.onDeliver.tap('test', ({ clientId }) => (clientId === 'a' ? false : undefined))
      const calls = noteCalls(hooks, 'onDrop', 'onDelivered')
      await broker.publish({ topic: 't', payload: 'hello', qos })
      expect((await b.receive()).payload.toString()).toBe('hello')
      expect(await a.payloads()).toEqual([])
      expect(calls).toEqual([
        { hook: 'onDrop', args: ['a', expect.objectContaining({ topic: 't' }), 'filtered'] },
        { hook: 'onDelivered', args: [expect.objectContaining({ clientId: 'b' }), expect.objectContaining({ topic: 't' })] },
      ])
      expect(broker.counters.dropped.filtered).toBe(1)
    }
  })

  for (const cleanStart of [true, false]) {
    test(`frees the place in the window of what it filters, in a session that ${cleanStart ? 'ends with' : 'outlives'} its connection`, async () => {
      const { connect, hooks, broker } = await startBroker()
      const properties = { receiveMaximum: 1, sessionExpiry: cleanStart ? 0 : 60 }
      const client = await connect({ clientId: 'a', version: 5, cleanStart, properties })
      await client.subscribe('t', 2)
      hooks.onDeliver.tap('test', (_client, { payload }) => (payload.toString() === 'last' ? undefined : false))
      for (const payload of ['1', '2', '3', 'last']) await broker.publish({ topic: 't', payload, qos: 2 })
      expect((await client.receive()).payload.toString()).toBe('last')
    })
  }

  test('changes what one subscriber gets, and nobody else', async () => {
    const { connect, hooks, broker } = await startBroker()
    const [a, b, c] = [
      await connect({ clientId: 'a', version: 5 }),
      await connect({ clientId: 'b', version: 5 }),
      await connect({ clientId: 'c' }),
    ]
    for (const client of [a, b, c]) await client.subscribe('t', 1)
    hooks.onDeliver.tap('test', ({ clientId }, delivery) => {
      if (clientId !== 'b') return
      delivery.topic = 'other'
      delivery.payload = 'changed'
      delivery.retain = true
      delivery.properties = { contentType: 'text' }
    })
    await broker.publish({ topic: 't', payload: 'hello', qos: 1 })
    const [atA, atB, atC] = [await a.receive(), await b.receive(), await c.receive()]
    for (const packet of [atA, atC]) {
      expect(packet).toMatchObject({ topic: 't', retain: false })
      expect(packet.payload.toString()).toBe('hello')
    }
    expect(atA.properties).toBeUndefined()
    expect(atB).toMatchObject({ topic: 'other', retain: true, properties: { contentType: 'text' } })
    expect(atB.payload.toString()).toBe('changed')
  })

  test('composes what several taps change, in their order', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect()
    await client.subscribe('t')
    for (const letter of ['b', 'c']) {
      hooks.onDeliver.tap(letter, (_client, delivery) => {
        delivery.payload = `${delivery.payload}${letter}`
      })
    }
    await broker.publish({ topic: 't', payload: 'a' })
    expect((await client.message()).payload.toString()).toBe('abc')
  })

  test.each([
    ['a topic with a wildcard', { topic: '+' }],
    ['a topic that is no string', { topic: 7 }],
    ['properties that no PUBLISH can carry', { properties: { userProperties: 'x' } }],
    ['a payload that is no bytes', { payload: {} }],
  ])('leaves out one subscriber where a tap gave its delivery %s, and says so', async (_name, change) => {
    const { connect, hooks, broker } = await startBroker()
    const [a, b] = [await connect({ clientId: 'a', version: 5 }), await connect({ clientId: 'b', version: 5 })]
    for (const client of [a, b]) await client.subscribe('t', 1)
    hooks.onDeliver.tap('test', ({ clientId }, delivery) => void (clientId === 'a' && Object.assign(delivery, change)))
    const calls = noteCalls(hooks, 'onError', 'onDrop')
    await broker.publish({ topic: 't', payload: 'hello', qos: 1 })
    expect((await b.receive()).payload.toString()).toBe('hello')
    expect(await a.payloads()).toEqual([])
    expect(calls.map(({ hook }) => hook)).toEqual(['onError', 'onDrop'])
  })

  test('judges what waited for a session when it is sent, and once more for a DUP', async () => {
    const { connect, hooks, broker } = await startBroker()
    const options = { clientId: 'a', cleanStart: false } as const
    const first = await connect(options)
    await first.subscribe('t', 1)
    first.disconnect()
    await first.closed
    const calls = noteCalls(hooks, 'onDeliver', 'onDelivered')
    await broker.publish({ topic: 't', payload: 'waits', qos: 1 })
    expect(calls).toEqual([])
    const second = await connect(options)
    expect((await second.message()).dup).toBe(false)
    second.drop()
    await settled()
    const third = await connect(options)
    expect((await third.receive()).dup).toBe(true)
    expect(calls.map(({ hook }) => hook)).toEqual(['onDeliver', 'onDelivered', 'onDeliver', 'onDelivered'])
  })

  test('is called for retained messages too', async () => {
    const { connect, hooks, broker } = await startBroker()
    await broker.publish({ topic: 't', payload: 'kept', retain: true })
    const calls = noteCalls(hooks, 'onDeliver')
    const client = await connect()
    await client.subscribe('t')
    await client.message()
    expect(calls).toEqual([{ hook: 'onDeliver', args: [expect.anything(), expect.objectContaining({ retain: true })] }])
  })

  test('may publish by itself, and each message is sent to and kept for its own subscribers', async () => {
    const { connect, hooks, broker } = await startBroker()
    const kept = await connect({ clientId: 'kept', cleanStart: false })
    await kept.subscribe('t', 1)
    const passing = await connect({ clientId: 'passing' })
    await passing.subscribe('t', 1)
    const echo = await connect({ clientId: 'echo', cleanStart: false })
    await echo.subscribe('echo', 1)
    hooks.onDeliver.tap('test', ({ clientId }, { message }) => {
      if (clientId === 'passing') broker.publish({ topic: 'echo', payload: `echo of ${message.payload}`, qos: 1 })
    })
    await broker.publish({ topic: 't', payload: 'hello', qos: 1 })
    expect((await kept.message()).payload.toString()).toBe('hello')
    kept.drop()
    await settled()
    const again = await connect({ clientId: 'kept', cleanStart: false })
    expect((await again.receive()).payload.toString()).toBe('hello')
    expect((await passing.receive()).payload.toString()).toBe('hello')
    expect((await echo.receive()).payload.toString()).toBe('echo of hello')
  })
})

describe('onDelivered', () => {
  test('is called once, when the PUBLISH is written', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect({ clientId: 'a' })
    await client.subscribe('t', 1)
    const calls = noteCalls(hooks, 'onDeliver', 'onDelivered', 'onAcked')
    await broker.publish({ topic: 't', payload: 'hello', qos: 1 })
    await client.message()
    expect(calls.map(({ hook }) => hook)).toEqual(['onDeliver', 'onDelivered'])
    expect(calls[1]!.args).toEqual([expect.objectContaining({ clientId: 'a' }), expect.objectContaining({ topic: 't' })])
    expect((calls[1]!.args[1] as Message).payload.toString()).toBe('hello')
  })
})

describe('onAcked', () => {
  for (const qos of [1, 2] as const) {
    for (const cleanStart of [true, false]) {
      test(`is called once when the handshake of a QoS ${qos} delivery is over, ${cleanStart ? 'clean' : 'durable'} session`, async () => {
        const { connect, hooks, broker } = await startBroker()
        const client = await connect({ clientId: 'a', cleanStart })
        await client.subscribe('t', qos)
        const calls = noteCalls(hooks, 'onAcked')
        await broker.publish({ topic: 't', payload: 'hello', qos })
        await client.message()
        expect(calls).toEqual([])
        if (qos === 1) client.ack(PacketType.Puback, 1)
        else {
          client.ack(PacketType.Pubrec, 1)
          await client.next(PacketType.Pubrel)
          expect(calls).toEqual([])
          client.ack(PacketType.Pubcomp, 1)
        }
        await client.rest()
        expect(calls).toEqual([
          { hook: 'onAcked', args: [expect.objectContaining({ clientId: 'a' }), expect.objectContaining({ topic: 't' })] },
        ])
      })
    }
  }

  test('is not called for QoS 0', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect()
    await client.subscribe('t')
    const calls = noteCalls(hooks, 'onAcked')
    await broker.publish({ topic: 't', payload: '' })
    await client.rest()
    expect(calls).toEqual([])
  })
})

describe('onDrop', () => {
  test('tells of a QoS 0 message for a session without a connection', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect({ clientId: 'a', cleanStart: false })
    await client.subscribe('t', 1)
    client.disconnect()
    await client.closed
    const calls = noteCalls(hooks, 'onDrop')
    await broker.publish({ topic: 't', payload: '' })
    expect(calls).toEqual([{ hook: 'onDrop', args: ['a', expect.objectContaining({ topic: 't' }), 'offline'] }])
    expect(broker.counters.dropped.offline).toBe(1)
  })

  test('tells of a message that expired while it waited', async () => {
    const { connect, hooks, broker, advance } = await startBroker()
    const options = { clientId: 'a', cleanStart: false } as const
    const client = await connect(options)
    await client.subscribe('t', 1)
    client.disconnect()
    await client.closed
    await broker.publish({ topic: 't', payload: '', qos: 1, properties: { messageExpiry: 1 } })
    const calls = noteCalls(hooks, 'onDrop')
    await advance(2000)
    await (await connect(options)).rest()
    expect(calls.map(({ args }) => args[2])).toEqual(['expired'])
  })

  test('tells of a message that is larger than the client accepts', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect({ clientId: 'a', version: 5, properties: { maximumPacketSize: 50 } })
    await client.subscribe('t', 1)
    const calls = noteCalls(hooks, 'onDrop')
    await broker.publish({ topic: 't', payload: 'x'.repeat(50), qos: 1 })
    await client.rest()
    expect(calls).toEqual([{ hook: 'onDrop', args: ['a', expect.objectContaining({ topic: 't' }), 'tooLarge'] }])
  })

  test('tells of a message for which a session’s queue has no room', async () => {
    const { connect, hooks, broker } = await startBroker({ mqtt: { queueMessagesMax: 1 } })
    const client = await connect({ clientId: 'a', cleanStart: false })
    await client.subscribe('t', 1)
    client.disconnect()
    await client.closed
    const calls = noteCalls(hooks, 'onDrop')
    for (const payload of ['kept', 'dropped']) await broker.publish({ topic: 't', payload, qos: 1 })
    expect(calls.map(({ args }) => [args[0], (args[1] as Message).payload.toString(), args[2]])).toEqual([['a', 'dropped', 'queueFull']])
  })

  test('tells of what waited in a session that ended', async () => {
    const { connect, hooks, broker } = await startBroker()
    const client = await connect({ clientId: 'a', cleanStart: false })
    await client.subscribe('t', 1)
    client.disconnect()
    await client.closed
    await broker.publish({ topic: 't', payload: '', qos: 1 })
    const calls = noteCalls(hooks, 'onDrop')
    await connect({ clientId: 'a', cleanStart: true })
    expect(calls).toEqual([{ hook: 'onDrop', args: ['a', expect.objectContaining({ topic: 't' }), 'sessionEnded'] }])
  })
})
