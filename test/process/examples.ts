import { spawnSync } from 'node:child_process'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { strictOptions } from '../support/compiler-options.ts'

/** What the examples import besides the broker, as `npm install` takes it: the versions are those of this repository's package.json. */
export async function examplePackages(root: string): Promise<string[]> {
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<
    string,
    Record<string, string>
  >
  const versions: Record<string, string> = { ...dependencies, ...devDependencies }
  const names = ['@opentelemetry/api', '@opentelemetry/core', '@opentelemetry/sdk-trace-base', 'ioredis', 'jose', 'node-sqlite3-wasm']
  return names.map(name => `${name}@${versions[name]}`)
}

/** The TypeScript files of the examples, by their paths below docs/examples. */
export async function exampleFiles(root: string): Promise<string[]> {
  const all = await readdir(join(root, 'docs/examples'), { recursive: true })
  return all.filter(name => name.endsWith('.ts')).toSorted()
}

/**
 * Takes the examples out of the package that is installed in `folder`, compiles them against what it declares, and runs all their tests by `node --test`, in one
 * process. Returns what the compiler said, how it ended, and the tests' own lines.
 */
export async function runExamples(root: string, folder: string): Promise<{ compiler: string; status: number | null; tests: string }> {
  const place = join(folder, 'examples')
  await mkdir(place)
  await cp(join(folder, 'node_modules/mqttx-broker/docs/examples'), place, { recursive: true })
  const compilerOptions = { ...strictOptions(root), rewriteRelativeImportExtensions: true, skipLibCheck: false }
  await writeFile(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const compiler = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', place], { encoding: 'utf8' }).stdout
  const tests = (await exampleFiles(root)).filter(name => name.endsWith('.test.ts'))
  const imports = tests.map(name => `import './${name.replace(/ts$/, 'js')}'\n`)
  await writeFile(join(place, 'all.test.js'), imports.join(''))
  const ran = spawnSync(process.execPath, ['--test', '--test-reporter', 'tap', 'all.test.js'], { cwd: place, encoding: 'utf8' })
  return { compiler, status: ran.status, tests: ran.stdout }
}
