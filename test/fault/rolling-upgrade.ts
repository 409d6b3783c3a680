import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RedisServer } from '../support/redis.ts'
import { disagreements } from './agreement.ts'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, type FaultClient, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { History } from './history.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const nodeCount = 3
const window = 50
const perRound = 300
const settings = [
  'cluster.enable=true',
  'cluster.heartbeat=200',
  'cluster.expiry=2000',
  'redis.commandTimeout=1000',
  'sysTopic.interval=500',
]

/** A version of this package as it was tagged, built in a folder of its own. */
export interface OldVersion {
  /** presets/bin.js of that version. */
  readonly program: string
  remove(): void
}

/** Builds what a tag of this repository names. What it needs of npm it has from here. */
export function buildVersion(tag: string): OldVersion {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-version-'))
  execFileSync('sh', ['-c', 'git archive "$1" | tar -x -C "$2"', 'sh', tag, folder], { cwd: root })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  execFileSync(process.execPath, [join(folder, '.ci/prepare.mjs')], { cwd: folder, stdio: 'inherit' })
  return { program: join(folder, 'dist/presets/bin.js'), remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/**
 * Three nodes of an older version on one Redis, replaced one after the other by nodes of this version, in the midst of traffic, and back again where `back` says so; each time
 * the clients of the node that goes connect to another one, and it is looked whether each node brings messages to each. In each step the cluster is mixed for `perRound` messages of each publisher.
 */
export async function rollingUpgrade(
  program: string,
  old: OldVersion,
  { rounds, random, back }: { rounds: number; random: () => number; back: boolean },
): Promise<FaultOutcome & { readonly versions: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-rolling-'))
  const redis = await RedisServer.start('--appendonly', 'yes')
  const start = (node: number, of: string): Promise<FaultBroker> => {
    const options = [`brokerId=n${node}`, `redis.url=redis://127.0.0.1:${redis.port}`, ...settings]
    return FaultBroker.start(of, folder, ['--preset', 'dev', ...options.flatMap(option => ['--set', option])])
  }
  const history = new History()
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [0, 1, 2].map(i => new FaultReader(`reader-${i}`, history, i % 2 === 0 ? 5 : 4, 30))
  const clients: FaultClient[] = [...readers, ...publishers]
  const nodes: FaultBroker[] = []
  const versions: string[] = []
  const wrong: string[] = []
  const kinds: ('old' | 'new')[] = []
  try {
    for (let i = 0; i < nodeCount; i++) {
      nodes.push(await start(i, old.program))
      kinds.push('old')
    }
    const at = new Map(clients.map((client, i) => [client, i % nodeCount]))
    await connectAll(readers, publishers, client => nodes[at.get(client)!]!.port)
    const traffic = async (): Promise<void> => {
      for (const one of publishers) one.allow(perRound)
      await history.acknowledgedMore(random() * perRound * 4)
    }
    const replace = async (node: number, kind: 'old' | 'new'): Promise<void> => {
      await traffic()
      const homeless = clients.filter(client => at.get(client) === node)
      for (const one of homeless) {
        const elsewhere = (node + 1 + Math.floor(random() * (nodeCount - 1))) % nodeCount
        at.set(one, elsewhere)
        one.returnsTo = nodes[elsewhere]!.port
      }
      // In good order: clients are sent away, and come to another node by themselves.
      await nodes[node]!.terminate()
      nodes[node] = await start(node, kind === 'new' ? program : old.program)
      kinds[node] = kind
      // Some come to the new one, so that all ways between the versions are gone.
      const mover = clients.find(client => at.get(client) !== node && client instanceof FaultReader)!
      mover.returnsTo = null
      await mover.close()
      at.set(mover, node)
      await mover.connect(nodes[node]!.port)
      versions.push(kinds.join(' '))
      // Clean sessions too, for which nothing is stored.
      for (const line of await disagreements(nodes, clients.length)) wrong.push(`${kinds.join(' ')}: ${line}`)
      await traffic()
    }
    for (let round = 0; round < rounds; round++) {
      for (let node = 0; node < nodeCount; node++) await replace(node, 'new')
      if (back || round < rounds - 1) for (let node = 0; node < nodeCount; node++) await replace(node, 'old')
    }
    const outcome = await finished(history, publishers, readers, nodes)
    return { ...outcome, wrong: [...wrong, ...outcome.wrong], versions }
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await Promise.all(nodes.map(node => node.kill()))
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
