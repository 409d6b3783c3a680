import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
test('docs/troubleshooting.md has every error code, and none that there is not', () => {
  const sources = ['core', 'plugins', 'presets'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => readFileSync(join(root, folder, name), 'utf8')),
  )
  // The type is what an error can be made with, so its declarations name all codes.
  const declarations = sources.flatMap(text => text.match(/interface ErrorCodes \{[^}]*\}/g) ?? [])
  const declared = declarations.flatMap(text => [...text.matchAll(/^ +(ERR_[A-Z_]+): true$/gm)].map(([, code]) => code!))
  const told = new Set(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8').match(/\bERR_[A-Z_]*[A-Z]\b/g))
  expect([...told].sort()).toEqual(declared.toSorted())
})
