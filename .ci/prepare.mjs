// `npm install` in a checkout builds, so that `npx mqttx-broker` runs. npm calls this more than once (npm 11 again at the
// first npx), so it does nothing when dist/ is newer than every source, and it never empties dist/ first.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
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

const sources = ['core', 'plugins', 'presets', 'test/contracts/suite', 'tsconfig.json', 'tsconfig.build.json', 'package.json']
const changed = Math.max(...sources.map(name => newest(join(root, name))))
if (existsSync(stamp) && statSync(stamp).mtimeMs >= changed) process.exit(0)

let compiler
try {
  compiler = createRequire(import.meta.url).resolve('typescript/package.json')
} catch {
  // `npm ci --omit=dev`: there is no compiler, and a package that was built before needs none.
  if (!existsSync(join(root, 'dist'))) console.error('mqttx-broker is not built: run npm install with dev dependencies once')
  process.exit(0)
}
const tsc = join(dirname(compiler), 'bin', existsSync(join(dirname(compiler), 'bin', 'tsc')) ? 'tsc' : 'tsc.js')
try {
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: ['ignore', 2, 2] })
} catch {
  process.exit(1)
}
writeFileSync(stamp, '')
