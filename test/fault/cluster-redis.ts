import { RedisServer, startSentinel } from '../support/redis.ts'
import { type Cut, TcpProxy } from '../support/tcp-proxy.ts'

/** The Redis that the brokers of a fault run share, and what may happen to it. */
export interface SharedRedis {
  /** A broker's options, by its number. */
  optionsOf(node: number): readonly string[]
  /** One command, to the server that counts. */
  call(name: string, ...parts: (string | number)[]): Promise<unknown>
  stop(): Promise<void>
}

/** One server, and a line of its own from each broker to it. */
export class LinedRedis implements SharedRedis {
  readonly #server: RedisServer
  readonly #lines: readonly TcpProxy[]

  private constructor(server: RedisServer, lines: readonly TcpProxy[]) {
    this.#server = server
    this.#lines = lines
  }

  static async start(nodeCount: number): Promise<LinedRedis> {
    const server = await RedisServer.start()
    const lines = await Promise.all(Array.from({ length: nodeCount }, () => TcpProxy.start(server.port)))
    return new LinedRedis(server, lines)
  }

  optionsOf(node: number): readonly string[] {
    return [`redis.url=${this.#lines[node]!.url}`, 'redis.commandTimeout=1s', 'redis.connectTimeout=1s']
  }

  call(name: string, ...parts: (string | number)[]): Promise<unknown> {
    return this.#server.call(name, ...parts)
  }

  cut(node: number, how: Cut): Promise<void> {
    return this.#lines[node]!.cut(how)
  }

  heal(node: number): Promise<void> {
    return this.#lines[node]!.heal()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#lines.map(line => line.stop()))
    await this.#server.stop()
  }
}

/** A primary, its replica, and a sentinel that makes the one the other. */
export class WatchedRedis implements SharedRedis {
  #primary: RedisServer
  #replica: RedisServer
  readonly #sentinel: RedisServer

  private constructor(primary: RedisServer, replica: RedisServer, sentinel: RedisServer) {
    this.#primary = primary
    this.#replica = replica
    this.#sentinel = sentinel
  }

  static async start(): Promise<WatchedRedis> {
    const primary = await RedisServer.start()
    const replica = await RedisServer.start('--replicaof', `127.0.0.1 ${primary.port}`)
    const sentinel = await startSentinel(primary.port)
    const redis = new WatchedRedis(primary, replica, sentinel)
    await redis.#whole()
    return redis
  }

  optionsOf(): readonly string[] {
    const waiting = ['redis.waitReplicas=1', 'redis.waitTimeout=500ms', 'redis.commandTimeout=1s', 'redis.connectTimeout=1s']
    return [`redis.sentinels=["127.0.0.1:${this.#sentinel.port}"]`, ...waiting]
  }

  call(name: string, ...parts: (string | number)[]): Promise<unknown> {
    return this.#primary.call(name, ...parts)
  }

  /** kill -9 of the primary; when the replica has taken its place it comes back as replica of that, for else nothing would be kept twice. */
  async failOver(): Promise<void> {
    const dead = this.#primary
    await dead.kill()
    await until(
      async () =>
        String(((await this.#sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')) as string[])[1]) ===
        String(this.#replica.port),
    )
    this.#primary = this.#replica
    this.#replica = new RedisServer(dead.port, ['--replicaof', `127.0.0.1 ${this.#primary.port}`], dead.folder)
    await this.#replica.start()
    await this.#whole()
  }

  async #whole(): Promise<void> {
    await until(async () => /state=online/.test(String(await this.#primary.call('INFO', 'replication'))))
    await until(async () => {
      const known = (await this.#sentinel.call('SENTINEL', 'REPLICAS', 'mymaster')) as string[][]
      return known.some(fields => fields.includes('master-link-status') && fields[fields.indexOf('master-link-status') + 1] === 'ok')
    })
  }

  async stop(): Promise<void> {
    await this.#sentinel.stop()
    await Promise.all([this.#primary.stop(), this.#replica.stop()])
  }
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise(resolve => setTimeout(resolve, 50))
}
