import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { initFolder } from '../../presets/shell/init.ts'
import { folderWith } from './folder.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('what init writes type-checks with the tsconfig that it writes', async () => {
  const folder = await folderWith()
  await initFolder(folder)
  // The package as a user would have it installed; here it is the sources.
  const entry = `
import type { ConfigInput } from '${root}presets/shell/catalogue.ts'
import type { catalogue } from '${root}test/config/sample.ts'
export { definePlugin } from '${root}core/plugin.ts'
export const Stage = { Observe: 200 } as const
export const defineConfig = (config: ConfigInput<typeof catalogue>) => config`
  await writeFile(join(folder, 'package-entry.ts'), entry)
  // Its test needs the kit, that is the whole package: test/process/package.test.ts.
  const paths = {
    compilerOptions: {
      paths: { 'mqttx-broker': ['./package-entry.ts'] },
      typeRoots: [`${root}node_modules/@types`],
      types: ['node'],
    },
  }
  await writeFile(join(folder, 'tsconfig.test.json'), JSON.stringify({ extends: './tsconfig.json', exclude: ['hello.test.ts'], ...paths }))
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  const good = spawnSync(tsc, ['-p', join(folder, 'tsconfig.test.json')], { encoding: 'utf8' })
  expect(good.stdout).toBe('')
  await writeFile(join(folder, 'wrong.ts'), `import { defineConfig } from 'mqttx-broker'\ndefineConfig({ socket: { prot: 1 } })\n`)
  expect(spawnSync(tsc, ['-p', join(folder, 'tsconfig.test.json')], { encoding: 'utf8' }).stdout).toMatch(
    /wrong\.ts.*'prot' does not exist/s,
  )
})
