import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { OperatorError } from '../../core/errors.ts'
import type { Catalogue } from '../../presets/shell/catalogue.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { loadConfig } from '../../presets/shell/load-config.ts'
import { beforeAllBuilt } from './built.ts'
import { folderWith } from './folder.ts'
import { catalogue, problems } from './sample.ts'

const loadFiles = async (files: Record<string, string>, named?: string) => loadConfig(catalogue, await folderWith(files), named)
// A child process runs the compiled code: within a test, Vite stands between us and Node's own loader.
const load = (folder: string) => `
  const { loadConfig } = await import('./chunks/shell-load-config.js')
  const own = { defineConfig: config => ({ ...config, brokerId: 'mine' }), definePlugin: plugin => options => ({ ...plugin, options }), same: 'very same' }
  await loadConfig({ exports: async () => own }, ${JSON.stringify(folder)})
    .then(config => console.log(JSON.stringify(config.values)), error => console.log(error.message))`
const values = async (files: Record<string, string>, named?: string) => (await loadFiles(files, named))?.values

const typescriptConfig = `import { defineConfig } from 'mqttx-broker'
import { own } from './own-plugin.ts'
interface Port { value: number }
const port: Port = { value: 7 }
export default defineConfig({ preset: 'dev', socket: { port: port.value }, plugins: [own({ perSecond: 5 })] })
`
const typescriptPlugin = `import { definePlugin } from 'mqttx-broker'
export const own = definePlugin({
  name: 'own',
  options: { perSecond: { type: 'integer', default: 1 } },
  apply(_context: unknown, { perSecond }: { perSecond: number }) { return {} },
})
`

test('finds nothing in a folder without a config', async () => {
  expect(await loadFiles({ 'mqttx.config.toml': '', 'package.json': '{"mqttx": {"preset": "dev"}}' })).toBeUndefined()
})

test.each([
  ['mqttx.config.json', '{"preset": "dev", "socket": {"port": 7}}'],
  ['mqttx.config.yaml', 'preset: dev\nsocket:\n  port: 7\n'],
  ['mqttx.config.yml', 'preset: dev\nsocket: { port: 7 }\n'],
  ['mqttx.config.js', 'export default { preset: "dev", socket: { port: 7 } }'],
  ['mqttx.config.mjs', 'export default { preset: "dev", socket: { port: 7 } }'],
  ['mqttx.config.ts', 'export default { preset: "dev" as string, socket: { port: 7 } }'],
])('finds and reads %s', async (name, text) => {
  const config = await loadFiles({ [name]: text, 'package.json': '{"type": "module"}' })
  expect(config?.path.endsWith(name)).toBe(true)
  expect(config?.values).toEqual({ preset: 'dev', socket: { port: 7 } })
})

test('reads another file that is named', async () => {
  expect(await values({ 'mqttx.config.json': '{}', 'other.yaml': 'preset: test' }, 'other.yaml')).toEqual({ preset: 'test' })
  await expect(loadFiles({}, 'none.ts')).rejects.toThrow('--config: there is no file none.ts')
  await expect(loadFiles({ 'a.toml': '' }, 'a.toml')).rejects.toThrow('a.toml: a config file ends in .ts, .js')
})

test('takes an empty file for an empty config', async () => {
  expect(await values({ 'mqttx.config.yaml': '# nothing yet\n' })).toEqual({})
  expect(await values({ 'mqttx.config.json': '' })).toEqual({})
})

test('refuses to start without a config that is there and cannot be read', async () => {
  const folder = await folderWith()
  await mkdir(join(folder, 'mqttx.config.yaml'))
  await expect(loadConfig(catalogue, folder)).rejects.toThrow('mqttx.config.yaml: cannot be read; make it a file that the broker may read')
})

test('refuses to choose between several config files', async () => {
  await expect(loadFiles({ 'mqttx.config.json': '{}', 'mqttx.config.ts': '' })).rejects.toThrow(
    'several config files: mqttx.config.ts, mqttx.config.json; keep one, or say which: --config mqttx.config.ts',
  )
})

test('loads a TypeScript config beside a TypeScript plugin, with the running package and no file left behind', async () => {
  const folder = await folderWith({ 'mqttx.config.ts': typescriptConfig, 'own-plugin.ts': typescriptPlugin })
  const file = await loadConfig(catalogue, folder)
  const config = await resolveConfig(catalogue, { file })
  expect(config.plugins.at(-1)).toMatchObject({ name: 'own', options: { perSecond: 5 } })
  expect((await readdir(folder)).sort()).toEqual(['mqttx.config.ts', 'own-plugin.ts'])
})

const built = beforeAllBuilt()

test.each(['mqttx.config.ts', 'mqttx.config.mjs'])('hands %s the very exports that are running, installed or not', async name => {
  const source = `import * as all from 'mqttx-broker'
import { defineConfig } from 'mqttx-broker'
export default defineConfig({ preset: all.defineConfig === defineConfig && all.same })`
  const folder = await folderWith({ [name]: source })
  expect(built.run(load(folder)).trim()).toBe('{"preset":"very same","brokerId":"mine"}')
})

test('loads a TypeScript config from a folder that cannot be written to', async () => {
  const folder = await folderWith({ 'mqttx.config.ts': typescriptConfig, 'own-plugin.ts': typescriptPlugin })
  await chmod(folder, 0o555)
  // Root may write anywhere, so a child loads it that has given such rights up.
  expect(built.run(`if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534) } ${load(folder)}`)).toContain(
    '"socket":{"port":7}',
  )
  expect((await readdir(folder)).sort()).toEqual(['mqttx.config.ts', 'own-plugin.ts'])
})

test('says the line of a syntax error in JavaScript', async () => {
  const folder = await folderWith({ 'mqttx.config.mjs': 'const a = 1\nexport default { preset: ]\n' })
  expect(built.run(load(folder)).trim()).toBe("mqttx.config.mjs:2: Unexpected token ']'")
})

test.each([
  ['mqttx.config.json', '{\n  "preset": "dev",\n  "socket": {\n}\n', /^mqttx\.config\.json:\d: \S/],
  ['mqttx.config.json', '{\n  "a": tru\n}', /^mqttx\.config\.json:2: \S/],
  ['mqttx.config.yaml', 'preset: dev\nsocket: {\n', /^mqttx\.config\.yaml:3: \S/],
  ['mqttx.config.ts', 'const a = 1\nexport default { preset: \n', /^mqttx\.config\.ts:3: Unexpected/],
  ['mqttx.config.ts', '\nthrow new Error("no luck")\nexport default {}', /^mqttx\.config\.ts:2: no luck$/],
  ['mqttx.config.mjs', '\nthrow new Error("no luck")\nexport default {}', /^mqttx\.config\.mjs:2: no luck$/],
  ['mqttx.config.ts', 'import { x } from "./missing.ts"\nexport default { x }', /^mqttx\.config\.ts(:1)?: Cannot find module/],
  ['mqttx.config.ts', 'export const config = {}', /^mqttx\.config\.ts: no default export; write export default/],
])('says in one line what is wrong with %s', async (name, text, expected) => {
  const error = await loadFiles({ [name]: text }).then(
    () => undefined,
    (error: OperatorError) => error,
  )
  expect(error?.code).toBe('ERR_CONFIG')
  expect(error?.message).toMatch(expected)
  expect(error?.message).not.toMatch(/\n|\s{2}at /)
})

const javascriptPlugin = 'export default { name: "plain", apply() {} }'

test('loads plugins by path, relative to the config', async () => {
  const folder = await folderWith({
    'mqttx.config.json': '{"plugins": ["./plain.mjs", ["./own-plugin.ts", {"perSecond": 9}]]}',
    'plain.mjs': javascriptPlugin,
    'own-plugin.ts': typescriptPlugin,
  })
  const config = await resolveConfig(catalogue, { file: await loadConfig(catalogue, folder) })
  expect(config.plugins.slice(-2).map(plugin => [plugin.name, plugin.options])).toEqual([
    ['plain', {}],
    ['own', { perSecond: 9 }],
  ])
})

test('loads plugins by path from the environment, relative to the current folder', async () => {
  const folder = await folderWith({ 'plain.mjs': javascriptPlugin })
  const config = await resolveConfig(catalogue as Catalogue, { env: { MQTTX_PLUGINS: '["./plain.mjs"]' }, folder })
  expect(config.plugins.at(-1)?.name).toBe('plain')
})

test('says what is wrong with a plugin that cannot be loaded', async () => {
  const folder = await folderWith({
    'none.mjs': 'export const a = 1',
    'two.mjs': `${javascriptPlugin.replace('default', 'const a =')}\nexport const b = a`,
  })
  const plugins = ['./missing.js', './none.mjs', './two.mjs', 'sokcet', 'none.mjs', 5, ['./none.mjs']]
  const found = await problems(resolveConfig(catalogue, { object: { plugins }, folder }))
  expect(found).toEqual([
    `plugins[0]: there is no file ./missing.js; paths are relative to ${folder}`,
    'plugins[1]: ./none.mjs exports no plugin; add export default definePlugin({ name, apply })',
    'plugins[2]: ./two.mjs exports several plugins; make one of them the default export',
    'plugins[3]: sokcet is neither a built-in plugin nor an installed package; a file begins with ./; did you mean socket?',
    'plugins[4]: none.mjs is neither a built-in plugin nor an installed package; did you mean ./none.mjs?',
    'plugins[5]: must be a plugin, { name, apply }, got 5',
    'plugins[6]: ./none.mjs exports no plugin; add export default definePlugin({ name, apply })',
  ])
})

const laughs = [
  'a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]',
  ...'bcdefghi'.split('').map((name, at) => `${name}: &${name} [${Array(10).fill(`*${'abcdefgh'[at]}`)}]`),
]
const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`

test.each([
  [
    'an alias that holds itself',
    { 'mqttx.config.yaml': 'socket: &a\n  port: *a\n' },
    /^mqttx\.config\.yaml: is nested more than 100 levels deep, or holds itself; /,
  ],
  [
    'aliases of aliases',
    { 'mqttx.config.yaml': `${laughs.join('\n')}\n` },
    /^mqttx\.config\.yaml: holds more than 1000000 values, aliases counted each time; /,
  ],
  ['brackets without end in YAML', { 'mqttx.config.yml': `socket: ${deep}\n` }, /^mqttx\.config\.yml(:1)?: .*nest/],
  [
    'brackets without end in JSON',
    { 'mqttx.config.json': `{"socket": ${deep}}` },
    /^mqttx\.config\.json: is nested more than 100 levels deep/,
  ],
  [
    'an object of a program that holds itself',
    { 'mqttx.config.mjs': 'const socket = { port: 1 }; socket.host = socket\nexport default { socket }' },
    /^mqttx\.config\.mjs: is nested more than 100 levels deep, or holds itself; /,
  ],
])('%s: one line', async (_what, files, expected) => {
  const folder = await folderWith(files as Record<string, string>)
  const found = loadConfig(catalogue, folder).then(file => resolveConfig(catalogue, { file }))
  const error = await found.then(
    () => undefined,
    (error: OperatorError) => error,
  )
  expect(error?.code).toBe('ERR_CONFIG')
  expect(error?.message).toMatch(expected)
  expect(error?.message).not.toMatch(/\n|call stack/)
})

test('brackets without end in the environment: one line that names the variable', async () => {
  const env = { MQTTX_PLUGINS: deep }
  expect(await problems(resolveConfig(catalogue, { env }))).toEqual([
    'plugins: is nested more than 100 levels deep, or holds itself; write it flatter (MQTTX_PLUGINS)',
  ])
})
