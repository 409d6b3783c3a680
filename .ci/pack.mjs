// `npm pack` and `npm publish`: what is published has been built and cannot build itself, so its package.json has no `prepare`.
//   node .ci/pack.mjs before   builds, then takes the script out of package.json, until
//   node .ci/pack.mjs after    puts it back
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const file = join(root, 'package.json')
const kept = join(root, 'dist', '.package.json')

if (process.argv[2] === 'before') {
  execFileSync(process.execPath, [join(root, '.ci', 'prepare.mjs')], { stdio: ['ignore', 2, 2] })
  const content = JSON.parse(readFileSync(file, 'utf8'))
  // Another `npm pack` may be under way: the file that it keeps is the whole one.
  if (content.scripts.prepare !== undefined) {
    const { atime, mtime } = statSync(file)
    copyFileSync(file, kept)
    utimesSync(kept, atime, mtime)
    delete content.scripts.prepare
    writeFileSync(`${kept}.published`, `${JSON.stringify(content, null, 2)}\n`)
    // Not newer than dist/ either, or a build would seem to be due.
    utimesSync(`${kept}.published`, atime, mtime)
    renameSync(`${kept}.published`, file)
  }
} else if (existsSync(kept)) {
  renameSync(kept, file)
}
