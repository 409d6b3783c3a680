import { expect, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { startBroker } from '../support/broker.ts'

type Verb = 'claim' | 'append' | 'subscribe' | 'unsubscribe'

/** A broker on a store of which some verbs fail while they are in `failing`. */
async function start(failing: Set<Verb>, error: () => Error = () => new StoreAwayError('the store is away')) {
  const store = definePlugin({
    name: 'failing',
    provides: ['sessions', 'retained'],
    apply({ services, clock }) {
      const sessions = new MemorySessions(clock)
      const flaky = new Proxy(sessions, {
        get(target, name) {
          const value = Reflect.get(target, name) as unknown
          if (typeof value !== 'function') return value
          return (...args: unknown[]) => (failing.has(name as Verb) ? Promise.reject(error()) : Reflect.apply(value, target, args))
        },
      })
      services.provide('sessions', flaky, 'failing')
      services.provide('retained', new MemoryRetained(clock), 'failing')
    },
  })
  return startBroker({ memory: false, plugins: [store()] })
}

const durable = { version: 5, clientId: 'durable', cleanStart: false, properties: { sessionExpiry: 3600 } } as const

test('a SUBSCRIBE of several filters that the store does not keep is answered, filter by filter, or the connection is closed', async () => {
  const failing = new Set<Verb>()
  const { connect } = await start(failing)
  const client = await connect(durable)
  failing.add('subscribe')
  const answered = await Promise.race([client.subscribe(['a', 'b', 'c'], 1), client.ended()])
  if (Array.isArray(answered)) expect(answered.every(code => code >= 0x80)).toBe(true)
  else expect(answered?.reasonCode).toBeGreaterThanOrEqual(0x80)
})

test('a message that the store does not keep is not acknowledged; its publisher is disconnected, and sends it again', async () => {
  const failing = new Set<Verb>()
  const { connect } = await start(failing)
  const reader = await connect(durable)
  await reader.subscribe('a', 1)
  reader.drop()
  await reader.closed
  const writer = await connect({ version: 5 })
  failing.add('append')
  writer.sendPublish('a', 'x', { qos: 1 })
  expect((await writer.ended())?.reasonCode).toBe(ReasonCode.ServerBusy)
  failing.clear()
  const again = await connect({ version: 5 })
  expect(await again.publish('a', 'x', { qos: 1, dup: true })).toMatchObject({ reasonCode: 0 })
  const back = await connect(durable)
  expect((await back.receive()).payload.toString()).toBe('x')
})

test('while the store is away who needs it is refused with 0x88, and who does not is served', async () => {
  const failing = new Set<Verb>(['claim'])
  const { open, connect } = await start(failing)
  expect(await open(5).connect(durable)).toMatchObject({ reasonCode: ReasonCode.ServerUnavailable })
  expect(await open(4).connect({ clientId: 'durable', cleanStart: false })).toMatchObject({ reasonCode: 3 })
  failing.clear()
  const client = await connect({ version: 5 })
  failing.add('append')
  await client.subscribe('a', 1)
  client.sendPublish('a', 'x', { qos: 1 })
  expect((await client.receive()).payload.toString()).toBe('x')
})

const full = () => new StoreFullError('no space left on the device')

test.each([1, 2] as const)('a store that is full is told to a QoS %i publisher of MQTT 5, which may go on', async qos => {
  const failing = new Set<Verb>()
  const { connect } = await start(failing, full)
  const reader = await connect(durable)
  await reader.subscribe('a', 2)
  reader.drop()
  await reader.closed
  const writer = await connect({ ...durable, clientId: 'writer' })
  failing.add('append')
  expect(await writer.publish('a', 'lost', { qos, packetId: 9 })).toMatchObject({ packetId: 9, reasonCode: ReasonCode.QuotaExceeded })
  failing.clear()
  expect(await writer.publish('a', 'kept', { qos, packetId: 9 })).toMatchObject({ packetId: 9, reasonCode: 0 })
  const back = await connect(durable)
  expect((await back.receive()).payload.toString()).toBe('kept')
})

test('a publisher of MQTT 3.1.1 is disconnected where the store is full, as it could not be told otherwise', async () => {
  const failing = new Set<Verb>()
  const { connect } = await start(failing, full)
  const reader = await connect(durable)
  await reader.subscribe('a', 1)
  const writer = await connect({ version: 4 })
  failing.add('append')
  writer.sendPublish('a', 'x', { qos: 1 })
  await writer.closed
  expect(writer.heard).toHaveLength(1)
  expect(reader.isClosed).toBe(false)
})

test('SUBSCRIBE and CONNECT are answered with 0x97 where the store is full', async () => {
  const failing = new Set<Verb>()
  const { connect, open } = await start(failing, full)
  const client = await connect(durable)
  failing.add('subscribe')
  expect(await client.subscribe(['a', 'b'], 1)).toEqual([ReasonCode.QuotaExceeded, ReasonCode.QuotaExceeded])
  failing.clear()
  expect(await client.subscribe('a', 1)).toEqual([1])
  failing.add('claim')
  expect(await open(5).connect({ ...durable, clientId: 'other' })).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
})
