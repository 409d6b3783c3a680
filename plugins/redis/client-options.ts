import { resolve } from 'node:path'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { clientTls } from '../kit/client-tls.ts'
import { maskText } from '../kit/options/describe.ts'
import type { redisManifest } from './manifest.ts'

export type Options = OptionsOf<typeof redisManifest.options>

// The client's own choice among reply shapes stays what it is.
type ServerOptions = Omit<RedisOptions, 'replyMapping'>

// Redis that is back is found again within this time.
const reconnectMsMax = 250
const backOff = (times: number): number => Math.min(50 * 2 ** Math.min(times, 10), reconnectMsMax)

/** The options with the paths of files as they are from everywhere: a config says them relative to its folder. */
export function withFiles(options: Options, folder: string): Options {
  const named = (['ca', 'cert', 'key'] as const).flatMap(name => {
    const file = options.tls[name]
    return file === undefined ? [] : [[name, resolve(folder, file)]]
  })
  return { ...options, tls: { ...options.tls, ...Object.fromEntries(named) } }
}

/**
 * The client that the options ask for: one server, one that sentinels name, or a cluster. It connects when it is told to. `watched`: whoever asks sees to it
 * that an answer comes in time.
 */
export function createClient(options: Options, use: 'commands' | 'watched' = 'commands'): Redis | Cluster {
  const server = serverOf(options)
  const common: ServerOptions = {
    ...server,
    // Hashes and scores come as flat lists, from every server alike.
    protocol: 2,
    lazyConnect: true,
    // What was in doubt when a connection broke is ours to judge, and so is what waits for the next one.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // Whoever listens subscribes each time; what ioredis does by itself rejects, where the connection breaks at once, and nobody hears that.
    autoResubscribe: false,
    maxRetriesPerRequest: null,
    // Its timers fire before what has come meanwhile is read, where the process stood still: what matters is watched over by whoever waits.
    ...(use === 'commands' ? { commandTimeout: options.commandTimeout } : {}),
    connectTimeout: options.connectTimeout,
    retryStrategy: backOff,
    connectionName: 'mqttx-broker',
    // Whether it still loads is asked by a command that needs no further right. A sentinel's client sees by INFO whether it has a master.
    enableReadyCheck: options.sentinels.length > 0 && options.nodes.length === 0,
    maxLoadingRetryTime: reconnectMsMax,
  }
  if (options.nodes.length > 0) {
    const {
      host: _host,
      port: _port,
      retryStrategy: _retry,
      enableOfflineQueue: _queue,
      lazyConnect: _lazy,
      autoResubscribe: _again,
      ...redis
    } = common
    return new Cluster(options.nodes.map(addressOf), {
      redisOptions: redis,
      enableOfflineQueue: false,
      lazyConnect: true,
      scaleReads: 'master',
      slotsRefreshTimeout: options.commandTimeout,
      slotsRefreshInterval: 5000,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      clusterRetryStrategy: backOff,
    })
  }
  if (options.sentinels.length > 0) {
    const { host: _host, port: _port, ...rest } = common
    return new Redis({
      ...rest,
      sentinels: options.sentinels.map(addressOf),
      name: options.sentinelName,
      role: 'master',
      sentinelCommandTimeout: options.commandTimeout,
      sentinelRetryStrategy: backOff,
      ...(options.sentinelPassword === undefined ? {} : { sentinelPassword: options.sentinelPassword }),
    })
  }
  return new Redis(common)
}

/**
 * Gives a connection up that gives no answers, for another one. Only one that is open: while ioredis asks the sentinels for the master, a `disconnect` ends the client for
 * good, and a connection that is being opened needs no other.
 */
export function renew(client: Redis | Cluster): void {
  if (client.status === 'ready' || client.status === 'connect') client.disconnect(true)
}

/** Where the options say that Redis is, for people; without its password. */
export function placeOf({ url, sentinels, sentinelName, nodes }: Options): { readonly key: string; readonly text: string } {
  if (nodes.length > 0) return { key: 'redis.nodes', text: nodes.map(masked).join(', ') }
  if (sentinels.length > 0) return { key: 'redis.sentinels', text: `${sentinelName} of ${sentinels.map(masked).join(', ')}` }
  return { key: 'redis.url', text: masked(url) }
}

/** The number of the database that the options name. */
export function databaseOf(options: Options): number {
  return options.nodes.length > 0 ? 0 : (serverOf(options).db ?? 0)
}

const masked = (url: string): string => maskText(url, 'url').replace('***@', '')

function serverOf(options: Options): ServerOptions {
  let url: URL
  try {
    url = new URL(options.url)
  } catch {
    throw new OperatorError(
      'ERR_CONFIG',
      'redis.url: not a URL; write redis://host:6379, with / and @ of a password as %2F and %40, or set redis.password',
    )
  }
  const database = url.pathname.length > 1 ? Number(url.pathname.slice(1)) : 0
  if (!Number.isInteger(database))
    throw new OperatorError(
      'ERR_CONFIG',
      'redis.url: what follows the host is the number of a database; write / of a password as %2F, or set redis.password',
    )
  const username = options.username ?? decodeURIComponent(url.username)
  const password = options.password ?? decodeURIComponent(url.password)
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    db: options.database ?? database,
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(options.tls.enable || url.protocol === 'rediss:' ? { tls: clientTls('redis.tls', options.tls) } : {}),
  }
}

function addressOf(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) }
}
