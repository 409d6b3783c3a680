import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Compiles the sources into a folder of their own before the tests of a file, for what only a real Node process shows. */
export function beforeAllBuilt() {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mqttx-built-'))
    execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(root, 'tsconfig.build.json'), '--outDir', folder])
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<string, string>
    const exports = { '.': './presets/index.js', './package.json': './package.json' }
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name, version, type: 'module', exports }))
    await chmod(folder, 0o755)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return {
    /** Runs a script within the compiled sources; returns what it prints. */
    run: (script: string) => execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: folder, encoding: 'utf8' }),
    /** The path of a compiled file. */
    path: (file: string) => join(folder, file),
  }
}
