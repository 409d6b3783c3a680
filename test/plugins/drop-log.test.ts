import { expect, test } from 'vitest'
import { ClientLines } from '../../plugins/kit/client-lines.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { startBroker } from '../support/broker.ts'
import { keptLog, type LogLine } from '../support/log.ts'

async function started(config = {}) {
  const { lines, plugin } = keptLog()
  const kit = await startBroker({ log: false, plugins: [plugin], ...config })
  return { ...kit, lines, said: (text: string) => lines.filter(({ message }) => message === text) }
}

test('what the full queue of an offline session drops is two lines with its name, not 1,900', async () => {
  const { connect, advance, said, broker } = await started({ mqtt: { queueMessagesMax: 100 } })
  const reader = await connect({ clientId: 'reader', cleanStart: false })
  await reader.subscribe('a/#', 1)
  reader.drop()
  await reader.closed
  const writer = await connect({ clientId: 'writer' })
  for (let i = 0; i < 2000; i++) await writer.publish(`a/${i}`, 'x', { qos: 1 })
  expect(broker.counters.dropped.queueFull).toBe(1900)
  await advance(11_000)
  expect(said('message dropped')).toMatchObject([
    { level: 'warn', fields: { clientId: 'reader', reason: 'queueFull', topic: 'a/100', count: 1 } },
    { level: 'warn', fields: { clientId: 'reader', reason: 'queueFull', topic: 'a/101', count: 1899 } },
  ])
})

test('each reason and each client has a line of its own, with the reason code of a refusal', async () => {
  const { connect, hooks, said, broker } = await started()
  hooks.onAuthorize.tap('test', (_publisher, _action, topic) => (topic.startsWith('no') ? false : undefined))
  for (const clientId of ['one', 'two']) {
    const client = await connect({ clientId, version: 5 })
    for (let i = 0; i < 5; i++) await client.publish(`no/${i}`, 'x', { qos: 1 })
    expect(await client.subscribe(['no/a', 'yes', 'no/b'], 1)).toEqual([0x87, 1, 0x87])
  }
  expect(said('publish refused')).toMatchObject([
    { level: 'info', fields: { clientId: 'one', reason: 'refused', reasonCode: 0x87, topic: 'no/0', count: 1 } },
    { level: 'info', fields: { clientId: 'two', reason: 'refused', reasonCode: 0x87, topic: 'no/0', count: 1 } },
  ])
  expect(said('subscription refused')).toMatchObject([
    { level: 'info', fields: { clientId: 'one', reasonCode: 0x87, filter: 'no/a', count: 1 } },
    { level: 'info', fields: { clientId: 'two', reasonCode: 0x87, filter: 'no/a', count: 1 } },
  ])
  expect(broker.counters.subscriptionsRefused).toBe(4)
})

test('a QoS 0 message for a slow reader is a line, too', async () => {
  const { connect, said, broker } = await started()
  const reader = await connect({ clientId: 'slow' })
  const message = { topic: 'a', payloadLength: 1 } as never
  broker.drop(reader.version === 4 ? 'slow' : '', message, 'slowReader')
  expect(said('message dropped')).toMatchObject([{ fields: { clientId: 'slow', reason: 'slowReader', topic: 'a' } }])
})

const event = { level: 'warn', text: 'something', who: 'clientId', about: 'topic' } as const

function linesOf(options = {}) {
  const clock = new ManualClock()
  const kept: LogLine[] = []
  const write = (level: string) => (fields: object, message: string) => void kept.push({ level, fields: fields as never, message })
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), isLevelEnabled: (level: string) => level !== 'debug' }
  return { clock, kept, lines: new ClientLines(clock, log as never, options) }
}

test('many clients at once are twenty lines a second and a sum, and each event is in one of them', async () => {
  const { clock, kept, lines } = linesOf()
  const events = 12_000
  for (let i = 0; i < events; i++) {
    lines.say(event, `client-${i % 4000}`, 't')
    if (i % 3000 === 2999) await clock.advance(1000)
  }
  await clock.advance(60_000)
  const own = kept.filter(({ message }) => message === 'something')
  const sums = kept.filter(({ message }) => message !== 'something')
  const count = own.reduce((sum, { fields }) => sum + (fields.count as number), 0)
  const rest = sums.reduce((sum, { fields }) => sum + (fields.events as Record<string, number>).something!, 0)
  expect(count + rest).toBe(events)
  // Four seconds of events, and one when the time of those that had a line is over.
  expect(own.length).toBeLessThanOrEqual(20 * 6)
  expect(sums.length).toBeLessThanOrEqual(6)
})

test('one client’s events are a line in ten seconds, whose count holds all since the last', async () => {
  const { clock, kept, lines } = linesOf()
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 100; i++) lines.say(event, 'c', `${second}`)
    await clock.advance(1000)
  }
  await clock.advance(30_000)
  expect(kept.length).toBeLessThanOrEqual(8)
  expect(kept.reduce((sum, { fields }) => sum + (fields.count as number), 0)).toBe(6000)
})

test('what clients call themselves is bounded: long names are cut, and kept as short as they are said', () => {
  const { kept, lines } = linesOf()
  for (let i = 0; i < 3; i++) lines.say(event, 'x'.repeat(60_000), 't'.repeat(60_000))
  lines.flush()
  expect(kept.map(({ fields }) => [(fields.clientId as string).length, (fields.topic as string).length, fields.count])).toEqual([
    [276, 276, 1],
    [276, 276, 2],
  ])
})

test('a level that is not written costs nothing and is not counted for later', () => {
  const { kept, lines } = linesOf()
  lines.say({ ...event, level: 'debug' }, 'c', 't')
  lines.flush()
  expect(kept).toEqual([])
})
