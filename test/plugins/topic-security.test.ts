import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Rights } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import { collectGarbage } from '../../plugins/limits/memory-use.ts'
import { Judge } from '../../plugins/topic-security/judge.ts'
import { type RuleInput, Rules } from '../../plugins/topic-security/rules.ts'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'

const { NotAuthorized, NoMatchingSubscribers } = ReasonCode

const judge = (...rules: RuleInput[]) => new Judge(new Rules({ rules, at: 'rules' }))
const client = (fields: { clientId?: string; username?: string | null; rights?: Rights | null } = {}) => ({
  clientId: 'c',
  username: 'u',
  rights: null,
  ...fields,
})

/** A broker whose clients have the rights that stand under their user name. */
async function withRights(rights: Record<string, Rights>, config: Config = {}) {
  const broker = await startBroker({ enableTopicSubPubSecure: true, sysTopic: {}, ...config })
  broker.hooks.onAuthenticate.tap('test', (_client, { username }) => {
    const given = username === undefined ? undefined : rights[username]
    return given === undefined ? {} : { rights: given }
  })
  return broker
}

describe('rights of the authentication answer', () => {
  test('none given means none', async () => {
    const { connect } = await withRights({})
    for (const username of ['u', undefined]) {
      const device = await connect({ version: 5, ...(username === undefined ? {} : { username }) })
      expect(await device.subscribe(['a', '#', '$SYS/broker/version', '$share/g/a'])).toEqual([
        NotAuthorized,
        NotAuthorized,
        NotAuthorized,
        NotAuthorized,
      ])
      expect((await device.publish('a', '', { qos: 1 }))?.reasonCode).toBe(NotAuthorized)
    }
  })

  test('an empty list, and one of two lists, leave nothing to the other', async () => {
    const { connect } = await withRights({ reader: { authorizedSub: ['a/#'], authorizedPub: [] }, writer: { authorizedPub: ['a/#'] } })
    const reader = await connect({ version: 5, username: 'reader' })
    expect(await reader.subscribe('a/b')).toEqual([0])
    expect((await reader.publish('a/b', '', { qos: 1 }))?.reasonCode).toBe(NotAuthorized)
    const writer = await connect({ version: 5, username: 'writer' })
    expect(await writer.subscribe('a/b')).toEqual([NotAuthorized])
    expect((await writer.publish('a/b', '', { qos: 1 }))?.reasonCode).toBe(0)
    expect((await writer.publish('b', '', { qos: 1 }))?.reasonCode).toBe(NotAuthorized)
  })

  test.each([
    ['+', '#', false],
    ['+', '+', true],
    ['a/#', 'a/#', true],
    ['a/#', 'a', true],
    ['a/#', 'a/+/b', true],
    ['a/+', 'a/#', false],
    ['a/b', 'a/+', false],
    ['#', 'a/b', true],
    ['#', '$SYS/broker/version', false],
    ['+/broker/version', '$SYS/broker/version', false],
    ['$SYS/#', '$SYS/broker/version', true],
    ['$SYS/broker/+', '$SYS/broker/version', true],
    ['$SYS/broker/version', '$SYS/#', false],
    ['a/#', '$share/g/a/b', true],
    ['a', '$share/g/b', false],
    ['#', '$share/g/$SYS/x', false],
    ['$SYS/#', '$share/g/$SYS/x', true],
    ['$share/g/a/#', '$share/g/a/b', true],
    ['$share/g/a/#', '$share/h/a/b', false],
    ['$share/g/a/#', 'a/b', false],
    ['$share/+/a', '$share/g/a', false],
    ['a/b+', 'a/b+', false],
    ['', 'a', false],
  ])('a right to subscribe to %j is one to %j: %s', (right, filter, allowed) => {
    expect(judge().maySubscribe(client({ rights: { authorizedSub: [right] } }), filter)).toBe(allowed)
  })

  test('a one-shot of $SYS is answered to whom it is allowed, and to nobody else', async () => {
    const { connect } = await withRights({ admin: { authorizedSub: ['$SYS/#'] }, guest: { authorizedSub: ['#'] } })
    const admin = await connect({ version: 5, username: 'admin' })
    expect(await admin.subscribe('$SYS/broker/version')).toEqual([0])
    expect(JSON.parse((await admin.message()).payload.toString())).toHaveProperty('version')
    const guest = await connect({ version: 5, username: 'guest' })
    expect(await guest.subscribe('$SYS/broker/version')).toEqual([NotAuthorized])
    expect(await guest.payloads()).toEqual([])
  })

  test('a retained message does not go to whom its filter was refused', async () => {
    const { connect, running } = await withRights({ guest: { authorizedSub: ['public/#'] } })
    await running.publish({ topic: 'secret', payload: 'x', retain: true })
    const guest = await connect({ version: 5, username: 'guest' })
    expect(await guest.subscribe(['secret', '#', '$share/g/secret'])).toEqual([NotAuthorized, NotAuthorized, NotAuthorized])
    expect(await guest.payloads()).toEqual([])
  })

  test('a will goes only where its client may publish', async () => {
    const { connect, hooks } = await withRights({ device: { authorizedPub: ['mine'] }, all: { authorizedSub: ['#'] } })
    const dropped: string[] = []
    hooks.onDrop.tap('test', (_clientId, { topic }, reason) => void dropped.push(`${topic} ${reason}`))
    const reader = await connect({ username: 'all' })
    await reader.subscribe('#')
    for (const topic of ['mine', 'other']) {
      const device = await connect({ username: 'device', will: { topic } })
      device.drop()
      await device.closed
    }
    await connect({ username: 'device' })
    expect((await reader.message()).topic).toBe('mine')
    expect(await reader.payloads()).toEqual([])
    expect(dropped).toEqual(['other refused'])
  })
})

describe('rules', () => {
  test('are asked in order, the first that fits decides, and rights come after them', () => {
    const one = judge({ deny: 'publish', topics: ['a/secret'] }, { allow: 'all', topics: ['a/#'] }, { deny: 'all', topics: ['#'] })
    const given = client({ rights: { authorizedPub: ['a/secret', 'b', '$x'], authorizedSub: ['b', '$x'] } })
    expect(['a/b', 'a/secret', 'b', '$x'].map(topic => one.mayPublish(given, topic))).toEqual([true, false, false, true])
    expect(['a/secret', 'a/#', 'b', '$x'].map(filter => one.maySubscribe(given, filter))).toEqual([true, true, false, true])
  })

  test('that deny meet every subscription which matches anything denied', () => {
    const one = judge({ deny: 'subscribe', topics: ['secret/#'] }, { allow: 'subscribe', topics: ['#'] })
    const asked = [
      '#',
      '+',
      '+/#',
      'secret',
      'secret/x',
      '+/x',
      'secret/+',
      'public/#',
      'a/+',
      '$share/g/#',
      '$share/g/secret/a',
      '$share/g/public',
    ]
    expect(asked.filter(filter => one.maySubscribe(client(), filter))).toEqual(['public/#', 'a/+', '$share/g/public'])
    expect(one.mayPublish(client(), 'public')).toBe(false)
  })

  test('are about users and client ids, or about everybody', () => {
    const one = judge(
      { allow: 'publish', topics: ['admin/#'], users: ['alice', '__proto__'] },
      { allow: 'publish', topics: ['gate'], clientIds: ['gate-1'] },
      { allow: 'publish', topics: ['both'], users: ['alice'], clientIds: ['gate-1'] },
      { allow: 'publish', topics: ['everybody'] },
      { allow: 'publish', topics: ['nobody'], users: [] },
    )
    const topics = ['admin/x', 'gate', 'both', 'everybody', 'nobody']
    const may = (who: object) => topics.filter(topic => one.mayPublish(client(who), topic))
    expect(may({ username: 'alice' })).toEqual(['admin/x', 'everybody'])
    expect(may({ username: '__proto__' })).toEqual(['admin/x', 'everybody'])
    expect(may({ username: 'constructor' })).toEqual(['everybody'])
    expect(may({ username: null })).toEqual(['everybody'])
    expect(may({ username: 'alice', clientId: 'gate-1' })).toEqual(['admin/x', 'gate', 'both', 'everybody'])
  })

  test.each([
    ['alice', 'home/alice/x', true],
    ['alice', 'home/bob/x', false],
    ['+', 'home/bob/x', false],
    ['+', 'home/+/x', false],
    ['#', 'home/bob', false],
    ['a/b', 'home/a/b', false],
    ['bob/#', 'home/bob', false],
    ['', 'home//x', false],
    [null, 'home/null/x', false],
    ['%c', 'home/c/x', false],
    ['%c', 'home/%c/x', true],
    ['$&', 'home/$&/x', true],
    ['__proto__', 'home/__proto__/x', true],
  ])('%%u of user %j reaches %j: %s', (username, topic, allowed) => {
    const one = judge({ allow: 'all', topics: ['home/%u/#'] })
    expect(one.maySubscribe(client({ username }), topic)).toBe(allowed)
    if (!/[+#]/.test(topic)) expect(one.mayPublish(client({ username }), topic)).toBe(allowed)
  })

  test('with %c and %u fill in both, wherever they stand in a level', () => {
    const one = judge({ allow: 'publish', topics: ['v1/%u-%c/state', '%c'] })
    expect(one.mayPublish(client({ username: 'a', clientId: 'b' }), 'v1/a-b/state')).toBe(true)
    expect(one.mayPublish(client({ username: 'a', clientId: 'b' }), 'b')).toBe(true)
    expect(one.mayPublish(client({ username: 'a', clientId: 'b/c' }), 'b/c')).toBe(false)
    expect(one.mayPublish(client({ username: 'a/b', clientId: 'c' }), 'v1/a/b-c/state')).toBe(false)
  })

  test('give a user that calls itself $SYS no part of $SYS', () => {
    const one = judge({ allow: 'all', topics: ['%u/#'] })
    expect(one.maySubscribe(client({ username: '$SYS' }), '$SYS/broker/status')).toBe(false)
    expect(one.maySubscribe(client({ username: '$share' }), '$share/g/a')).toBe(false)
  })

  test('that deny by name cannot be slipped past with a name that is more than one', () => {
    const one = judge({ deny: 'publish', topics: ['home/%u/lock'] }, { allow: 'publish', topics: ['home/#'] })
    expect(one.mayPublish(client({ username: 'alice' }), 'home/alice/lock')).toBe(false)
    expect(one.mayPublish(client({ username: 'alice' }), 'home/alice/lamp')).toBe(true)
    expect(one.mayPublish(client({ username: 'a/b' }), 'home/a/b/lock')).toBe(false)
    expect(one.mayPublish(client({ username: 'a/b' }), 'home/x')).toBe(false)
    expect(one.mayPublish(client({ username: null }), 'home/x')).toBe(true)
  })

  test.each([
    [{ rules: [{ topics: ['a'] }] }, /topicSecurity.rules\[0\]: a rule allows or denies/],
    [{ rules: [{ allow: 'all', deny: 'all', topics: ['a'] }] }, /rules\[0\]: a rule allows or denies/],
    [
      {
        rules: [
          { allow: 'all', topics: ['a'] },
          { allow: 'all', topics: ['a', 'b/#/c'] },
        ],
      },
      /rules\[1\]\.topics\[1\]: "b\/#\/c" is no topic filter/,
    ],
    [{ rules: [{ allow: 'read', topics: ['a'] }] }, /rules\[0\]\.allow: must be 'publish', 'subscribe' or 'all'/],
    [{ rules: [{ allow: 'all', topics: ['a'], user: ['x'] }] }, /rules\[0\]\.user: unknown; did you mean users\?/],
    [{ rules: [{ allow: 'all' }] }, /rules\[0\]\.topics: required/],
    [{ deniedPublish: 'ignore' }, /deniedPublish: must be 'refuse', 'drop' or 'close'/],
  ])('%j is an error at start that names the rule and the cure', async (topicSecurity, message) => {
    await expect(startBroker({ topicSecurity } as never)).rejects.toThrow(message)
  })
})

describe('a rules file', () => {
  test('stands behind the rules of the option, in YAML or JSON', async () => {
    const yaml = '- deny: publish\n  topics: [a/x]\n- allow: publish\n  topics:\n    - a/#\n'
    const json = JSON.stringify([
      { deny: 'publish', topics: ['a/x'] },
      { allow: 'publish', topics: ['a/#'] },
    ])
    for (const [name, text] of [
      ['rules.yaml', yaml],
      ['rules.json', json],
    ] as const) {
      const rulesFile = join(await folderWith({ [name]: text }), name)
      const { connect } = await startBroker({ topicSecurity: { rulesFile, rules: [{ deny: 'publish', topics: ['a/y'] }] } })
      const device = await connect({ version: 5 })
      const codes = []
      for (const topic of ['a/x', 'a/y', 'a/z', 'b']) codes.push((await device.publish(topic, '', { qos: 1 }))?.reasonCode)
      expect(codes).toEqual([NotAuthorized, NotAuthorized, NoMatchingSubscribers, NotAuthorized])
    }
  })

  test('that changes takes away from connected clients what it no longer allows', async () => {
    const path = join(await folderWith({ 'rules.yaml': '- allow: all\n  topics: ["#"]\n' }), 'rules.yaml')
    const { lines, plugin } = keptLog()
    const { connect, clock, hooks } = await startBroker({ topicSecurity: { rulesFile: path }, log: false, plugins: [plugin] })
    const device = await connect({ version: 5 })
    await device.subscribe(['a', 'b'])
    const taken = new Promise<string>(resolve => hooks.onUnsubscribed.tap('test', (_client, { filter }) => resolve(filter)))
    await writeFile(path, '- { allow: all, topics: [a] }\n')
    let isTaken = false
    void taken.then(() => (isTaken = true))
    await eventually(async () => {
      clock.advance(2000)
      return isTaken
    })
    expect(await taken).toBe('b')
    expect((await device.publish('b', '', { qos: 1 }))?.reasonCode).toBe(NotAuthorized)
    expect((await device.publish('a', '', { qos: 1 }))?.reasonCode).toBe(0)

    const complained = lines.length
    await writeFile(path, '- { allow: all }\n')
    await eventually(() => {
      clock.advance(2000)
      return lines.slice(complained).some(({ level }) => level === 'error')
    })
    expect(lines.at(-1)?.message).toMatch(/rules have changed and are not taken up: topicSecurity.rulesFile: .*rules\[0\].topics: required/)
    expect((await device.publish('a', '', { qos: 1 }))?.reasonCode).toBe(0)
  })

  test('that is empty allows nothing', async () => {
    const rulesFile = join(await folderWith({ 'rules.yaml': '' }), 'rules.yaml')
    const { connect } = await startBroker({ topicSecurity: { rulesFile } })
    expect(await (await connect({ version: 5 })).subscribe('a')).toEqual([NotAuthorized])
  })

  test.each([
    ['- allow: [', /rules.yaml:2: /],
    ['allow: all', /rules.yaml: rules: must be a list/],
    ['- &r { allow: all, topics: [a], users: [*r] }', /rules.yaml: is nested more than 100 levels deep, or holds itself/],
    [`- ${'['.repeat(20_000)}`, /rules.yaml(:1)?: .*nest/],
    ['- { allow: all, topics: [a+] }', /rules.yaml\[0\].topics\[0\]: "a\+" is no topic filter/],
  ])('%.60j is an error at start', async (text, message) => {
    const rulesFile = join(await folderWith({ 'rules.yaml': `${text}\n` }), 'rules.yaml')
    await expect(startBroker({ topicSecurity: { rulesFile } })).rejects.toThrow(message)
  })
})

describe('a denied publish', () => {
  test.each([
    ['refuse', 4, 0, 'nothing'],
    ['refuse', 4, 1, 0],
    ['refuse', 4, 2, 0],
    ['refuse', 5, 0, 'nothing'],
    ['refuse', 5, 1, NotAuthorized],
    ['refuse', 5, 2, NotAuthorized],
    ['drop', 4, 1, 0],
    ['drop', 5, 0, 'nothing'],
    ['drop', 5, 1, 0],
    ['drop', 5, 2, 0],
    ['close', 4, 0, 'closed'],
    ['close', 4, 1, 'closed'],
    ['close', 5, 0, 'closed with 0x87'],
    ['close', 5, 2, 'closed with 0x87'],
  ] as const)(
    'by %s, at protocol level %i and QoS %i: %s; it reaches nobody, and is counted',
    async (deniedPublish, version, qos, outcome) => {
      const { connect, broker } = await startBroker({ topicSecurity: { deniedPublish, rules: [{ allow: 'subscribe', topics: ['#'] }] } })
      const reader = await connect()
      await reader.subscribe('#')
      const device = await connect({ version })
      if (typeof outcome === 'number') {
        expect((await device.publish('a', 'x', { qos }))?.reasonCode).toBe(outcome)
      } else {
        device.sendPublish('a', 'x', { qos })
        if (outcome === 'nothing') expect(await device.rest()).toEqual([])
        else expect((await device.ended())?.reasonCode).toBe(version === 5 ? NotAuthorized : undefined)
      }
      expect(await reader.payloads()).toEqual([])
      expect(broker.counters.dropped.refused).toBe(1)
    },
  )

  test('is one line in the log in ten seconds, however often it is tried', async () => {
    const { lines, plugin } = keptLog()
    const { connect, advance } = await startBroker({ topicSecurity: {}, log: false, plugins: [plugin] })
    const device = await connect({ version: 5 })
    for (let i = 0; i < 100; i++) await device.publish(`a/${i}`, '', { qos: 1 })
    await advance(10_000)
    await device.publish('b', '', { qos: 1 })
    await advance(10_000)
    const said = lines.filter(({ message }) => message === 'publish refused')
    expect(said.map(({ fields }) => fields)).toMatchObject([
      { topic: 'a/0', count: 1 },
      { topic: 'a/1', count: 99 },
      { topic: 'b', count: 1 },
    ])
  })
})

test('other plugins may refuse what is allowed, and those that come later cannot allow what is denied', async () => {
  const { connect, hooks } = await startBroker({ topicSecurity: { rules: [{ allow: 'publish', topics: ['a/#'] }] } })
  hooks.onAuthorize.tap('test', (_publisher, _action, topic) => topic !== 'a/x')
  const device = await connect({ version: 5 })
  const codes = []
  for (const topic of ['a/x', 'a/y', 'b']) codes.push((await device.publish(topic, '', { qos: 1 }))?.reasonCode)
  expect(codes).toEqual([NotAuthorized, NoMatchingSubscribers, NotAuthorized])
})

test('new rules by reload count at once', async () => {
  const { connect, running } = await startBroker({ topicSecurity: { rules: [{ allow: 'all', topics: ['a'] }] } })
  const device = await connect({ version: 5 })
  await device.subscribe('a')
  const code = async (topic: string) => (await device.publish(topic, topic, { qos: 1 }))?.reasonCode
  expect([await code('a'), await code('b')]).toEqual([0, NotAuthorized])
  await running.reload('topicSecurity', { rules: [{ allow: 'publish', topics: ['b'] }], deniedPublish: 'drop' })
  expect([await code('a'), await code('b')]).toEqual([0, NoMatchingSubscribers])
  expect(device.heard.filter(({ type }) => type === PacketType.Publish)).toHaveLength(1)
  await expect(running.reload('topicSecurity', { rules: [{ allow: 'publish', topics: ['b+'] }] })).rejects.toThrow('no topic filter')
  expect(await code('b')).toBe(NoMatchingSubscribers)
})

test('what is remembered of topics stays within its bound, and verdicts stay right beyond it', () => {
  const one = judge({ allow: 'publish', topics: ['good/#'] })
  const clients = [client({ clientId: 'a' }), client({ clientId: 'b' })]
  const tail = 'x'.repeat(60_000)
  const before = process.memoryUsage().heapUsed + process.memoryUsage().external
  for (let i = 0; i < 4000; i++)
    for (const who of clients) expect(one.mayPublish(who, `${i % 2 === 0 ? 'good' : 'bad'}/${i}/${tail}`)).toBe(i % 2 === 0)
  collectGarbage()
  // 8,000 topics of 60 kB each would be 480 MB.
  expect(process.memoryUsage().heapUsed + process.memoryUsage().external - before).toBeLessThan(200_000_000)
})
