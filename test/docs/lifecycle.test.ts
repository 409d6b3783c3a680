import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createHooks, Stage } from '../../core/hooks.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

const page = await readFile(new URL('../../docs/lifecycle.md', import.meta.url), 'utf8')
const hooks = Object.keys(createHooks({ clock: new ManualClock(), verdictTimeoutMs: 5000, report: () => {} }))

test('docs/lifecycle.md has every hook in its table, in the order of core/hooks.ts', () => {
  const rows = page.slice(page.indexOf('## The hooks'), page.indexOf('## When a tap fails'))
  const named = [...rows.matchAll(/^\| (`on\w+`(?:, `on\w+`)*) \|/gm)].flatMap(([, names]) => names!.replaceAll('`', '').split(', '))
  expect(named).toEqual(hooks)
})

test('docs/lifecycle.md shows where each hook happens', () => {
  const diagrams = [...page.matchAll(/^```\n(.*?)^```$/gms)].map(([, text]) => text).join('')
  // These happen anywhere.
  const anywhere = ['onOperate', 'onOperated', 'onError', 'onPacketReceived', 'onPacketSent']
  for (const hook of hooks) expect(anywhere.includes(hook) || diagrams.includes(`[${hook}]`), hook).toBe(true)
})

test('docs/lifecycle.md has every stage with its number', () => {
  for (const [name, order] of Object.entries(Stage)) expect(page).toContain(`| \`Stage.${name}\` | ${order} |`)
})
