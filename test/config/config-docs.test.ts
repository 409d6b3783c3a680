import { spawnSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { folderWith } from './folder.ts'

const script = fileURLToPath(new URL('../../.ci/config-docs.mjs', import.meta.url))
const run = (folder: string, ...more: string[]) => spawnSync(process.execPath, [script, `--root=${folder}`, ...more], { encoding: 'utf8' })

async function project(source: string): Promise<string> {
  const folder = await folderWith()
  await mkdir(join(folder, 'plugins'))
  await writeFile(join(folder, 'plugins', 'own.ts'), source)
  return folder
}

test('writes a row for each option, from the text above it', async () => {
  const folder = await project(`
/** Does a thing. */
export const own = definePlugin({
  name: 'own',
  options: {
    /** How often, at
     *  most | at least. */
    rate: { type: 'integer', minimum: 1, maximum: 1_000, default: 5 },
    /** Where to. */
    target: { type: 'object', properties: {
      /** Its address. */
      url: { type: 'string', required: true },
    } },
    /** Whom it serves. */
    users: { type: 'list', items: { type: 'object', properties: { /** The name. */ name: { type: 'string', default: null } } }, default: [] },
  },
  apply(context, { rate }) { return { start() { return rate > 1 ? { a: 1 } : undefined } } },
})`)
  expect(run(folder)).toMatchObject({ status: 0, stderr: '' })
  const text = await readFile(join(folder, 'docs', 'config.md'), 'utf8')
  expect(text.slice(text.indexOf('## `own`'))).toBe(`## \`own\`

Does a thing.

| Option | Type | Default | |
|---|---|---|---|
| \`own.rate\` | integer, 1 to 1000 | \`5\` | How often, at most \\| at least. |
| \`own.target\` | object |  | Where to. |
| \`own.target.url\` | string | (required) | Its address. |
| \`own.users\` | list of objects | \`[]\` | Whom it serves. |
| \`own.users[].name\` | string, or null | \`null\` | The name. |
`)
  expect(run(folder, '--check').status).toBe(0)
})

test('fails where an option has no text, and where the file is stale', async () => {
  const folder = await project(`export const ownOptions = defineOptions({ rate: { type: 'integer' }, })`)
  expect(run(folder, '--check')).toMatchObject({ status: 1 })
  expect(run(folder).stderr).toContain('own.rate: no text; write a JSDoc comment above it in plugins/own.ts')
  await writeFile(join(folder, 'plugins', 'own.ts'), `export const ownOptions = defineOptions({ /** It. */ rate: { type: 'integer' } })`)
  expect(run(folder, '--check').stderr).toBe('docs/config.md is stale: run  node .ci/config-docs.mjs\n')
})
