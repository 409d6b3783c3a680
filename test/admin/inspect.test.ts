import { expect, test } from 'vitest'
import type { Actor } from '../../core/actor.ts'
import { defineVerb } from '../../plugins/kit/verbs/define-verb.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { settled, startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'

const alice: Actor = { name: 'alice', via: 'program' }

test('clients come in pages that are sorted, and each is shown once', async () => {
  const { broker, connect } = await startBroker()
  for (const id of ['d', 'a', 'c', 'e', 'b']) await connect({ clientId: id })
  const seen: string[] = []
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<typeof broker.inspect<'clients'>>> = await broker.inspect('clients', { limit: 2, after })
    expect(page.rows.length).toBeLessThanOrEqual(2)
    seen.push(...page.rows.map(({ id }) => id))
    after = page.next
  } while (after !== null)
  expect(seen).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('a page has 200 rows at most, and a walk over many clients takes many turns of the event loop', async () => {
  const { broker } = await startBroker()
  await expect(broker.inspect('clients', { limit: 201 })).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
  const { inSlices } = await import('../../plugins/kit/verbs/page.ts')
  let turns = 0
  const clock = new ManualClock(0)
  const counted = { clock, turns: { next: async () => void (turns += 1) } } as unknown as typeof broker
  await inSlices(counted, Array.from({ length: 160 }), () => clock.advance(0.2))
  // 16 items of 0.2 ms are more than a millisecond.
  expect(turns).toBeGreaterThanOrEqual(9)
})

test('clients are found by user, address, network, and what waits for them', async () => {
  const { broker, open, connect } = await startBroker({ allowAnonymous: true })
  const near = open(5, '10.1.2.3')
  await near.connect({ clientId: 'near', username: 'anna', version: 5 })
  const far = open(5, '::ffff:192.168.7.7')
  await far.connect({ clientId: 'far', username: 'bert', version: 5 })
  const slow = await connect({ clientId: 'slow', version: 5, properties: { receiveMaximum: 1 } })
  await slow.subscribe('t', 1)
  for (let i = 0; i < 3; i++) await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  const ids = async (given: object): Promise<string[]> => (await broker.inspect('clients', given)).rows.map(({ id }) => id)
  expect(await ids({ user: 'anna' })).toEqual(['near'])
  expect(await ids({ address: '10.1.2.3' })).toEqual(['near'])
  expect(await ids({ address: '10.0.0.0/8' })).toEqual(['near'])
  expect(await ids({ address: '192.168.7.7' })).toEqual(['far'])
  expect(await ids({ address: '192.168.0.0/16' })).toEqual(['far'])
  expect(await ids({ slow: true })).toEqual(['slow'])
  expect(await ids({ queued: 2 })).toEqual(['slow'])
  expect(await ids({ sort: 'queued', limit: 1 })).toEqual(['slow'])
  await expect(ids({ address: '10.0.0.0/99' })).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
})

test('one client is told whole, and one that is not connected by its session', async () => {
  const { broker, connect } = await startBroker()
  const stored = { clientId: 'meter', version: 5 as const, properties: { sessionExpiry: 100, receiveMaximum: 1 } }
  const meter = await connect({ ...stored, will: { topic: 'gone' } })
  await meter.subscribe('plant/+/set', 1)
  expect(await broker.inspect('client', { id: 'meter' })).toMatchObject({
    known: true,
    connected: true,
    mqtt: '5',
    node: '1',
    will: 'gone',
    expiryMs: 100_000,
    filters: [{ filter: 'plant/+/set', qos: 1 }],
  })
  meter.drop()
  await settled()
  for (let i = 0; i < 3; i++) await broker.publish({ topic: 'plant/1/set', payload: 'on', qos: 1 })
  expect(await broker.inspect('client', { id: 'meter' })).toMatchObject({ known: true, connected: false })
  const queue = await broker.inspect('queue', { id: 'meter', peek: 2 })
  expect(queue).toMatchObject({ known: true, messages: 3, oldestAt: broker.clock.now() })
  expect(queue.bytes).toBeGreaterThan(0)
  expect(queue.peek.map(({ topic, bytes, sent }) => [topic, bytes, sent])).toEqual([
    ['plant/1/set', 2, false],
    ['plant/1/set', 2, false],
  ])
  expect(await broker.inspect('sessions', { disconnected: true })).toMatchObject({ rows: [{ id: 'meter', queued: 3 }], next: null })
  expect(await broker.inspect('client', { id: 'nobody' })).toEqual({ id: 'nobody', known: false, connected: false })
})

test('what waits for a session that ends with its connection is told, too', async () => {
  const { broker, connect } = await startBroker()
  const reader = await connect({ clientId: 'reader', version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('t', 1)
  for (let i = 0; i < 3; i++) await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  expect(await broker.inspect('queue', { id: 'reader', peek: 5 })).toMatchObject({ messages: 3, peek: [{ topic: 't' }, { topic: 't' }] })
})

test('who subscribes to a topic and who may publish to it', async () => {
  const { broker, connect, hooks } = await startBroker()
  hooks.onAuthorize.tap('test', ({ clientId }, action) => (action === 'publish' ? clientId === 'boss' : undefined))
  const [a, b] = [await connect({ clientId: 'a' }), await connect({ clientId: 'b' })]
  await connect({ clientId: 'boss' })
  await a.subscribe(['t/#', 't/1'], 1)
  await b.subscribe('$share/g/t/+', 0)
  const { rows } = await broker.inspect('subscribers', { topic: 't/1' })
  expect(rows.map(({ id, filter }) => [id, filter])).toEqual([
    ['a', 't/#'],
    ['a', 't/1'],
    ['b', '$share/g/t/+'],
  ])
  expect((await broker.inspect('publishers', { topic: 't/1' })).rows.map(({ id }) => id)).toEqual(['boss'])
  await expect(broker.inspect('subscribers', { topic: 't/#' })).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
})

test('drops are remembered by client, by reason and by time', async () => {
  const { broker, connect, clock } = await startBroker({ mqtt: { queueMessagesMax: 2 } })
  const reader = await connect({ clientId: 'reader', version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('t', 1)
  // Their acknowledgements are kept back while its queue is long.
  for (let i = 0; i < 5; i++) void broker.publish({ topic: 't', payload: 'x', qos: 1 })
  expect(await broker.inspect('drops')).toMatchObject({
    dropped: { queueFull: 2 },
    rows: [{ id: 'reader', topic: 't', reason: 'queueFull', count: 2 }],
  })
  expect(await broker.inspect('client', { id: 'reader' })).toMatchObject({ drops: { queueFull: 2 } })
  clock.advance(2 * 3_600_000)
  expect(await broker.inspect('drops', { since: '1h' })).toEqual({ dropped: {}, rows: [] })
  expect((await broker.inspect('drops', { id: 'reader', since: '1d' })).rows).toHaveLength(1)
})

test('the memory of drops is bounded, however many clients there are and however long their names', async () => {
  const { DropRecord } = await import('../../plugins/drop-log/drop-record.ts')
  const record = new DropRecord(() => 0)
  for (let i = 0; i < 12_000; i++) record.add(`${i}${'x'.repeat(1000)}`, 'topic'.repeat(1000), 'queueFull')
  expect(record.last(100_000)).toHaveLength(1000)
  expect(record.last(1)[0]!.topic).toHaveLength(201)
  for (let i = 0; i < 12_000; i++) record.add(`c${i}`, 't', 'queueFull')
  expect([record.of('c0'), record.of('c11999')]).toEqual([null, { queueFull: 1 }])
})

test('retained messages are shown without their payloads, and taken away one by one', async () => {
  const { broker, connect } = await startBroker()
  const client = await connect({ clientId: 'a' })
  await client.publish('plant/1', 'secret', { qos: 1, retain: true })
  await client.publish('plant/2', 'x', { qos: 1, retain: true })
  const found = await broker.inspect('retained', { filter: 'plant/#', limit: 1 })
  expect(found).toMatchObject({ more: true, retained: 2, rows: [{ from: 'a' }] })
  expect(JSON.stringify(await broker.inspect('retained'))).not.toContain('secret')
  expect(await broker.operate(alice, 'retained rm', { topic: 'plant/1' })).toEqual({ topic: 'plant/1', removed: true })
  expect((await broker.inspect('retained')).rows.map(({ topic }) => topic)).toEqual(['plant/2'])
})

test('onOperate sees who does what before it is done, and may refuse; onOperated what came of it', async () => {
  const { broker, connect, hooks } = await startBroker()
  const asked: unknown[] = []
  const done: unknown[] = []
  hooks.onOperate.tap('guard', (actor, verb, target) => {
    asked.push([actor.name, verb, target])
    return verb === 'kick' && (target as { id: string }).id === 'precious'
      ? { reasonCode: 0x87, reasonString: 'leave it alone' }
      : undefined
  })
  hooks.onOperated.tap('audit', act => void (act.verb === 'operate' && done.push([act.name, act.failed?.message ?? null])))
  const [precious, other] = [await connect({ clientId: 'precious' }), await connect({ clientId: 'other' })]
  await expect(broker.operate(alice, 'kick', { id: 'precious' })).rejects.toMatchObject({
    code: 'ERR_OPERATE_REFUSED',
    message: 'kick is refused: leave it alone',
  })
  expect(await broker.operate(alice, 'kick', { id: 'other' })).toEqual({ count: 1 })
  await other.closed
  expect([precious.isClosed, asked, done]).toEqual([
    false,
    [
      ['alice', 'kick', { id: 'precious' }],
      ['alice', 'kick', { id: 'other' }],
    ],
    [
      ['kick', 'kick is refused: leave it alone'],
      ['kick', null],
    ],
  ])
})

test('a tap of onOperate that fails lets nothing be done', async () => {
  const { broker, connect, hooks } = await startBroker()
  hooks.onOperate.tap('broken', () => {
    throw new Error('oh')
  })
  const client = await connect({ clientId: 'a' })
  await expect(broker.operate(alice, 'kick', { id: 'a' })).rejects.toMatchObject({ code: 'ERR_OPERATE_REFUSED' })
  expect(client.isClosed).toBe(false)
})

test('what changes something is not done by inspect, and what there is not is said', async () => {
  const { broker } = await startBroker()
  await expect(broker.inspect('kick', { id: 'a' })).rejects.toMatchObject({ code: 'ERR_VERB' })
  await expect(broker.inspect('weather')).rejects.toMatchObject({ code: 'ERR_VERB' })
  await expect(broker.inspect('clients', { colour: 'red' } as object)).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
  await expect(broker.inspect('clients', { node: 'n9' })).rejects.toThrow('there is no node n9; there are 1')
})

test("a stranger's plugin brings a verb of its own, with checked arguments", async () => {
  const { broker } = await startBroker({
    plugins: [
      {
        name: 'weather',
        apply({ broker }) {
          const takes = { city: { type: 'string', required: true }, days: { type: 'integer', default: 1 } } as const
          broker.verbs.add(
            defineVerb(
              broker,
              { name: 'weather', help: 'the weather', example: 'weather Oslo', role: 'read', takes },
              { run: (_, given) => given },
            ),
          )
        },
      },
    ],
  })
  // Texts are read as the command line's are.
  expect(await broker.inspect('weather', { city: 'Oslo', days: '3' })).toEqual({ city: 'Oslo', days: 3 })
  await expect(broker.inspect('weather', {})).rejects.toThrow('weather: city')
  expect((await broker.inspect('verbs')).rows.map(({ name }) => name)).toContain('weather')
})

test('status says what is wrong', async () => {
  const { broker, connect } = await startBroker()
  await connect()
  expect(await broker.inspect('status')).toMatchObject({
    node: '1',
    well: true,
    problems: [],
    connections: 1,
    store: 'memory',
    nodes: ['1'],
  })
  expect(await broker.inspect('nodes')).toMatchObject({ rows: [{ name: '1', self: true }] })
  expect(await broker.inspect('memory')).toMatchObject({ clients: expect.any(Number), rows: expect.any(Array) })
  const store = broker.sessions as { trouble?: () => Error | null }
  store.trouble = () => new Error('no power')
  expect(await broker.inspect('status')).toMatchObject({ serving: false, well: false, problems: ['the store does not answer: no power'] })
})

test('who was sent away by whom, and who takes over whom, is remembered and logged', async () => {
  const { lines, plugin } = keptLog()
  const { broker, connect } = await startBroker({ log: false, plugins: [plugin], admin: { socket: false } })
  await connect({ clientId: 'twin' })
  await connect({ clientId: 'twin' })
  await connect({ clientId: 'twin' })
  await settled()
  expect(await broker.inspect('takeovers')).toMatchObject({ rows: [{ id: 'twin', count: 2, from: 'memory', by: 'memory' }] })
  await broker.operate(alice, 'kick', { id: 'twin' })
  await broker.operate(alice, 'publish', { topic: 't', payload: 'secret' })
  expect(await broker.inspect('audit')).toMatchObject({
    rows: [
      { actor: 'alice', verb: 'publish', target: 'topic=t payload=…', failed: null },
      { actor: 'alice', verb: 'kick', target: 'id=twin' },
    ],
  })
  expect(lines.filter(({ message }) => message === 'an operator has changed something')).toHaveLength(2)
  expect(JSON.stringify(lines)).not.toContain('secret')
})
