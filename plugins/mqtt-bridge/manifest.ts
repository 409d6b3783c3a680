import { clientTlsOptions } from '../kit/client-tls-options.ts'
import { defineManifest } from '../kit/define-manifest.ts'

/**
 * Carries messages to other MQTT brokers and from there, by rules. What waits for another broker is kept in `diskQueue`, where that is on; what another broker has sent is
 * acknowledged when this one has it. With `workers` it runs in one of them.
 */
export const mqttBridgeManifest = defineManifest({
  name: 'mqttBridge',
  runs: 'one',
  dropReasons: ['mqttBridgeFull', 'mqttBridgeRefused', 'mqttBridgeLoop', 'mqttBridgeAway'],
  options: {
    /** The other brokers, one connection each. */
    connections: {
      type: 'list',
      default: [],
      live: true,
      items: {
        type: 'object',
        properties: {
          /** What the connection is called in log lines, figures and queues: letters, digits, `.`, `_` and `-`. What waits on disk is found again by it. */
          name: { type: 'string', required: true, pattern: '^[A-Za-z0-9._-]{1,64}$' },
          /** Where the other broker is: `host`, `host:port`, `mqtt://host:1883`, or `mqtts://host:8883` for TLS. Of several the first is used; the next where that does not answer. */
          addresses: { type: 'list', required: true, minItems: 1, items: { type: 'string', minLength: 1 }, live: true },
          /** The next attempt goes to the next address, rather than to the first. */
          roundRobin: { type: 'boolean', default: false, live: true },
          /** The version of MQTT that is spoken. Only 5 tells loops over several brokers, and says why a message is refused. */
          version: { type: 'string', enum: ['5', '3.1.1', '3.1'], default: '5' },
          /** The client id at the other broker, which keeps the session by it; the broker's own id and the connection's name where nothing is said. */
          clientId: { type: 'string', minLength: 1 },
          /** The user name at the other broker. */
          username: { type: 'string', minLength: 1, live: true },
          /** The password of that user. */
          password: { type: 'string', secret: true, minLength: 1, live: true },
          /** A file with the password, whose last line break does not count; relative to the config's folder, read again at each connection. */
          passwordFile: { type: 'string', minLength: 1, secretFile: true, live: true },
          /** The environment variable with the password. */
          environmentVariable: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$', live: true },
          /** TLS towards the other broker. Files are PEM, relative to the config's folder, and read again at each connection. `mqtts://` turns it on as `enable` does. */
          ssl: { type: 'object', properties: clientTlsOptions, live: true },
          /** The names of protocols that TLS offers by ALPN: `mqtt`. */
          alpn: { type: 'list', items: { type: 'string', minLength: 1 }, default: [], live: true },
          /** Whether the other side's certificate has to be for the name by which it is reached. Turn it off for tests only. */
          checkName: { type: 'boolean', default: true, live: true },
          /** The address of this machine that the connection is made from; the system's choice where nothing is said. */
          bindAddress: { type: 'string', minLength: 1, live: true },
          /** The longest silence before the other broker is asked whether it is there. */
          keepAlive: { type: 'duration', default: '60s', minimum: '1s', maximum: '18h', live: true },
          /** The time that a connection may take to open, and then to be answered. */
          connectTimeout: { type: 'duration', default: '10s', minimum: 100, live: true },
          /** The pause before the second attempt to connect; it doubles up to `retryMax`, and a part of it is chance. */
          retryMin: { type: 'duration', default: '1s', minimum: 10, live: true },
          /** The longest pause between two attempts to connect. */
          retryMax: { type: 'duration', default: '30s', minimum: 10, live: true },
          /** Forgets the session at the other broker at each connection: what that would have sent meanwhile is lost. */
          cleanStart: { type: 'boolean', default: false, live: true },
          /** How long the other broker keeps the session when the connection has gone (MQTT 5); for ever where nothing is said. */
          sessionExpiry: { type: 'duration', maximum: '1000d', live: true },
          /** Before MQTT 5: says in CONNECT that this is a bridge, as mosquitto does, so that the other broker sends nothing back and keeps RETAIN. Where it is refused for that, the next attempt does without. */
          tryPrivate: { type: 'boolean', default: true, live: true },
          /** Messages of QoS 1 and 2 that are on their way there at once, at most; the other broker may say less. */
          window: { type: 'integer', minimum: 1, maximum: 10_000, default: 1000 },
          /** Messages of QoS 1 and 2 that the other broker may have on their way here at once (MQTT 5). */
          receiveMaximum: { type: 'integer', minimum: 1, maximum: 10_000, default: 1000, live: true },
          /** The largest packet that is taken from the other broker. */
          maximumPacketSize: { type: 'bytes', minimum: 1024, maximum: 268_435_460, default: '16MiB', live: true },
          /** Whether messages go there with the RETAIN flag that they were published with; false: without. */
          outgoingRetain: { type: 'boolean', default: true },
          /** Whether messages of QoS 0 wait while the other broker is away; false: they are dropped then, and counted. */
          queueQos0: { type: 'boolean', default: false },
          /** The user name by which rules about topics (plugin `topicSecurity`) judge what comes from the other broker; none where nothing is said. */
          localUsername: { type: 'string', minLength: 1 },
          /** Says whether the connection is up (`1`) or not (`0`) in a retained message: to nobody, here, or at the other broker too, by a will. */
          notifications: { type: 'string', enum: ['none', 'local', 'both'], default: 'local' },
          /** The topic name of that message; `$SYS/broker/connection/CLIENTID/state`, as mosquitto's, where nothing is said. Clients may not publish to `$SYS` at most brokers, this one too, so name another for `both`. */
          notificationTopic: { type: 'string', minLength: 1 },
          /** What is carried, and in which direction. */
          topics: {
            type: 'list',
            default: [],
            items: {
              type: 'object',
              properties: {
                /** The messages: a topic filter, without the prefixes. Empty: the prefixes are whole topic names. */
                filter: { type: 'string', required: true },
                /** From here to there (`out`), from there to here (`in`), or both. */
                direction: { type: 'string', enum: ['in', 'out', 'both'], default: 'out' },
                /** The highest QoS: messages of a higher one are lowered. */
                qos: { type: 'integer', enum: [0, 1, 2], default: 2 },
                /** What stands before the filter in topic names here; it is taken off on the way there, and put on on the way here. */
                localPrefix: { type: 'string', default: '' },
                /** What stands before the filter in topic names there. */
                remotePrefix: { type: 'string', default: '' },
                /** The topic name at the other end, in place of the prefix and the rest: `{topic}` stands for the topic name without its prefix, `{topic[1]}` for its second level, `{clientId}` for the publisher (`out`). Not with `both`. */
                to: { type: 'string', minLength: 1 },
                /** What is promised of a message of QoS 2: that it arrives, perhaps twice where this broker was killed (`atLeastOnce`), or once whatever happens to either side (`exactlyOnce`). QoS 1 is at least once in both. */
                delivery: { type: 'string', enum: ['atLeastOnce', 'exactlyOnce'], default: 'atLeastOnce' },
                /** What a publisher's acknowledgement waits for where the message goes out: nothing; the queue on disk (plugin `diskQueue`); or the other broker's acknowledgement. `local` where there is such a queue, else `remote`, where nothing is said. With `exactlyOnce` it waits for the session store, whatever is said. */
                ack: { type: 'string', enum: ['none', 'local', 'remote'] },
                /** Whether retained messages that are there already are carried over when the rule comes into force: at the first connection, and after the other broker has lost the session. */
                retained: { type: 'boolean', default: true },
              },
            },
          },
          /** Messages that wait in memory, for each kind of `ack`. */
          memoryMessages: { type: 'integer', minimum: 1, default: 100_000 },
          /** Bytes that wait in memory, for each kind of `ack`. */
          memoryBytes: { type: 'bytes', minimum: 1024, default: '64MiB' },
          /** Bytes that wait on disk, for each kind of `ack`, where there is a queue on disk. */
          queueBytes: { type: 'bytes', minimum: 1024, default: '1GiB' },
          /** What happens to a message when everything is full: it is refused (a QoS 1 or 2 publisher is told 0x97; before MQTT 5 it is disconnected so that it sends again; QoS 0 is dropped), or the oldest that waits is dropped for it, but never one that a publisher still waits for. */
          whenFull: { type: 'string', enum: ['refuse', 'dropOldest'], default: 'refuse' },
          /** What becomes of a message that the other broker will never take though its publisher has its acknowledgement: it is kept on disk; it is kept, and all that are kept are sent once more now and at each start; or those that are kept are dropped, and so are others from now on. */
          parked: { type: 'string', enum: ['keep', 'resend', 'drop'], default: 'keep' },
          /** Bytes of such messages that are kept. Beyond, they are dropped, counted and said. */
          parkedBytes: { type: 'bytes', minimum: 1024, default: '64MiB' },
        },
      },
    },
    /** How brokers know this one in what they carry on, so that no message goes in circles; one that is made up once and kept where nothing is said. No comma, no blank. */
    id: { type: 'string', pattern: '^[^\\s,]{1,64}$' },
    /** Bridges that a message may have passed: one that has is carried no further (MQTT 5). */
    maxHops: { type: 'integer', minimum: 1, maximum: 64, default: 8 },
    /** How long the broker waits, when it stops, until the other brokers have what is on its way. What waits in memory then goes to the queue on disk, or is dropped and counted. */
    stopTimeout: { type: 'duration', default: '5s', maximum: '9s' },
  },
})

declare module '../../core/counter-names.js' {
  interface DropCounts {
    /** The bridge to another broker has no room for it; the client id is `bridge:` and the connection's name. */
    mqttBridgeFull: number
    /** The broker at the other end of a bridge will never take it, or this one does not take what came from there. */
    mqttBridgeRefused: number
    /** It has been here already, or has passed too many bridges (`mqttBridge.maxHops`). */
    mqttBridgeLoop: number
    /** QoS 0, while the other broker is away. */
    mqttBridgeAway: number
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** `check --connect`: the broker at the other end of a bridge does not answer as it should. */
    ERR_MQTT_BRIDGE: true
  }
}
