import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket, UserProperty } from '../../core/protocol/packets.ts'
import { createTestBroker } from '../../presets/testing/index.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { RedisServer } from '../support/redis.ts'
import { typed } from './typed.ts'

const { Puback, Publish, Pubcomp, Pubrec, Pubrel } = PacketType

// Goal: what a broker keeps can be read as lines, and these are all of it: written to another store they read the same, and clients find there what they left.

const never = 0xff_ff_ff_ff
const durable = { version: 5, cleanStart: false } as const

/** A broker that shows payloads, and how to type a command at it. */
async function startKeeping(config: object = {}) {
  const folder = await folderWith()
  const socket = join(folder, 'admin.sock')
  const kit = await startBroker({ admin: { socket, payloads: true }, ...config })
  return { ...kit, folder, type: (...line: string[]) => typed([...line, '--socket', socket], { folder }) }
}

type Keeping = Awaited<ReturnType<typeof startKeeping>>

/** One of everything that is kept. */
async function fill({ connect, broker }: Keeping): Promise<void> {
  const reader = await connect({ ...durable, clientId: 'reader', username: 'eve', properties: { sessionExpiry: 3600, receiveMaximum: 3 } })
  await reader.subscribe('flight/#', 2)
  await reader.subscribe('own/+', 1, {
    noLocal: true,
    retainAsPublished: true,
    retainHandling: 2,
    properties: { subscriptionIdentifiers: [7] },
  })
  const publisher = await connect({ ...durable, clientId: 'publisher', properties: { sessionExpiry: never } })
  await publisher.publish('flight/a', 'qos 1', { qos: 1 })
  const properties = {
    correlationData: Buffer.from([0, 255]),
    userProperties: [
      ['b', '2'],
      ['a', 'ä'],
    ] as UserProperty[],
    messageExpiry: 100_000,
  }
  await publisher.publish('flight/b', 'received', { qos: 2, properties })
  await publisher.publish('own/c', 'with an identifier', { qos: 1 })
  for (let i = 0; i < 40; i++) await publisher.publish('flight/w', Buffer.from([i, 0xff]), { qos: 2 })
  let received = 0
  for (let i = 0; i < 3; i++) {
    const { payload, packetId } = await reader.message()
    if (payload.toString() === 'received') received = packetId
  }
  reader.ack(Pubrec, received)
  await reader.next(Pubrel)
  // Half done: its PUBREL never comes.
  publisher.sendPublish('nobody/hears', 'half done', { qos: 2, packetId: 7777 })
  await publisher.next(Pubrec)
  await publisher.publish('retained/ü', 'kept', { qos: 1, retain: true })
  await publisher.publish('retained/a/b', Buffer.from([1, 2, 3]), { qos: 0, retain: true, properties: { contentType: 'x' } })
  const will = { topic: 'wills', payload: Buffer.from('bye'), qos: 1 as const, properties: { willDelay: 600 } }
  const late = await connect({ ...durable, clientId: 'late', will, properties: { sessionExpiry: 3600 } })
  for (const client of [reader, publisher, late]) {
    client.drop()
    await client.closed
  }
  await broker.services.get('state').set('ban/user/adam', 'spam')
  await broker.services.get('state').set('ban/user/eva', 'for a while', Date.UTC(2100, 0))
}

/** The clients come to a broker and find what they left at another. */
async function expectAll({ connect, advance, broker }: Keeping): Promise<void> {
  const wills = await connect({ version: 5, clientId: 'wills', cleanStart: true })
  await wills.subscribe('wills', 1)
  await wills.subscribe('retained/#', 1)
  expect([(await wills.receive()).topic, (await wills.receive()).topic].sort()).toEqual(['retained/a/b', 'retained/ü'])
  const publisher = await connect({ ...durable, clientId: 'publisher', properties: { sessionExpiry: never } })
  publisher.ack(Pubrel, 7777)
  expect(await publisher.next(Pubcomp)).toMatchObject({ packetId: 7777, reasonCode: 0 })
  const reader = await connect({ ...durable, clientId: 'reader', username: 'eve', properties: { sessionExpiry: 3600 } })
  const packets = []
  while (packets.length < 43) {
    const packet = await reader.next()
    if (packet.type !== Publish && packet.type !== Pubrel) continue
    packets.push(packet)
  }
  const [first, second, third, fourth] = packets as PublishPacket[]
  expect(first).toMatchObject({ topic: 'flight/a', dup: true, qos: 1 })
  expect(second).toMatchObject({ type: Pubrel })
  expect(third).toMatchObject({ topic: 'own/c', dup: true, properties: { subscriptionIdentifiers: [7] } })
  expect(fourth).toMatchObject({ topic: 'flight/w', dup: false })
  expect(packets.slice(3).map(packet => (packet as PublishPacket).payload[0])).toEqual(Array.from({ length: 40 }, (_, i) => i))
  reader.ack(Puback, first!.packetId)
  expect(broker.services.get('state').get('ban/user/adam')).toMatchObject({ value: 'spam' })
  await advance(600_000)
  expect((await wills.receive()).payload.toString()).toBe('bye')
  // What is published from now on goes to the sessions that came with the import.
  await wills.publish('own/after', 'new', { qos: 1 })
  expect((await reader.message()).payload.toString()).toBe('new')
}

test('an export holds all that is kept, and is the same of the broker that it was imported to', async () => {
  const from = await startKeeping()
  await fill(from)
  const exported = await from.type('export')
  expect([exported.code, exported.errors]).toEqual([0, ''])
  const lines = exported.text.split('\n').map(line => JSON.parse(line) as Record<string, unknown>)
  expect(lines[0]).toEqual({ format: 'mqttx-broker export', version: 1 })
  expect(lines.at(-1)).toEqual({ end: { sessions: 3, queued: 43, retained: 2, state: 2 } })
  expect(lines.flatMap(({ session }) => session ?? [])).toMatchObject([
    { clientId: 'late', expiryMs: 3_600_000, will: { delayMs: 600_000, message: { topic: 'wills', payload: 'Ynll' } } },
    { clientId: 'publisher', user: null, expiryMs: null },
    { clientId: 'reader', user: 'eve' },
  ])

  const to = await startKeeping()
  await writeFile(join(to.folder, 'kept.jsonl'), `${exported.text}\n`)
  const imported = await to.type('import', 'kept.jsonl', '--json')
  expect([imported.errors, imported.json]).toEqual(['', { sessions: 3, queued: 43, retained: 2, state: 2, skipped: 0, dropped: 0 }])
  expect((await to.type('export')).text).toBe(exported.text)
  // Once more: everything is there already.
  expect(await to.type('import', 'kept.jsonl')).toMatchObject({ code: 1, errors: expect.stringContaining('line 2: ban/user/adam') })
  expect((await to.type('import', 'kept.jsonl', '--skipExisting', '--json')).json).toMatchObject({ sessions: 0, skipped: 7 })
  expect((await to.type('export')).text).toBe(exported.text)
  await expectAll(to)
})

test('there and back: a disk, a Redis and a disk hold the same, line by line', async () => {
  const server = await RedisServer.start()
  try {
    const folder = await folderWith()
    const type = (line: string) => typed(line, { folder })
    const from = await startKeeping()
    await fill(from)
    await writeFile(join(folder, 'kept.jsonl'), `${(await from.type('export')).text}\n`)
    expect((await type('import kept.jsonl --to disk:data --json')).json).toMatchObject({ sessions: 3, queued: 43, retained: 2, state: 2 })
    const before = (await type('export --from disk:data')).text
    expect(before).toBe((await readFile(join(folder, 'kept.jsonl'), 'utf8')).trimEnd())

    const there = await type(`migrate --from disk:data --to ${server.url} --json`)
    expect(there.json).toMatchObject({ from: `disk:${join(folder, 'data')}`, sessions: 3, queued: 43, retained: 2, state: 2, dropped: 0 })
    expect((await type(`export --from ${server.url}`)).text).toBe(before)
    await writeFile(join(folder, 'on-redis.json'), JSON.stringify({ preset: 'dev', redis: { url: server.url } }))
    const back = await type('migrate --from on-redis.json --to disk:back')
    expect([back.code, back.text]).toEqual([0, expect.stringMatching(/sessions +3\nqueued +43/)])
    expect((await type('export --from disk:back')).text).toBe(before)

    // A store that holds something is not added to.
    expect(await type('migrate --from disk:data --to disk:back')).toMatchObject({
      code: 1,
      errors: expect.stringContaining('is not empty'),
    })
    expect(await type(`migrate --from disk:nothing --to ${server.url}`)).toMatchObject({
      code: 1,
      errors: expect.stringContaining('no broker has kept anything there'),
    })
    // One that is in use is not read, nor is one whose broker owes something.
    const running = await startBroker({ memory: false, disk: { path: join(folder, 'back') } })
    expect(await type('export --from disk:back')).toMatchObject({ code: 1, errors: expect.stringContaining('another broker uses') })
    await running.running.stop()
    const onRedis = await createTestBroker({ memory: false, redis: { url: server.url } }, { clock: 'real' })
    expect(await type(`migrate --from ${server.url} --to disk:more`)).toMatchObject({
      code: 1,
      errors: expect.stringContaining('a broker runs on Redis'),
    })
    await onRedis.stop()
    expect((await type(`export --from ${server.url}`)).text).toBe(before)
  } finally {
    await server.stop()
  }
})

test('the store of an older version is migrated, too: to whom nobody knows a session belongs, it goes on belonging to nobody', async () => {
  const folder = await folderWith({ 'data/note.txt': '' })
  const type = (line: string) => typed(line, { folder })
  await writeFile(join(folder, 'data', 'data.mdb'), gunzipSync(await readFile(new URL('../upgrade/disk-1/data.mdb.gz', import.meta.url))))
  const { text } = await type('export --from disk:data')
  expect(text).toContain('{"session":{"clientId":"absent","expiryMs":null}}')
  expect((await type('migrate --from disk:data --to disk:copy --json')).json).toMatchObject({ sessions: 9 })
  expect((await type('export --from disk:copy')).text).toBe(text)
})

test.each([
  [2, 'nonsense', 'it is no JSON'],
  [1, '{"format":"something else"}', 'this is no export of mqttx-broker'],
  [1, '{"format":"mqttx-broker export","version":2}', 'version 2 of the export'],
  [2, '{"subscription":{"filter":"a"}}', 'subscription.qos is missing'],
  [2, '{"queued":{}}', 'queued.qos is missing'],
  [3, '{"subscription":{"filter":"a/#/b","qos":1}}', 'a/#/b is no topic filter'],
  [3, '{"received":[0]}', 'received is not a list of whole numbers from 1 to 65535'],
  [2, '{"session":{"clientId":"c","user":null,"expiryMs":1000,"color":"red"}}', 'session.color: nothing of that name is known here'],
  [3, `{"retained":{"topic":"a/+","qos":1,"retain":true}}`, 'topic: "a/+" is no topic name'],
  [
    3,
    '{"retained":{"topic":"a","qos":0,"retain":true,"origin":"client","clientId":"","receivedAt":1,"payload":"x"}}',
    'retained.payload is not bytes in base64',
  ],
  [3, '{"end":{"sessions":2,"queued":0,"retained":0,"state":0}}', 'it says that there were 2 sessions, and 1 stand before it'],
  [3, '{"session":{},"end":{}}', 'it has one of session,'],
])('an import names the line that it refuses: line %i, %s', async (number, line, why) => {
  const { broker, type, folder } = await startKeeping()
  const lines = ['{"format":"mqttx-broker export","version":1}', '{"session":{"clientId":"whole","user":null,"expiryMs":1000}}']
  lines.splice(number - 1, lines.length, line, '{"session":{"clientId":"later","user":null,"expiryMs":1000}}')
  await writeFile(join(folder, 'bad.jsonl'), lines.join('\n'))
  const refused = await type('import', 'bad.jsonl')
  expect([refused.code, refused.text]).toEqual([1, ''])
  expect(refused.errors).toContain(`error: line ${number}: ${why}`)
  // Nothing of a session stays that was only half there.
  expect((await broker.inspect('sessions')).rows.map(({ id }) => id)).toEqual(line.startsWith('{"end"') ? ['whole'] : [])
})

test('an import refuses what was cut short, a client that is connected, and a session that is there', async () => {
  const { broker, type, folder, connect } = await startKeeping()
  const head = '{"format":"mqttx-broker export","version":1}'
  const session = (clientId: string) => `{"session":{"clientId":"${clientId}","user":null,"expiryMs":1000000}}`
  const end = (sessions: number) => `{"end":{"sessions":${sessions},"queued":0,"retained":0,"state":0}}`
  const give = async (...lines: string[]) => {
    await writeFile(join(folder, 'given.jsonl'), lines.join('\n'))
    return await type('import', 'given.jsonl')
  }
  expect(await give(head, session('a'))).toMatchObject({
    code: 1,
    errors: expect.stringContaining('line 2: the export ends here, before its last line'),
  })
  // That one was whole.
  expect((await broker.inspect('sessions')).rows.map(({ id }) => id)).toEqual(['a'])
  expect(await give(head, session('b'), session('a'), end(2))).toMatchObject({
    code: 1,
    errors: expect.stringContaining('line 3: session a is here already'),
  })
  expect((await broker.inspect('sessions')).rows.map(({ id }) => id)).toEqual(['a', 'b'])
  const client = await connect({ clientId: 'here', cleanStart: true })
  expect(await give(head, session('here'), end(1))).toMatchObject({
    code: 1,
    errors: expect.stringContaining('line 2: session here: a client with this id is connected'),
  })
  expect(client.isClosed).toBe(false)
  expect((await give(head, end(0), session('c'))).errors).toContain('line 3: nothing stands behind the last line')
  expect((await type('import', 'missing.jsonl')).code).toBe(1)
})

test('payloads are exported only where the config shows payloads', async () => {
  const { type } = await startKeeping({ admin: true })
  expect((await type('export')).code).toBe(1)
  const folder = await folderWith()
  const socket = join(folder, 'admin.sock')
  await startBroker({ admin: { socket } })
  expect(await typed(`export --socket ${socket}`)).toMatchObject({ code: 1, errors: expect.stringContaining('admin.payloads: true') })
})

test('a queue with less room than where its messages come from says how many it has dropped', async () => {
  const from = await startKeeping()
  await fill(from)
  const { text } = await from.type('export')
  const to = await startKeeping({ mqtt: { queueMessagesMax: 10 } })
  await writeFile(join(to.folder, 'kept.jsonl'), text)
  expect((await to.type('import', 'kept.jsonl', '--json')).json).toMatchObject({ queued: 10, dropped: 33 })
})
