// `npm install` in a checkout builds, so that `npx mqttx-broker` runs. npm calls this more than once (npm 11 again at the
// first npx), so it does nothing when dist/ is newer than every source, and it never empties dist/ first. Two at once, as when
// two terminals run `npm install` in one fresh clone, build once: the second waits, for a broker may already run from dist/.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const stamp = join(root, 'dist', '.built')

function newest(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(path).map(name => newest(join(path, name))))
}

const sources = [
  'core',
  'plugins',
  'presets',
  'page',
  'test/contracts/suite',
  'test/fault',
  'tsconfig.json',
  'tsconfig.build.json',
  'package.json',
  '.ci/bundle.mjs',
  '.ci/page.mjs',
]
const changed = Math.max(...sources.map(name => newest(join(root, name))))
const isBuilt = () => existsSync(stamp) && statSync(stamp).mtimeMs >= changed
if (isBuilt()) process.exit(0)

let compiler
try {
  compiler = createRequire(import.meta.url).resolve('typescript/package.json')
} catch {
  // `npm ci --omit=dev`: there is no compiler, and a package that was built before needs none.
  if (!existsSync(join(root, 'dist'))) console.error('mqttx-broker is not built: run npm install with dev dependencies once')
  process.exit(0)
}

const lock = join(root, 'dist', '.building')
mkdirSync(dirname(lock), { recursive: true })
while (!takeLock()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
process.on('exit', () => rmSync(lock, { force: true }))
if (isBuilt()) process.exit(0)

const tsc = join(dirname(compiler), 'bin', existsSync(join(dirname(compiler), 'bin', 'tsc')) ? 'tsc' : 'tsc.js')
const began = new Date()
try {
  for (const command of [
    [tsc, '-p', 'tsconfig.build.json'],
    ['.ci/bundle.mjs', 'dist'],
    ['.ci/page.mjs', 'dist'],
  ]) {
    execFileSync(process.execPath, command, { cwd: root, stdio: ['ignore', 2, 2] })
  }
} catch {
  process.exit(1)
}
writeFileSync(stamp, '')
// A source that changed meanwhile may have been read before.
utimesSync(stamp, began, began)

/** Whether this process is now the one that builds. A lock that a killed process has left counts for nothing. */
function takeLock() {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    // It is empty for the moment between its making and its writing.
    if (pid > 0) process.kill(pid, 0)
  } catch (error) {
    if (error.code === 'ESRCH') rmSync(lock, { force: true })
  }
  return false
}
