import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { undescribedMembers } from './members.ts'
import { referenceOf } from './reference.ts'
import { exportsOf } from './report.ts'

// Goal: nobody changes what the package exports without seeing it. `UPDATE_API=1 npx vitest run test/api` writes the reports anew.

const built = beforeAllBuilt()
const entries = {
  'mqttx-broker': 'presets/index.d.ts',
  'mqttx-broker/kit': 'plugins/kit/index.d.ts',
  'mqttx-broker/aedes': 'presets/aedes/index.d.ts',
  'mqttx-broker/node-red': 'presets/node-red/index.d.ts',
  'mqttx-broker/testing': 'presets/testing/index.d.ts',
  'mqttx-broker/contracts': 'test/contracts/suite/index.d.ts',
}

test('the declarations stand by themselves, without what is marked as internal', async () => {
  const folder = await folderWith()
  const types = fileURLToPath(new URL('../../node_modules/@types', import.meta.url))
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [types],
  }
  const files = Object.values(entries).map(entry => built.path(entry))
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
  const { stdout } = spawnSync(tsc, ['-p', folder], { encoding: 'utf8' })
  expect(stdout.split('\n').filter(line => line !== '' && !line.includes('node_modules'))).toEqual([])
  for (const name of ['Broker', 'Client']) {
    const { declaration } = exportsOf(built.path(entries['mqttx-broker'])).find(one => one.name === name)!
    expect(declaration).not.toMatch(/dispatcher|roster|outbox|acks/)
  }
})

test.each(Object.entries(entries))('%s exports what its report says, and each thing has a sentence', (name, entry) => {
  const found = exportsOf(built.path(entry))
  const report = `${found.map(({ declaration }) => declaration).join('\n\n')}\n`
  const file = fileURLToPath(new URL(`${name.replaceAll('/', '-')}.txt`, import.meta.url))
  if (process.env.UPDATE_API === '1') writeFileSync(file, report)
  expect(report).toBe(readFileSync(file, 'utf8'))
  expect(found.filter(({ isDescribed }) => !isDescribed).map(one => one.name)).toEqual([])
})

test.each(Object.entries(entries))('each member of what %s exports has a sentence', (_name, entry) => {
  expect(undescribedMembers(built.path(entry))).toEqual([])
})

test.each(Object.entries(entries))('the reference of %s in docs/api is as its declarations', (name, entry) => {
  const reference = referenceOf(built.path(entry), name)
  const file = fileURLToPath(new URL(`../../docs/api/${name.replaceAll('/', '-')}.md`, import.meta.url))
  if (process.env.UPDATE_API === '1') {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, reference)
  }
  expect(readFileSync(file, 'utf8'), 'run UPDATE_API=1 npx vitest run test/api').toBe(reference)
})
