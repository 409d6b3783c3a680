import { describe, expect, onTestFinished, test } from 'vitest'
import type { Hooks } from '../../core/hooks.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

/** A broker that notes what failed, and a bystander: a client that nothing may happen to. */
async function start() {
  const test = await startBroker()
  const errors: string[] = []
  test.hooks.onError.tap('test', error => void errors.push(error.message))
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  onTestFinished(() => void process.off('unhandledRejection', note))
  const bystander = await test.connect({ version: 5, clientId: 'bystander' })
  await bystander.subscribe('quiet', 1)
  return { ...test, errors, unhandled, bystander }
}

/** The bystander talks to itself as if nothing had been. */
async function goesOn(bystander: TestClient): Promise<void> {
  bystander.sendPublish('quiet', 'still here', { qos: 1 })
  expect((await bystander.receive()).payload.toString()).toBe('still here')
}

type TapName = Exclude<keyof Hooks, 'onError'>
type AnyHook = {
  tap(name: string, fn: (...args: unknown[]) => unknown): void
  tapAsync(name: string, fn: (...args: unknown[]) => void): void
}

function tap(hooks: Hooks, name: TapName, fn: (...args: unknown[]) => unknown): void {
  ;(hooks[name] as unknown as AnyHook).tap('flaky', fn)
}

const isBystander = (value: unknown): boolean => (value as { clientId?: string } | undefined)?.clientId === 'bystander'

/** What happens to whoever a failing tap was asked about: the refusal, since a deciding hook fails closed. */
const deciding: [TapName, (broker: TestBroker) => Promise<void>][] = [
  [
    'onAuthenticate',
    async ({ open }) => {
      expect(await open(5).connect({ version: 5 })).toMatchObject({ reasonCode: ReasonCode.ImplementationSpecificError })
    },
  ],
  [
    'onConnect',
    async ({ open }) => {
      const connack = await open(5).connect({ version: 5 })
      expect(connack).toMatchObject({
        reasonCode: ReasonCode.ImplementationSpecificError,
        properties: { reasonString: 'plugin flaky failed' },
      })
    },
  ],
  [
    'onSubscribe',
    async ({ connect }) => {
      const client = await connect({ version: 5 })
      expect(await client.subscribe('a')).toEqual([ReasonCode.ImplementationSpecificError])
    },
  ],
  [
    'onAuthorize',
    async ({ connect }) => {
      const client = await connect({ version: 5 })
      expect(await client.publish('a', 'x', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
      expect(await client.subscribe('a')).toEqual([ReasonCode.NotAuthorized])
    },
  ],
  [
    'onPublish',
    async ({ connect }) => {
      const client = await connect({ version: 5 })
      expect(await client.publish('a', 'x', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.ImplementationSpecificError })
      expect(await client.publish('a', 'x', { qos: 2 })).toMatchObject({ reasonCode: ReasonCode.ImplementationSpecificError })
    },
  ],
  [
    'onDeliver',
    async ({ connect }) => {
      const client = await connect({ version: 5 })
      await client.subscribe('a', 1)
      await client.publish('a', 'x', { qos: 1 })
      expect(await client.payloads()).toEqual([])
    },
  ],
]

const failures: [string, () => unknown][] = [
  [
    'throws',
    () => {
      throw new Error('broken')
    },
  ],
  ['rejects', () => Promise.reject(new Error('broken'))],
  ['answers what the hook does not know', () => 'nonsense'],
]

describe.each(deciding)('a tap on %s', (hook, harm) => {
  test.each(failures)('that %s refuses what it was asked about, is named, and harms nobody else', async (_how, fail) => {
    const broker = await start()
    tap(broker.hooks, hook, subject => (isBystander(subject) ? undefined : fail()))
    // Whoever authenticates has to have an opinion on everybody; the bystander is in already.
    await harm(broker)
    expect(broker.errors.length).toBeGreaterThan(0)
    for (const message of broker.errors) expect(message).toMatch(new RegExp(`^flaky, ${hook}: `))
    await goesOn(broker.bystander)
    await settled()
    expect(broker.unhandled).toEqual([])
  })
})

describe.each(['onAuthenticate', 'onConnect', 'onSubscribe', 'onPublish'] as const)('an asynchronous tap on %s', hook => {
  const harm = deciding.find(([name]) => name === hook)![1]

  test('that never answers is answered for when its time is up', async () => {
    const broker = await start()
    ;(broker.hooks[hook] as unknown as AnyHook).tapAsync('flaky', (subject, _about, callback) => {
      if (isBystander(subject)) (callback as () => void)()
    })
    const done = harm(broker)
    // Each question has its own five seconds.
    for (let question = 0; question < 4; question++) {
      await settled()
      await broker.advance(5000)
    }
    await done
    expect(broker.errors[0]).toMatch(/^flaky, .*: gave no answer within 5000 ms; answer sooner or raise mqtt.verdictTimeout$/)
    await goesOn(broker.bystander)
  })

  test('that answers twice is held to its first answer', async () => {
    const broker = await start()
    ;(broker.hooks[hook] as unknown as AnyHook).tapAsync('flaky', (_subject, _about, callback) => {
      const answer = callback as (error: null, value?: unknown) => void
      answer(null, hook === 'onAuthenticate' ? true : undefined)
      answer(null, ReasonCode.Banned)
    })
    const client = await broker.connect({ version: 5 })
    expect(await client.subscribe('a', 1)).toEqual([1])
    client.sendPublish('a', 'x', { qos: 1 })
    expect((await client.receive()).payload.toString()).toBe('x')
    expect(broker.errors[0]).toBe(`flaky, ${hook}: answered twice; the first answer stands`)
  })
})

test('a tap on onAccept that fails closes the new socket only', async () => {
  const broker = await start()
  tap(broker.hooks, 'onAccept', () => {
    throw new Error('broken')
  })
  await broker.open().closed
  expect(broker.errors).toEqual(['flaky, onAccept: broken'])
  await goesOn(broker.bystander)
})

test('a tap on onWill that fails withholds that will only', async () => {
  const broker = await start()
  let asked = 0
  tap(broker.hooks, 'onWill', () => {
    asked += 1
    if (asked === 1) throw new Error('broken')
  })
  const watcher = await broker.connect()
  await watcher.subscribe('wills', 0)
  for (const payload of ['first', 'second']) {
    const dying = await broker.connect({ will: { topic: 'wills', payload: Buffer.from(payload) } })
    dying.drop()
    await settled()
  }
  expect(await watcher.payloads()).toEqual(['second'])
  expect(broker.errors).toEqual(['flaky, onWill: broken'])
})

test('a tap on onShare that fails leaves the choice to the next, or to the broker', async () => {
  const broker = await start()
  ;(broker.hooks.onShare as unknown as { tap(options: object, fn: () => never): void }).tap({ name: 'flaky', stage: -1000 }, () => {
    throw new Error('broken')
  })
  const member = await broker.connect()
  await member.subscribe('$share/g/work', 1)
  await broker.bystander.publish('work', 'x', { qos: 1 })
  expect((await member.receive()).payload.toString()).toBe('x')
  expect(broker.errors).toEqual(['flaky, onShare: broken'])
})

const observing: TapName[] = [
  'onConnected',
  'onSubscribed',
  'onUnsubscribed',
  'onRoute',
  'onDelivered',
  'onAcked',
  'onDrop',
  'onDisconnect',
  'onSessionExpired',
  'onPacketReceived',
  'onPacketSent',
]

describe.each(observing)('a tap on %s, which only observes,', hook => {
  test.each(failures.slice(0, 2))('that %s changes nothing, and the other taps are called', async (_how, fail) => {
    const broker = await start()
    let others = 0
    tap(broker.hooks, hook, fail)
    tap(broker.hooks, hook, () => void (others += 1))
    broker.broker.trace('lively')
    // Does something that every one of these hooks hears of.
    const client = await broker.connect({ version: 5, clientId: 'lively', properties: { sessionExpiry: 1, maximumPacketSize: 100 } })
    expect(await client.subscribe('a', 1)).toEqual([1])
    client.sendPublish('a', 'x', { qos: 1 })
    expect((await client.receive()).payload.toString()).toBe('x')
    await client.publish('a', 'x'.repeat(200), { qos: 1 })
    expect(await client.unsubscribe('a')).toEqual([0])
    client.disconnect()
    await client.closed
    await broker.advance(5000)
    expect(others).toBeGreaterThan(0)
    expect(broker.errors.length).toBeGreaterThan(0)
    for (const message of broker.errors) expect(message).toBe(`flaky, ${hook}: broken`)
    await goesOn(broker.bystander)
    await settled()
    expect(broker.unhandled).toEqual([])
  })
})

test('a tap on onError that fails is logged and ends nothing', async () => {
  const broker = await start()
  broker.hooks.onError.tap('flaky', () => {
    throw new Error('broken too')
  })
  tap(broker.hooks, 'onSubscribed', () => {
    throw new Error('broken')
  })
  const client = await broker.connect()
  await client.subscribe('a')
  await goesOn(broker.bystander)
  expect(client.heard.some(packet => packet.type === PacketType.Suback)).toBe(true)
})
