import { describe, expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Config } from '../../presets/index.ts'
import { settled, startBroker } from '../support/broker.ts'
import type { ConnectOptions, TestClient } from '../support/client.ts'
import { onLaterStore } from '../support/later-store.ts'
import { keptLog } from '../support/log.ts'

// Goal: a session, its queue, its will and its retained messages belong to the user that made them; whoever else comes with its client id is refused and touches
// nothing. Method: clients under user names, on a store that answers at once and on one that answers later. test/contracts has the same for each store, test/cluster
// for nodes, hostile.test.ts for a real process.

const { ClientIdentifierNotValid } = ReasonCode
const lasting = { version: 5, cleanStart: false, properties: { sessionExpiry: 3600 } } as const

/** All ways in which somebody may come with another's client id. */
const strangers: readonly ConnectOptions[] = [
  { ...lasting, username: 'thief' },
  { version: 5, cleanStart: true, username: 'thief' },
  {
    version: 5,
    cleanStart: true,
    username: 'thief',
    properties: { sessionExpiry: 3600 },
    will: { topic: 'will', payload: Buffer.from('thief') },
  },
  { version: 5, cleanStart: false },
  { version: 4, cleanStart: true, username: 'thief' },
  { version: 4, cleanStart: false, username: 'Owner' },
  { version: 3, cleanStart: false, username: 'owner ' },
]

async function start(config: Config, authenticates = true) {
  const { lines, plugin } = keptLog()
  const broker = await startBroker({ log: false, ...config, plugins: [...(config.plugins ?? []), plugin] })
  if (authenticates) broker.hooks.onAuthenticate.tap('test', () => ({}))
  const drops: string[] = []
  broker.hooks.onDrop.tap('test', (clientId, { topic }, reason) => void drops.push(`${clientId} ${topic} ${reason}`))
  const writer = await broker.connect({ clientId: 'writer', username: 'writer', version: 5 })
  const code = async (options: ConnectOptions) => (await broker.open(options.version).connect({ clientId: 'd', ...options })).reasonCode
  return { ...broker, lines, drops, writer, code }
}

const refusals = strangers.map(({ version }) => (version === 5 ? ClientIdentifierNotValid : 2))

async function gone(client: TestClient): Promise<void> {
  client.drop()
  await client.closed
  await settled()
}

describe.each([
  ['a store that answers at once', {} as Config],
  ['a store that answers later', onLaterStore()],
])('on %s', (_name, config) => {
  test('a stranger with the client id of a connected client is refused, and the client notices nothing', async () => {
    for (const kind of [lasting, { version: 5, cleanStart: true } as const, { version: 4, cleanStart: true } as const]) {
      const { connect, code, writer, lines, broker } = await start(config)
      await writer.subscribe('will', 1)
      const owner = await connect({ ...kind, clientId: 'd', username: 'owner', will: { topic: 'will', payload: Buffer.from('owner') } })
      await owner.subscribe('t', 1)
      await writer.publish('t', 'in flight', { qos: 1 })
      const codes: number[] = []
      for (const stranger of strangers) codes.push(await code(stranger))
      expect(codes).toEqual(refusals)
      expect((await owner.receive()).payload.toString()).toBe('in flight')
      await writer.publish('t', 'after', { qos: 1 })
      expect((await owner.receive()).payload.toString()).toBe('after')
      await owner.rest()
      expect(await writer.payloads()).toEqual([])
      expect(broker.counters.limited.clientIdOwner).toBe(strangers.length)
      const said = lines.filter(({ message }) => message.includes('belongs to another user'))
      const [line] = said.filter(({ message }) => message.startsWith('client refused'))
      expect(line).toMatchObject({
        fields: { clientId: 'd', username: 'thief', count: 1 },
        message: expect.stringContaining('mqtt.clientIdOwner: anyone'),
      })
      expect(said.filter(({ message }) => message.startsWith('client refused'))).toHaveLength(1)
      expect(line!.message + JSON.stringify(line!.fields)).not.toContain('owner"')
      // And its will is its own.
      owner.drop()
      expect((await writer.receive()).payload.toString()).toBe('owner')
    }
  })

  test('a stranger with the client id of a stored session is refused: queue, subscription, will and its delay are as they were', async () => {
    const { connect, code, writer, drops, advance } = await start(config)
    await writer.subscribe('will', 1)
    const will = { topic: 'will', payload: Buffer.from('late'), qos: 1 as const, properties: { willDelay: 60 } }
    const owner = await connect({ ...lasting, clientId: 'd', username: 'owner', will })
    await owner.subscribe('t', 1)
    await gone(owner)
    await writer.publish('t', 'kept', { qos: 1 })
    const codes: number[] = []
    for (const stranger of strangers) codes.push(await code(stranger))
    expect(codes).toEqual(refusals)
    await writer.publish('t', 'also kept', { qos: 1 })
    expect(await writer.payloads()).toEqual([])
    for (const ms of [62_000, 1000]) await advance(ms)
    expect((await writer.receive()).payload.toString()).toBe('late')
    const back = await connect({ ...lasting, clientId: 'd', username: 'owner' })
    expect(back.heard[0]).toMatchObject({ sessionPresent: true })
    expect([(await back.receive()).payload.toString(), (await back.receive()).payload.toString()]).toEqual(['kept', 'also kept'])
    expect(drops).toEqual([])
  })

  test('its own user takes a client over as ever', async () => {
    for (const username of ['owner', undefined]) {
      const { connect } = await start(config)
      const named = username === undefined ? {} : { username }
      const first = await connect({ ...lasting, clientId: 'd', ...named })
      const second = await connect({ ...lasting, clientId: 'd', ...named })
      expect((await first.ended())?.reasonCode).toBe(ReasonCode.SessionTakenOver)
      expect(second.heard[0]).toMatchObject({ sessionPresent: true })
    }
  })

  test('a client id belongs to nobody once its session has ended, by its client or by its time', async () => {
    const { connect, code, advance } = await start(config)
    const clean = await connect({ version: 5, clientId: 'd', username: 'owner' })
    await gone(clean)
    expect(await code({ version: 5, username: 'thief' })).toBe(0)
    await settled()
    const short = await connect({ version: 5, cleanStart: false, clientId: 'e', username: 'owner', properties: { sessionExpiry: 10 } })
    await gone(short)
    expect(await code({ version: 5, clientId: 'e', username: 'other' })).toBe(ClientIdentifierNotValid)
    await advance(10_000)
    expect(await code({ version: 5, clientId: 'e', username: 'other' })).toBe(0)
  })

  test('clientIdOwner anyone lets any user have any session, and changes while the broker runs', async () => {
    const { connect, running } = await start({ ...config, mqtt: { clientIdOwner: 'anyone' } })
    const owner = await connect({ ...lasting, clientId: 'd', username: 'owner' })
    await owner.subscribe('t', 1)
    const other = await connect({ ...lasting, clientId: 'd', username: 'other' })
    expect(other.heard[0]).toMatchObject({ sessionPresent: true })
    expect(running.broker.settings.mqtt.clientIdOwner).toBe('anyone')
  })
})

test('where nobody says who clients are any name will do, unless the option says otherwise', async () => {
  const open = await start({}, false)
  await open.connect({ ...lasting, clientId: 'd', username: 'owner' })
  expect(await open.code({ ...lasting, username: 'other' })).toBe(0)
  const closed = await start({ mqtt: { clientIdOwner: 'user' } }, false)
  await closed.connect({ ...lasting, clientId: 'd', username: 'owner' })
  expect(await closed.code({ ...lasting, username: 'other' })).toBe(ClientIdentifierNotValid)
})

test('refusals are counted each, and are a line in ten seconds for each client id', async () => {
  const { connect, code, lines, advance, broker } = await start({})
  for (const clientId of ['d', 'e']) await connect({ ...lasting, clientId, username: 'owner' })
  for (let i = 0; i < 50; i++) for (const clientId of ['d', 'e']) await code({ clientId, username: `thief ${i}` })
  const refused = () => lines.filter(({ message }) => message.startsWith('client refused'))
  expect(refused().map(({ fields }) => [fields.clientId, fields.count])).toEqual([
    ['d', 1],
    ['e', 1],
  ])
  await advance(10_000)
  await code({ username: 'thief' })
  expect(refused().at(-1)).toMatchObject({ fields: { clientId: 'd', count: 50 } })
  expect(broker.counters.limited.clientIdOwner).toBe(101)
})

test('a client that authenticates again as another user goes on, and its session stays with the user that it began with', async () => {
  const { open, hooks, connect, code } = await start({})
  let username = 'owner'
  hooks.onAuth.tap('test', () => ({ admission: { username } }))
  const client = open(5)
  await client.connect({ clientId: 'd', cleanStart: false, properties: { sessionExpiry: 3600, authenticationMethod: 'x' } })
  username = 'other'
  client.send({ type: 15, reasonCode: 0x19, properties: { authenticationMethod: 'x' } })
  expect(await client.next(15)).toMatchObject({ reasonCode: 0 })
  expect(await code({ version: 5, username: 'other' })).toBe(ClientIdentifierNotValid)
  const back = await connect({ ...lasting, clientId: 'd', username: 'owner' })
  expect(back.heard[0]).toMatchObject({ sessionPresent: true })
})

test('mqtt.clientIds binds client ids to user names; who gets its id from the broker is let in', async () => {
  const { code, broker } = await start({ mqtt: { clientIds: ['%u', '%u-#', 'shared', 'any/#'] } })
  const codes: Record<string, number> = {}
  for (const [username, clientId] of [
    ['ann', 'ann'],
    ['ann', 'ann-'],
    ['ann', 'ann-7'],
    ['ann', 'anna'],
    ['ann', 'bob'],
    ['ann', 'x-ann'],
    ['ann', '%u'],
    ['ann', 'shared'],
    ['ann', 'shared2'],
    ['ann', 'any/thing'],
    ['$&', '$&-1'],
    ['', '-1'],
    ['', ''],
  ] as const) {
    codes[`${username} as ${clientId}`] = await code({ version: 5, clientId, ...(username === '' ? {} : { username }) })
  }
  expect(codes).toEqual({
    'ann as ann': 0,
    'ann as ann-': 0,
    'ann as ann-7': 0,
    'ann as anna': 0x85,
    'ann as bob': 0x85,
    'ann as x-ann': 0x85,
    'ann as %u': 0x85,
    'ann as shared': 0,
    'ann as shared2': 0x85,
    'ann as any/thing': 0,
    '$& as $&-1': 0,
    ' as -1': 0x85,
    ' as ': 0,
  })
  expect(await code({ version: 4, clientId: 'bob', username: 'ann' })).toBe(2)
  expect(broker.counters.limited.clientIds).toBe(7)
})

describe('retained messages', () => {
  const rules = [
    { allow: 'all' as const, topics: ['home/%u/#', 'common'] },
    { allow: 'subscribe' as const, topics: ['#'], users: ['writer'] },
  ]

  test('are judged by the user that published them, and not by whoever has the client id now', async () => {
    const { connect, writer, code } = await start({ topicSecurity: { rules } })
    const owner = await connect({ clientId: 'd', version: 5, username: 'owner' })
    await owner.publish('home/owner/x', 'kept', { qos: 1, retain: true })
    await gone(owner)
    // The client id is free now, and a stranger takes it.
    expect(await code({ version: 5, username: 'thief' })).toBe(0)
    await writer.subscribe('home/owner/x', 1)
    expect((await writer.receive()).payload.toString()).toBe('kept')
  })

  test('are withheld, as ever, while their own user may no longer publish them', async () => {
    const { connect, writer, running } = await start({ topicSecurity: {} })
    running.setRights('writer', { authorizedSub: ['#'] })
    const owner = await connect({ clientId: 'd', version: 5, username: 'owner' })
    running.setRights({ username: 'owner' }, { authorizedPub: ['x'] })
    await owner.publish('x', 'kept', { qos: 1, retain: true })
    running.setRights({ username: 'owner' }, { authorizedPub: [] })
    await writer.subscribe('x', 1)
    expect(await writer.payloads()).toEqual([])
  })

  test('may be overwritten by others who have the right to, and belong to them from then on', async () => {
    const { connect, writer, broker } = await start({ topicSecurity: { rules } })
    const owner = await connect({ clientId: 'd', version: 5, username: 'owner' })
    await owner.publish('common', 'first', { qos: 1, retain: true })
    const other = await connect({ clientId: 'e', version: 5, username: 'other' })
    await other.publish('common', 'second', { qos: 1, retain: true })
    await writer.subscribe('common', 1)
    expect((await writer.receive()).payload.toString()).toBe('second')
    const page = await broker.services.get('retained').match('common').next(10)
    expect(page.messages.map(({ clientId, username }) => [clientId, username])).toEqual([['e', 'other']])
  })
})

test('a stranger that came in while the store was away gives way to the owner, and takes nothing', async () => {
  let away = false
  const { connect, code, broker, writer } = await start({})
  const owner = await connect({ ...lasting, clientId: 'd', username: 'owner' })
  await owner.subscribe('t', 1)
  await gone(owner)
  await writer.publish('t', 'kept', { qos: 1 })
  // As with a store that is looked up: the broker does not know of the session.
  broker.roster.forget(broker.roster.get('d')!)
  const { sessions } = broker
  const claim = sessions.claim.bind(sessions)
  sessions.claim = request => (away ? Promise.reject(new StoreAwayError('away')) : claim(request))
  away = true
  const stranger = await connect({ version: 5, clientId: 'd', username: 'thief' })
  // Another one, or the owner, cannot be told apart now.
  expect(await code({ version: 5, cleanStart: true, username: 'other' })).toBe(ClientIdentifierNotValid)
  away = false
  const back = await connect({ ...lasting, clientId: 'd', username: 'owner' })
  expect(back.heard[0]).toMatchObject({ reasonCode: 0, sessionPresent: true })
  expect((await stranger.ended())?.reasonCode).toBe(ReasonCode.SessionTakenOver)
  expect((await back.receive()).payload.toString()).toBe('kept')
})
