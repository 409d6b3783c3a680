import { expect, test } from 'vitest'
import { Flapping, idsMax } from '../../plugins/limits/flapping.ts'
import { LimitLog } from '../../plugins/limits/limit-log.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

async function started(flapping: object, config: object = {}) {
  const { lines, plugin } = keptLog()
  const kit = await startBroker({ log: false, plugins: [plugin], allowAnonymous: true, limits: { flapping }, ...config })
  const { broker, open, advance } = kit
  return {
    ...kit,
    lines,
    counted: () => broker.counters.limited.flapping,
    /** Sends a CONNECT and moves time on by so much; what has come of it then. */
    async attempt(clientId: string, ms = 0): Promise<{ client: TestClient; code: number | null }> {
      const client = open(5)
      client.sendConnect({ clientId, version: 5 })
      await settled()
      if (ms > 0) await advance(ms)
      const [connack] = client.heard
      return { client, code: connack === undefined ? null : (connack as { reasonCode: number }).reasonCode }
    },
  }
}

test('two devices with one id throw each other out: from the third connection on within a minute each waits for its CONNACK', async () => {
  const { attempt, advance, counted, lines, broker } = await started({ max: 3, delay: '2s' })
  for (let i = 0; i < 3; i++) expect((await attempt('twin')).code).toBe(0)
  expect(counted()).toBe(1)
  const held = await attempt('twin')
  expect(held.code).toBeNull()
  // Who has it, has it meanwhile; others are not concerned.
  expect(broker.clientOf('twin')).toBeDefined()
  expect((await attempt('other')).code).toBe(0)
  await advance(1999)
  expect(held.client.heard).toEqual([])
  await advance(1)
  expect(held.client.heard[0]).toMatchObject({ reasonCode: 0 })
  expect(lines.filter(({ message }) => message.includes('of one client id within 60 s; it is slowed'))).toHaveLength(1)
  // A minute after the first it begins anew.
  await advance(60_000)
  expect((await attempt('twin')).code).toBe(0)
})

test('one that flaps can be banned, by the verb that operators have: it is in the audit, and ends by itself', async () => {
  const { attempt, advance, broker, lines } = await started({ max: 3, ban: '10m' }, { ban: true, admin: { socket: false } })
  for (let i = 0; i < 3; i++) await attempt('twin')
  await settled()
  expect((await broker.inspect('bans')).rows).toMatchObject([
    { by: 'id', name: 'twin', actor: 'limits', reason: '3 connections of one client id within 60 s' },
  ])
  expect(broker.clientOf('twin')).toBeUndefined()
  expect((await attempt('twin')).code).toBe(0x8a)
  expect((await broker.inspect('audit')).rows).toMatchObject([{ actor: 'limits', via: 'program', verb: 'ban' }])
  expect(lines.some(({ message }) => message.endsWith('; it is banned'))).toBe(true)
  await advance(600_001)
  expect((await attempt('twin')).code).toBe(0)
})

test('who is not let in has nobody else slowed or banned; where a guard refuses the ban, the client is slowed', async () => {
  const { attempt, hooks, broker, counted, open } = await started({ max: 3, ban: '10m' }, { ban: true })
  let passes = false
  hooks.onAuthenticate.tap('test', () => passes || false)
  for (let i = 0; i < 5; i++) await attempt('victim')
  expect([counted(), (await broker.inspect('bans')).rows]).toEqual([0, []])
  passes = true
  hooks.onOperate.tap('guard', () => false)
  for (let i = 0; i < 3; i++) await attempt('twin')
  await settled()
  expect((await broker.inspect('bans')).rows).toEqual([])
  const held = await attempt('twin')
  expect(held.code).toBeNull()
  // One that goes while it waits leaves nothing behind.
  held.client.drop()
  await settled()
  expect(open(5).isClosed).toBe(false)
})

test('what does not go together is said at the start, and when the config is read again', async () => {
  const wrong = (flapping: object, config: object = {}) => startBroker({ allowAnonymous: true, limits: { flapping }, ...config })
  await expect(wrong({ max: 3, ban: '10m' })).rejects.toThrow('limits.flapping.ban: plugin ban is off; add ban: true')
  await expect(wrong({ ban: '10m' }, { ban: true })).rejects.toThrow('limits.flapping.ban: means nothing without limits.flapping.max')
  await expect(wrong({ max: 3, delay: '6s' })).rejects.toThrow('limits.flapping.delay: shorter than mqtt.verdictTimeout')
  const { running, connect, broker } = await startBroker({ allowAnonymous: true })
  await expect(running.reload('limits', { flapping: { max: 2, ban: '1m' } })).rejects.toThrow('plugin ban is off')
  await running.reload('limits', { flapping: { max: 2 } })
  await connect({ clientId: 'a' })
  await connect({ clientId: 'a' })
  expect(broker.counters.limited.flapping).toBe(1)
})

test('what is remembered is bounded: ids, however long, and bans a minute', async () => {
  const { broker, clock } = await startBroker({ allowAnonymous: true })
  const operated: object[] = []
  const context = {
    broker: {
      ...broker,
      counters: broker.counters,
      log: broker.log,
      clock,
      operate: async (_actor: object, _verb: string, given: object) => void operated.push(given),
    },
    clock,
    log: broker.log,
  }
  const flapping = new Flapping({ max: 2, within: 60_000, delay: 1000, ban: 1000 }, context as never, new LimitLog(broker))
  const connected = (clientId: string) => flapping.connected({ clientId, remoteAddress: 'x' } as never)
  for (let i = 0; i < idsMax + 50; i++) connected(`${i}`.padEnd(2000, 'x'))
  expect(flapping.size).toBe(idsMax)
  for (let i = 0; i < 150; i++) for (let n = 0; n < 2; n++) connected(`twin${i}`)
  expect(operated).toHaveLength(100)
  clock.advance(60_000)
  for (let n = 0; n < 2; n++) connected('again')
  expect(operated).toHaveLength(101)
})

test('one that gives up at once, again and again, raises the alarm of take-overs, too, and it ends', async () => {
  const { attempt, advance, broker } = await started({ max: 3, delay: '1s' }, { admin: { socket: false } })
  for (let i = 0; i < 3; i++) (await attempt('restless')).client.disconnect()
  await settled()
  const on = async () => (await broker.inspect('alarms')).rows.map(({ name, text }) => `${name}: ${text}`)
  expect(await on()).toEqual(['flapping: client ids connect again and again, and are slowed or banned; the log names them'])
  expect((await broker.inspect('takeovers')).rows).toEqual([])
  await advance(61_000)
  expect(await on()).toEqual([])
})
