import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
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
    'mqttx-broker/contracts': [join(root, 'test/contracts/suite/index.ts')],
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
