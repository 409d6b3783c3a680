import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Mutation, mutations } from './mutation-list.ts'

const usage = `node --import jiti/register test/simulation/mutations.ts [NAME…]     puts faults into a copy of the sources, one at a time, and says how soon the simulator finds each`

const root = fileURLToPath(new URL('../..', import.meta.url))
const limitMs = 60_000

if (process.argv.includes('--help')) console.log(usage)
else await main(process.argv.slice(2))

async function main(names: readonly string[]): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'mqttx-mutations-'))
  try {
    for (const folder of ['core', 'plugins', 'presets', 'test/simulation', 'package.json', 'tsconfig.json'])
      cpSync(join(root, folder), join(copy, folder), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    let found = 0
    const chosen = mutations.filter(({ area, name }) => names.length === 0 || names.includes(area) || names.includes(name))
    for (const mutation of chosen) {
      const line = await tryOne(copy, mutation)
      if (!line.startsWith('not')) found += 1
      console.log(`| ${mutation.area} | ${mutation.name} | ${line} |`)
    }
    console.log(`${found} of ${chosen.length} found`)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

async function tryOne(copy: string, { file, find, put, store = 'disk' }: Mutation): Promise<string> {
  const path = join(copy, file)
  const text = readFileSync(path, 'utf8')
  if (text.split(find).length !== 2) throw new Error(`${file} does not hold this once: ${find}`)
  writeFileSync(
    path,
    text.replace(find, () => put),
  )
  try {
    const began = performance.now()
    const output = await run(copy, ['--seeds', '1-100000', '--store', store, '--first'])
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    const wrong = /^seed (\d+): (.*)$/m.exec(output)
    return wrong === null ? 'not found in a minute' : `${seconds} s, seed ${wrong[1]}: ${wrong[2]!.replace(/^\S+ /, '').slice(0, 90)}`
  } finally {
    writeFileSync(path, text)
  }
}

function run(copy: string, args: readonly string[]): Promise<string> {
  return new Promise(resolve => {
    const program = join(copy, 'test/simulation/run.ts')
    const options = { cwd: copy, timeout: limitMs, maxBuffer: 2 ** 26 }
    execFile(process.execPath, ['--import', 'jiti/register', program, ...args], options, (_error, stdout, stderr) =>
      resolve(
        `${stdout}${stderr.includes('Error') && stdout === '' ? `seed 0: 0 it does not run: ${stderr.split('\n').find(line => line.includes('Error'))}` : ''}`,
      ),
    )
  })
}
