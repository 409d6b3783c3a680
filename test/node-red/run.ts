// `npm run test:node-red [-- 4.1 5]`: the node in real Node-REDs, from the packed tarball: 4.1 on Node 20, 5 on Node 22 and 24. They and their Nodes come from npm and are kept in
// ~/.cache/mqttx-broker/node-red, outside of the repository. A line for each cell says what held, what did not, or what could not be got from the registry. Ends with 1 where something did not hold,
// or no cell could be tried.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checks } from './checks.ts'
import { NodeRed } from './node-red.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mqttx-broker/node-red')
const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
const cells: readonly (readonly [red: string, node: string])[] = [
  ['4.1', '20'],
  ['5', '22'],
  ['5', '24'],
]

const wanted = process.argv.slice(2)
const place = await mkdtemp(join(tmpdir(), 'mqttx-node-red-'))
let tried = 0
let failed = 0
try {
  const tarball = packed()
  for (const [red, node] of cells.filter(([red]) => wanted.length === 0 || wanted.includes(red))) {
    const cell = `Node-RED ${red}, Node ${node}`
    const program = nodeOf(node)
    const folder = installed(`node-red-${red}`, `node-red@${red}`)
    if (program === null || folder === null) {
      console.log(`${cell}: could not get ${program === null ? `node@${node}` : `node-red@${red}`}`)
      continue
    }
    tried += 1
    await tryCell(cell, folder, program, tarball)
  }
} finally {
  await rm(place, { recursive: true, force: true })
}
process.exit(tried === 0 || failed > 0 ? 1 : 0)

async function tryCell(cell: string, folder: string, program: string, tarball: string): Promise<void> {
  const userDir = await mkdtemp(join(place, 'user-'))
  writeFileSync(join(userDir, 'package.json'), '{ "name": "node-red-project", "private": true }')
  execFileSync('npm', ['install', ...quiet, tarball], { cwd: userDir, stdio: 'ignore' })
  const red = await NodeRed.start(folder, program, userDir)
  const version = /Node-RED version: v(\S+)[\s\S]*?Node\.js\s+version: v(\S+)/.exec(red.log)
  const names = Object.keys(checks)
  let held = 0
  try {
    for (const name of names) {
      const from = red.log.length
      try {
        await checks[name]!(red)
        held += 1
      } catch (error) {
        failed += 1
        console.log(`${cell}: FAILED: ${name}: ${(error as Error).stack}\n${red.log.slice(from).slice(-3000)}`)
      }
      // The next one is to see its own.
      red.forget()
    }
  } finally {
    await red.remove()
  }
  console.log(`${cell}: ${held} of ${names.length} checks hold (Node-RED ${version?.[1]}, Node ${version?.[2]})`)
}

function packed(): string {
  const printed = execFileSync('npm', ['pack', '--json', '--pack-destination', place], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return join(place, (JSON.parse(printed) as { filename: string }[])[0]!.filename)
}

/** The program of a Node of that version; null where it cannot be got. */
function nodeOf(version: string): string | null {
  if (process.versions.node.startsWith(`${version}.`)) return process.execPath
  const folder = installed(`node-${version}`, `node@${version}`)
  const program = folder === null ? '' : join(folder, 'node_modules/node/bin/node')
  return existsSync(program) ? program : null
}

/** A folder of the cache with that package in it; null where it cannot be got. */
function installed(name: string, wish: string): string | null {
  const folder = join(cache, name)
  const done = join(folder, '.installed')
  if (existsSync(done)) return folder
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  if (spawnSync('npm', ['install', ...quiet, wish], { cwd: folder, stdio: 'ignore' }).status !== 0) return null
  writeFileSync(done, '')
  return folder
}
