import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { ServerProcess } from './server-process.ts'

/** There is a C compiler, by which a redis-server gets a wall clock of its own (redis-clock.c). */
export const hasCompiler = process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0

/** A real redis-server on a free port of loopback, with a folder of its own. */
export class RedisServer extends ServerProcess {
  readonly port: number
  readonly #args: readonly string[]
  #hasClock = false

  constructor(port: number, args: readonly string[], folder = mkdtempSync(path.join(tmpdir(), 'mqttx-redis-'))) {
    super(folder)
    this.port = port
    this.#args = args
  }

  /** `args`: more of redis-server's options, such as `--appendonly yes`. */
  static async start(...args: string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), args)
    await server.start()
    return server
  }

  /** The same, with a wall clock that `setClock` sets. Needs a C compiler. */
  static async startWithClock(...args: string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), args)
    server.#hasClock = true
    server.setClock(0)
    await server.start()
    return server
  }

  /** Its wall clock is so many seconds ahead of the machine's from now on; below 0: behind. */
  setClock(seconds: number): void {
    if (!this.#hasClock) return
    const ahead = Buffer.alloc(8)
    ahead.writeBigInt64LE(BigInt(seconds))
    // In place, because the server has the file mapped.
    const file = openSync(this.#clockFile, 'a+')
    closeSync(file)
    writeFileSync(this.#clockFile, ahead, { flag: 'r+' })
  }

  get #clockFile(): string {
    return path.join(this.folder, 'clock')
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, or starts it again on the same port and data, and waits until it answers. */
  async start(): Promise<void> {
    const common = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', '', '--loglevel', 'warning']
    // A replica is served at once, not when others may have come too.
    common.push('--repl-diskless-sync-delay', '0')
    const preload = this.#hasClock ? { CLOCK_FILE: this.#clockFile, LD_PRELOAD: clockLibrary() } : {}
    const child = spawn('redis-server', [...common, ...this.#args], { stdio: 'ignore', env: { ...process.env, ...preload } })
    this.child = child
    await answering(this.port, child, this.#password)
  }

  get #password(): string | undefined {
    const at = this.#args.indexOf('--requirepass')
    return at === -1 ? undefined : this.#args[at + 1]
  }

  /** A client of the test's own; `quit` it. */
  client(): Redis {
    const password = this.#password
    return new Redis({ port: this.port, host: '127.0.0.1', ...(password === undefined ? {} : { password }) })
  }

  /** One command. */
  async call(name: string, ...parts: (string | number)[]): Promise<unknown> {
    const client = this.client()
    try {
      return await client.call(name, ...parts)
    } finally {
      client.disconnect()
    }
  }
}

let library: string | undefined

/** Compiled once for each process of tests. */
function clockLibrary(): string {
  if (library !== undefined) return library
  library = path.join(mkdtempSync(path.join(tmpdir(), 'mqttx-clock-')), 'redis-clock.so')
  const source = fileURLToPath(new URL('redis-clock.c', import.meta.url))
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-o', library, source])
  if (status !== 0) throw new Error(String(stderr))
  return library
}

/** A set of sentinels that watch over one master: one sentinel is a quorum of its own. */
export async function startSentinel(masterPort: number, downAfterMs = 500): Promise<RedisServer> {
  const port = await freePort()
  const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-sentinel-'))
  const config = path.join(folder, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor mymaster 127.0.0.1 ${masterPort} 1`,
    `sentinel down-after-milliseconds mymaster ${downAfterMs}`,
    'sentinel failover-timeout mymaster 2000',
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  const sentinel = new SentinelServer(port, [config, '--sentinel'], folder)
  await sentinel.start()
  return sentinel
}

class SentinelServer extends RedisServer {
  readonly #config: readonly string[]

  constructor(port: number, args: readonly string[], folder: string) {
    super(port, [], folder)
    this.#config = args
  }

  override async start(): Promise<void> {
    const child = spawn('redis-server', this.#config, { stdio: 'ignore' })
    this.child = child
    await answering(this.port, child, undefined)
  }
}

/** A Redis Cluster of three masters. */
export async function startCluster(): Promise<{ readonly nodes: readonly RedisServer[]; stop(): Promise<void> }> {
  const nodes = await Promise.all([0, 1, 2].map(() => RedisServer.start('--cluster-enabled', 'yes', '--cluster-node-timeout', '2000')))
  const clients = nodes.map(node => node.client())
  await Promise.all(nodes.slice(1).map(node => clients[0]!.call('CLUSTER', 'MEET', '127.0.0.1', node.port)))
  const slots = 16_384
  await Promise.all(
    nodes.map((_node, i) =>
      clients[i]!.call('CLUSTER', 'ADDSLOTSRANGE', Math.ceil((i * slots) / nodes.length), Math.ceil(((i + 1) * slots) / nodes.length) - 1),
    ),
  )
  for (const client of clients) {
    // Until every node has heard of all the others.
    while (!/cluster_state:ok[\s\S]*cluster_known_nodes:3/.test(String(await client.call('CLUSTER', 'INFO')))) await pause(20)
    client.disconnect()
  }
  return {
    nodes,
    async stop() {
      await Promise.all(nodes.map(node => node.stop()))
    },
  }
}

/** A port that nobody listens on: below those that the system gives to connections, so that none of them takes it before the server does. */
export async function freePort(): Promise<number> {
  for (;;) {
    // A cluster node also listens on its port + 10,000.
    const port = 12_000 + randomInt(10_000)
    const server = createServer()
    const isFree = await new Promise(resolve => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)))
    if (!isFree) continue
    await new Promise(resolve => server.close(resolve))
    return port
  }
}

async function answering(port: number, child: ChildProcess, password: string | undefined): Promise<void> {
  let gone = false
  child.once('error', () => {
    gone = true
  })
  for (;;) {
    if (gone || child.exitCode !== null) throw new Error('redis-server did not start; is it installed? apt-get install redis-server')
    const client = new Redis({
      port,
      host: '127.0.0.1',
      lazyConnect: true,
      retryStrategy: null,
      ...(password === undefined ? {} : { password }),
    })
    client.on('error', () => {})
    const answer = await client.connect().then(
      () => client.ping(),
      () => null,
    )
    client.disconnect()
    if (answer === 'PONG') return
    await pause(10)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
