import type { Translation } from './translation.ts'
import { anyText, boolean, choice, duration, integer, text, Value } from './value.ts'

/** Translates what the Java mqttx takes from Spring's own options: Redis, Kafka, the log. */
export function translateSpring(translation: Translation): void {
  translateRedis(translation)
  translateKafka(translation)
  translateLog(translation)
}

const redisKeys = [
  'clusterSessionHashKey',
  'topicPrefix',
  'retainMessagePrefix',
  'pubMsgSetPrefix',
  'pubRelMsgSetPrefix',
  'topicSetKey',
] as const

function translateRedis(translation: Translation): void {
  // Spring Boot 2 and 3.
  const named = (name: string): [string, string] => [`spring.redis.${name}`, `spring.data.redis.${name}`]
  const at = named('host')
    .map(name => translation.take(name))
    .find(one => one !== undefined)
  const [host, port] = [translation.value(...named('host')), translation.value(...named('port'))]
  translation.move('redis.url', anyText, ...named('url'))
  if ((translation.config.redis as { url?: unknown } | undefined)?.url === undefined && (host !== undefined || port !== undefined)) {
    const url = new Value('redis://', host ?? 'localhost', ':', port ?? '6379')
    translation.put('redis.url', text(url), at ?? 'spring.redis.port')
  }
  translation.move('redis.username', anyText, ...named('username'))
  translation.move('redis.password', anyText, ...named('password'))
  translation.move('redis.database', integer, ...named('database'))
  translation.move('redis.commandTimeout', duration, ...named('timeout'))
  translation.move('redis.connectTimeout', duration, ...named('connect-timeout'))
  translation.move('redis.tls.enable', boolean, ...named('ssl'), ...named('ssl.enabled'))
  translation.moveList('redis.sentinels', ...named('sentinel.nodes'))
  translation.move('redis.sentinelName', text, ...named('sentinel.master'))
  translation.move('redis.sentinelPassword', anyText, ...named('sentinel.password'))
  translation.moveList('redis.nodes', ...named('cluster.nodes'))
  for (const key of redisKeys) translation.move(`redis.${key}`, text, `mqttx.redis.${key}`)
}

function translateKafka(translation: Translation): void {
  const bridge = translation.config.messageBridge as { enable?: unknown } | undefined
  if (bridge === undefined || bridge.enable === false) return
  translation.moveList('messageBridge.brokers', 'spring.kafka.producer.bootstrap-servers', 'spring.kafka.bootstrap-servers')
  translation.move('messageBridge.clientId', text, 'spring.kafka.producer.client-id', 'spring.kafka.client-id')
  const acks = choice({ 0: 'none', 1: 'leader', '-1': 'all', all: 'all' })
  translation.move('messageBridge.acks', acks, 'spring.kafka.producer.acks')
  const said = (translation.config.messageBridge as { acks?: unknown }).acks
  if (said !== undefined && said !== 'all') translation.put('messageBridge.idempotent', false, 'Goes with acks: all only.')
  const compression = choice({ none: 'none', gzip: 'gzip', snappy: 'snappy', lz4: 'lz4', zstd: 'zstd' })
  translation.move('messageBridge.compression', compression, 'spring.kafka.producer.compression-type')
}

function translateLog(translation: Translation): void {
  const levels = {
    trace: 'trace',
    debug: 'debug',
    info: 'info',
    warn: 'warn',
    error: 'error',
    fatal: 'error',
    off: 'silent',
    false: 'silent',
  }
  translation.move('log.level', choice(levels), 'logging.level.root')
}

/** Why an option that nobody has taken is not translated. */
export function reasonOf(name: string): string {
  return reasons.find(([beginning]) => name.startsWith(beginning))?.[1] ?? 'mqttx has no such option'
}

// By the beginning of the canonical name; the first that fits counts.
const reasons: readonly (readonly [beginning: string, reason: string])[] = [
  ['mqttx.', 'mqttx 1.0 to 1.2 has no such option; if a fork of it has, look into docs/config.md'],
  ['spring.redis.lettuce', 'one connection carries everything, so there is no pool'],
  ['spring.redis.jedis', 'one connection carries everything, so there is no pool'],
  ['spring.data.redis.lettuce', 'one connection carries everything, so there is no pool'],
  ['spring.redis', 'there is no such option; see the section redis in docs/config.md'],
  ['spring.data.redis', 'there is no such option; see the section redis in docs/config.md'],
  ['spring.kafka.consumer', 'nothing is read from Kafka: nodes speak with each other over Redis'],
  ['spring.kafka.producer.keyserializer', 'keys are texts and payloads go as they are; messageBridge.topics[].value says more'],
  ['spring.kafka.producer.valueserializer', 'keys are texts and payloads go as they are; messageBridge.topics[].value says more'],
  [
    'spring.kafka',
    'see the section messageBridge in docs/config.md, which has sasl, ssl and batches; nothing of it is on where the bridge is off',
  ],
  ['spring.application', 'it names the Java program'],
  ['spring.profiles', 'one config has no profiles; a config in TypeScript can look at env'],
  ['spring.config', 'other files are not read; import each by itself'],
  ['spring.', 'an option of Spring, of which nothing is here'],
  ['logging.level', 'there is one level for all: log.level'],
  ['logging.', 'the log goes to standard output; log.format json is for machines, and who runs the broker keeps it'],
  ['server.', 'there is no web server; metrics and admin.http have ports of their own'],
  ['management.', 'plugin metrics has /metrics, /livez and /readyz'],
]
