import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { RedisServer } from '../../support/redis.ts'
import { type BrokerKind, brokerKinds, type RunningProcess, startBroker } from '../brokers.ts'
import { canPin } from '../pin.ts'

/** What a broker keeps its sessions in: a folder of its own and, for some, a redis-server of its own. */
export interface Backing {
  readonly folder: string
  readonly redis: RedisServer | null
}

/** A broker with a store, new for each measurement. */
export interface BackedKind {
  readonly name: string
  readonly needsRedis: boolean
  version(): string | undefined
  command(port: number, backing: Backing): string[]
  /** Messages that it keeps for a session; where it is not there, the session's client comes and counts. */
  storedFor?(backing: Backing, clientId: string): Promise<number>
}

const kindOf = (name: string): BrokerKind => brokerKinds.find(kind => kind.name === name)!
const ours = kindOf('mqttx-broker')
const program = fileURLToPath(new URL('../../../dist/presets/bin.js', import.meta.url))

function onPreset(preset: string, settings: (backing: Backing) => string[]): BackedKind['command'] {
  return (port, backing) => {
    const sets = ['allowAnonymous=true', 'log.level=warn', ...settings(backing)].flatMap(set => ['--set', set])
    return [process.execPath, program, '--preset', preset, '--port', String(port), ...sets]
  }
}

export const backedKinds: readonly BackedKind[] = [
  { name: 'mqttx-broker, memory', needsRedis: false, version: ours.version, command: onPreset('test', () => []) },
  {
    name: 'mqttx-broker, disk',
    needsRedis: false,
    version: ours.version,
    command: onPreset('standalone', ({ folder }) => [`disk.path=${folder}/data`]),
  },
  {
    name: 'mqttx-broker, redis',
    needsRedis: true,
    version: ours.version,
    command: onPreset('dev', ({ redis }) => [`redis.url=${redis!.url}`]),
  },
  {
    name: 'mosquitto, persistence',
    needsRedis: false,
    version: kindOf('mosquitto').version,
    command(port, { folder }) {
      const config = path.join(folder, 'mosquitto.conf')
      const [binary] = kindOf('mosquitto').command(port)
      const lines = [
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        'user root',
        'log_type none',
        'persistence true',
        `persistence_location ${folder}/`,
        'max_inflight_messages 0',
        'max_queued_messages 0',
      ]
      writeFileSync(config, `${lines.join('\n')}\n`)
      return [binary!, '-c', config]
    },
  },
  {
    name: 'aedes, redis',
    needsRedis: true,
    version: kindOf('aedes').version,
    command: (port, { redis }) => [
      process.execPath,
      fileURLToPath(new URL('aedes-broker.mjs', import.meta.url)),
      String(port),
      String(redis!.port),
    ],
    // It answers a CONNECT of such a session after minutes.
    storedFor: async ({ redis }, clientId) => Number(await redis!.call('LLEN', `outgoing:${clientId}`)),
  },
]

/** A broker that runs on a backing of its own, and can be started on it again. */
export class BackedBroker {
  readonly kind: BackedKind
  readonly backing: Backing
  #process: RunningProcess

  private constructor(kind: BackedKind, backing: Backing, process: RunningProcess) {
    this.kind = kind
    this.backing = backing
    this.#process = process
  }

  static async start(kind: BackedKind): Promise<BackedBroker> {
    const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-bench-'))
    // As Redis comes but for its log of commands, which it needs to keep anything; a broker's core is its own, the load shares its own with Redis.
    const redis = kind.needsRedis ? await RedisServer.start('--appendonly', 'yes') : null
    if (redis !== null && canPin) execFileSync('taskset', ['-acp', '1', String(redis.pid)], { stdio: 'ignore' })
    const backing = { folder, redis }
    return new BackedBroker(kind, backing, await BackedBroker.#run(kind, backing))
  }

  get pid(): number {
    return this.#process.pid
  }

  get port(): number {
    return this.#process.port
  }

  /** Milliseconds from starting the process to its port accepting. */
  get startedInMs(): number {
    return this.#process.startedInMs
  }

  /** Another process on the same backing. */
  async restart(): Promise<void> {
    await this.#process.stop()
    this.#process = await BackedBroker.#run(this.kind, this.backing)
  }

  async stop(): Promise<void> {
    await this.#process.stop()
    await this.backing.redis?.stop()
    rmSync(this.backing.folder, { recursive: true, force: true })
  }

  static #run(kind: BackedKind, backing: Backing): Promise<RunningProcess> {
    return startBroker({ name: kind.name, version: kind.version, command: port => kind.command(port, backing) })
  }
}
