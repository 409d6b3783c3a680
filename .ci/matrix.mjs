// `npm run test:matrix`: the folder of docs/getting-started.md and the programs of docs/embedding.md and docs/testing.md, from the packed tarball, by npm and pnpm, in TypeScript 5.9 and 7, on
// Node 20, 22 and 24. A line for each cell says what held, what did not, or what could not be got from the registry. Ends with 1 where something did not hold.
//   node .ci/matrix.mjs [npm] [pnpm]
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'

const root = join(fileURLToPath(import.meta.url), '../..')
const { writeEmbedding } = await createJiti(import.meta.url).import('../test/process/embedding.ts')
const place = mkdtempSync(join(tmpdir(), 'mqttx-matrix-'))
const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']

const managers = process.argv.length > 2 ? process.argv.slice(2) : ['npm', 'pnpm']

let failed = false
try {
  const tarball = packed()
  const nodes = ['20', '22', '24'].map(version => ({ version, path: nodeOf(version) }))
  for (const manager of managers)
    for (const typescript of ['5.9', '7']) {
      const folder = join(place, `${manager}-${typescript}`)
      const missing = install(manager, typescript, folder, tarball) ?? (await pages(folder))
      for (const node of nodes) {
        const cell = `${manager}, TypeScript ${typescript}, Node ${node.version}`
        if (missing !== null) console.log(`${cell}: could not get ${missing}`)
        else if (node.path === null) console.log(`${cell}: could not get node@${node.version}`)
        else console.log(`${cell}: ${await tried(folder, node.path)}`)
      }
    }
} finally {
  rmSync(place, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)

function packed() {
  const printed = execFileSync('npm', ['pack', '--json', '--pack-destination', place], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return join(place, JSON.parse(printed)[0].filename)
}

/** The folder of a Node of that version, for PATH; null where it cannot be got. */
function nodeOf(version) {
  if (process.versions.node.startsWith(`${version}.`)) return join(process.execPath, '..')
  const folder = join(place, `node-${version}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  spawnSync('npm', ['install', ...quiet, `node@${version}`], { cwd: folder, stdio: 'ignore' })
  const found = join(folder, 'node_modules/node/bin')
  return existsSync(join(found, 'node')) ? found : null
}

/** Makes the folder as the page says; returns what could not be got, or null. */
function install(manager, typescript, folder, tarball) {
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }')
  const packages = [tarball, `typescript@${typescript}`]
  if (manager === 'npm') {
    if (run('npm', ['install', ...quiet, ...packages], folder).status !== 0) return `${packages[1]} or what the package needs`
  } else {
    const tool = join(place, 'pnpm')
    if (!existsSync(tool)) {
      mkdirSync(tool)
      writeFileSync(join(tool, 'package.json'), '{ "private": true }')
      run('npm', ['install', ...quiet, 'pnpm'], tool)
    }
    if (!existsSync(join(tool, 'node_modules/.bin/pnpm'))) return 'pnpm'
    // As docs/getting-started.md says.
    writeFileSync(join(folder, 'pnpm-workspace.yaml'), 'allowBuilds:\n  lmdb: false\n  msgpackr-extract: false\n')
    if (pnpm(['add', ...packages], folder).status !== 0) return `${packages[1]} or what the package needs, by pnpm`
  }
  if (run('node', [bin(folder), 'init'], folder).status !== 0) return 'a folder by init'
  for (const [, name, code] of readFileSync(join(root, 'docs/getting-started.md'), 'utf8').matchAll(/^```ts\n\/\/ (\S+)\n(.*?)^```/gms))
    writeFileSync(join(folder, name), code)
  const done = manager === 'npm' ? run('npm', ['install', ...quiet], folder) : pnpm(['install'], folder)
  return done.status === 0 ? null : 'what init asks for'
}

/** The programs of docs/embedding.md and docs/testing.md, with what they import besides the broker, to be compiled and to be run side by side. */
async function pages(folder) {
  const place = join(folder, 'pages')
  await writeEmbedding(root, place)
  mkdirSync(join(place, 'node_modules/@types'))
  symlinkSync(join(root, 'node_modules/@types/express'), join(place, 'node_modules/@types/express'))
  for (const page of ['embedding', 'testing'])
    for (const [i, [, code]] of [...readFileSync(join(root, `docs/${page}.md`), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].entries())
      writeFileSync(join(place, `${page}-page-${i}.ts`), code)
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ extends: '../tsconfig.json', include: ['*.ts'] }))
  return null
}

function pnpm(args, cwd) {
  return run(join(place, 'pnpm/node_modules/.bin/pnpm'), [...args, '--store-dir', join(place, 'pnpm-store')], cwd)
}

function bin(folder) {
  return join(folder, 'node_modules/mqttx-broker/dist/presets/bin.js')
}

function run(command, args, cwd, path = '') {
  const env = { ...process.env, PATH: path === '' ? process.env.PATH : `${path}${delimiter}${process.env.PATH}` }
  return spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 120_000 })
}

/** What is done in the folder with one Node, step by step. */
async function tried(folder, path) {
  const node = join(path, 'node')
  const { version } = { version: run(node, ['--version'], folder).stdout.trim() }
  const steps = {
    types: () => run(node, ['node_modules/typescript/bin/tsc', '-p', '.'], folder, path),
    check: () => run(node, [bin(folder), 'check'], folder, path),
    'npm test': () => run('npm', ['test'], folder, path),
    'types of embedding and testing': () => run(node, ['node_modules/typescript/bin/tsc', '-p', 'pages'], folder, path),
    'their programs': () => run(node, ['drive.mjs'], join(folder, 'pages'), path),
  }
  for (const [name, step] of Object.entries(steps)) {
    const { status, stdout, stderr } = step()
    if (status !== 0) return wrong(`${name} failed: ${lastOf(stderr || stdout)}`)
  }
  const problem = await started(node, folder)
  return problem === null ? `${Object.keys(steps).join(', ')}, start and stop hold (${version})` : wrong(problem)
}

function wrong(text) {
  failed = true
  return text
}

function lastOf(text) {
  return (text ?? '').trim().split('\n').slice(-3).join(' | ').slice(0, 400)
}

/** Starts the broker of the folder on a free port, and ends it by SIGTERM; null where it does so. */
function started(node, folder) {
  return new Promise(resolve => {
    const child = spawn(node, [bin(folder), '--port', '0'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    let isEnding = false
    const late = setTimeout(() => child.kill('SIGKILL'), 60_000)
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', chunk => {
        text += chunk
        // A second signal would not wait for the end.
        if (!isEnding && text.includes('ready: mqttx-broker')) {
          isEnding = true
          child.kill('SIGTERM')
        }
      })
    child.on('close', code => {
      clearTimeout(late)
      resolve(code === 0 && text.includes('stopped') ? null : `the broker ended with ${code}: ${lastOf(text)}`)
    })
  })
}
