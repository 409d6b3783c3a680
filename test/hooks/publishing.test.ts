import { describe, expect, test } from 'vitest'
import type { Message } from '../../core/messages/message.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import { settled, startBroker } from '../support/broker.ts'
import { noteCalls } from './calls.ts'

describe('onPublish', () => {
  test('is called once, with the publisher and its message, before routing', async () => {
    const { connect, hooks } = await startBroker()
    const calls = noteCalls(hooks, 'onPublish', 'onRoute')
    const client = await connect({ clientId: 'a', version: 5 })
    await client.publish('t', 'hello', { qos: 2, retain: true, properties: { contentType: 'text' } })
    expect(calls.map(({ hook }) => hook)).toEqual(['onPublish', 'onRoute'])
    const [publisher, message] = calls[0]!.args as [unknown, Message]
    expect(publisher).toMatchObject({ clientId: 'a', username: null, rights: null })
    expect(message).toMatchObject({
      topic: 't',
      qos: 2,
      retain: true,
      origin: 'client',
      clientId: 'a',
      properties: { contentType: 'text' },
    })
    expect(message.payload.toString()).toBe('hello')
  })

  test('is not called again for a QoS 2 message that is sent again', async () => {
    const { connect, hooks } = await startBroker()
    const calls = noteCalls(hooks, 'onPublish', 'onRoute')
    const client = await connect()
    client.sendPublish('t', '', { qos: 2, packetId: 9 })
    await client.next(PacketType.Pubrec)
    client.sendPublish('t', '', { qos: 2, packetId: 9, dup: true })
    await client.next(PacketType.Pubrec)
    expect(calls.map(({ hook }) => hook)).toEqual(['onPublish', 'onRoute'])
  })

  test('changes topic, payload, QoS, retain and properties for everybody', async () => {
    const { connect, hooks } = await startBroker()
    const reader = await connect({ version: 5 })
    await reader.subscribe('new/t', 2, { retainAsPublished: true })
    hooks.onPublish.tap('test', (_publisher, message) => {
      message.topic = `new/${message.topic}`
      message.payload = `${message.payload}!`
      message.qos = 1
      message.retain = true
      message.properties = { userProperties: [['k', 'v']] }
    })
    const writer = await connect({ version: 5 })
    writer.sendPublish('t', 'hello', { qos: 2 })
    await writer.next(PacketType.Pubrec)
    const message = await reader.message()
    expect(message).toMatchObject({ topic: 'new/t', qos: 1, retain: true, properties: { userProperties: [['k', 'v']] } })
    expect(message.payload.toString()).toBe('hello!')
  })

  test('composes what several taps change', async () => {
    const { connect, hooks } = await startBroker()
    const client = await connect()
    await client.subscribe('t')
    for (const letter of ['b', 'c']) {
      hooks.onPublish.tapPromise(letter, async (_publisher, message) => {
        message.payload += letter
      })
    }
    client.sendPublish('t', 'a')
    expect((await client.message()).payload.toString()).toBe('abc')
  })

  test('lets a tap lower the QoS to 0', async () => {
    const { connect, hooks } = await startBroker()
    const [reader, writer] = [await connect(), await connect()]
    await reader.subscribe('t', 2)
    hooks.onPublish.tap('test', (_publisher, message) => {
      message.qos = 0
    })
    await writer.publish('t', '', { qos: 2 })
    expect((await reader.message()).qos).toBe(0)
  })

  for (const qos of [2, 3, -1, Number.NaN, '0', undefined]) {
    test(`does not let a tap make QoS 1 into ${qos}`, async () => {
      const { connect, hooks } = await startBroker()
      const [reader, writer] = [await connect(), await connect()]
      await reader.subscribe('t', 2)
      hooks.onPublish.tap('test', (_publisher, message) => {
        message.qos = qos as 2
      })
      await writer.publish('t', '', { qos: 1 })
      expect((await reader.receive()).qos).toBe(1)
    })
  }

  test.each([
    ['a topic with a wildcard', { topic: 'a/#' }],
    ['an empty topic', { topic: '' }],
    ['a topic that is no string', { topic: undefined }],
    ['properties that are none', { properties: 'text' }],
    ['a user property that is no pair', { properties: { userProperties: [['k']] } }],
    ['a correlation that is no bytes', { properties: { correlationData: 7 } }],
    ['a topic alias, which is each connection’s own', { properties: { topicAlias: 1 } }],
    ['a text that is too long', { properties: { contentType: 'x'.repeat(65_536) } }],
    ['a payload that is no bytes', { payload: 7 }],
  ])('refuses a message to which a tap gave %s, and says so', async (_name, change) => {
    for (const later of [false, true]) {
      const { connect, hooks } = await startBroker()
      const calls = noteCalls(hooks, 'onError', 'onRoute')
      const apply = (message: Message): undefined => void Object.assign(message, change)
      if (later) hooks.onPublish.tapPromise('test', (_publisher, message) => settled().then(() => apply(message)))
      else hooks.onPublish.tap('test', (_publisher, message) => apply(message))
      const client = await connect({ version: 5 })
      expect((await client.publish('t', '', { qos: 1 }))?.reasonCode).toBe(ReasonCode.ImplementationSpecificError)
      expect(calls.map(({ hook }) => hook)).toEqual(['onError'])
    }
  })

  for (const qos of [1, 2] as const) {
    test.each<[PublishVerdict | true, number, object | undefined]>([
      [ReasonCode.QuotaExceeded, 0x97, undefined],
      [false, 0x87, undefined],
      [
        { reasonCode: ReasonCode.QuotaExceeded, reasonString: 'enough', userProperties: [['k', 'v']] },
        0x97,
        { reasonString: 'enough', userProperties: [['k', 'v']] },
      ],
      [ReasonCode.MessageRateTooHigh, 0x80, undefined],
      ['drop', 0, undefined],
      [ReasonCode.Success, 0x10, undefined],
      [true, 0x10, undefined],
    ])(`answers a QoS ${qos} publish as the verdict %j says in MQTT 5`, async (verdict, reasonCode, properties) => {
      const { connect, hooks } = await startBroker()
      const passes = reasonCode === 0x10
      hooks.onPublish.tap('test', () => verdict as PublishVerdict)
      const calls = noteCalls(hooks, 'onRoute', 'onDrop')
      const client = await connect({ clientId: 'a', version: 5 })
      expect(await client.publish('t', '', { qos })).toMatchObject({ reasonCode, properties })
      await client.rest()
      expect(calls).toEqual([
        passes
          ? { hook: 'onRoute', args: expect.anything() }
          : { hook: 'onDrop', args: ['a', expect.objectContaining({ topic: 't' }), 'refused', ...(reasonCode === 0 ? [] : [reasonCode])] },
      ])
    })

    test.each<[PublishVerdict, 'ack' | 'close', boolean]>([
      [ReasonCode.QuotaExceeded, 'ack', false],
      [ReasonCode.QuotaExceeded, 'close', true],
      [false, 'close', true],
      ['drop', 'close', false],
    ])(`answers a QoS ${qos} publish with the verdict %j before MQTT 5 by the option %s`, async (verdict, deniedPublish, closes) => {
      const { connect, hooks } = await startBroker({ mqtt: { deniedPublish } })
      hooks.onPublish.tap('test', () => verdict)
      const calls = noteCalls(hooks, 'onRoute')
      const client = await connect()
      if (closes) {
        client.sendPublish('t', '', { qos })
        await client.closed
        expect(client.heard).toHaveLength(1)
      } else {
        expect(await client.publish('t', '', { qos })).toMatchObject({ reasonCode: 0 })
      }
      expect(calls).toEqual([])
    })
  }

  test('says nothing to a QoS 0 publisher that it refuses', async () => {
    const { connect, hooks } = await startBroker()
    hooks.onPublish.tap('test', () => false)
    const client = await connect({ version: 5 })
    await client.publish('t')
    expect(await client.rest()).toEqual([])
  })

  test('gives payloads that stay as they are, over thousands of publishes', async () => {
    const { connect, hooks } = await startBroker()
    const kept: Buffer[] = []
    hooks.onPublish.tap('test', (_publisher, { payload }) => void kept.push(payload))
    const client = await connect()
    for (let i = 0; i < 3000; i++) client.sendPublish('t', `${i}`.repeat(1 + (i % 50)))
    await client.rest()
    expect(kept.map(String)).toEqual(Array.from({ length: 3000 }, (_, i) => `${i}`.repeat(1 + (i % 50))))
  })

  test('still decides on a message whose connection has ended meanwhile', async () => {
    const { connect, hooks } = await startBroker()
    const reader = await connect()
    await reader.subscribe('t')
    let decide = (): void => {}
    hooks.onPublish.tapPromise('test', () => new Promise<undefined>(resolve => (decide = () => resolve(undefined))))
    const writer = await connect()
    writer.sendPublish('t', 'last words')
    await settled()
    writer.drop()
    await settled()
    decide()
    expect((await reader.message()).payload.toString()).toBe('last words')
  })

  test('is undone by nobody: DISCONNECT behind a pending verdict waits for it', async () => {
    const { connect, hooks } = await startBroker()
    let decide = (): void => {}
    hooks.onPublish.tapPromise('test', () => new Promise<undefined>(resolve => (decide = () => resolve(undefined))))
    const calls = noteCalls(hooks, 'onRoute', 'onDisconnect')
    const client = await connect()
    client.sendPublish('t')
    client.disconnect()
    await settled()
    expect(calls).toEqual([])
    decide()
    await client.closed
    expect(calls.map(({ hook }) => hook)).toEqual(['onRoute', 'onDisconnect'])
  })
})
