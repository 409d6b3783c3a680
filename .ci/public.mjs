// "Yours can do what the built-in plugins can": plugins/ has no way into core that a stranger's plugin lacks.
//   node .ci/public.mjs
// 1. plugins/ compiles against core's declarations without what is marked as internal, as the package ships them.
// 2. Every name that a file of plugins/ imports from core is exported by an entry of the package.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const compiler = createRequire(import.meta.url).resolve('typescript/package.json')
const tsc = [join(dirname(compiler), 'bin/tsc')]

/** What plugins/ imports from core although no entry exports it: `file of core: name`, with the reason. It is to stay empty. */
const allowed = {}

const folder = mkdtempSync(join(tmpdir(), 'mqttx-public-'))
try {
  const problems = [...compile(), ...unexported()]
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** The compiler's complaints about plugins/ beside the declarations of core. */
function compile() {
  const options = {
    noEmit: false,
    emitDeclarationOnly: true,
    noCheck: true,
    stripInternal: true,
    rootDir: root,
    outDir: folder,
    allowImportingTsExtensions: false,
  }
  const extended = join(root, 'tsconfig.build.json')
  const run = (name, config) => {
    writeFileSync(join(folder, name), JSON.stringify({ extends: extended, ...config }))
    try {
      execFileSync(process.execPath, [...tsc, '-p', join(folder, name)], { encoding: 'utf8' })
      return []
    } catch (error) {
      return error.stdout
        .split('\n')
        .filter(line => line !== '')
        .map(line => line.replaceAll(`${relative(process.cwd(), folder)}/`, '').replaceAll(`${folder}/`, ''))
    }
  }
  const broken = run('declarations.json', {
    compilerOptions: { ...options, typeRoots: [join(root, 'node_modules/@types')] },
    include: [join(root, 'core')],
  })
  if (broken.length > 0) return broken
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  cpSync(join(root, 'plugins'), join(folder, 'plugins'), { recursive: true })
  for (const file of sources(join(folder, 'plugins'))) {
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replaceAll(/((?:from|import\() ?'(?:\.\.\/)+core\/[^']+)\.ts'/g, "$1.js'"))
  }
  return run('plugins.json', {
    compilerOptions: { noEmit: true, allowImportingTsExtensions: true, rootDir: folder },
    include: [join(folder, 'plugins')],
  })
}

/** A line for each name that plugins/ imports from core and no entry of the package exports. */
function unexported() {
  const exported = new Set(
    ['presets/index.ts', 'plugins/kit/index.ts', 'presets/testing/index.ts'].flatMap(entry => exportedBy(join(root, entry))),
  )
  const missing = new Map()
  for (const file of sources(join(root, 'plugins')))
    for (const [target, name] of imports(readFileSync(file, 'utf8'))) {
      const source = relative(root, join(dirname(file), target))
      const key = `${source}: ${name}`
      if (!source.startsWith('core/') || exported.has(key) || key in allowed) continue
      missing.set(key, [...(missing.get(key) ?? []), relative(root, file)])
    }
  return [...missing].sort().map(([key, files]) => `${key} is exported by no entry of the package, and imported by ${files.join(', ')}`)
}

function exportedBy(file) {
  const text = readFileSync(file, 'utf8')
  const found = []
  for (const [, target] of text.matchAll(/^export (?:type )?\* from '([^']+)'/gm)) found.push(...exportedBy(join(dirname(file), target)))
  for (const [target, name] of imports(text, 'export')) found.push(`${relative(root, join(dirname(file), target))}: ${name}`)
  for (const [, name] of text.matchAll(/^export (?:declare )?(?:abstract )?(?:async )?(?:const|function|class|interface|type) (\w+)/gm))
    found.push(`${relative(root, file)}: ${name}`)
  return found
}

/** Each `import { a, type b as c } from 'target'` as pairs of target and name. */
function imports(text, keyword = '(?:import|export)') {
  const found = []
  for (const [, list, target] of text.matchAll(new RegExp(`^${keyword} (?:type )?\\{([^}]*)\\} from '(\\.[^']+)'`, 'gm')))
    for (const part of list.split(',')) {
      const name = part
        .trim()
        .replace(/^type /, '')
        .split(' as ')[0]
      if (name !== '') found.push([target, name])
    }
  return found
}

function sources(path) {
  return readdirSync(path, { recursive: true })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(path, name))
}
