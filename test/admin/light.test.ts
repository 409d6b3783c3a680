import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

// Goal: a verb asks a running broker and is over within 60 ms above bare Node. What that costs is what it loads, so that is what is held here.
test('a verb of the command line loads nothing of what a broker needs, and no package', () => {
  const loaded = new Set<string>()
  const foreign = new Set<string>()
  const load = (file: string): void => {
    if (loaded.has(file)) return
    loaded.add(file)
    const text = readFileSync(file, 'utf8')
    for (const [, target] of text.matchAll(/^(?:import|export) (?!type )(?:[^'"]*? from )?'([^']*)'/gm)) {
      if (target!.startsWith('.')) load(join(dirname(file), target!))
      else if (!target!.startsWith('node:')) foreign.add(target!)
    }
  }
  load(join(root, 'presets/bin.ts'))
  load(join(root, 'presets/shell/ask/ask.ts'))
  expect([...foreign]).toEqual([])
  const names = [...loaded].map(file => relative(root, file))
  expect(names.filter(name => name.startsWith('core/')).length).toBeLessThanOrEqual(3)
  // Small files of declarations; in the package all of them are one file.
  expect(names.length).toBeLessThanOrEqual(32)
})
