import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { SystemClock } from '../../../plugins/kit/system-clock.ts'
import type { ResolvedConfig } from '../resolved-config.ts'
import { clusterWorld } from './cluster-world.ts'
import { Supervisor } from './supervisor.ts'
import { workerCount } from './worker-count.ts'
import { heapOptions } from './worker-heap.ts'

// What a Unix socket's path may have, but for the name of the socket itself.
const folderBytesMax = 80

/** Starts the workers of a broker as the config says; resolves when all serve. `giveUp`: too many have died. */
export async function supervise(config: ResolvedConfig, argv: readonly string[], giveUp: () => void): Promise<Supervisor> {
  const clock = new SystemClock()
  const count = workerCount(config.settings.workers)
  const folder = await socketFolder()
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  // What it listens on would keep this process, when all workers have gone.
  let stopped = (): void => {}
  if (config.plugins.some(({ name }) => name === 'localBus')) {
    const { Sequencer } = await import('../../../plugins/local-bus/sequencer.ts')
    const sequencer = new Sequencer(clock)
    await sequencer.listen(folder)
    stopped = () => sequencer.stop()
  }
  const execArgv = heapOptions(process.execArgv, count)
  const world = { ...clusterWorld({ program: programOfWorkers(), argv, execArgv, clock, giveUp }), stopped }
  const ticketKeys = randomBytes(48).toString('base64')
  const supervisor = new Supervisor(world, { count, argv, ticketKeys, folder, sharing: sharing(), clockZero: clock.zero })
  await supervisor.start()
  return supervisor
}

/** How connections come to the workers: by the system where Node lets several processes listen on one port. */
function sharing(): 'reusePort' | 'roundRobin' {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return process.platform === 'linux' && (major > 22 || (major === 22 && minor >= 12)) ? 'reusePort' : 'roundRobin'
}

// Only this user can enter what `mkdtemp` makes.
async function socketFolder(): Promise<string> {
  const wanted = process.env.RUNTIME_DIRECTORY?.split(':')[0] || tmpdir()
  const base = Buffer.byteLength(wanted) > folderBytesMax - 'mqttx-XXXXXX'.length ? '/tmp' : wanted
  return await mkdtemp(join(base, 'mqttx-'))
}

/** The command line's program, though a program that embeds the broker may run another one. */
function programOfWorkers(): string {
  const require = createRequire(import.meta.url)
  const found = require.resolve('mqttx-broker/package.json')
  const { bin } = require(found) as { bin?: Record<string, string> }
  return join(dirname(found), bin?.['mqttx-broker'] ?? 'presets/bin.js')
}
