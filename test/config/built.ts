import { execFile, execFileSync } from 'node:child_process'
import { chmod, cp, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, inject } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Compiles the sources before the tests of a file, for what only a real Node process shows: once for the whole run, by the file that
 * comes first. What is compiled is for reading only.
 */
export function beforeAllBuilt() {
  const folder = inject('builtFolder')
  const tree = join(folder, 'tree')
  beforeAll(() => compiled(folder, tree), 300_000)
  return {
    /** Runs a script within the compiled sources; returns what it prints. */
    run: (script: string) => execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: tree, encoding: 'utf8' }),
    /** The path of a compiled file. */
    path: (file: string) => join(tree, file),
  }
}

async function compiled(folder: string, tree: string): Promise<void> {
  const result = join(folder, 'result')
  if (await isFirst(join(folder, 'begun'))) {
    const problems = await compile(tree).then(
      () => '',
      (error: Error & { stderr?: string }) => error.stderr || String(error),
    )
    await writeFile(`${result}.tmp`, problems)
    await rename(`${result}.tmp`, result)
  }
  for (;;) {
    const problems = await readFile(result, 'utf8').catch(() => undefined)
    if (problems === '') return
    if (problems !== undefined) throw new Error(`the sources do not compile: ${problems}`)
    // Another process compiles.
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

function isFirst(file: string): Promise<boolean> {
  return writeFile(file, '', { flag: 'wx' }).then(
    () => true,
    () => false,
  )
}

async function compile(tree: string): Promise<void> {
  // Nothing to do where `npm install` has just built it.
  await promisify(execFile)(process.execPath, [join(root, '.ci/prepare.mjs')])
  // A copy, for whoever changes a source while the tests run.
  await cp(join(root, 'dist'), tree, { recursive: true, filter: from => !basename(from).startsWith('.') })
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'))
  const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<string, string>
  const exports = { '.': './presets/index.js', './package.json': './package.json' }
  await writeFile(join(tree, 'package.json'), JSON.stringify({ name, version, type: 'module', exports }))
  // Some tests run it as nobody.
  await chmod(join(tree, '..'), 0o755)
}
