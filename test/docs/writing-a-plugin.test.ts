import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Plugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'

// Goal: what docs/writing-a-plugin.md shows is true. Its examples name their file in the first line; that they type-check
// is code-blocks.test.ts.

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = await readFile(join(root, 'docs', 'writing-a-plugin.md'), 'utf8')

function examples(language: string): Record<string, string> {
  const blocks = page.matchAll(new RegExp(`^\`\`\`${language}\\n// (\\S+)\\n(.*?)^\`\`\`$`, 'gms'))
  return Object.fromEntries([...blocks].map(([, name, text]) => [name!, text!]))
}

test('its plain JavaScript example is the one that the tests run', async () => {
  expect(examples('js')['five-hooks.js']).toBe(await readFile(join(root, 'test', 'fixtures', 'five-hooks.js'), 'utf8'))
})

test('its rate limit refuses beyond the budget, begins anew each second, and takes new options while running', async () => {
  const folder = await folderWith(examples('ts'))
  const { connect, advance, running } = await startBroker({ plugins: [[join(folder, 'rate-limit.ts'), { perSecond: 1 }]] })
  const client = await connect({ version: 5 })
  const publish = async () => (await client.publish('t', '', { qos: 1 }))?.reasonCode
  const passed = ReasonCode.NoMatchingSubscribers
  expect([await publish(), await publish()]).toEqual([passed, ReasonCode.QuotaExceeded])
  await advance(1000)
  expect([await publish(), await publish()]).toEqual([passed, ReasonCode.QuotaExceeded])
  expect(await running.reload('rateLimit', { perSecond: 3 })).toBe(true)
  expect([await publish(), await publish()]).toEqual([passed, ReasonCode.QuotaExceeded])
  await expect(running.reload('rateLimit', { perSecnd: 3 })).rejects.toThrow('rateLimit.perSecnd: unknown; did you mean perSecond?')
  expect(await running.reload('unknown', {})).toBe(false)
})

test('its plugins find each other by a service, in whatever order they stand', async () => {
  const folder = await folderWith(examples('ts'))
  const { createJiti } = await import('jiti')
  const jiti = createJiti(folder, { fsCache: false, virtualModules: { 'mqttx-broker': await import('../../presets/index.ts') } })
  const { english, welcome } = await jiti.import<Record<string, () => Plugin>>(join(folder, 'greeter.ts'))
  const { connect, hooks } = await startBroker({ plugins: [welcome!(), english!()] })
  const said: string[] = []
  hooks.onRoute.tap('test', ({ topic, payload }) => void said.push(`${topic} ${payload}`))
  await connect({ clientId: 'a' })
  expect(said).toEqual(['welcome/a Hello a'])
})
