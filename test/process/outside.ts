import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { strictOptions } from '../support/compiler-options.ts'

type Rewrites = readonly (readonly [RegExp, string])[]

const plugins = ['delay', 'retain', 'memory']
const tests = ['delay.test.ts', 'retain.test.ts', 'retain-resume.test.ts']
const support = ['support/broker.ts', 'support/client.ts', 'support/core.ts', 'support/eventually.ts', 'support/gated-store.ts']

// What a file of plugins/ imports from the tree, as somebody says it who has the package.
const inPlugins: Rewrites = [
  [/'\.\.\/\.\.\/core\/[^']+'/g, "'mqttx-broker'"],
  [/'\.\.\/kit\/[^']+'/g, "'mqttx-broker/kit'"],
]
// The same for tests. The codec that the tests' client is made of comes with the tests: it stands for any client library.
const inTests: Rewrites = [
  [/'\.\.\/\.\.\/core\/protocol\//g, "'../codec/protocol/"],
  [/'\.\.\/\.\.\/presets\/testing\/packet-codec\.ts'/g, "'../codec/packet-codec.ts'"],
  [/'\.\.\/\.\.\/presets\/testing\/settled\.ts'/g, "'./settled.ts'"],
  [/'\.\.\/\.\.\/presets\/(?:testing\/)?index\.ts'/g, "'../outside.ts'"],
  [/'\.\.\/\.\.\/(?:core|presets)\/[^']+'/g, "'mqttx-broker'"],
  [/'\.\.\/\.\.\/plugins\/kit\/[^']+'/g, "'mqttx-broker/kit'"],
]

// What the tests start a broker by: `delay` and `retain` in a config are the plugins of this folder, and the package's own are off.
const starting = `
import { type Config, createBroker as create } from 'mqttx-broker'
import { createTestBroker as createTest, type TestBrokerOptions } from 'mqttx-broker/testing'
import { delay } from '../plugins/delay/delay.ts'
import { retain } from '../plugins/retain/retain.ts'
export * from 'mqttx-broker'

function withOwn({ delay: delayed, retain: retained, plugins = [], ...config }: Config): Config {
  const own = [...(retained === false ? [] : [retain(retained as object)]), ...(delayed === undefined ? [] : [delay(delayed as object)])]
  return { ...config, retain: false, plugins: [...own, ...plugins] }
}
export const createBroker: typeof create = (config = {}, options = {}) => create(withOwn(config), options)
export const createTestBroker = (config: Config = {}, options: TestBrokerOptions = {}) => createTest(withOwn(config), options)
`

/** Puts the plugins `delay` and `retain`, with their tests, into a folder that has nothing of this tree but the package beside it. */
export async function moveOutside(root: string, folder: string): Promise<void> {
  const put = async (from: string, to: string, rewrites: Rewrites): Promise<void> => {
    let text = await readFile(join(root, from), 'utf8')
    for (const [pattern, by] of rewrites) text = text.replaceAll(pattern, by)
    await mkdir(dirname(join(folder, to)), { recursive: true })
    await writeFile(join(folder, to), text)
  }
  for (const plugin of plugins)
    for (const file of await readdir(join(root, 'plugins', plugin)))
      await put(`plugins/${plugin}/${file}`, `plugins/${plugin}/${file}`, inPlugins)
  for (const file of tests) await put(`test/plugins/${file}`, `test/plugins/${file}`, inTests)
  for (const file of [...support, 'config/folder.ts', 'conformance/heard.ts']) await put(`test/${file}`, `test/${file}`, inTests)
  await put('presets/testing/settled.ts', 'test/support/settled.ts', [])
  for (const file of ['errors.ts', 'reason.ts']) await put(`core/${file}`, `test/codec/${file}`, [])
  await put('presets/testing/packet-codec.ts', 'test/codec/packet-codec.ts', [
    [/'\.\.\/\.\.\/core\//g, "'./"],
    [/'\.\.\/\.\.\/plugins\/kit\/[^']+'/g, "'mqttx-broker/kit'"],
  ])
  await cp(join(root, 'core/protocol'), join(folder, 'test/codec/protocol'), { recursive: true })
  await writeFile(join(folder, 'test/outside.ts'), starting)
  await writeFile(join(folder, 'package.json'), '{ "name": "outside", "private": true, "type": "module" }')
  const compilerOptions = { ...strictOptions(root), allowImportingTsExtensions: true, noEmit: true }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['plugins'] }))
  await mkdir(join(folder, 'node_modules'))
  await symlink(join(root, 'node_modules/vitest'), join(folder, 'node_modules/vitest'))
}
