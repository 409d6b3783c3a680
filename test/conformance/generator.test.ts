import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const script = fileURLToPath(new URL('../../.ci/conformance.mjs', import.meta.url))

// Put together here, or the generator would find these names in this file.
const five = (number: string) => `[MQTT-${number}]`
const three = (number: string) => `[MQTT3-${number}]`

const statements = JSON.stringify([
  { standard: 'MQTT 5.0', prefix: 'MQTT', sections: { '1.1.1': [1, 2] } },
  { standard: 'MQTT 3.1.1', prefix: 'MQTT3', sections: { '1.1.1': [2, 2] } },
])

async function project(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-conformance-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries({ 'test/conformance/statements.json': statements, ...files })) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}

const run = (folder: string, ...more: string[]) => spawnSync(process.execPath, [script, `--root=${folder}`, ...more], { encoding: 'utf8' })

const complete = {
  'test/a/one.test.ts': `test('does it | well ${five('1.1.1-1')}', () => {})`,
  'test/a/byte-cases.ts': `export const cases = [{ name: "reads ${three('1.1.1-2')}" }, { name: \`reads \${n} ${three('1.1.1-2')}\` }]`,
  'test/conformance/exceptions/five.ts': `export const exceptions = { '${five('1.1.1-2')}': 'client: the client does it' }`,
}

test('writes a table for each standard, of the tests that name a statement and of the reasons for the others', async () => {
  const folder = await project(complete)
  expect(run(folder)).toMatchObject({ status: 0, stderr: '' })
  const text = await readFile(join(folder, 'docs', 'conformance.md'), 'utf8')
  expect(text.slice(text.indexOf('## MQTT 5.0'))).toBe(`## MQTT 5.0

2 statements: 1 shown by tests, 1 that none can show here.

| Statement | Shown by, or why not |
|---|---|
| MQTT-1.1.1-1 | does it \\| well ([a/one.test.ts](../test/a/one.test.ts)) |
| MQTT-1.1.1-2 | client: the client does it |

## MQTT 3.1.1

1 statements: 1 shown by tests, 0 that none can show here.

| Statement | Shown by, or why not |
|---|---|
| MQTT-1.1.1-2 | reads; reads \${n} ([a/byte-cases.ts](../test/a/byte-cases.ts)) |
`)
  expect(run(folder, '--check')).toMatchObject({ status: 0, stderr: '' })
})

test('fails for a statement without test or reason, for one with both, for one that does not exist and for a stale file', async () => {
  const folder = await project({
    'test/one.test.ts': `test('a ${five('1.1.1-1')} ${five('9.9.9-9')}')`,
    'test/conformance/exceptions.ts': `export const exceptions = { '${five('1.1.1-1')}': 'client: no', '${three('7.7.7-7')}': 'client: no' }`,
  })
  const { status, stderr } = run(folder, '--check')
  expect(status).toBe(1)
  expect(stderr.trim().split('\n')).toEqual([
    `${five('1.1.1-1')}: a test names it and an exception says that none can`,
    `${five('1.1.1-2')}: no test names it and no exception says why`,
    `${three('1.1.1-2')}: no test names it and no exception says why`,
    `${five('9.9.9-9')}: no such statement; named in test/one.test.ts`,
    `${three('7.7.7-7')}: no such statement; named in the exceptions`,
    'docs/conformance.md is stale: run  node .ci/conformance.mjs',
  ])
})

test('does not take a comment or a file that is no test for a title', async () => {
  const folder = await project({
    ...complete,
    'test/a/one.test.ts': `// it's ${five('1.1.1-1')}\n/* '${five('1.1.1-1')}' */ expect(x).toMatch(/it's/)`,
    'test/support/client.ts': `const text = '${five('1.1.1-1')}'`,
  })
  run(folder)
  expect(run(folder, '--check')).toMatchObject({
    status: 1,
    stderr: `${five('1.1.1-1')}: no test names it and no exception says why\n`,
  })
})
