import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
// Node's own, which are caught and said otherwise.
const nodes = new Set(['ERR_MODULE_NOT_FOUND', 'ERR_MISSING_PASSPHRASE', 'ERR_TLS_'])

test('docs/troubleshooting.md has every error code, and none that there is not', () => {
  const sources = ['core', 'plugins', 'presets'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => readFileSync(join(root, folder, name), 'utf8')),
  )
  const codes = (text: string) => text.match(/\bERR_[A-Z_]*[A-Z]\b/g) ?? []
  const thrown = new Set(sources.flatMap(codes).filter(code => !nodes.has(code)))
  const told = new Set(codes(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8')))
  expect([...told].sort()).toEqual([...thrown].sort())
})
