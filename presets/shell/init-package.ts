import { readdirSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

interface PackageFile {
  type?: string
  scripts?: Record<string, string>
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  [other: string]: unknown
}

/** What the test of a plugin and an editor need besides the broker. */
const needed = { '@types/node': '^20.19.0', jiti: '^2.7.0' }

const scripts = { start: 'mqttx-broker', test: 'node --import jiti/register --test *.test.ts' }

// What `npm init` writes where nobody says anything.
const noTests = 'echo "Error: no test specified" && exit 1'

/**
 * Looks at the package.json of a folder: what is missing of scripts, types and kind of modules. The function that it resolves to writes it, and says what has changed; nothing that
 * the user has said is changed. Rejects where the file cannot be read or is no JSON. `tested`: there is a test to run.
 */
export async function changePackage(folder: string, version: string, tested = true): Promise<() => Promise<string[]>> {
  const path = join(folder, 'package.json')
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  const before = text === null ? null : (JSON.parse(text) as PackageFile)
  const after: PackageFile = structuredClone(before ?? { private: true })
  // With scripts of the other kind beside it, `commonjs` may be meant; the config and its plugins load all the same.
  if (after.type !== 'module' && !hasScripts(folder)) after.type = 'module'
  after.scripts = { start: scripts.start, ...(tested ? { test: scripts.test } : {}), ...after.scripts }
  if (tested && after.scripts.test === noTests) after.scripts.test = scripts.test
  if (before === null) after.dependencies = { 'mqttx-broker': version }
  const known = { ...after.dependencies, ...after.devDependencies }
  const missing = Object.entries(needed).filter(([name]) => !Object.hasOwn(known, name))
  if (missing.length > 0) after.devDependencies = { ...after.devDependencies, ...Object.fromEntries(missing) }
  const indent = /^[ \t]+(?=")/m.exec(text ?? '')?.[0] ?? '  '
  const written = `${JSON.stringify(after, null, indent)}\n`
  if (before !== null && JSON.stringify(before) === JSON.stringify(after)) return async () => []
  return async () => {
    // Whole or not at all.
    const draft = `${path}.new`
    try {
      await writeFile(draft, written)
      await rename(draft, path)
    } finally {
      await rm(draft, { force: true })
    }
    return [before === null ? 'wrote package.json' : `changed package.json: ${differences(before, after).join(', ')}`]
  }
}

function hasScripts(folder: string): boolean {
  return readdirSync(folder).some(name => name.endsWith('.js'))
}

/** What is new, for whoever looks at it: `scripts.start`, `devDependencies.jiti`. */
function differences(before: PackageFile, after: PackageFile): string[] {
  return Object.entries(after).flatMap(([name, value]) => {
    const old = before[name]
    if (JSON.stringify(old) === JSON.stringify(value)) return []
    if (typeof value !== 'object' || value === null) return [name]
    const inner = Object.entries(value as object)
    return inner.filter(([key, one]) => (old as Record<string, unknown> | undefined)?.[key] !== one).map(([key]) => `${name}.${key}`)
  })
}
