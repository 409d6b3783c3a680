import fc from 'fast-check'
import { expect, test } from 'vitest'
import { catalogue } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { applicationYml } from '../../presets/shell/import/application-yml.ts'
import type { Imported, ImportSource } from '../../presets/shell/import/imported.ts'
import { Code } from '../../presets/shell/import/imported.ts'

// Goal: what an application.yml of the Java mqttx says becomes the same config here, with the profiles that are active, and what does not is named.

/** Translates a file, with other files beside it. */
async function translated(text: string, { files = {}, env = {}, name = 'application.yml' }: Surroundings = {}): Promise<Imported> {
  const source: ImportSource = {
    name,
    folder: '/etc/mqttx',
    env,
    read: async path => files[path],
    list: async () => Object.keys(files),
    path: path => `conf/${path}`,
  }
  expect(applicationYml.recognises(name, text)).toBe(true)
  return applicationYml.translate(text, source)
}

interface Surroundings {
  readonly files?: Record<string, string>
  readonly env?: Record<string, string>
  readonly name?: string
}

const shown = (value: unknown): unknown =>
  value instanceof Code
    ? `=${value.expression}`
    : Array.isArray(value)
      ? value.map(shown)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shown(part)]))
        : value

// Every option of the table in the README of mqttx 1.0.5, in both spellings that it has, with a value of its own.
const readme = `
mqttx:
  version: 1.0.5
  brokerId: 7
  heartbeat: 30s
  host: 127.0.0.1
  soBacklog: 256
  enableTopicSubPubSecure: true
  enableInnerCache: false
  enableTestMode: false
  redis:
    clusterSessionHashKey: my.session
    topicPrefix: "my:topic:"
    retainMessagePrefix: "my:retain:"
    pubMsgSetPrefix: "my:pubmsg:"
    pubRelMsgSetPrefix: "my:pubrelmsg:"
    topicSetKey: my:alltopic
  cluster:
    enable: true
    innerCacheConsistancyKey: my:cache
  ssl:
    enable: true
    client-auth: true
    keyStoreLocation: "classpath: tls/mqttx.keystore"
    keyStorePassword: "open sesame"
    keyStoreType: pkcs12
  socket:
    enable: true
    port: 1884
  websocket:
    enable: true
    port: 8084
    path: /ws
  share-topic:
    enable: true
    share-sub-strategy: hash
  sys-topic:
    enable: true
    interval: 10s
    qos: 1
  message-bridge:
    enable: true
    topics:
      - a/b
      - c/d
`

test('every option of the README is translated, or named with the reason', async () => {
  const { config, comments = {}, untranslated } = await translated(readme)
  expect(config).toEqual({
    preset: 'dev',
    brokerId: 7,
    heartbeat: '30s',
    host: '127.0.0.1',
    soBacklog: 256,
    enableTopicSubPubSecure: true,
    enableInnerCache: false,
    enableTestMode: false,
    ssl: { keyStoreLocation: 'conf/tls/mqttx.keystore', keyStorePassword: 'open sesame', clientAuth: true },
    socket: { port: 1884 },
    websocket: { port: 8084, path: '/ws' },
    shareTopic: { shareSubStrategy: 'hash' },
    sysTopic: { interval: '10s', qos: 1 },
    messageBridge: { topics: ['a/b', 'c/d'] },
    cluster: { innerCacheConsistencyKey: 'my:cache' },
    redis: {
      clusterSessionHashKey: 'my.session',
      topicPrefix: 'my:topic:',
      retainMessagePrefix: 'my:retain:',
      pubMsgSetPrefix: 'my:pubmsg:',
      pubRelMsgSetPrefix: 'my:pubrelmsg:',
      topicSetKey: 'my:alltopic',
    },
  })
  expect(untranslated).toEqual([
    { line: 3, file: undefined, text: 'mqttx.version: "1.0.5"', reason: "the package's own version counts, in $SYS and by --version" },
  ])
  expect(comments['socket.port']).toBe('mqttx.socket.port (line 29)')
})

test('kebab-case, camelCase and dotted names are one; what is off there is off here', async () => {
  const { config } = await translated(`
mqttx.broker-id: "001"
mqttx:
  so_backlog: 64
  web-socket.port: 9001
  message-bridge:
    enable: false
    bridge-topics[0]: a
    bridge-topics[1]: b
  ssl:
    enable: false
    key-store-location: classpath:tls/x.p12
`)
  expect(config).toEqual({
    preset: 'dev',
    brokerId: '001',
    soBacklog: 64,
    ssl: { enable: false, keyStoreLocation: 'conf/tls/x.p12' },
    websocket: { port: 9001, enable: false },
    sysTopic: { enable: false },
    messageBridge: { topics: ['a', 'b'], enable: false },
  })
})

test('documents and files of the profiles that are active count, the later before the earlier', async () => {
  const text = `
spring:
  profiles:
    active: dev, eu
    group:
      eu: cloud
mqttx:
  heartbeat: 10s
  host: a
---
spring.config.activate.on-profile: prod
mqttx.heartbeat: 20s
---
spring:
  profiles: "dev & !prod"
mqttx:
  heartbeat: PT1M30S
---
spring.config.activate.on-profile: [prod, "!dev | (cloud & eu)"]
mqttx.so-backlog: 9
`
  const files = {
    'application-dev.yml': 'mqttx.host: b',
    'application-cloud.yaml': 'mqttx:\n  host: c\n',
    'application-prod.yml': 'mqttx.host: d',
  }
  const { config, comments = {}, notes } = await translated(text, { files })
  expect(config).toMatchObject({ heartbeat: '90s', host: 'c', soBacklog: 9 })
  expect(comments.host).toBe('mqttx.host (application-cloud.yaml:2)')
  expect(notes[0]).toBe('translated with the profiles dev, eu, cloud, from application.yml, application-dev.yml, application-cloud.yaml')
  const other = await translated(text, { files, env: { SPRING_PROFILES_ACTIVE: 'prod' } })
  expect(other.config).toMatchObject({ heartbeat: '20s', host: 'd' })
  const none = await translated('mqttx.host: a\n---\nspring.config.activate.on-profile: default\nmqttx.host: z')
  expect(none.config).toMatchObject({ host: 'z' })
})

test('placeholders become expressions on the environment; what is known already is put in', async () => {
  const { config } = await translated(`
app:
  name: meters
mqttx:
  broker-id: \${app.name}-\${NODE:1}
  host: \${HOST:\${POD_IP:0.0.0.0}}
  heartbeat: \${HEARTBEAT:PT30S}
  socket:
    port: \${MQTT_PORT:1883}
  websocket:
    enable: \${WS_ON:false}
  share-topic:
    share-sub-strategy: \${STRATEGY:random}
spring:
  redis:
    host: \${REDIS_HOST}
    password: \${redis.password:}
    cluster:
      nodes: \${NODES:a:1,b:2}
`)
  expect(shown(config)).toMatchObject({
    brokerId: `=\`meters-\${env.NODE ?? '1'}\``,
    host: "=env.HOST ?? env.POD_IP ?? '0.0.0.0'",
    heartbeat: "=env.HEARTBEAT ?? '30s'",
    socket: { port: "=Number(env.MQTT_PORT ?? '1883')" },
    websocket: { enable: "=/^(true|on|yes|1)$/i.test(env.WS_ON ?? 'false')" },
    shareTopic: { shareSubStrategy: "=(env.STRATEGY ?? 'random') as 'round' | 'random' | 'hash'" },
    redis: {
      url: `=\`redis://\${env.REDIS_HOST ?? missing('REDIS_HOST')}:6379\``,
      password: "=(env.REDIS_PASSWORD ?? '') || undefined",
      nodes: "=(env.NODES ?? 'a:1,b:2').split(',')",
    },
  })
})

test('what cannot be worked out is named, and no secret is shown', async () => {
  const { config, untranslated } = await translated(`
spring:
  application:
    name: @project.name@
  redis:
    port: \${random.int}
    lettuce.pool.max-active: 8
  kafka:
    properties:
      sasl.jaas.config: 'Login required password="hunter2";'
mqttx:
  host: "#{systemProperties['x']}"
  heartbeat: soon
  a: \${mqttx.b}
  brokerId: \${mqttx.a}
  b: \${mqttx.a}
  api-token: hunter3
  ssl: { enable: true, key-store-type: JKS, key-store-location: "file:/etc/k.jks" }
logging:
  level:
    com.jun: debug
`)
  expect(config).toMatchObject({ ssl: { keyStoreLocation: 'conf//etc/k.jks' } })
  expect(config).not.toHaveProperty('host')
  const reasons = Object.fromEntries(untranslated.map(({ line, text, reason }) => [`${line} ${text.split(':')[0]}`, reason]))
  expect(reasons).toMatchObject({
    '6 spring.redis.port': expect.stringContaining('{random.int} is another one at each start; write a value'),
    '7 spring.redis.lettuce.pool.max-active': 'one connection carries everything, so there is no pool',
    '12 mqttx.host': "Spring's expressions, #{…}, are not worked out; write the value",
    '13 mqttx.heartbeat': 'a time is expected, such as 60s',
    '15 mqttx.brokerId': 'its placeholders lead round in a circle',
    '21 logging.level.com.jun': 'there is one level for all: log.level',
  })
  expect(untranslated.find(({ text }) => text.includes('key-store-type'))?.reason).toMatch(/keytool -importkeystore/)
  expect(JSON.stringify(untranslated)).not.toMatch(/hunter/)
})

test('later versions: authentication, rate limits, Kafka, packet size', async () => {
  const { config, untranslated } = await translated(`
mqttx:
  serialize-strategy: kryo
  max-bytes-in-message: 65536
  auth:
    url: http://auth:8080/mqtt
    timeout: 2s
    is-mandatory: true
  rate-limiter:
    enable: true
    topic-rate-limits:
      - topic: /test/a
        capacity: 9
        replenish-rate: 4
        token-consumed-per-acquire: 3
  message-bridge: { enable: true, topics: "a,b" }
spring:
  kafka:
    bootstrap-servers: [k1:9092, k2:9092]
    producer: { acks: 1, compression-type: gzip, key-serializer: x }
    consumer.group-id: g
`)
  expect(config).toMatchObject({
    mqtt: { maximumPacketSize: 65_536 },
    authHttp: { url: 'http://auth:8080/mqtt', timeout: '2s' },
    limits: { topicRates: [{ filter: '/test/a', messagesPerSecond: 1.33, messageBurst: 3, overRate: 'drop' }] },
    messageBridge: { topics: ['a', 'b'], brokers: ['k1:9092', 'k2:9092'], acks: 'leader', idempotent: false, compression: 'gzip' },
  })
  expect(untranslated.map(({ text }) => text.split(':')[0])).toEqual([
    'mqttx.serialize-strategy',
    'spring.kafka.producer.key-serializer',
    'spring.kafka.consumer.group-id',
  ])
})

test('whatever of it is said, what comes of it is a config that is accepted', async () => {
  const lines = [
    ...[
      'broker-id: 7',
      'broker-id: a',
      'heartbeat: 500ms',
      'host: 127.0.0.1',
      'so-backlog: 1',
      'enable-test-mode: true',
      'max-bytes-in-message: 8092',
    ],
    ...[
      'enable-topic-sub-pub-secure: true',
      'enable-inner-cache: true',
      'socket.enable: false',
      'socket.port: 0',
      'websocket.enable: true',
      'websocket.port: 1',
    ],
    ...[
      'web-socket.path: /x',
      'share-topic.enable: false',
      'share-topic.share-sub-strategy: round',
      'sys-topic.enable: true',
      'sys-topic.interval: 1m',
    ],
    ...[
      'sys-topic.qos: 2',
      'message-bridge.enable: true',
      'message-bridge.topics: [a, b/c]',
      'cluster.enable: true',
      'cluster.type: kafka',
      'ssl.enable: false',
    ],
    ...[
      'ssl.key-store-location: classpath:k.p12',
      'ssl.client-auth: OPTIONAL',
      'ssl.key-store-password: ""',
      'auth.url: http://localhost/a',
      'auth.timeout: 1s',
    ],
    ...[
      'auth.is-mandatory: true',
      'rate-limiter.enable: true',
      'rate-limiter.topic-rate-limits: [{ topic: a, capacity: 1, replenish-rate: 1 }]',
    ],
    ...['redis.topic-prefix: "t:"', 'redis.message-id-prefix: "m:"', 'serialize-strategy: json', 'unknown.option: 1'],
  ].map(line => `mqttx.${line}`)
  const spring = [
    'redis.host: r',
    'redis.port: 1',
    'redis.password: ""',
    'redis.database: 3',
    'redis.timeout: 100',
    'redis.ssl: true',
    'kafka.producer.acks: all',
  ]
  const all = [...lines, ...spring.map(line => `spring.${line}`), 'logging.level.root: warn']
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.constantFrom(...all), { selector: line => line.split(':')[0]! }), async chosen => {
      const { config, untranslated, comments = {} } = await translated(chosen.join('\n'), { name: 'application.yml' })
      const resolved = await resolveConfig(catalogue, { object: config as never }).catch((error: Error) => error.message)
      expect(resolved).toMatchObject({ preset: 'dev' })
      // None is lost: each stands beside what it has become, is named with the reason, or says that something is on.
      const said = [...Object.values(comments), ...untranslated.map(({ text }) => text)].join('\n')
      for (const line of chosen) if (!silent.some(name => line.startsWith(name))) expect(said).toContain(line.split(':')[0]!)
    }),
    { numRuns: 300 },
  )
})

// Empty passwords say nothing; a host stands for its port; a section that is there has been turned on.
const silent = [
  'spring.redis.port',
  'spring.redis.password',
  'mqttx.ssl.key-store-password',
  'spring.kafka',
  'mqttx.auth',
  'mqttx.rate-limiter.enable',
  'mqttx.ssl.enable',
  'mqttx.cluster.type',
  'mqttx.message-bridge.enable',
  'mqttx.websocket.enable',
  'mqttx.sys-topic.enable',
  'mqttx.cluster.enable',
]

test('TLS with the keystore that mqttx brings along names no certificate of its own', async () => {
  const { config, notes, untranslated } = await translated('mqttx.ssl.enable: true\nmqttx.ssl.key-store-password: hunter2')
  expect(config.ssl).toEqual({ cert: 'tls/server.crt', key: 'tls/server.key', ca: 'tls/ca.crt' })
  expect(untranslated).toMatchObject([
    { text: 'mqttx.ssl.key-store-password: ***', reason: 'it belongs to the keystore that mqttx brings along' },
  ])
  expect((await translated('mqttx.ssl.enable: false')).config).not.toHaveProperty('ssl')
  expect(notes.join('\n')).toMatch(/init --tls makes one/)
})

test('a file that is no YAML is refused with its line', async () => {
  await expect(translated('a: 1\n---\nmqttx:\n  host: [1\nb: 2\n')).rejects.toMatchObject({
    code: 'ERR_INIT',
    message: expect.stringMatching(/^init --from: application\.yml:5: /),
  })
})
