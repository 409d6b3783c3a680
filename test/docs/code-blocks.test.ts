import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { hashPassword } from '../../plugins/kit/password-hash.ts'
import { initTls } from '../../presets/shell/init-tls.ts'
import { commandLine } from '../config/command-line.ts'
import { folderWith } from '../config/folder.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)].filter(name => name.endsWith('.md'))

/** The TypeScript blocks of all pages; one that exports a plugin has the file name that others import it by. */
const blocks = pages.flatMap(page =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map(([, code], i) => {
    const plugin =
      /^export const (\w+) = definePlugin/m.exec(code!)?.[1] ?? /^export default definePlugin\(\{\n {2}name: '(\w+)'/m.exec(code!)?.[1]
    const file = plugin?.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`) ?? `${page.replaceAll(/\W/g, '-')}-${i}`
    return { page, code: code!, file: `${file}.ts` }
  }),
)

test('every TypeScript block in README and docs type-checks', async () => {
  expect(blocks.length).toBeGreaterThan(5)
  const folder = await folderWith(Object.fromEntries(blocks.map(({ file, code }) => [file, code])))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as { compilerOptions: object }
  const paths = {
    'mqttx-broker': [join(root, 'presets/index.ts')],
    'mqttx-broker/aedes': [join(root, 'presets/aedes/index.ts')],
    'mqttx-broker/contracts': [join(root, 'test/contracts/suite/index.ts')],
    'mqttx-broker/kit': [join(root, 'plugins/kit/index.ts')],
    'mqttx-broker/testing': [join(root, 'presets/testing/index.ts')],
  }
  const options = { ...compilerOptions, paths, noUnusedLocals: false, rootDir: '/', typeRoots: [join(root, 'node_modules/@types')] }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
  let problems = ''
  try {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
  } catch (error) {
    problems = (error as { stdout: string }).stdout
  }
  expect(problems).toBe('')
})

test('every config in README and docs, in TypeScript or JSON, passes `mqttx-broker check` with the options that it names', async () => {
  const json = pages.flatMap(page =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/^```json\n(.*?)^```/gms)].map(([, code]) => ({ page, code: code! })),
  )
  const configs = [
    ...blocks
      .filter(({ code }) => /^export default defineConfig/m.test(code))
      .map(({ page, code }) => ({ page, code, name: 'mqttx.config.ts' })),
    ...json.filter(({ code }) => code.includes('"preset"')).map(one => ({ ...one, name: 'mqttx.config.json' })),
  ]
  expect(configs.length).toBeGreaterThan(10)
  const modules = blocks.filter(({ code }) => code.includes('definePlugin(') && !code.includes('defineConfig('))
  const wrong: string[] = []
  const token = `grafana:read:${await hashPassword('sesame')}\n`
  for (const { page, code, name } of configs) {
    // What a config imports, or names by its path, is another block of the same page, or of the page that it is from.
    const imported = Object.fromEntries([...modules].map(({ file, code: text }) => [file, text]))
    const folder = await folderWith({
      ...imported,
      'greeter.ts': blocks.find(one => one.code.startsWith('// greeter.ts'))!.code,
      // Certificates of a machine lie where this one has none.
      [name]: code
        .replace('/etc/mqttx/fullchain.pem', 'tls/server.crt')
        .replace('/etc/mqttx/privkey.pem', 'tls/server.key')
        .replace('/etc/mqttx/keys.psk', 'keys.psk'),
      'package.json': '{ "type": "module" }',
    })
    await writeFile(join(folder, 'five-hooks.js'), readFileSync(join(root, 'test/fixtures/five-hooks.js')))
    // The files that configs name, as the pages say how to make them.
    await initTls(folder, 1883)
    await writeFile(join(folder, 'passwords'), '')
    await writeFile(join(folder, 'tokens'), token)
    await writeFile(join(folder, 'cloud.password'), 'sesame\n')
    await writeFile(join(folder, 'alarms.secret'), 'sesame\n')
    await writeFile(join(folder, 'keys.psk'), 'meter-7:0123456789abcdef\n')
    await writeFile(join(folder, 'order.schema.json'), '{}')
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    const { code: status, errors } = await commandLine(folder, ['check'])
    if (status !== 0) wrong.push(`${page}: ${errors.join('\n')}`)
  }
  expect(wrong).toEqual([])
}, 300_000)
