import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import type { Options } from '../../plugins/redis/client-options.ts'
import { Keys } from '../../plugins/redis/keys.ts'
import { redisManifest } from '../../plugins/redis/manifest.ts'
import { bodyField, identifierField, sessionField, stateField, storedFormat, totalField } from '../../plugins/redis/script/layout.ts'
import { createBroker } from '../../presets/index.ts'
import { willOf } from '../contracts/suite/sessions-harness.ts'
import { TestClient } from '../support/client.ts'
import { coreOf } from '../support/core.ts'
import { RedisServer } from '../support/redis.ts'
import { forThree, writeHistory } from '../upgrade/history.ts'

// Goal: docs/redis-keys.md names every key and every field that there is, and none that is not.

const page = readFileSync(new URL('../../docs/redis-keys.md', import.meta.url), 'utf8')

/** The cells of each row of the tables whose first line is `head`. */
function rowsBelow(head: string): string[][] {
  const found: string[][] = []
  let inside = false
  for (const line of page.split('\n')) {
    if (line === head) inside = true
    else if (!line.startsWith('|')) inside = false
    else if (inside && !line.startsWith('|---'))
      found.push(
        line
          .slice(1, -1)
          .split('|')
          .map(cell => cell.trim()),
      )
  }
  return found
}

const unquoted = (cell: string): string => /^`(.*?)`/.exec(cell)?.[1] ?? cell

interface Described {
  readonly pattern: string
  readonly type: string
  readonly matches: RegExp
}

const described: Described[] = rowsBelow('| key | type | what it holds | who writes it | when it goes |').map(([key, type]) => {
  const pattern = unquoted(key!)
  const expression = pattern
    .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replace(/\bN$/, '\\d+')
    .replace('TABLE', '(routes|wills)')
    .replace(/CLIENT|TOPIC|FILTER/g, '.+')
    .replace(/NODE|RUN|TAG|PROCESS|EPOCH|\bID\b/g, '[^:]+')
  return { pattern, type: type!, matches: new RegExp(`^${expression}$`, 's') }
})

/** The one description of a key: of those that fit the one that says most. */
function descriptionOf(key: string): Described | undefined {
  return described.filter(({ matches }) => matches.test(key)).sort((a, b) => b.pattern.length - a.pattern.length)[0]
}

const options = checkOptions(redisManifest.options, {}, 'redis') as Options

test('each name in keys.ts stands on the page, and each on the page is in keys.ts', () => {
  const keys = new Keys(options)
  const names = [
    keys.session('c'),
    keys.queue('c'),
    keys.identifiers('c'),
    `${keys.queue('c')}:1234`,
    `${keys.queue('c')}:1234:ids`,
    keys.body('0mx21eiskCnoq001'),
    keys.retained('a/b'),
    keys.subscribers('a/+'),
    keys.filters('a/+'),
    keys.due('c'),
    keys.cleanWills('c'),
    keys.willsOf('n', 'run'),
    keys.willRuns,
    keys.format,
    keys.time,
    keys.mark('all'),
    keys.totals('all'),
    keys.totalsTags,
    keys.node('n'),
    keys.members,
    keys.log,
    keys.state,
    keys.inbox('n', 'run'),
    keys.table('n', 'run', 'routes'),
    keys.lastBatch('all', 'process'),
    // Of the plugin `cluster`.
    'mqttx:cache_consistence',
  ]
  const found = names.map(name => descriptionOf(name)?.pattern ?? `no description of ${name}`)
  expect(found.sort()).toEqual(described.map(({ pattern }) => pattern).sort())
  expect(page).toContain(`${keys.channelPrefix(false)}NODE`)
  // What has no key of its own in the class is read by its own name.
  const members = Object.entries(Object.getOwnPropertyDescriptors(Keys.prototype)).map(([name]) => name)
  const helpers = [
    'constructor',
    'sessionPattern',
    'clientIdOf',
    'clientIdIn',
    'agreed',
    'bodyPrefix',
    'bodyPattern',
    'retainedPattern',
    'topicOf',
    'allFilters',
    'allDue',
    'channelPrefix',
    'nodePattern',
    'nodeOf',
  ]
  expect(members.filter(name => !helpers.includes(name))).toHaveLength(names.length - 3)
})

test('each field stands on the page, and the format that is written', () => {
  const fields = rowsBelow('| field | what it holds |').map(([name]) => unquoted(name!))
  const known = [
    ...Object.values(sessionField),
    ...Object.values(identifierField),
    bodyField,
    'a number',
    ...Object.values(totalField),
    ...Object.values(stateField),
  ]
  expect([...fields].sort()).toEqual(known.sort())
  expect(rowsBelow('| format | version | what is new |').map(([format]) => Number(format))).toEqual(
    Array.from({ length: storedFormat }, (_, i) => i + 1),
  )
})

test('every key in a Redis that brokers have used is described, with its type', async () => {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  const running = await createBroker({
    preset: 'dev',
    log: { level: 'silent' },
    socket: { port: 0, host: '127.0.0.1' },
    brokerId: 'n1',
    redis: { url: server.url },
    cluster: { heartbeat: 100, expiry: 1000 },
  }).start()
  onTestFinished(() => running.stop())
  const open = (version: 4 | 5) => new TestClient(connect({ port: running.port, host: '127.0.0.1', noDelay: true }), version)
  const clients = await writeHistory(open)
  onTestFinished(() => {
    for (const client of clients) client.drop()
  })
  await coreOf(running).services.get('state').set('mine/a', 'x')
  await coreOf(running).sessions.keepWill!('clean', 'n1', willOf('w', 0))
  const client = server.client()
  onTestFinished(() => client.disconnect())
  const wrong: string[] = []
  const seen = new Set<string>()
  for (const key of await client.keys('*')) {
    const description = descriptionOf(key)
    const type = await client.type(key)
    if (description === undefined) wrong.push(`${key} is not described`)
    else if (description.type !== type) wrong.push(`${key} is a ${type}, and ${description.pattern} is described as a ${description.type}`)
    else seen.add(description.pattern)
  }
  expect(wrong).toEqual([])
  const session = await client.hkeys('mqttx.session.key:{reader}')
  const names = Object.values(sessionField)
  expect(session.filter(field => !names.includes(field as never) && !field.startsWith(sessionField.subscription))).toEqual([])
  const identifiers = await client.hkeys('mqttx:client:pubrelmsg:{reader}')
  expect(identifiers.filter(field => !/^[oitk]/.test(field))).toEqual([])
  expect(forThree.length).toBeGreaterThan(128)
  // All but what only a Redis Cluster or a second node writes, or what is there for a moment or after one.
  const rare = /:EPOCH|inbox|totals$|node:NODE/
  expect(described.map(({ pattern }) => pattern).filter(pattern => !seen.has(pattern) && !rare.test(pattern))).toEqual([])
})
