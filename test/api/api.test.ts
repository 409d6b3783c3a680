import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { exportsOf } from './report.ts'

// Goal: nobody changes what the package exports without seeing it. `UPDATE_API=1 npx vitest run test/api` writes the reports anew.

const built = beforeAllBuilt()
const entries = {
  'mqttx-broker': 'presets/index.d.ts',
  'mqttx-broker/testing': 'presets/testing/index.d.ts',
  'mqttx-broker/contracts': 'test/contracts/suite/index.d.ts',
}

test.each(Object.entries(entries))('%s exports what its report says, and each thing has a sentence', (name, entry) => {
  const found = exportsOf(built.path(entry))
  const report = `${found.map(({ declaration }) => declaration).join('\n\n')}\n`
  const file = fileURLToPath(new URL(`${name.replaceAll('/', '-')}.txt`, import.meta.url))
  if (process.env.UPDATE_API === '1') writeFileSync(file, report)
  expect(report).toBe(readFileSync(file, 'utf8'))
  expect(found.filter(({ isDescribed }) => !isDescribed).map(one => one.name)).toEqual([])
})
