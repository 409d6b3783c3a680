import { expect, test } from 'vitest'
import { PresenceTemplate } from '../../plugins/presence/presence-template.ts'
import { type Config, catalogue } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { examine } from '../../presets/shell/probe.ts'
import { settled, startBroker } from '../support/broker.ts'

// Goal: who comes and goes is said, once, at the topic of that client alone.

/** What the broker has published, by the plugin's taps: topic, payload and whether it is retained. */
async function startPresence(presence: Config['presence'], more: Config = {}) {
  const test = await startBroker({ presence, ...more })
  const said: { topic: string; payload: string; retain: boolean; expiry: number | undefined }[] = []
  test.hooks.onRoute.tap('test', ({ topic, payload, retain, origin, properties }) => {
    if (origin === 'server') said.push({ topic, payload: payload.toString(), retain, expiry: properties?.messageExpiry })
  })
  const retained = async (filter: string): Promise<string[]> => {
    const page = await test.broker.services.get('retained').match(filter).next(100)
    return page.messages.map(({ topic, payload }) => `${topic} ${payload}`)
  }
  return { ...test, said, retained, topics: () => said.map(({ topic }) => topic) }
}

const words = { onlinePayload: 'online', offlinePayload: 'offline' }

test('as it is by default: JSON under $SYS/brokers, connected and disconnected', async () => {
  const { connect, said, broker } = await startPresence({})
  const node = broker.settings.brokerId
  const client = await connect({ clientId: 'c1', username: 'u1', version: 5 })
  client.stream.destroy()
  await settled()
  expect(said.map(({ topic }) => topic)).toEqual([`$SYS/brokers/${node}/clients/c1/connected`])
  const { time: _time, ...facts } = JSON.parse(said[0]!.payload)
  expect(facts).toEqual({
    event: 'connected',
    clientId: 'c1',
    username: 'u1',
    node: String(node),
    address: 'memory',
    version: 5,
    keepAlive: 0,
    sessionPresent: false,
  })
})

test('comes and goes: the first at once, the last when its time is over, and what lies between is counted', async () => {
  const { connect, said, advance, broker } = await startPresence({
    interval: '1s',
    connected: 'in/{clientId}',
    disconnected: 'out/{clientId}',
  })
  for (let times = 0; times < 5; times++) {
    const client = await connect({ clientId: 'c1' })
    client.stream.destroy()
    await settled()
  }
  expect(said.map(({ topic }) => topic)).toEqual(['in/c1'])
  await advance(1000)
  expect(said.map(({ topic }) => topic)).toEqual(['in/c1', 'out/c1'])
  expect(JSON.parse(said[1]!.payload)).toMatchObject({ event: 'disconnected', by: 'network', reasonCode: expect.any(Number) })
  expect(broker.counters.presenceMerged).toBe(8)
  await advance(5000)
  await connect({ clientId: 'c1' })
  expect(said).toHaveLength(3)
})

test('a payload by a template, which in JSON is written as JSON has it', async () => {
  const { connect, said } = await startPresence({
    interval: 0,
    connected: 'in/{clientId}',
    disconnected: '',
    connectedPayload: '{"id": "{clientId}", "user": "{username}", "other": "{nothing}"}',
    state: 'is/{username}/{clientId}',
    onlinePayload: '{clientId} is here',
  })
  const client = await connect({ clientId: 'a"b', username: 'u' })
  client.stream.destroy()
  await settled()
  expect(said.map(({ topic, payload }) => `${topic} ${payload}`).slice(0, 2)).toEqual([
    'in/a"b {"id": "a\\"b", "user": "u", "other": "{nothing}"}',
    'is/u/a"b a"b is here',
  ])
})

test.each([
  ['a/b', 'a%2Fb'],
  ['a%2Fb', 'a%252Fb'],
  ['+', '%2B'],
  ['#', '%23'],
  ['$SYS', '%24SYS'],
  ['%24SYS', '%2524SYS'],
  ['x/../y', 'x%2F..%2Fy'],
])('client id %j has the topic %j, which is no other client’s', async (clientId, level) => {
  const { connect, topics } = await startPresence({ interval: 0, connected: '{clientId}/in', disconnected: '' })
  await connect({ clientId })
  expect(topics()).toEqual([`${level}/in`])
  const template = new PresenceTemplate('x/{clientId}/y')
  expect(template.filterOf({ clientId })).toBe(template.fill({ clientId, username: null, node: '1' }))
})

test('a client id that makes a topic name too long has none, and is counted', async () => {
  const { connect, said, broker } = await startPresence({ interval: 0 })
  await connect({ clientId: '/'.repeat(30_000) })
  expect(said).toEqual([])
  expect(broker.counters.presenceUnnamed).toBe(1)
})

test('the state is retained: offline while the session lasts, then for a while, then gone', async () => {
  const { connect, retained, said, advance } = await startPresence({ state: 'is/{clientId}', ...words, interval: 0, offlineFor: '1h' })
  const lasting = { clientId: 'c1', version: 5 as const, cleanStart: false, properties: { sessionExpiry: 600 } }
  const client = await connect(lasting)
  await connect({ clientId: 'c2' })
  expect((await retained('is/+')).sort()).toEqual(['is/c1 online', 'is/c2 online'])
  client.stream.destroy()
  await settled()
  expect(said.at(-1)).toMatchObject({ payload: 'offline', retain: true, expiry: undefined })
  await advance(601_000)
  expect(said.at(-1)).toMatchObject({ payload: 'offline', retain: true, expiry: 3600 })
  expect(await retained('is/c1')).toEqual(['is/c1 offline'])
  await advance(3_601_000)
  expect(await retained('is/c1')).toEqual([])
  expect(await retained('is/c2')).toEqual(['is/c2 online'])
})

test('offlineFor 0s: the state of a session that has ended is removed', async () => {
  const { connect, retained, said } = await startPresence({ state: 'is/{clientId}', ...words, interval: 0, offlineFor: 0 })
  const client = await connect({ clientId: 'c1' })
  client.stream.destroy()
  await settled()
  expect(said.filter(({ topic }) => topic === 'is/c1').map(({ payload }) => payload)).toEqual(['online', 'offline', ''])
  expect(await retained('is/+')).toEqual([])
})

test('a take-over says connected again, and never offline', async () => {
  const { connect, said, retained, advance } = await startPresence({
    state: 'is/{clientId}',
    ...words,
    interval: 0,
    connected: 'in/{clientId}',
    disconnected: 'out/{clientId}',
  })
  for (let times = 0; times < 3; times++) await connect({ clientId: 'c1' })
  await advance(20_000)
  expect(said.map(({ topic, payload }) => (topic === 'is/c1' ? payload : topic))).toEqual([
    'in/c1',
    'online',
    'in/c1',
    'online',
    'in/c1',
    'online',
  ])
  expect(await retained('is/+')).toEqual(['is/c1 online'])
})

test('a client that is refused says nothing of the one that is there', async () => {
  const { connect, open, hooks, said } = await startPresence({ state: 'is/{clientId}', ...words, interval: 0 })
  await connect({ clientId: 'c1' })
  hooks.onConnect.tap('test', () => 0x87)
  const count = said.length
  await open(5).connect({ clientId: 'c1' })
  await settled()
  expect(said).toHaveLength(count)
})

test('nobody but the broker publishes there, and who may read is for topicSecurity to say', async () => {
  const rules = [
    { allow: 'all' as const, topics: ['is/%c'] },
    { deny: 'all' as const, topics: ['#', '$SYS/#'] },
  ]
  const { connect, retained } = await startPresence({ state: 'is/{clientId}', ...words, interval: 0 }, { topicSecurity: { rules } })
  const client = await connect({ clientId: 'c1', version: 5 })
  expect((await client.publish('is/c1', 'forged', { qos: 1 }))?.reasonCode).toBe(0x87)
  expect(await retained('is/+')).toEqual(['is/c1 online'])
  const granted = async (filter: string) => (await client.subscribe(filter, 1))[0]
  expect([await granted('is/c1'), await granted('is/c2'), await granted('$SYS/brokers/#')]).toEqual([1, 0x87, 0x87])
})

test('check says which template is wrong', async () => {
  const problems = async (presence: object) =>
    (
      await examine(catalogue, await resolveConfig(catalogue, { object: { preset: 'test', presence } as Config }), false).catch(error => ({
        problems: [(error as Error).message],
      }))
    ).problems.join()
  expect(await problems({ connected: 'a/{clientid}' })).toContain('{clientid} stands for nothing')
  expect(await problems({ connected: 'a/b' })).toContain('{clientId} is missing')
  expect(await problems({ connected: 'a/#/{clientId}' })).toContain('it makes no topic name')
  expect(await problems({ state: 'a/{node}/{clientId}' })).toContain('must not stand there')
  expect(await problems({ state: '$share/{clientId}' })).toContain('begin with $SYS/')
  expect(await problems({ state: 'a/{clientId}' })).toBe('')
})
