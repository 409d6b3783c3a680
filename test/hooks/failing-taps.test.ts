import { describe, expect, onTestFinished, test } from 'vitest'
import { Stage } from '../../core/hooks.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket } from '../../core/protocol/packets.ts'
import { TapError } from '../../core/taps.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { keptLog, type LogLine } from '../support/log.ts'
import { type Scenario, scenarios } from './scenarios.ts'

// Goal: a tap that fails in any way harms only what it was asked about. Method: each hook is provoked by a client called
// `victim`, the tap `broken` fails where it is asked about that client and about nothing else, and another client works on.

type Way = 'tap' | 'tapPromise' | 'tapAsync'
type Fail = (...args: unknown[]) => unknown
interface Failure {
  readonly way: Way
  readonly fail: Fail
  readonly says: RegExp
}

const never = () => new Promise<never>(() => {})
const boom = () => {
  throw new Error('boom')
}
const reject = async () => {
  throw new Error('boom')
}
const lastOf = (args: unknown[]) => args.at(-1) as (error?: unknown, answer?: unknown) => void

const ofAll: Record<string, Failure> = {
  'that throws': { way: 'tap', fail: boom, says: /boom/ },
  'that throws something that is no error': {
    way: 'tap',
    fail: () => {
      throw 'boom'
    },
    says: /boom/,
  },
}
const ofSync: Record<string, Failure> = {
  ...ofAll,
  'that is async and rejects': { way: 'tap', fail: reject, says: /boom|needs its answer at once/ },
}
const ofDeciding: Record<string, Failure> = {
  ...ofSync,
  'that gives a promise, though the answer is needed at once': { way: 'tap', fail: never, says: /needs its answer at once/ },
  'whose answer is nonsense': { way: 'tap', fail: () => 'nonsense', says: /answered "nonsense", which this hook does not know/ },
}
const ofAsync: Record<string, Failure> = {
  ...ofAll,
  'whose promise rejects': { way: 'tapPromise', fail: reject, says: /boom/ },
  'whose promise rejects without a reason': { way: 'tapPromise', fail: () => Promise.reject(), says: /failed without a reason/ },
  'that is given to tap, is async and rejects': { way: 'tap', fail: reject, says: /boom/ },
  'whose callback gets an error': { way: 'tapAsync', fail: (...args) => lastOf(args)(new Error('boom')), says: /boom/ },
  'that throws before it calls back': { way: 'tapAsync', fail: boom, says: /boom/ },
  'that takes a callback, is async and rejects': { way: 'tapAsync', fail: reject, says: /boom/ },
  'that never answers': { way: 'tapPromise', fail: never, says: /gave no answer within 5000 ms/ },
  'that never calls back': { way: 'tapAsync', fail: () => {}, says: /gave no answer within 5000 ms/ },
}
const ofDecidingAsync: Record<string, Failure> = {
  ...ofAsync,
  'whose answer is nonsense': { way: 'tap', fail: () => 'nonsense', says: /answered "nonsense", which this hook does not know/ },
  'whose promise brings nonsense': { way: 'tapPromise', fail: async () => 'nonsense', says: /answered "nonsense"/ },
}
const failuresOf = { observe: ofSync, decide: ofDeciding, observeAsync: ofAsync, decideAsync: ofDecidingAsync }

interface Watched {
  readonly broker: TestBroker
  readonly lines: LogLine[]
  readonly errors: unknown[]
  readonly unhandled: unknown[]
}

async function start({ hook, arrange }: Scenario): Promise<Watched> {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', onUnhandled)
  onTestFinished(() => void process.off('unhandledRejection', onUnhandled))
  const { lines, plugin } = keptLog()
  const broker = await startBroker({ allowAnonymous: true, log: false, plugins: [plugin] })
  const errors: unknown[] = []
  if (hook !== 'onError') broker.hooks.onError.tap('test', error => void errors.push(error))
  await arrange?.(broker)
  return { broker, lines, errors, unhandled }
}

/** Only what the victim is part of. The first connection is its own, before anybody knows its name. */
function tapAbout({ hooks }: TestBroker, { hook }: Scenario, way: Way, fail: Fail): { asked: number } {
  const calls = { asked: 0 }
  const isVictim = (value: unknown): boolean => {
    if (value === 'victim') return true
    const { clientId, topic, plugin } = (value ?? {}) as Record<string, unknown>
    return clientId === 'victim' || plugin === 'victim' || (typeof topic === 'string' && topic.startsWith('victim'))
  }
  let first = true
  const about = (args: unknown[]) => (hook === 'onAccept' || hook === 'onClosed' ? first : args.some(isVictim))
  const tap = (...args: unknown[]): unknown => {
    if (!about(args)) return way === 'tapAsync' ? lastOf(args)() : way === 'tapPromise' ? Promise.resolve() : undefined
    first = false
    calls.asked += 1
    return fail(...args)
  }
  // In front of the built-in plugins, for the first opinion wins.
  const named = { name: 'broken', stage: Stage.Guard }
  ;(hooks[hook] as unknown as Record<Way, (options: object, fn: Fail) => void>)[way](named, tap)
  return calls
}

/** Connects, subscribes, publishes and hears its own message. */
async function worksOn({ connect }: TestBroker, clientId: string): Promise<void> {
  const other = await connect({ version: 5, clientId })
  expect(await other.subscribe('others/#', 1)).toEqual([1])
  other.sendPublish('others/1', 'hello', { qos: 1 })
  expect((await other.receive()).payload.toString()).toBe('hello')
  expect((await other.next<AckPacket>(PacketType.Puback)).reasonCode).toBe(0)
  other.disconnect()
  await other.closed
}

for (const scenario of scenarios) {
  const { hook, kind, harmed, unharmed } = scenario
  describe(hook, () => {
    test('is provoked by its scenario, and a tap without an opinion changes nothing', async () => {
      const { broker, errors } = await start(scenario)
      const calls = tapAbout(broker, scenario, 'tap', () => undefined)
      expect(await scenario.provoke(broker)).toEqual(unharmed)
      expect(calls.asked).toBeGreaterThan(0)
      expect(errors).toEqual([])
    })

    test.each(Object.entries(failuresOf[kind]))('a tap %s harms only what it was asked about', async (_name, { way, fail, says }) => {
      const { broker, lines, errors, unhandled } = await start(scenario)
      const calls = tapAbout(broker, scenario, way, fail)
      const outcome = scenario.provoke(broker)
      await settled()
      await worksOn(broker, 'meanwhile')
      await broker.advance(5000)
      expect(await outcome).toEqual(harmed)
      await worksOn(broker, 'afterwards')
      await settled()
      expect(calls.asked).toBeGreaterThan(0)
      expect(unhandled).toEqual([])
      const line = lines.find(({ level, fields }) => level === 'error' && fields.plugin === 'broken')
      expect(line).toMatchObject({ fields: { plugin: 'broken', hook }, message: expect.stringMatching(says) })
      if (hook !== 'onError') {
        expect(errors).toContainEqual(expect.any(TapError))
        expect(errors).toContainEqual(expect.objectContaining({ code: 'ERR_TAP', plugin: 'broken', hook }))
      }
      expect(broker.broker.counters.tapErrors).toBeGreaterThanOrEqual(calls.asked)
    })

    if (kind === 'observe' || kind === 'observeAsync') {
      test('calls the other taps though one throws', async () => {
        const { broker } = await start(scenario)
        tapAbout(broker, scenario, 'tap', boom)
        const second = tapAbout(broker, scenario, 'tap', () => undefined)
        await scenario.provoke(broker)
        expect(second.asked).toBeGreaterThan(0)
      })
    }

    if (kind === 'observeAsync' || kind === 'decideAsync') {
      test('takes the first of two answers, and reports the second', async () => {
        const { broker, errors, unhandled } = await start(scenario)
        tapAbout(broker, scenario, 'tapAsync', (...args) => {
          lastOf(args)()
          lastOf(args)(null, false)
        })
        expect(await scenario.provoke(broker)).toEqual(unharmed)
        await settled()
        expect(errors).toContainEqual(
          expect.objectContaining({ plugin: 'broken', hook, message: expect.stringContaining('answered twice') }),
        )
        expect(unhandled).toEqual([])
      })

      test('reports what a tap throws after it has called back', async () => {
        const { broker, errors } = await start(scenario)
        tapAbout(broker, scenario, 'tapAsync', (...args) => {
          lastOf(args)()
          boom()
        })
        expect(await scenario.provoke(broker)).toEqual(unharmed)
        expect(errors).toContainEqual(expect.objectContaining({ plugin: 'broken', hook, message: expect.stringContaining('boom') }))
      })

      test('hears nothing of an answer, or a failure, that comes after the verdict budget', async () => {
        const { broker, errors, unhandled } = await start(scenario)
        const late: ((error: Error) => void)[] = []
        tapAbout(broker, scenario, 'tapPromise', () => new Promise((_resolve, fail) => late.push(fail)))
        const outcome = scenario.provoke(broker)
        await settled()
        await broker.advance(4999)
        expect(errors).toEqual([])
        await broker.advance(1)
        expect(await outcome).toEqual(harmed)
        const reported = errors.length
        for (const fail of late) fail(new Error('late'))
        await settled()
        expect(errors).toHaveLength(reported)
        expect(unhandled).toEqual([])
      })
    }
  })
}
