import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, onTestFinished, test } from 'vitest'
import { type Config, catalogue, createBroker } from '../../presets/index.ts'
import { answerSchemas } from '../../presets/shell/answer-schemas.ts'
import { brokerVerbs } from '../../presets/shell/ask/known-verbs.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { LiveConfig } from '../../presets/shell/live-config.ts'
import { KitClient, type KitClientOptions } from '../../presets/testing/kit-client.ts'
import { Line } from '../../presets/testing/line.ts'
import { folderWith } from '../config/folder.ts'
import { startNodes } from '../support/cluster.ts'
import { TestCa } from '../support/test-ca.ts'

// Goal: what docs/openapi.json says of answers is what a broker answers, and answers hold nothing else. Method: a broker with every plugin that brings a verb; each verb
// is asked where there is something to tell, and what it answers is checked by ajv, with schemas in which every object is closed.

const root = { name: 'root', via: 'program', role: 'admin' } as const

/** The same schema, in which no object has a part that it does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  return copy.type === 'object' && 'properties' in copy && !('additionalProperties' in copy)
    ? { ...copy, additionalProperties: false }
    : copy
}

const ajv = new Ajv2020({ allowUnionTypes: true, strict: true })
const schemas = Object.fromEntries(Object.entries(answerSchemas.schemas).map(([name, text]) => [name, closed(JSON.parse(text))]))
ajv.addVocabulary(['components'])
ajv.addSchema({ $id: 'all', components: { schemas } }, 'all')

/** What ajv has against an answer. */
function faults(verb: string, answer: unknown): unknown[] {
  const schema = closed(JSON.parse(answerSchemas.answers[verb]!.replaceAll('"#/components', '"all#/components'))) as object
  const validate = ajv.compile(schema)
  // As it is sent.
  return validate(JSON.parse(JSON.stringify(answer))) ? [] : [verb, ...(validate.errors ?? []), JSON.stringify(answer)]
}

test('each verb answers what its schema says, and nothing that it does not say', async () => {
  const folder = await folderWith()
  await (await TestCa.create(folder)).issue('server', 'localhost')
  const config = {
    preset: 'standalone',
    allowAnonymous: true,
    socket: { port: 0 },
    log: { level: 'warn' },
    disk: { path: join(folder, 'data') },
    ssl: { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') },
    admin: { socket: false, page: true, http: { port: 0 }, payloads: true, recent: 1000 },
    metrics: { port: 0 },
    mqtt: { queueMessagesMax: 3 },
    topicSecurity: { withoutRights: 'pass', rules: [{ deny: 'publish', topics: ['secret'] }] },
  }
  const running = await createBroker(config as unknown as Config).start()
  onTestFinished(() => running.stop())
  const next = { ...config, mqtt: { queueMessagesMax: 4 }, heartbeat: '20s' }
  const live = new LiveConfig(running, undefined, () => resolveConfig(catalogue, { object: next }))
  onTestFinished(() => live.stop())
  const { broker } = running
  const connect = (id: string, options: KitClientOptions = {}): Promise<KitClient> => {
    const [ours, theirs] = Line.pair()
    running.accept(theirs, { protocol: 'tcp', listener: 'test', remoteAddress: '10.1.2.3', allowAnonymous: true })
    return KitClient.connect(ours, id, { username: 'anna', will: { topic: 'w', payload: 'w' }, ...options })
  }
  // What is told of: sessions with and without a connection, a queue that is full, a refusal, a take-over, retained messages, a shared subscription.
  const away = await connect('away', { cleanStart: false })
  for (const filter of ['t/#', '$share/g/t/#']) await away.subscribe(filter, 1)
  away.lose()
  const writer = await connect('writer')
  await writer.subscribe('t/+', 1)
  for (let i = 0; i < 6; i++) await writer.publish(`t/${i}`, 'x', { qos: 1, retain: i < 2 })
  await writer.publish('secret', 'x', { qos: 1 })
  await connect('twin')
  await connect('twin')
  broker.log.warn({ clientId: 'writer' }, 'a line')

  const given: Readonly<Record<string, readonly object[]>> = {
    client: [{ id: 'writer' }, { id: 'away' }, { id: 'nobody' }],
    queue: [{ id: 'away', peek: 10 }, { id: 'nobody' }],
    why: ['publish', 'subscribe', 'receive'].flatMap(action => ['writer', 'away', 'nobody'].map(id => ({ id, action, topic: 't/1' }))),
    subscribers: [{ topic: 't/1' }],
    publishers: [{ topic: 't/1' }],
    'retained tree': [{}, { prefix: 't' }],
    'retained rm': [{ topic: 't/1' }],
    publish: [{ topic: 't/9', payload: 'x' }],
    subscribe: [
      { id: 'writer', filter: 'u' },
      { id: 'nobody', filter: 'u' },
    ],
    unsubscribe: [{ id: 'writer', filter: 'u' }],
    'queue clear': [{ id: 'away' }, { id: 'nobody' }],
    kick: [{ id: 'twin' }, { user: 'nobody' }],
    ban: [{ address: '10.9.0.0/16', for: '1h', reason: 'why' }, { id: 'x' }],
    unban: [{ id: 'x' }],
    'log-level': [{ level: 'error', for: '1m' }, { level: 'warn' }],
    top: ['unwritten', 'queued', 'held', 'unanswered'].map(by => ({ by })),
    drops: [{}, { id: 'away' }],
    backup: [{ folder: join(folder, 'backup') }],
    drain: [{ rate: 1 }],
    'end-session': [{ id: 'away' }],
    'config diff': [{}],
    // Of nodes there are none here, and a stream is read below.
    'nodes forget': [],
    import: [],
    export: [],
    tail: [],
    trace: [],
  }
  // What changes something comes last, and draining at the very end.
  const last = ['end-session', 'drain', 'undrain']
  const order = [...brokerVerbs].sort((a, b) => last.indexOf(a.name) - last.indexOf(b.name))
  const asked = async (verb: string, said: object): Promise<unknown> => await broker.operate(root, verb, said)
  const found: unknown[] = []
  for (const { name } of order) for (const said of given[name] ?? [{}]) found.push(...faults(name, await asked(name, said)))

  const lines: string[] = []
  for await (const piece of (await asked('export', {})) as AsyncIterable<object>) {
    lines.push(JSON.stringify(piece))
    found.push(...faults('export', piece))
  }
  const copy = async function* () {
    yield* lines
  }
  found.push(...faults('import', await asked('import', { skipExisting: true, lines: copy() })))
  for (const [verb, said] of [
    ['tail', { filter: '#', limit: 2, payload: true }],
    ['trace', { id: 'late', limit: 4, payload: true }],
  ] as const) {
    const pieces = (await asked(verb, said)) as AsyncIterable<object>
    const late = await connect('late')
    await late.publish('t/1', Buffer.from([255]), { qos: 1 })
    await late.publish('t/1', 'text', { qos: 1 })
    for await (const piece of pieces) found.push(...faults(verb, piece))
  }
  expect(found).toEqual([])
  // The schemas can be broken.
  expect(faults('status', { ...(await broker.inspect('status')), more: 1 })).not.toEqual([])
  expect(faults('kick', {})).not.toEqual([])
})

test('the same of what all nodes of a cluster answer, one of which has not', async () => {
  const [one, two] = await startNodes(2, { admin: { socket: false } })
  await two.connect({ clientId: 'c' })
  const found: unknown[] = []
  for (const [verb, said] of [
    ['nodes', {}],
    ['clients', {}],
    ['client', { id: 'c' }],
    ['alarms', {}],
    ['rates', {}],
    ['audit', {}],
    ['kick', { id: 'c' }],
    ['nodes forget', { name: 'n9' }],
  ] as const)
    found.push(...faults(verb, await one.broker.operate(root, verb, said)))
  one.broker.verbs.link({ others: () => ['n2'], ask: () => Promise.reject(new Error('no answer')) })
  for (const verb of ['clients', 'alarms', 'takeovers', 'audit']) {
    const answer = (await one.broker.inspect(verb)) as { missing?: unknown }
    expect(answer.missing).toEqual([{ node: 'n2', why: 'no answer' }])
    found.push(...faults(verb, answer))
  }
  expect(found).toEqual([])
})
