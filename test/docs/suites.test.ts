import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { proveUnderNodeTest } from './stranger.ts'

// Goal: the target of docs/writing-a-bridge.md and the listener of docs/transports.md pass their contracts as the pages say.

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The TypeScript blocks of a page that say which file they are. */
async function filesOf(page: string): Promise<Record<string, string>> {
  const text = await readFile(join(root, 'docs', page), 'utf8')
  return Object.fromEntries([...text.matchAll(/^```ts\n\/\/ (\S+)\n(.*?)^```/gms)].map(([, name, code]) => [name!, code!]))
}

test.each([
  ['writing-a-bridge.md', 'file-target.test.ts'],
  ['transports.md', 'lines.test.ts'],
])(
  '%s: what it shows passes its contract under node:test',
  async (page, proof) => {
    const { [proof]: code, ...files } = await filesOf(page)
    const { status, stdout } = await proveUnderNodeTest({ ...files, 'proof.test.ts': code! })
    expect(stdout).toMatch(/^# tests [1-9]/m)
    expect({ status, failed: stdout.match(/^ *not ok .*/gm) }, stdout).toEqual({ status: 0, failed: null })
  },
  300_000,
)
