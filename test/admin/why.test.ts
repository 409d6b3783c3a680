import { expect, test } from 'vitest'
import { settled, startBroker } from '../support/broker.ts'

const says = (rows: readonly { asked: string; says: string }[]): string => rows.map(({ asked, says }) => `${asked}: ${says}`).join('\n')

test('why a publish is refused: the rule is named, and nothing is sent to find out', async () => {
  const rules = [
    { allow: 'publish', topics: ['plant/%u/#'] },
    { deny: 'publish', topics: ['plant/+/secret'] },
  ] as const
  const { broker, connect, hooks } = await startBroker({
    allowAnonymous: true,
    topicSecurity: { withoutRights: 'deny', rules: [...rules] },
  })
  await connect({ clientId: 'meter', username: 'anna' })
  let published = 0
  hooks.onPublish.tap('spy', () => void (published += 1))
  const why = (topic: string) => broker.inspect('why', { id: 'meter', action: 'publish', topic })
  expect(await why('plant/anna/1')).toMatchObject({ yes: true, connected: true })
  expect(says((await why('plant/anna/1')).rows)).toContain(
    'topicSecurity, onAuthorize: has no objection: topicSecurity.rules[0] allows plant/anna/#',
  )
  expect(await why('plant/bert/secret')).toMatchObject({
    yes: false,
    verdict: 'no: topicSecurity, onAuthorize: refuses it: topicSecurity.rules[1] denies plant/+/secret',
  })
  expect((await why('elsewhere')).verdict).toContain('no rule fits, and the client was given no rights')
  expect((await why('$SYS/broker')).verdict).toContain('clients cannot publish to this topic')
  expect(says((await why('plant/anna/1')).rows)).toContain('spy, onPublish: not asked; it may still refuse')
  expect(published).toBe(0)
})

test('a tap that says that it is pure is asked', async () => {
  const { broker, connect, hooks } = await startBroker()
  await connect({ clientId: 'a' })
  hooks.onPublish.tap({ name: 'quota', pure: true }, (_publisher, message) => (message.topic === 'full' ? 0x97 : undefined))
  hooks.onSubscribe.tapPromise({ name: 'later', pure: true }, async (_client, { filter }) => (filter === 'no' ? 0x87 : undefined))
  expect(await broker.inspect('why', { id: 'a', action: 'publish', topic: 'full' })).toMatchObject({
    yes: false,
    verdict: 'no: quota, onPublish: refuses it: 151',
  })
  expect(await broker.inspect('why', { id: 'a', action: 'publish', topic: 't' })).toMatchObject({ yes: true })
  expect(await broker.inspect('why', { id: 'a', action: 'subscribe', topic: 'no' })).toMatchObject({ yes: false })
  expect(await broker.inspect('why', { id: 'a', action: 'subscribe', topic: 'a/#/b' })).toMatchObject({ yes: false })
})

test.each(['round', 'sticky'] as const)(
  'whose turn is next in a shared group (%s) is told, and does not move on by being asked',
  async shareSubStrategy => {
    const { broker, connect } = await startBroker({ shareTopic: { shareSubStrategy } })
    const members = await Promise.all(['a', 'b', 'c'].map(clientId => connect({ clientId })))
    for (const member of members) await member.subscribe('$share/g/t', 1)
    // Sticky has chosen by now.
    await broker.publish({ topic: 't', payload: '', qos: 1 })
    await settled()
    const next = async (id: string): Promise<string> =>
      /the next message goes to (.*) \(shareTopic, strategy \w+\)/.exec(
        says((await broker.inspect('why', { id, action: 'receive', topic: 't' })).rows),
      )![1]!
    const [a, b, c] = [await next('a'), await next('b'), await next('c')]
    const chosen = ['a', 'b', 'c'][[a, b, c].indexOf('this one')]!
    expect([a, b, c].map((who, i) => (who === 'this one' ? ['a', 'b', 'c'][i] : who))).toEqual([chosen, chosen, chosen])
    expect(await next('a')).toBe(a)
    const before = members.map(({ heard }) => heard.length)
    await broker.publish({ topic: 't', payload: '', qos: 1 })
    await settled()
    const got = members.findIndex(({ heard }, i) => heard.length > before[i]!)
    expect(['a', 'b', 'c'][got]).toBe(chosen)
  },
)

test('why a client gets nothing: what it has subscribed to, what waits, what was dropped', async () => {
  const { broker, connect } = await startBroker({ mqtt: { queueMessagesMax: 1 } })
  const reader = await connect({ clientId: 'reader', version: 5, properties: { receiveMaximum: 1 } })
  await reader.subscribe('plant/+/set', 1)
  const why = (topic: string) => broker.inspect('why', { id: 'reader', action: 'receive', topic })
  expect(await why('plant/1/set')).toMatchObject({
    yes: true,
    rows: [{ asked: 'session' }, { says: 'matches its subscription plant/+/set, QoS 1' }],
  })
  expect((await why('plant/1/get')).verdict).toBe('no: router: none of its subscriptions matches: plant/+/set')
  for (let i = 0; i < 4; i++) void broker.publish({ topic: 'plant/1/set', payload: 'x', qos: 1 })
  const full = await why('plant/1/set')
  expect(says(full.rows)).toContain('connection: it does not take what waits')
  expect(full.drops).toMatchObject([{ id: 'reader', reason: 'queueFull', count: 2 }])
  expect((await broker.inspect('why', { id: 'nobody', action: 'receive', topic: 't' })).verdict).toContain('there is none')
})

test('by hash or at random nobody can tell before there is a publisher, and why says so', async () => {
  for (const shareSubStrategy of ['hash', 'random'] as const) {
    const { broker, connect } = await startBroker({ shareTopic: { shareSubStrategy } })
    const [a, b] = [await connect({ clientId: 'a' }), await connect({ clientId: 'b' })]
    for (const member of [a, b]) await member.subscribe('$share/g/t', 1)
    const { rows } = await broker.inspect('why', { id: 'a', action: 'receive', topic: 't' })
    expect(says(rows)).toContain(`the next message goes to any of them (shareTopic, strategy ${shareSubStrategy})`)
  }
})
