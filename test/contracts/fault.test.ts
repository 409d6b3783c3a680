import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { faultRounds } from './suite/index.ts'

// Goal: what the package exports to kill a broker on somebody else's store finds out one that loses what was acknowledged. That the example in SQLite passes is
// test/process/package.test.ts.

const built = beforeAllBuilt()

test('a store that is another one after each kill -9 is found out', async () => {
  const folder = await folderWith()
  const plugin = join(folder, 'forgetful.ts')
  const sqlite = fileURLToPath(new URL('../../docs/examples/sqlite-store/sqlite-store.ts', import.meta.url))
  await writeFile(
    plugin,
    `import { sqliteStore } from '${sqlite}'\nexport default sqliteStore({ path: '${folder}/' + process.pid + '.db' })\n`,
  )
  const seed = 20_261_130
  const { wrong } = await faultRounds(
    { name: 'that forgets', plugin, options: () => ({}) },
    { rounds: 1, seed, program: built.path('presets/bin.js') },
  )
  expect(wrong).toContain(`reader-5: no session at connection 2 (seed ${seed})`)
})
