import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AuthPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, AuthStep, ConnectRefusal } from '../../core/refusals.ts'
import { settled, startBroker } from '../support/broker.ts'
import { noteCalls } from './calls.ts'

describe('onAccept', () => {
  test('is called once for a new socket, before a byte is read', async () => {
    const { open, hooks } = await startBroker()
    const calls = noteCalls(hooks, 'onAccept', 'onConnect')
    const client = open()
    expect(calls).toEqual([{ hook: 'onAccept', args: [expect.objectContaining({ protocol: 'memory', remoteAddress: 'memory' })] }])
    await client.connect({ clientId: 'a' })
    expect(calls.map(({ hook }) => hook)).toEqual(['onAccept', 'onConnect'])
  })

  test('closes the socket without a word where a tap answers false', async () => {
    const { open, hooks } = await startBroker()
    hooks.onAccept.tap('test', () => false)
    const calls = noteCalls(hooks, 'onAuthenticate', 'onConnect', 'onDisconnect')
    const client = open()
    await client.closed
    expect(client.heard).toEqual([])
    expect(calls).toEqual([])
  })
})

describe('onAuthenticate', () => {
  test('is called once with the client and its CONNECT, before onConnect', async () => {
    const { open, hooks } = await startBroker({ allowAnonymous: true })
    const calls = noteCalls(hooks, 'onAuthenticate', 'onAuth', 'onConnect')
    await open().connect({ clientId: 'a', username: 'u', password: 'p' })
    expect(calls).toEqual([
      {
        hook: 'onAuthenticate',
        args: [
          expect.objectContaining({ clientId: 'a' }),
          expect.objectContaining({ clientId: 'a', username: 'u', password: Buffer.from('p') }),
        ],
      },
      { hook: 'onConnect', args: [expect.objectContaining({ clientId: 'a' }), expect.objectContaining({ clientId: 'a' })] },
    ])
  })

  test('leaves no user name to a client that is let in though nobody vouches for it', async () => {
    const { open, hooks, broker } = await startBroker({ allowAnonymous: true })
    hooks.onAuthenticate.tap('test', () => undefined)
    await open().connect({ clientId: 'a', username: 'admin' })
    expect(broker.clientOf('a')?.username).toBeNull()
  })

  for (const [admission, username, rights] of [
    [true, 'given', null],
    [{}, 'given', null],
    [{ username: 'other' }, 'other', null],
    [{ username: null, rights: { authorizedPub: ['a/#'] } }, null, { authorizedPub: ['a/#'] }],
  ] as const) {
    test(`admits a client as ${JSON.stringify(admission)} says`, async () => {
      const { open, hooks, broker } = await startBroker()
      hooks.onAuthenticate.tap('test', () => admission)
      hooks.onAuthorize.tap('test', () => undefined)
      expect((await open().connect({ clientId: 'a', username: 'given' })).reasonCode).toBe(0)
      expect(broker.clientOf('a')).toMatchObject({ username, rights })
    })
  }

  test('does not ask later taps after the first opinion', async () => {
    const { open, hooks } = await startBroker()
    hooks.onAuthenticate.tap('first', () => ({}))
    hooks.onAuthenticate.tap('second', () => false)
    expect((await open().connect()).reasonCode).toBe(0)
  })

  test('asks the next tap where one has no opinion', async () => {
    const { open, hooks } = await startBroker()
    hooks.onAuthenticate.tapPromise('first', async () => undefined)
    hooks.onAuthenticate.tap('second', () => ReasonCode.BadUserNameOrPassword)
    expect((await open(5).connect()).reasonCode).toBe(ReasonCode.BadUserNameOrPassword)
  })

  for (const [config, tapped, code] of [
    [{}, false, 0],
    [{ allowAnonymous: true }, false, 0],
    [{ allowAnonymous: false }, false, ReasonCode.NotAuthorized],
    [{}, true, ReasonCode.NotAuthorized],
    [{ allowAnonymous: true }, true, 0],
    [{ allowAnonymous: false }, true, ReasonCode.NotAuthorized],
  ] as const) {
    const taps = tapped ? 'taps without an opinion' : 'no tap'
    test(`answers a client ${code === 0 ? 'that it lets in' : 'with 0x87'}, given ${taps} and ${JSON.stringify(config)}`, async () => {
      const { open, hooks } = await startBroker(config)
      if (tapped) hooks.onAuthenticate.tap('test', () => undefined)
      expect((await open(5).connect()).reasonCode).toBe(code)
    })
  }

  test('ends a client when its admission expires', async () => {
    const { connect, hooks, clock, advance } = await startBroker()
    hooks.onAuthenticate.tap('test', (): Admission => ({ expiresAt: clock.now() + 60_000 }))
    const client = await connect({ version: 5 })
    await advance(59_999)
    await client.rest()
    await advance(1)
    expect((await client.ended())?.reasonCode).toBe(ReasonCode.NotAuthorized)
  })

  test.each([
    ['a slip of the pen', { usrname: 'u' }],
    ['a user name that is no string', { username: 7 }],
    ['rights that are no lists', { rights: { authorizedPub: 'a/#' } }],
    ['an expiry that is no number', { expiresAt: 'tomorrow' }],
    ['an error', new Error('no')],
    ['a list', []],
    ['a refusal without a reason code', { reasonString: 'no' }],
    ['a refusal whose reason code is a success', { reasonCode: 0 }],
    ['a reason code that is a success', ReasonCode.Success],
    ['a word', 'yes'],
  ])('refuses a client where the answer is %s, and says so', async (_name, nonsense) => {
    const { open, hooks } = await startBroker({ allowAnonymous: true })
    const errors: string[] = []
    hooks.onError.tap('test', ({ message }) => void errors.push(message))
    hooks.onAuthenticate.tap('careless', () => nonsense as Admission)
    expect((await open(5).connect()).reasonCode).toBe(ReasonCode.ImplementationSpecificError)
    expect(errors).toEqual([expect.stringMatching(/^careless, onAuthenticate: answered .*, which this hook does not know$/)])
  })
})

describe('onAuth', () => {
  const withMethod = {
    version: 5,
    clientId: 'a',
    properties: { authenticationMethod: 'test', authenticationData: Buffer.from('1') },
  } as const
  const data = (text: string) => ({ authenticationMethod: 'test', authenticationData: Buffer.from(text) })

  test('is called for a CONNECT with an authentication method in place of onAuthenticate, and again for each AUTH', async () => {
    const { open, hooks, broker } = await startBroker()
    const calls = noteCalls(hooks, 'onAuthenticate', 'onAuth', 'onConnect')
    const steps: AuthStep[] = [
      { continue: true, data: Buffer.from('2'), reasonString: 'go on' },
      { admission: { username: 'proven' }, data: Buffer.from('4') },
    ]
    hooks.onAuth.tapPromise('test', async () => steps.shift())
    const client = open(5)
    const connecting = client.connect(withMethod)
    await settled()
    expect(client.heard).toMatchObject([
      { type: PacketType.Auth, reasonCode: ReasonCode.ContinueAuthentication, properties: { ...data('2'), reasonString: 'go on' } },
    ])
    client.send({ type: PacketType.Auth, reasonCode: ReasonCode.ContinueAuthentication, properties: data('3') })
    expect(await connecting).toMatchObject({ reasonCode: 0, properties: data('4') })
    expect(broker.clientOf('a')?.username).toBe('proven')
    expect(calls.map(({ hook }) => hook)).toEqual(['onAuth', 'onAuth', 'onConnect'])
    expect(calls[0]!.args).toEqual([expect.objectContaining({ clientId: 'a' }), expect.objectContaining({ properties: data('1') })])
    expect(calls[1]!.args).toEqual([expect.objectContaining({ clientId: 'a' }), expect.objectContaining({ properties: data('3') })])
  })

  for (const [answer, code] of [
    [false, ReasonCode.NotAuthorized],
    [ReasonCode.Banned, ReasonCode.Banned],
    [{ reasonCode: ReasonCode.BadUserNameOrPassword }, ReasonCode.BadUserNameOrPassword],
    [undefined, ReasonCode.BadAuthenticationMethod],
    [{ admission: 'me' }, ReasonCode.ImplementationSpecificError],
    [true, ReasonCode.ImplementationSpecificError],
  ] as const) {
    test(`refuses with 0x${code.toString(16)} where a tap answers ${JSON.stringify(answer)}`, async () => {
      const { open, hooks } = await startBroker()
      hooks.onAuth.tap('test', () => answer as AuthStep)
      const client = open(5)
      expect((await client.connect(withMethod)).reasonCode).toBe(code)
      await client.closed
    })
  }

  for (const [answer, heard] of [
    [{ admission: { username: 'again' } }, { type: PacketType.Auth, reasonCode: 0 }],
    [ReasonCode.NotAuthorized, { type: PacketType.Disconnect, reasonCode: ReasonCode.NotAuthorized }],
  ] as const) {
    test(`re-authenticates a connected client by its answer ${JSON.stringify(answer)}`, async () => {
      const { connect, hooks, broker } = await startBroker()
      hooks.onAuth.tap('test', (_client, { reasonCode }) => (reasonCode === 0 ? { admission: { username: 'first' } } : answer))
      const client = await connect(withMethod)
      client.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: data('5') })
      expect(await client.next<AuthPacket>(heard.type as typeof PacketType.Auth)).toMatchObject(heard)
      expect(broker.clientOf('a')?.username).toBe('admission' in Object(answer) ? 'again' : undefined)
    })
  }
})

describe('onConnect', () => {
  test('waits for a promise before CONNACK leaves, and holds nobody else up', async () => {
    const { open, connect, hooks } = await startBroker()
    let load = (): void => {}
    hooks.onConnect.tapPromise('test', ({ clientId }) =>
      clientId === 'a' ? new Promise<undefined>(resolve => (load = () => resolve(undefined))) : Promise.resolve(undefined),
    )
    const client = open()
    const connecting = client.connect({ clientId: 'a' })
    await settled()
    await connect({ clientId: 'b' })
    expect(client.heard).toEqual([])
    load()
    expect((await connecting).reasonCode).toBe(0)
  })

  test('calls all taps in turn until one refuses, and none can admit', async () => {
    const { open, hooks } = await startBroker()
    const asked: string[] = []
    for (const [name, answer] of [
      ['none', undefined],
      ['true', true],
      ['success', ReasonCode.Success],
      ['refuses', ReasonCode.ServerBusy],
      ['too late', ReasonCode.Banned],
    ] as const) {
      hooks.onConnect.tap(name, () => {
        asked.push(name)
        return answer as ConnectRefusal | undefined
      })
    }
    expect((await open(5).connect()).reasonCode).toBe(ReasonCode.ServerBusy)
    expect(asked).toEqual(['none', 'true', 'success', 'refuses'])
  })

  const full = {
    reasonCode: ReasonCode.UseAnotherServer,
    reasonString: 'full',
    serverReference: 'other.example:1883',
    userProperties: [['k', 'v'] as const],
  }
  for (const [answer, five, three] of [
    [false, { reasonCode: 0x87 }, 5],
    [ReasonCode.BadUserNameOrPassword, { reasonCode: 0x86 }, 4],
    [ReasonCode.ServerUnavailable, { reasonCode: 0x88 }, 3],
    [
      full,
      { reasonCode: 0x9c, properties: { reasonString: 'full', serverReference: 'other.example:1883', userProperties: [['k', 'v']] } },
      3,
    ],
  ] as const) {
    test(`refuses with ${JSON.stringify(answer)}: CONNACK 0x${five.reasonCode.toString(16)}, or ${three} before MQTT 5`, async () => {
      const { open, hooks } = await startBroker()
      const calls = noteCalls(hooks, 'onConnected', 'onDisconnect')
      hooks.onConnect.tap('test', () => answer as ConnectRefusal)
      const [newer, older] = [open(5), open(4)]
      expect(await newer.connect()).toMatchObject({ ...five, sessionPresent: false })
      expect(await older.connect()).toMatchObject({ reasonCode: three, sessionPresent: false })
      await newer.closed
      await older.closed
      expect(calls.map(({ hook }) => hook)).toEqual(['onDisconnect', 'onDisconnect'])
    })
  }

  test('leaves the earlier connection of the same client id alone where it refuses', async () => {
    const { connect, open, hooks } = await startBroker()
    const first = await connect({ clientId: 'a' })
    hooks.onConnect.tap('test', () => ReasonCode.Banned)
    await open().connect({ clientId: 'a' })
    await first.rest()
    expect(first.isClosed).toBe(false)
  })
})

describe('onConnected', () => {
  test('is called once, after CONNACK and before anything else that the client gets', async () => {
    const { connect, hooks, broker } = await startBroker()
    const first = await connect({ clientId: 'a', cleanStart: false })
    await first.subscribe('t', 1)
    first.disconnect()
    await first.closed
    await broker.publish({ topic: 't', payload: 'waits', qos: 1 })
    broker.trace('a')
    const calls = noteCalls(hooks, 'onConnected', 'onPacketSent', 'onDelivered')
    const again = await connect({ clientId: 'a', cleanStart: false })
    await again.receive()
    expect(calls.map(({ hook }) => hook)).toEqual(['onPacketSent', 'onConnected', 'onPacketSent', 'onDelivered'])
    expect(calls[0]!.args[1]).toMatchObject({ type: PacketType.Connack })
    expect(calls[1]!.args).toEqual([expect.objectContaining({ clientId: 'a' }), true])
  })

  test('says that a new session is none that was present', async () => {
    const { connect, hooks } = await startBroker()
    const calls = noteCalls(hooks, 'onConnected')
    await connect({ clientId: 'a' })
    expect(calls).toEqual([{ hook: 'onConnected', args: [expect.objectContaining({ clientId: 'a' }), false] }])
  })
})
