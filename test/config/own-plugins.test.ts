import { readFile } from 'node:fs/promises'
import { Ajv } from 'ajv'
import { expect, expectTypeOf, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { builtIn, type Config, catalogue, defineConfig, presets, type SectionOf } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { compareConfigs } from '../../presets/shell/config-change.ts'
import { configReport } from '../../presets/shell/config-report.ts'
import { loadConfig } from '../../presets/shell/load-config.ts'
import { rootOptionsOf } from '../../presets/shell/root-options.ts'
import { folderWith } from './folder.ts'
import { problems, resolve, resolveObject } from './sample.ts'

// Goal: a plugin of one's own is configured like a built-in one, wherever it stands: a section of its name, --set, the environment, `enable: false`, check, live options.

const rateLimit = definePlugin({
  name: 'rateLimit',
  options: {
    /** Messages one client may publish per second. */
    perSecond: { type: 'integer', minimum: 1, default: 100, live: true },
    /** Where the counts go. */
    folder: { type: 'string', default: '.' },
    /** What it signs with. */
    password: { type: 'string', secret: true },
  },
  apply: () => ({ reload() {} }),
})

declare module '../../presets/index.ts' {
  interface PluginSections {
    rateLimit: SectionOf<typeof rateLimit>
  }
}

const module = `export default {
  name: 'rateLimit',
  apply() {},
  factory: undefined,
}`
const factoryModule = `import { definePlugin } from 'mqttx-broker'
export const rateLimit = definePlugin({
  name: 'rateLimit',
  options: { perSecond: { type: 'integer', minimum: 1, default: 100 }, folder: { type: 'string', default: '.' } },
  apply() {},
})`

const set = (text: string) => {
  const [path, value] = text.split('=') as [string, string]
  return { keys: path.split('.'), text: value, who: '--set' }
}

/** The places that a plugin of one's own may stand in, each with `perSecond: 50`, and how a config file or a program says so. */
const places: readonly (readonly [string, () => Promise<{ values: object; folder: string }>])[] = [
  ['plugins', async () => ({ values: { plugins: [rateLimit({ perSecond: 50 })] }, folder: '.' })],
  ['a preset of one’s own', async () => ({ values: { preset: () => ['memory', rateLimit({ perSecond: 50 }), 'retain'] }, folder: '.' })],
  [
    'plugins by its file',
    async () => ({
      values: { plugins: [['./rate-limit.ts', { perSecond: 50 }]] },
      folder: await folderWith({ 'rate-limit.ts': factoryModule }),
    }),
  ],
  [
    'plugins by the name of an installed package, which can be imported only',
    async () => {
      const folder = await folderWith({
        'node_modules/mqttx-plugin-x/package.json': '{ "name": "mqttx-plugin-x", "type": "module", "exports": { "import": "./index.ts" } }',
        'node_modules/mqttx-plugin-x/index.ts': factoryModule,
      })
      return { values: { plugins: [['mqttx-plugin-x', { perSecond: 50 }]] }, folder }
    },
  ],
]

for (const [where, make] of places) {
  test(`one that stands in ${where} has a section, --set, the environment, enable: false and check`, async () => {
    const { values, folder } = await make()
    const path = `${folder}/mqttx.config.json`
    const resolved = async (more: object, sources: object = {}) => resolve({ file: { path, values: { ...values, ...more } }, ...sources })
    const optionsOf = async (more: object, sources: object = {}) =>
      (await resolved(more, sources)).plugins.find(({ name }) => name === 'rateLimit')?.options
    expect(await optionsOf({})).toMatchObject({ perSecond: 50, folder: '.' })
    expect(await optionsOf({ rateLimit: { folder: 'x' } })).toMatchObject({ perSecond: 50, folder: 'x' })
    expect(
      await optionsOf(
        { rateLimit: { perSecond: 5 } },
        { env: { MQTTX_RATE_LIMIT__FOLDER: 'e' }, assignments: [set('rateLimit.perSecond=7')] },
      ),
    ).toMatchObject({
      perSecond: 7,
      folder: 'e',
    })
    for (const off of [{ rateLimit: false }, { rateLimit: { enable: false } }]) expect(await optionsOf(off)).toBeUndefined()
    expect(await optionsOf({}, { env: { MQTTX_RATE_LIMIT: 'false' } })).toBeUndefined()
    expect(await problems(resolved({ rateLimit: { persecond: 1 } }))).toEqual(['rateLimit.persecond: unknown; did you mean perSecond?'])
    expect(await problems(resolved({ ratelimit: {} }))).toEqual(['ratelimit: unknown; did you mean rateLimit?'])
    expect(await problems(resolved({}, { assignments: [set('rateLimit.perSecond=many')] }))).toEqual([
      'rateLimit.perSecond: must be an integer, at least 1, got "many" (--set)',
    ])
    const report = configReport(catalogue as never, await resolved({ rateLimit: { folder: 'x' } }))
    expect(report.find(line => line.startsWith('rateLimit.folder'))).toMatch(/x +mqttx\.config\.json$/)
    const { plugins } = await resolved({ rateLimit: { folder: 'x' } })
    expect((await plugins.find(({ name }) => name === 'rateLimit')!.create()).name).toBe('rateLimit')
  })
}

test('one that was written by hand can be turned off, and has no options', async () => {
  const folder = await folderWith({ 'by-hand.mjs': module })
  const values = { plugins: ['./by-hand.mjs'] }
  const named = async (more: object) => {
    const { plugins } = await resolve({ file: { path: `${folder}/mqttx.config.json`, values: { ...values, ...more } } })
    return plugins.filter(({ name }) => name === 'rateLimit')
  }
  const [plugin] = await named({ rateLimit: true })
  expect((await plugin!.create()).name).toBe('rateLimit')
  expect(await named({ rateLimit: false })).toEqual([])
  expect(await problems(named({ rateLimit: { perSecond: 1 } }))).toEqual(['rateLimit.perSecond: unknown; there are no options here'])
})

test('two that own one service: turning one off by its section is a cure that works', async () => {
  const store = (name: string) => ({ name, provides: ['sessions', 'retained'], apply() {} })
  const plugins = [store('one'), store('two')]
  expect(await problems(resolveObject({ plugins }))).toHaveLength(2)
  const { plugins: kept } = await resolveObject({ plugins, two: false })
  expect(kept.filter(({ provides }) => provides.length > 0).map(({ name }) => name)).toEqual(['one'])
})

test('options that are live change while the broker runs; a secret is masked by check', async () => {
  const config = (perSecond: number) => resolveObject({ plugins: [rateLimit({ password: 'hunter2' })], rateLimit: { perSecond } })
  const running = await config(1)
  const { taken, later, plugins } = compareConfigs(running, await config(2), () => true)
  expect({ taken, later }).toEqual({ taken: ['rateLimit.perSecond'], later: [] })
  expect(plugins[0]!.options).toMatchObject({ perSecond: 2, password: 'hunter2' })
  const report = configReport(catalogue as never, running).join('\n')
  expect(report).toMatch(/^rateLimit\.password +\*\*\* +plugins \(createBroker\)$/m)
})

test('built-in plugins and presets are there to be extended, their sections laid over', async () => {
  const config: Config = {
    preset: { ...presets.prod, plugins: () => [...presets.prod.plugins(), builtIn.delay({ max: '1h' }), rateLimit({ perSecond: 50 })] },
    plugins: [builtIn.mountpoint({ prefix: '{username}/', except: ['backend'] })],
    delay: { messagesMax: 5 },
    redis: false,
    disk: {},
    cluster: false,
    allowAnonymous: true,
    mountpoint: { prefix: 'x/{username}/', sys: true },
    rateLimit: { perSecond: 7 },
  }
  const { plugins, settings } = await resolveConfig(catalogue, { object: config })
  const optionsOf = (name: string) => plugins.find(one => one.name === name)?.options
  expect(settings).toMatchObject({ requireAuthentication: true, mqtt: { subscriptionsMax: 1000 } })
  expect(optionsOf('delay')).toMatchObject({ max: 3_600_000, messagesMax: 5 })
  expect(optionsOf('mountpoint')).toMatchObject({ prefix: 'x/{username}/', except: ['backend'], sys: true })
  expect(optionsOf('rateLimit')).toMatchObject({ perSecond: 7 })
  expect(plugins.map(({ name }) => name)).toEqual([...new Set(plugins.map(({ name }) => name))])
})

test('a config may be a function of the environment and of what is done with it', async () => {
  const folder = await folderWith({
    'mqttx.config.mjs': 'export default async ({ env, command }) => ({ brokerId: env.NAME, rateLimit: command === "check" })',
  })
  const loaded = await loadConfig(catalogue, folder, undefined, false, { env: { NAME: 'seven' }, command: 'check' })
  expect(loaded?.values).toEqual({ brokerId: 'seven', rateLimit: true })
  const broken = await folderWith({ 'mqttx.config.mjs': 'export default () => {\n  throw new Error("no NAME")\n}' })
  await expect(loadConfig(catalogue, broken)).rejects.toThrow('mqttx.config.mjs:2: no NAME')
})

test('$schema is for editors, and the broker passes it over', async () => {
  expect((await resolveObject({ $schema: './node_modules/mqttx-broker/config.schema.json' })).plugins.length).toBeGreaterThan(0)
})

test('the JSON Schema that ships has every option of every built-in plugin, and knows a wrong one', async () => {
  const schema = JSON.parse(await readFile(new URL('../../docs/config.schema.json', import.meta.url), 'utf8'))
  const root = Object.keys(rootOptionsOf(catalogue))
  expect(Object.keys(schema.properties).sort()).toEqual(['$schema', 'preset', 'plugins', ...root, ...Object.keys(catalogue.plugins)].sort())
  for (const [name, { manifest }] of Object.entries(catalogue.plugins) as [string, { manifest: { options?: object } }][]) {
    const [, section] = schema.properties[name].anyOf
    expect([name, ...Object.keys(section.properties)]).toEqual([name, 'enable', ...Object.keys(manifest.options ?? {})])
  }
  const validate = new Ajv({ strict: false }).compile(schema)
  const good = {
    $schema: './x',
    preset: 'prod',
    heartbeat: '10s',
    socket: [{ port: 1 }, { port: 2 }],
    retain: false,
    mountpoint: { prefix: '{username}/' },
    mine: { x: 1 },
  }
  expect([validate(good), validate.errors]).toEqual([true, null])
  for (const bad of [{ socket: { prot: 1 } }, { mqtt: { queueFull: 'never' } }, { retain: { messagesMax: 'many' } }, { plugins: {} }])
    expect(validate(bad)).toBe(false)
})

test('types a config with sections of one’s own, and one that is a function', () => {
  const config = defineConfig({ rateLimit: { perSecond: 5, enable: true }, plugins: [rateLimit()] })
  const made = defineConfig(({ env, command }) => ({ brokerId: env.NAME ?? command }))
  expectTypeOf(made).toBeFunction()
  // @ts-expect-error the option does not exist
  const wrong = defineConfig({ rateLimit: { perSecnd: 5 } })
  expect([config, made, wrong]).toHaveLength(3)
})
