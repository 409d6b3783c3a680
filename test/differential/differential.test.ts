import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { startOurs } from './brokers.ts'
import { Duel, shown } from './duel.ts'
import { rules } from './rules.ts'

const scripts = 120

describe('the same random clients on this broker and on mosquitto', () => {
  let duel: Duel
  beforeAll(async () => {
    duel = await Duel.start()
  })
  afterAll(() => duel.stop())

  test(`${scripts} scripts: whatever differs, a rule allows`, async () => {
    for (let seed = 1; seed <= scripts; seed++) {
      const { open } = await duel.play(seed)
      expect(open.map(shown), `npm run differential -- --script ${seed}`).toEqual([])
    }
  })
})

test('there are few rules, each with a name of its own and its clause', () => {
  expect(rules.length).toBeLessThanOrEqual(40)
  expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length)
  for (const { clause } of rules) expect(clause).toMatch(/MQTT|follows from/)
})

test.each<[string, (broker: RunningBroker) => void]>([
  [
    'keeps messages to one topic for itself',
    ({ hooks }) => hooks.onDeliver.tap('wrong', (_, { topic }) => (topic === 'a//c' ? false : undefined)),
  ],
  ['forgets which messages are old', ({ hooks }) => hooks.onDeliver.tap('wrong', (_, delivery) => void (delivery.retain = false))],
  ['grants less than it could', ({ hooks }) => hooks.onSubscribe.tap('wrong', (_, subscription) => void (subscription.qos = 0))],
])('a broker that %s is found', async (_, breakIt) => {
  const duel = await Duel.start(() => startOurs(breakIt))
  try {
    let found = 0
    for (let seed = 1; seed <= scripts && found === 0; seed++) found = (await duel.play(seed)).open.length
    expect(found).toBeGreaterThan(0)
  } finally {
    await duel.stop()
  }
})

test('docs/differential.md has each rule with its clause', async () => {
  const page = await readFile(new URL('../../docs/differential.md', import.meta.url), 'utf8')
  const rows = page.split('\n').flatMap(line => (/^\| [^-]/.test(line) ? [line.split(' | ').slice(0, 2).join(' | ')] : []))
  expect(rows.slice(1)).toEqual(rules.map(({ name, clause }) => `| ${name} | ${clause}`))
})
