import { clientTlsOptions } from '../kit/client-tls-options.ts'
import { defineManifest } from '../kit/define-manifest.ts'

export const redisManifest = defineManifest({
  name: 'redis',
  rootOptions: {
    /** Keeps the subscribers of durable sessions in memory. `false` looks them up in Redis at each publish. */
    enableInnerCache: { type: 'boolean', default: true },
  },
  rootOptionsWhenOff: {
    enableInnerCache: 'false looks subscribers up in Redis, and redis does not keep the sessions here; leave it true',
  },
  provides: ['sessions', 'retained', 'state', 'bus'],
  options: {
    /** Where Redis is: `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. Not looked at where `sentinels` or `nodes` are given. */
    url: { type: 'string', default: 'redis://localhost:6379', pattern: '^rediss?://.+' },
    /** The user that the broker logs in as (Redis 6 and later); one in `url` counts where this is not set. */
    username: { type: 'string', minLength: 1 },
    /** The password; one in `url` counts where this is not set. */
    password: { type: 'string', secret: true, minLength: 1 },
    /** The database's number; one in `url` counts where this is not set. Redis Cluster has 0 only. */
    database: { type: 'integer', minimum: 0 },
    /** Redis Sentinel: the sentinels as `host:port`; they say who is the master, now and after each fail-over. */
    sentinels: { type: 'list', items: { type: 'string', pattern: '^[^@]+:\\d+$' }, default: [] },
    /** The name that the sentinels know the master by. */
    sentinelName: { type: 'string', default: 'mymaster', minLength: 1 },
    /** The sentinels' own password, where they have one. */
    sentinelPassword: { type: 'string', secret: true, minLength: 1 },
    /** Redis Cluster: some of its nodes as `host:port`; the others are found through them. */
    nodes: { type: 'list', items: { type: 'string', pattern: '^[^@]+:\\d+$' }, default: [] },
    /** TLS towards Redis; `rediss://` turns it on too. Files are PEM, relative to the config's folder. */
    tls: { type: 'object', properties: clientTlsOptions },
    /** What happens when Redis is away at start: the broker starts without it and takes it up when it comes, or it ends with an error. */
    startup: { type: 'string', enum: ['retry', 'fail'], default: 'retry' },
    /** The time that Redis has for one answer; then it counts as away, and what it was asked is asked again. */
    commandTimeout: { type: 'duration', default: '5s', minimum: 1 },
    /** The time that a connection to Redis may take to open. */
    connectTimeout: { type: 'duration', default: '5s', minimum: 1 },
    /** Replicas that must have a write before it counts as kept (`WAIT`). 0: the master's word is enough. */
    waitReplicas: { type: 'integer', default: 0, minimum: 0 },
    /** The time that replicas have to say so; then the write counts as not kept yet, and they are asked again. */
    waitTimeout: { type: 'duration', default: '1s', minimum: 1 },
    /** Writes that may wait for Redis, all clients together; what would be one more is refused, and its publisher closed so that it sends again. */
    pendingMax: { type: 'integer', default: 100_000, minimum: 1 },
    /** Bytes that may wait for Redis, all clients together. */
    pendingBytesMax: { type: 'bytes', default: '128MiB', minimum: 1024 },
    /** How often message bodies that nothing refers to any more are looked for: what a crash on Redis Cluster may leave. */
    sweepInterval: { type: 'duration', default: '1h', minimum: '1s' },
    /** Stands before all prefixes below and before the names of channels, so that several brokers can share a database. */
    prefix: { type: 'string', default: '', pattern: '^[^{}]*$' },
    /** Says that Redis may lose what it has acknowledged, by a restart or by evicting keys: then nobody is warned of it. */
    acceptVolatile: { type: 'boolean', default: false },
    /** Prefix of a session's key; the client id follows in braces. */
    clusterSessionHashKey: { type: 'string', default: 'mqttx.session.key', minLength: 1, pattern: '^[^{}]*$' },
    /** Prefix of the keys that hold the durable subscribers of one filter. */
    topicPrefix: { type: 'string', default: 'mqttx:topic:', minLength: 1, pattern: '^[^{}]*$' },
    /** Prefix of the keys that hold the retained message of one topic. */
    retainMessagePrefix: { type: 'string', default: 'mqttx:retain:', minLength: 1, pattern: '^[^{}]*$' },
    /** Prefix of the keys that hold a session's outbound queue. */
    pubMsgSetPrefix: { type: 'string', default: 'mqttx:client:pubmsg:', minLength: 1, pattern: '^[^{}]*$' },
    /** Prefix of the keys that hold a session's QoS 2 state and packet identifiers. */
    pubRelMsgSetPrefix: { type: 'string', default: 'mqttx:client:pubrelmsg:', minLength: 1, pattern: '^[^{}]*$' },
    /** Prefix of the sets of all filters that durable sessions subscribe to. */
    topicSetKey: { type: 'string', default: 'mqttx:alltopic', minLength: 1, pattern: '^[^{}]*$' },
    /** Prefix of the keys that hold the body of a message which several queues refer to. */
    bodyPrefix: { type: 'string', default: 'mqttx:body:', minLength: 1, pattern: '^[^{}]*$' },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** Redis does not answer, at a start with `redis.startup: fail` or at `check --connect`. */
    ERR_REDIS_AWAY: true
    /** The user of Redis lacks rights that the broker needs. */
    ERR_REDIS_RIGHTS: true
    /** A newer version of the broker has written to this Redis. */
    ERR_REDIS_NEWER: true
    /** Another node speaks no version of the bus that this one speaks. */
    ERR_BUS_VERSION: true
    /** A living node of the cluster has the same `brokerId`. */
    ERR_NODE_TWICE: true
  }
}
