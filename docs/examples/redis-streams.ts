// A bridge target: messages go to Redis Streams, one entry each, with the fields `key`, `value`, `topic`'s time and a field `header:NAME` for each header. Rules name
// it by `target: 'redisStreams'`; queues, repeats and counters are the bridge's. npm install ioredis
import { Redis } from 'ioredis'
import { type BridgeRecord, type BridgeSender, definePlugin, OperatorError, RecordsRefusedError, TargetAwayError } from 'mqttx-broker'

declare module 'mqttx-broker' {
  interface ErrorCodes {
    /** Nothing answers at `redisStreams.url`. */
    ERR_REDIS_STREAMS: true
  }
}

const timeoutMs = 5000

/** A target of `messageBridge`: Redis Streams. */
export const redisStreams = definePlugin({
  name: 'redisStreams',
  requires: ['bridge'],
  options: {
    /** Where Redis is: `redis://localhost:6379`. */
    url: { type: 'string', required: true, pattern: '^rediss?://' },
    /** About how many entries a stream keeps; older ones go. */
    entriesMax: { type: 'integer', minimum: 1, default: 1_000_000 },
  },
  apply({ services }, { url, entriesMax }) {
    const connection = (): Redis => {
      // Who waits and tries again is the bridge, so nothing is queued here.
      const redis = new Redis(url, {
        lazyConnect: true,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        commandTimeout: timeoutMs,
        retryStrategy: () => null,
      })
      redis.on('error', () => {})
      return redis
    }

    function createSender(): BridgeSender {
      let redis: Redis | null = null
      // Of a batch of which Redis took a part, the other part is sent again.
      const taken = new WeakSet<BridgeRecord>()

      async function send(records: readonly BridgeRecord[]): Promise<void> {
        if (redis === null || redis.status === 'end') redis = connection()
        const client = redis
        if (client.status === 'wait') await client.connect().catch(away)
        const waiting = records.filter(record => !taken.has(record))
        const answers = await Promise.allSettled(
          waiting.map(record => client.xadd(record.topic, 'MAXLEN', '~', entriesMax, '*', ...fieldsOf(record))),
        )
        const refused: number[] = []
        let why: unknown = null
        for (const [i, answer] of answers.entries()) {
          const record = waiting[i]!
          if (answer.status === 'fulfilled') taken.add(record)
          // The name belongs to something that is no stream: that harms the records for it alone. Anything else is Redis in trouble.
          else if (/^WRONGTYPE/.test((answer.reason as Error).message)) refused.push(records.indexOf(record))
          else why ??= answer.reason
        }
        if (why !== null) away(why)
        if (refused.length > 0) throw new RecordsRefusedError(refused, 'the key is no stream', { reason: 'WRONGTYPE' })
      }

      function away(cause: unknown): never {
        redis?.disconnect()
        throw new TargetAwayError(`Redis at ${place} does not take it (${(cause as Error).message}); start it, or look at its log`, {
          cause,
        })
      }

      return { send, close: async () => redis?.disconnect() }
    }

    const { host } = new URL(url)
    const place = host
    services.get('bridge').add({
      name: 'redisStreams',
      place,
      legalName: text => (text === '' ? null : text),
      createSender,
      async probe() {
        const redis = connection()
        try {
          await redis.connect()
          await redis.ping()
          return `Redis at ${place} answers`
        } catch (cause) {
          throw new OperatorError(
            'ERR_REDIS_STREAMS',
            `redisStreams.url: nothing answers at ${place} (${(cause as Error).message}); correct it`,
            { cause },
          )
        } finally {
          redis.disconnect()
        }
      },
    })
  },
})

function fieldsOf({ key, value, headers, timestamp }: BridgeRecord): (string | Buffer)[] {
  const fields: (string | Buffer)[] = ['key', key, 'value', value, 'timestamp', String(timestamp)]
  // A header that comes several times is a field that comes several times.
  for (const [name, header] of Object.entries(headers))
    for (const one of Array.isArray(header) ? (header as readonly string[]) : [header as string | Buffer])
      fields.push(`header:${name}`, one)
  return fields
}
