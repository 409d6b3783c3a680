import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { type Admission, type Config, createBroker, definePlugin } from '../../presets/index.ts'
import { says, startAuthServer } from '../support/auth-server.ts'
import { startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'

// Goal: rights that somebody grants hold. Plugin topicSecurity comes on by itself with a plugin that grants them, and whoever is granted rights that nobody checks
// does not come in.

const { NotAuthorized, NoMatchingSubscribers } = ReasonCode
const said = (lines: ReturnType<typeof keptLog>['lines']) =>
  lines.filter(({ level, message }) => level === 'warn' && !message.startsWith('no listener'))
const only = (list: object) => JSON.stringify(list)

/** What a client that the service admits with this answer may do. */
async function may(body: string, config: Config = {}) {
  const { lines, plugin } = keptLog()
  const { url } = await startAuthServer(says(200, body))
  const broker = await startBroker({ log: false, plugins: [plugin], authHttp: { url }, ...config })
  const client = await broker.connect({ version: 5, username: 'u', password: 'p' })
  const publish = async (topic: string) => (await client.publish(topic, '', { qos: 1 }))!.reasonCode
  const warnings = said(lines).map(({ message }) => message)
  return {
    publish: [await publish('mine/x'), await publish('other')],
    subscribe: await client.subscribe(['mine/x', 'other', '#']),
    warnings,
  }
}

test('authHttp alone: what the service grants is all that its clients may do', async () => {
  expect(await may(only({ authorizedPub: ['mine/#'], authorizedSub: ['mine/#'] }))).toEqual({
    publish: [NoMatchingSubscribers, NotAuthorized],
    subscribe: [0, NotAuthorized, NotAuthorized],
    warnings: [],
  })
})

test.each([
  ['', [NoMatchingSubscribers, NoMatchingSubscribers], [0, 0, 0]],
  ['{}', [NoMatchingSubscribers, NoMatchingSubscribers], [0, 0, 0]],
  [only({ authorizedPub: null }), [NoMatchingSubscribers, NoMatchingSubscribers], [0, 0, 0]],
  [only({ authorizedPub: [] }), [NotAuthorized, NotAuthorized], [0, 0, 0]],
  [only({ authorizedSub: ['mine/#'] }), [NoMatchingSubscribers, NoMatchingSubscribers], [0, NotAuthorized, NotAuthorized]],
])('come on by itself it holds to the lists that the answer %j names, and to no others', async (body, publish, subscribe) => {
  expect(await may(body)).toEqual({ publish, subscribe, warnings: [] })
})

test.each([{ enableTopicSubPubSecure: true }, { topicSecurity: {} }, { topicSecurity: true }])(
  'wanted by name, none means none: %j',
  async config => {
    expect(await may('', config)).toEqual({
      publish: [NotAuthorized, NotAuthorized],
      subscribe: [NotAuthorized, NotAuthorized, NotAuthorized],
      warnings: [],
    })
  },
)

test.each([{ topicSecurity: false }, { topicSecurity: { enable: false } }, { enableTopicSubPubSecure: false }])(
  'said to be off by name, it is, and one warning says so: %j',
  async config => {
    const { publish, subscribe, warnings } = await may(only({ authorizedPub: ['mine/#'], authorizedSub: [] }), config)
    expect([publish, subscribe]).toEqual([
      [NoMatchingSubscribers, NoMatchingSubscribers],
      [0, 0, 0],
    ])
    expect(warnings).toEqual([
      expect.stringMatching(/^authHttp: the rights that it grants are checked by no built-in plugin, since topicSecurity is off/),
    ])
  },
)

const granting = (grantsRights: boolean, admission: Admission = { rights: { authorizedPub: ['mine/#'], authorizedSub: [] } }) =>
  definePlugin({ name: 'ownAuth', grantsRights, apply: ({ hooks }) => void hooks.onAuthenticate.tap('ownAuth', () => admission) })

test("a stranger's plugin whose manifest says that it grants rights brings topicSecurity along, too", async () => {
  const broker = await startBroker({ plugins: [granting(true)()] })
  const client = await broker.connect({ version: 5 })
  expect((await client.publish('other', '', { qos: 1 }))!.reasonCode).toBe(NotAuthorized)
  expect(await client.subscribe('mine/x')).toEqual([NotAuthorized])
})

test('an admission with rights that nobody checks is refused, counted, and a line; one that says nothing of rights is not', async () => {
  const { lines, plugin } = keptLog()
  const broker = await startBroker({ log: false, plugins: [plugin, granting(false)()] })
  for (let i = 0; i < 3; i++) expect((await broker.open(5).connect({ clientId: 'd', username: 'u' })).reasonCode).toBe(NotAuthorized)
  expect((await broker.open(4).connect({ clientId: 'd', username: 'u' })).reasonCode).toBe(5)
  expect(broker.broker.counters.limited.uncheckedRights).toBe(4)
  expect(said(lines)).toMatchObject([
    {
      fields: { clientId: 'd', username: 'u' },
      message: expect.stringMatching(/^client refused: rights were granted that nobody checks; turn topicSecurity on/),
    },
  ])
  for (const admission of [{}, { rights: {} }]) {
    const other = await startBroker({ plugins: [granting(false, admission)()] })
    expect((await other.open(5).connect()).reasonCode).toBe(0)
  }
  const checked = await startBroker({ plugins: [granting(false)()] })
  checked.hooks.onAuthorize.tap('test', () => true)
  expect((await checked.open(5).connect()).reasonCode).toBe(0)
})

test('where authentication is asked for and nobody says what clients may do, the start warns; it does not where somebody does, or says that it is meant', async () => {
  const warnings = async (config: Config) => {
    const { lines, plugin } = keptLog()
    const auth = definePlugin({ name: 'ownAuth', apply: ({ hooks }) => void hooks.onAuthenticate.tap('ownAuth', () => ({})) })
    const running = await createBroker({
      preset: 'test',
      socket: false,
      log: false,
      requireAuthentication: true,
      ...config,
      plugins: [plugin, auth()],
    }).start()
    await running.stop()
    return lines.filter(({ level, message }) => level === 'warn' && message.includes('topicSecurity')).map(({ message }) => message)
  }
  expect(await warnings({})).toEqual([
    'whoever is let in may publish and subscribe to everything; add topicSecurity with rules, or say topicSecurity: false',
  ])
  expect(await warnings({ topicSecurity: {} })).toEqual([])
  expect(await warnings({ topicSecurity: false })).toEqual([])
})
