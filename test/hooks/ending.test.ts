import { describe, expect, test } from 'vitest'
import type { Message } from '../../core/messages/message.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { onLaterStore } from '../support/later-store.ts'
import { noteCalls } from './calls.ts'

const will = { topic: 'will', payload: Buffer.from('gone') }

describe('onWill', () => {
  test('is called once with what is left of the client, after onAuthorize and before onPublish', async () => {
    const { connect, hooks } = await startBroker()
    hooks.onAuthenticate.tap('test', () => ({ username: 'u', rights: { authorizedPub: ['will'] } }))
    const client = await connect({ clientId: 'a', will })
    const calls = noteCalls(hooks, 'onAuthorize', 'onWill', 'onPublish', 'onRoute', 'onDisconnect')
    client.drop()
    await settled()
    expect(calls.map(({ hook }) => hook)).toEqual(['onAuthorize', 'onWill', 'onPublish', 'onRoute', 'onDisconnect'])
    const publisher = { clientId: 'a', username: 'u', rights: { authorizedPub: ['will'] }, mountPoint: '' }
    expect(calls[0]!.args).toEqual([publisher, 'publish', 'will'])
    expect(calls[1]!.args).toEqual([publisher, expect.objectContaining({ topic: 'will', origin: 'will', clientId: 'a' })])
    expect((calls[1]!.args[1] as Message).payload.toString()).toBe('gone')
    expect(calls[2]!.args).toEqual(calls[1]!.args)
  })

  test('is called when the delay is over, though the client is long gone', async () => {
    const { connect, hooks, advance } = await startBroker()
    const calls = noteCalls(hooks, 'onWill')
    const client = await connect({
      clientId: 'a',
      version: 5,
      properties: { sessionExpiry: 60 },
      will: { ...will, properties: { willDelay: 10 } },
    })
    client.drop()
    await settled()
    await advance(9000)
    expect(calls).toEqual([])
    await advance(2000)
    expect(calls).toEqual([{ hook: 'onWill', args: [{ clientId: 'a', username: null, rights: null, mountPoint: '' }, expect.anything()] }])
  })

  test('is not called for a client that leaves in good order', async () => {
    const { connect, hooks } = await startBroker()
    const calls = noteCalls(hooks, 'onWill', 'onPublish')
    const client = await connect({ will })
    client.disconnect()
    await client.closed
    expect(calls).toEqual([])
  })

  for (const [hook, refuse] of [
    ['onAuthorize', false],
    ['onWill', false],
    ['onPublish', false],
    ['onPublish', ReasonCode.QuotaExceeded],
    ['onPublish', 'drop'],
  ] as const) {
    test(`is withheld where ${hook} answers ${JSON.stringify(refuse)}, and onDrop is told`, async () => {
      const { connect, hooks } = await startBroker()
      const watcher = await connect()
      await watcher.subscribe('will')
      ;(hooks[hook] as typeof hooks.onWill).tap('test', () => refuse as false)
      const calls = noteCalls(hooks, 'onDrop', 'onRoute')
      const client = await connect({ clientId: 'a', will })
      client.drop()
      await settled()
      expect(await watcher.payloads()).toEqual([])
      const code = refuse === 'drop' || hook === 'onWill' ? [] : [refuse || ReasonCode.NotAuthorized]
      expect(calls).toEqual([{ hook: 'onDrop', args: ['a', expect.objectContaining({ topic: 'will' }), 'refused', ...code] }])
    })
  }

  test('may change the will, and onPublish sees it changed', async () => {
    const { connect, hooks } = await startBroker()
    const watcher = await connect()
    await watcher.subscribe('changed/will')
    hooks.onWill.tap('first', (_publisher, message) => {
      message.payload = 'changed'
    })
    hooks.onPublish.tapPromise('second', async (_publisher, message) => {
      message.topic = `changed/${message.topic}`
    })
    const client = await connect({ will })
    client.drop()
    expect((await watcher.message()).payload.toString()).toBe('changed')
  })
})

describe('onDisconnect', () => {
  const endings: Record<string, [code: number, by: string, end: (client: TestClient) => void]> = {
    'says good-bye': [0, 'client', client => client.disconnect()],
    'asks for its will': [4, 'client', client => client.disconnect(4)],
    'breaks the connection off': [0x80, 'network', client => client.drop()],
    'breaks the protocol': [0x82, 'server', client => client.sendBytes('82 00')],
  }
  for (const [name, [code, by, end]] of Object.entries(endings)) {
    test(`is called once for a client that ${name}, and says who ended it`, async () => {
      const { connect, hooks } = await startBroker()
      const client = await connect({ clientId: 'a', version: 5 })
      const calls = noteCalls(hooks, 'onDisconnect')
      end(client)
      await client.closed
      await settled()
      expect(calls).toEqual([
        {
          hook: 'onDisconnect',
          args: [expect.objectContaining({ clientId: 'a' }), { code: expect.any(Number), by, message: expect.any(String) }],
        },
      ])
      if (by !== 'server') expect((calls[0]!.args[1] as { code: number }).code).toBe(code)
    })
  }

  test.each([
    ['a receipt that is held for too long', ReasonCode.ServerBusy, (advance: (ms: number) => Promise<void>) => advance(6000)],
    ['a code that no DISCONNECT carries', ReasonCode.NotAuthorized, (_advance: unknown, close: () => void) => close()],
  ] as const)('is told the reason code that the client is told: %s', async (_what, code, end) => {
    const { connect, hooks, advance, broker } = await startBroker({ mqtt: { receiptTimeout: '5s' } })
    hooks.onRoute.tap('forgetful', (_message, _route, receipt) => receipt.hold())
    const client = await connect({ clientId: 'a', version: 5 })
    const calls = noteCalls(hooks, 'onDisconnect')
    client.sendPublish('t', 'x', { qos: 1 })
    await settled()
    await end(advance, () => broker.clientOf('a')!.close(ReasonCode.BadUserNameOrPassword, 'in one word'))
    expect((await client.ended())?.reasonCode).toBe(code)
    expect(calls[0]!.args[1]).toMatchObject({ code, by: 'server' })
  })

  test('is called once for a client that is taken over, before the next one is connected', async () => {
    const { connect, hooks } = await startBroker()
    const first = await connect({ clientId: 'a', version: 5 })
    const calls = noteCalls(hooks, 'onConnect', 'onConnected', 'onDisconnect')
    await connect({ clientId: 'a', version: 5 })
    expect((await first.ended())?.reasonCode).toBe(ReasonCode.SessionTakenOver)
    expect(calls.map(({ hook }) => hook)).toEqual(['onConnect', 'onDisconnect', 'onConnected'])
    expect(calls[1]!.args[1]).toMatchObject({ code: ReasonCode.SessionTakenOver, by: 'server' })
  })

  test('is called once for a client that goes while onConnect is still asked', async () => {
    const { open, hooks } = await startBroker()
    let decide = (): void => {}
    hooks.onConnect.tapPromise('test', () => new Promise<undefined>(resolve => (decide = () => resolve(undefined))))
    const calls = noteCalls(hooks, 'onConnected', 'onDisconnect')
    const client = open()
    client.connect({ clientId: 'a' }).catch(() => {})
    await settled()
    client.drop()
    await settled()
    decide()
    await settled()
    expect(calls.map(({ hook }) => hook)).toEqual(['onDisconnect'])
  })

  test('is called once for a client that goes while the store is asked for its session, which is parked', async () => {
    const { open, connect, hooks, broker, advance } = await startBroker(onLaterStore())
    const { sessions } = broker
    const claim = sessions.claim
    const client = open(5)
    sessions.claim = async request => {
      const claimed = await claim(request)
      client.drop()
      await settled()
      return claimed
    }
    const calls = noteCalls(hooks, 'onConnected', 'onWill', 'onDisconnect', 'onSessionExpired')
    client.connect({ clientId: 'a', cleanStart: false, properties: { sessionExpiry: 10 }, will }).catch(() => {})
    await client.closed
    await settled()
    expect(broker.clientOf('a')).toBeUndefined()
    sessions.claim = claim
    await connect({ clientId: 'b' })
    // A sweep whose answer is still on its way is not followed by another.
    await advance(11_000)
    await advance(1000)
    expect(calls.map(({ hook, args }) => [hook, args.includes('a')])).toEqual([
      ['onDisconnect', false],
      ['onConnected', false],
      ['onSessionExpired', true],
    ])
  })

  test('is not called for a connection that never came to onConnect', async () => {
    const { open, hooks } = await startBroker()
    hooks.onAuthenticate.tap('test', () => false)
    const calls = noteCalls(hooks, 'onDisconnect')
    const refused = open()
    await refused.connect()
    await refused.closed
    const silent = open()
    silent.drop()
    await settled()
    expect(calls).toEqual([])
  })

  test('is waited for by stop, and by nobody else', async () => {
    const { connect, hooks, running } = await startBroker()
    const done: (() => void)[] = []
    hooks.onDisconnect.tapPromise('test', () => new Promise(resolve => done.push(resolve)))
    const client = await connect({ clientId: 'a' })
    client.disconnect()
    await client.closed
    await connect({ clientId: 'a' })
    let stopped = false
    const stopping = running.stop().then(() => {
      stopped = true
    })
    await settled()
    expect(stopped).toBe(false)
    expect(done).toHaveLength(2)
    for (const finish of done) finish()
    await stopping
  })

  test('holds stop up for no longer than the verdict budget', async () => {
    const { connect, hooks, running, advance } = await startBroker()
    hooks.onDisconnect.tapPromise('test', () => new Promise(() => {}))
    await connect()
    const stopping = running.stop()
    await settled()
    await advance(5000)
    await stopping
  })
})

describe('onSessionExpired', () => {
  test('is called once when a session’s time is up', async () => {
    const { connect, hooks, advance } = await startBroker()
    const client = await connect({ clientId: 'a', version: 5, properties: { sessionExpiry: 10 } })
    const calls = noteCalls(hooks, 'onSessionExpired')
    client.disconnect()
    await client.closed
    await advance(9000)
    expect(calls).toEqual([])
    await advance(3000)
    expect(calls).toEqual([{ hook: 'onSessionExpired', args: ['a'] }])
  })

  test('is called when a new connection throws the old session away, and not for a session that ends with its connection', async () => {
    const { connect, hooks } = await startBroker()
    const kept = await connect({ clientId: 'a', cleanStart: false })
    kept.disconnect()
    await kept.closed
    const calls = noteCalls(hooks, 'onSessionExpired', 'onConnected')
    const clean = await connect({ clientId: 'a', cleanStart: true })
    clean.disconnect()
    await clean.closed
    expect(calls.map(({ hook }) => hook)).toEqual(['onSessionExpired', 'onConnected'])
  })
})

describe('onError', () => {
  test('is called with what failed in the broker, though no tap did', async () => {
    const { hooks, broker } = await startBroker()
    const calls = noteCalls(hooks, 'onError')
    const error = new Error('disk full')
    broker.report(error)
    expect(calls).toEqual([{ hook: 'onError', args: [error] }])
  })
})
