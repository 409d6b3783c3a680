import { clientTlsOptions } from '../kit/client-tls-options.ts'
import { defineManifest } from '../kit/define-manifest.ts'

/**
 * Sends messages on to Kafka, or to a system that a plugin of yours speaks with. A message is bridged once, by the broker that its publisher is
 * connected to, after authorisation and before it is routed.
 */
export const messageBridgeManifest = defineManifest({
  name: 'messageBridge',
  dropReasons: ['bridgeFull', 'bridgeRefused'],
  provides: ['bridge'],
  options: {
    /** What is bridged, and where to: topic filters, whose messages go to the Kafka topic of the same name with `/` as `.`, or rules. */
    topics: {
      type: 'list',
      live: true,
      default: [],
      items: {
        oneOf: [
          { type: 'string', minLength: 1 },
          {
            type: 'object',
            properties: {
              /** The messages: a topic filter. */
              filter: { type: 'string', required: true, minLength: 1 },
              /** The topic there. `{topic}` stands for the topic name, `{topic[1]}` for its second level, `{clientId}` for the publisher; `/` becomes `.`, and what else Kafka does not allow `_`. A message whose name would begin with `_`, as Kafka's own topics do, is refused unless the rule itself says so: a prefix such as `mqtt.{topic}` lets all through. */
              to: { type: 'string', minLength: 1, default: '{topic}' },
              /** The key, of the same parts: messages of one key keep their order. Where it comes to nothing, as that of the broker's own messages does, it is the topic name. */
              key: { type: 'string', minLength: 1, default: '{clientId}' },
              /** The value: the payload as it is, or JSON with payload, topic, client id, QoS, retain flag, time and properties. */
              value: { type: 'string', enum: ['raw', 'json'], default: 'raw' },
              /** Whether topic, client id, QoS, retain flag and the MQTT 5 properties go along as headers. */
              headers: { type: 'boolean', default: true },
              /** What the publisher's acknowledgement waits for, for this rule; `messageBridge.ack` where nothing is said. */
              ack: { type: 'string', enum: ['none', 'local', 'kafka'] },
              /** The system that it goes to: `kafka`, or one that a plugin has added. */
              target: { type: 'string', minLength: 1, default: 'kafka' },
            },
          },
        ],
      },
    },
    /** What a publisher's acknowledgement waits for: nothing; the local queue on disk (plugin `diskQueue`); or Kafka's own acknowledgement. `local` where there is such a queue, else `kafka`, where nothing is said. */
    ack: { type: 'string', enum: ['none', 'local', 'kafka'] },
    /** Kafka's brokers as `host:port`: some of them, the others are found through them. */
    brokers: { type: 'list', minItems: 1, items: { type: 'string', pattern: '^[^@]+:\\d+$' }, default: ['localhost:9092'] },
    /** How the broker calls itself in Kafka's logs and quotas. */
    clientId: { type: 'string', default: 'mqttx-broker', minLength: 1 },
    /** How Kafka is logged in to; no login where no mechanism is named. */
    sasl: {
      type: 'object',
      properties: {
        /** The mechanism. */
        mechanism: { type: 'string', enum: ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'] },
        /** The user, for all but `oauthbearer`. */
        username: { type: 'string', minLength: 1 },
        /** The user's password. */
        password: { type: 'string', secret: true, minLength: 1 },
        /** For `oauthbearer`: a file with the token, relative to the config's folder; read again at each login. */
        tokenFile: { type: 'string', minLength: 1, secretFile: true },
      },
    },
    /** TLS towards Kafka. Files are PEM, relative to the config's folder. */
    ssl: { type: 'object', properties: clientTlsOptions },
    /** The replicas that must have a message before Kafka acknowledges it: all that are in sync, the leader alone, or none. */
    acks: { type: 'string', enum: ['all', 'leader', 'none'], default: 'all' },
    /** Kafka leaves out what is sent a second time because an acknowledgement was lost. Only with `acks: all`. */
    idempotent: { type: 'boolean', default: true },
    /** How batches are compressed. For the last three a package has to be installed: `kafkajs-snappy`, `lz4-napi`, and `@bokuweb/zstd-wasm` where Node is older than 22.15. */
    compression: { type: 'string', enum: ['none', 'gzip', 'snappy', 'lz4', 'zstd'], default: 'none' },
    /** How a partition is found: by the key, as Kafka's own Java client does, so that messages of one key keep their order; or in turn, and the order is lost. */
    partitioner: { type: 'string', enum: ['key', 'roundRobin'], default: 'key' },
    /** Makes a topic that is not there, with the partitions and replicas that Kafka's own settings say. Otherwise messages for it are refused, counted and logged. */
    createTopics: { type: 'boolean', default: false },
    /** How many lanes send side by side for each kind of `ack`. Messages of one key take one lane. */
    lanes: { type: 'integer', minimum: 1, maximum: 16, default: 1 },
    /** How long a batch waits for more messages. */
    linger: { type: 'duration', default: '5ms' },
    /** Messages in a batch at most. */
    batchMessages: { type: 'integer', minimum: 1, maximum: 100_000, default: 500 },
    /** Bytes in a batch at most; it must be less than the `max.message.bytes` of the topics, 1 MiB where nobody set it. */
    batchBytes: { type: 'bytes', minimum: 1024, default: '900KiB' },
    /** Messages that wait in memory, for each lane. */
    memoryMessages: { type: 'integer', minimum: 1, default: 100_000 },
    /** Bytes that wait in memory, for each lane. */
    memoryBytes: { type: 'bytes', minimum: 1024, default: '64MiB' },
    /** Bytes that wait on disk, for each lane, where there is a queue on disk. */
    queueBytes: { type: 'bytes', minimum: 1024, default: '1GiB' },
    /** What becomes of a message that Kafka will never take though its publisher has its acknowledgement (`ack` `local` and `none`, where there is a queue on disk): it is kept there; it is kept, and all that are kept are sent once more now and at each start; or those that are kept are dropped, and so are others from now on. */
    parked: { type: 'string', enum: ['keep', 'resend', 'drop'], default: 'keep', live: true },
    /** Bytes of such messages that are kept for each system. Beyond, they are dropped, counted and said. */
    parkedBytes: { type: 'bytes', minimum: 1024, default: '64MiB' },
    /** What happens to a message when everything is full: it is refused (a QoS 1 or 2 publisher is told 0x97; before MQTT 5 it is disconnected so that it sends again; QoS 0 is dropped), or the oldest that waits is dropped for it, but never one that a publisher still waits for. */
    whenFull: { type: 'string', enum: ['refuse', 'dropOldest'], default: 'refuse' },
    /** The time that Kafka has for one answer. */
    requestTimeout: { type: 'duration', default: '5s', minimum: 100 },
    /** The time that a connection to Kafka may take to open. */
    connectTimeout: { type: 'duration', default: '3s', minimum: 100 },
    /** The longest pause between two attempts while Kafka is away; the first is 100 ms. */
    retryMax: { type: 'duration', default: '2s', minimum: 100 },
    /** How long the broker tries, when it stops, to send what waits in memory. What is left goes to the queue on disk, or is dropped and counted. */
    stopTimeout: { type: 'duration', default: '5s', maximum: '9s' },
  },
})

declare module '../../core/counter-names.js' {
  interface DropCounts {
    /** A bridge has no room for it; the client id is `bridge:` and the target's name. */
    bridgeFull: number
    /** The system behind a bridge will never take it; the client id is the same. */
    bridgeRefused: number
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** Two plugins bring the same target of the bridge. */
    ERR_BRIDGE_TWICE: true
    /** `check --connect`: Kafka does not answer as it should. */
    ERR_KAFKA: true
  }
}
