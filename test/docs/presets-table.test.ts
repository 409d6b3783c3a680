import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { OptionSchema } from '../../core/options/options.ts'
import { optionAt } from '../../plugins/kit/options/describe.ts'
import { formatBytes, formatDuration, parseBytes, parseDuration } from '../../plugins/kit/options/quantity.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { type Config, catalogue, definePlugin } from '../../presets/index.ts'
import { hostOf } from '../../presets/shell/applied-plugins.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { examine } from '../../presets/shell/probe.ts'
import type { ResolvedConfig } from '../../presets/shell/resolved-config.ts'

// Goal: the table of docs/security.md says what the presets have, and `prod` is as closed as the others or says why not. Method: our cells are made from the
// presets, by applying their plugins where an option does not say it. UPDATE_TABLE=1 writes them.

const file = fileURLToPath(new URL('../../docs/security.md', import.meta.url))
const presets = ['test', 'dev', 'standalone', 'prod'] as const
type PresetName = (typeof presets)[number]

interface Row {
  readonly line: string
  readonly what: string
  readonly option: string
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  readonly why: string
}

function rowsOf(text: string): Row[] {
  const [, section = ''] = text.split('## What each preset lets in\n')
  return section
    .split('\n## ')[0]!
    .split('\n')
    .filter(line => line.startsWith('| ') && !line.startsWith('| What '))
    .map(line => {
      const [what = '', option = '', ...cells] = line.split(/\s*\|\s*/).slice(1, -1)
      return { line, what, option: option.replaceAll('`', ''), ours: cells.slice(0, 4), theirs: cells.slice(4, 6), why: cells[6] ?? '' }
    })
}

const someone = definePlugin({ name: 'someone', apply: ({ hooks }) => hooks.onAuthenticate.tap('someone', () => undefined) })
const resolved = (preset: PresetName, more: Config = {}) => resolveConfig(catalogue, { object: { preset, ...more } })

/** A preset with its plugins applied, and somebody who authenticates. */
async function guarded(preset: PresetName) {
  const config = await resolved(preset, { plugins: [someone()] })
  const { broker, apply } = hostOf(catalogue, config, new SystemClock())
  await apply()
  return { config, broker }
}

/** What no option says, by the row's name. */
const behaviours: Record<string, (preset: PresetName) => Promise<string>> = {
  async 'where it listens while nothing says who may connect'(preset) {
    const config = await resolved(preset)
    const { problems } = await examine(catalogue, config, false)
    if (problems.some(problem => problem.startsWith('allowAnonymous: anybody could connect'))) return 'it does not start'
    const { broker, apply } = hostOf(catalogue, config, new SystemClock())
    await apply()
    return broker.addressesFor(config.settings.host).every(address => address === '127.0.0.1' || address === '::1')
      ? 'loopback'
      : 'everywhere'
  },
  async 'what a client may do that is let in, without rules'(preset) {
    return (await guarded(preset)).broker.hooks.onAuthorize.isUsed() ? 'nothing' : 'everything'
  },
  async 'who gets a session by its client id, where users have names'(preset) {
    const { broker } = await guarded(preset)
    return broker.entry.isByUser({ transport: {} as never }) ? 'its user' : 'anybody'
  },
  async 'guessing passwords'(preset) {
    return (await guarded(preset)).broker.hooks.onAttempt.isUsed() ? 'slowed' : 'at any pace'
  },
}

function optionOf(config: ResolvedConfig, path: string): { readonly value: unknown; readonly schema: OptionSchema | undefined } | null {
  const keys = path.split('.')
  const plugin = catalogue.plugins[keys[0] as keyof typeof catalogue.plugins]
  const found = config.plugins.find(({ name }) => name === keys[0])
  if (plugin !== undefined && found === undefined) return null
  const inner = found === undefined ? keys : keys.slice(1)
  const properties = found === undefined ? config.rootSchema : (found.schema ?? {})
  let value: unknown = found === undefined ? config.root : found.options
  for (const key of inner) value = (value as Record<string, unknown>)[key]
  return { value, schema: optionAt({ type: 'object', properties }, inner, undefined) }
}

async function cell(row: Pick<Row, 'what' | 'option'>, preset: PresetName): Promise<string> {
  const behaviour = behaviours[row.what]
  if (behaviour !== undefined) return behaviour(preset)
  const option = optionOf(await resolved(preset), row.option)
  if (option === null) return '–'
  const { value, schema } = option
  if (value === null || value === undefined) return row.option.endsWith('origins') ? 'any' : 'none'
  if (typeof value !== 'number') return String(value)
  if (schema !== undefined && 'type' in schema && schema.type === 'duration') return formatDuration(value)
  if (schema !== undefined && 'type' in schema && schema.type === 'bytes') return formatBytes(value)
  return value.toLocaleString('en')
}

/** How much a cell lets in, where it is an amount: milliseconds, bytes or a number. */
function amount(text: string): number | undefined {
  if (text === 'none') return Number.POSITIVE_INFINITY
  if (text === 'auto') return 0
  const plain = text.replaceAll(',', '')
  return parseDuration(plain) ?? parseBytes(plain)
}

const text = readFileSync(file, 'utf8')
const rows = rowsOf(text)

test('our columns are what the presets have', async () => {
  expect(rows.length).toBeGreaterThan(25)
  const wrong: string[] = []
  let updated = text
  for (const row of rows) {
    const ours = await Promise.all(presets.map(preset => cell(row, preset)))
    if (JSON.stringify(ours) === JSON.stringify(row.ours)) continue
    wrong.push(`${row.what}: ${ours.join(' | ')}`)
    const option = row.option === '' ? '' : `\`${row.option}\` `
    updated = updated.replace(
      row.line,
      `| ${[row.what, option.trim(), ...ours, ...row.theirs, row.why].join(' | ')} |`.replaceAll('|  |', '| |'),
    )
  }
  if (process.env.UPDATE_TABLE !== undefined) return writeFileSync(file, updated)
  expect(wrong, 'UPDATE_TABLE=1 npx vitest run test/docs/presets-table.test.ts writes them').toEqual([])
})

// From the most closed on.
const closed = [
  ['it does not start', 'not at all', '127.0.0.1', 'loopback', 'as its listener says', '0.0.0.0', 'everywhere'],
  ['nothing', 'everything'],
  ['its user', 'anybody'],
  ['slowed', 'at any pace'],
]

function isOpener(ours: string, theirs: string): boolean {
  const scale = closed.find(words => words.includes(ours) && words.includes(theirs))
  if (scale !== undefined) return scale.indexOf(ours) > scale.indexOf(theirs)
  const [own, other] = [amount(ours), amount(theirs)]
  if (own !== undefined && other !== undefined) return own > other
  if (ours === theirs) return false
  throw new Error(`${ours} and ${theirs} cannot be compared; say in this test which is more closed`)
}

test.each(rows)('prod is at least as closed, or says why not: $what', ({ ours, theirs, why }) => {
  const isOpen = theirs.some(other => isOpener(ours[3]!, other))
  expect(why !== '', `prod ${ours[3]}, others ${theirs.join(', ')}`).toBe(isOpen)
})
