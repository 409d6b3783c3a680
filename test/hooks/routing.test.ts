import { describe, expect, test } from 'vitest'
import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/connection/client.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Member } from '../../core/routing/share-group.ts'
import type { Route } from '../../core/routing/target.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { noteCalls } from './calls.ts'

/** Takes hold of the receipt of each message, by its payload. */
function holdReceipts({ hooks }: TestBroker): Map<string, Receipt> {
  const receipts = new Map<string, Receipt>()
  hooks.onRoute.tap('test', ({ payload }, _route, receipt) => {
    receipt.hold()
    receipts.set(payload.toString(), receipt)
  })
  return receipts
}

describe('onRoute', () => {
  test('is called once for each accepted message, with whom it matches, wherever it came from', async () => {
    const { connect, hooks, broker } = await startBroker()
    const reader = await connect({ clientId: 'reader' })
    await reader.subscribe(['t/+', 't/#'], 1)
    await reader.subscribe('$share/g/t/+', 1)
    const calls = noteCalls(hooks, 'onRoute')
    const writer = await connect({ clientId: 'writer', will: { topic: 't/will' } })
    await writer.publish('t/client', '', { qos: 1 })
    await broker.publish({ topic: 't/server', payload: '' })
    writer.drop()
    await settled()
    expect(calls.map(({ args }) => args[0])).toMatchObject([
      { topic: 't/client', origin: 'client', clientId: 'writer' },
      { topic: 't/server', origin: 'server', clientId: '' },
      { topic: 't/will', origin: 'will', clientId: 'writer' },
    ])
    const route = calls[0]!.args[1] as Route<Session>
    expect(route.targets.map(({ subscriber }) => subscriber.clientId)).toEqual(['reader'])
    expect(route.groups.map(({ key }) => key)).toEqual(['$share/g/t/+'])
  })

  test('is called where nobody has subscribed, too', async () => {
    const { hooks, broker } = await startBroker()
    const calls = noteCalls(hooks, 'onRoute')
    await broker.publish({ topic: 't', payload: '' })
    expect(calls).toHaveLength(1)
  })

  for (const [qos, ack] of [
    [1, PacketType.Puback],
    [2, PacketType.Pubrec],
  ] as const) {
    test(`keeps the acknowledgement of a QoS ${qos} publish back until its receipt is released, not its delivery`, async () => {
      const broker = await startBroker()
      const receipts = holdReceipts(broker)
      const [reader, writer] = [await broker.connect(), await broker.connect()]
      await reader.subscribe('t')
      writer.sendPublish('t', 'a', { qos })
      expect((await reader.message()).payload.toString()).toBe('a')
      expect(await writer.rest()).toEqual([])
      receipts.get('a')!.release()
      expect(await writer.next(ack)).toMatchObject({ packetId: 1 })
    })

    test(`acknowledges QoS ${qos} publishes in their order, though the first receipt is released last`, async () => {
      const broker = await startBroker()
      const receipts = holdReceipts(broker)
      const writer = await broker.connect()
      for (const payload of ['a', 'b', 'c']) writer.sendPublish('t', payload, { qos })
      await settled()
      for (const payload of ['c', 'b', 'a']) {
        expect(writer.heard).toHaveLength(1)
        receipts.get(payload)!.release()
        await settled()
      }
      expect(writer.heard.slice(1)).toMatchObject([1, 2, 3].map(packetId => ({ type: ack, packetId })))
    })
  }

  test('waits for as many releases as there were holds, of all taps', async () => {
    const broker = await startBroker()
    const [first, second] = [holdReceipts(broker), holdReceipts(broker)]
    const writer = await broker.connect()
    writer.sendPublish('t', 'a', { qos: 1 })
    await settled()
    first.get('a')!.release()
    expect(await writer.rest()).toEqual([])
    second.get('a')!.release()
    await writer.next(PacketType.Puback)
  })

  for (const version of [4, 5] as const) {
    test(`disconnects a publisher of version ${version} whose message a tap could not keep, without acknowledging it`, async () => {
      const broker = await startBroker()
      const receipts = holdReceipts(broker)
      const [writer, other] = [await broker.connect({ version }), await broker.connect()]
      writer.sendPublish('t', 'a', { qos: 1 })
      other.sendPublish('t', 'b', { qos: 1 })
      await settled()
      receipts.get('a')!.release(new Error('disk full'))
      expect((await writer.ended())?.reasonCode).toBe(version === 5 ? ReasonCode.ServerBusy : undefined)
      expect(writer.heard.some(({ type }) => type === PacketType.Puback)).toBe(false)
      receipts.get('b')!.release()
      await other.next(PacketType.Puback)
    })
  }

  test('makes broker.publish wait for the receipt, and fail with its error', async () => {
    const broker = await startBroker()
    const receipts = holdReceipts(broker)
    const kept = broker.running.publish({ topic: 't', payload: 'kept' })
    const lost = broker.running.publish({ topic: 't', payload: 'lost' })
    receipts.get('kept')!.release()
    receipts.get('lost')!.release(new Error('disk full'))
    await kept
    await expect(lost).rejects.toThrow('disk full')
  })

  test('refuses a hold that comes when the call is over', async () => {
    const { hooks, broker } = await startBroker()
    let receipt: Receipt | undefined
    hooks.onRoute.tap('test', (_message, _route, given) => {
      receipt = given
    })
    await broker.publish({ topic: 't', payload: '' })
    expect(() => receipt!.hold()).toThrow('hold it synchronously, inside onRoute')
  })
})

describe('onShare', () => {
  const group = '$share/g/t'

  test('is called once for each group of several, with its members, and picks who gets the message', async () => {
    const { connect, hooks, broker } = await startBroker({ shareTopic: false, plugins: [{ name: 'share', apply: enableShares }] })
    const [a, b, plain] = [await connect({ clientId: 'a' }), await connect({ clientId: 'b' }), await connect({ clientId: 'plain' })]
    for (const client of [a, b]) await client.subscribe(group, 1)
    await plain.subscribe('t', 1)
    const calls = noteCalls(hooks, 'onShare')
    hooks.onShare.tap('test', ({ members }) => members.find(({ subscriber }) => subscriber.clientId === 'b'))
    for (const payload of ['1', '2']) await broker.publish({ topic: 't', payload })
    expect(await a.payloads()).toEqual([])
    expect(await b.payloads()).toEqual(['1', '2'])
    expect(await plain.payloads()).toEqual(['1', '2'])
    expect(calls).toHaveLength(2)
    expect(calls[0]!.args).toEqual([expect.objectContaining({ name: 'g', filter: 't' }), expect.objectContaining({ topic: 't' })])
  })

  test('is not asked for a group of one, who gets it', async () => {
    const { connect, hooks, broker } = await startBroker()
    const only = await connect()
    await only.subscribe(group, 1)
    const calls = noteCalls(hooks, 'onShare')
    await broker.publish({ topic: 't', payload: 'hello' })
    expect(await only.payloads()).toEqual(['hello'])
    expect(calls).toEqual([])
  })

  test('leaves it to the first member that is connected where no tap has an opinion', async () => {
    const { connect, broker } = await startBroker({ shareTopic: false, plugins: [{ name: 'share', apply: enableShares }] })
    const away = await connect({ clientId: 'away', cleanStart: false })
    await away.subscribe(group, 1)
    const [a, b] = [await connect(), await connect()]
    for (const client of [a, b]) await client.subscribe(group, 1)
    away.disconnect()
    await away.closed
    await broker.publish({ topic: 't', payload: 'hello', qos: 1 })
    expect(await a.payloads()).toEqual(['hello'])
    expect(await b.payloads()).toEqual([])
  })

  test.each([
    ['that has no subscriber', {}],
    ['without a subscription', { subscriber: {} }],
    ['that is a client id', 'b'],
    ['that is false', false],
  ])('takes a member %s for no opinion, and says so', async (_name, nonsense) => {
    const { connect, hooks, broker } = await startBroker({ shareTopic: false, plugins: [{ name: 'share', apply: enableShares }] })
    const away = await connect({ clientId: 'away', cleanStart: false })
    await away.subscribe(group, 1)
    away.disconnect()
    await away.closed
    const a = await connect()
    await a.subscribe(group, 1)
    hooks.onShare.tap('test', () => nonsense as Member<Session>)
    const calls = noteCalls(hooks, 'onError')
    await broker.publish({ topic: 't', payload: 'hello' })
    expect(await a.payloads()).toEqual(['hello'])
    expect(calls).toEqual([{ hook: 'onError', args: [expect.objectContaining({ plugin: 'test', hook: 'onShare' })] }])
  })
})

function enableShares({ broker }: { broker: Broker }): void {
  broker.capabilities.sharedSubscriptions = true
}
