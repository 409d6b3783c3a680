import type { OptionsOf } from '../../core/options/options.ts'
import { defineManifest } from '../kit/define-manifest.ts'

/** What may come from many clients and over time; what one packet or session may hold is in `mqtt`. Each is off where it is `null`; preset `prod` has values for all. */
export const limitsManifest = defineManifest({
  name: 'limits',
  limits: [
    'openFiles',
    'connections',
    'connectionsPerAddress',
    'connectionsPerUser',
    'connectRate',
    'connectRatePerAddress',
    'messageRate',
    'byteRate',
    'topicRate',
    'packetTimeout',
    'payload',
    'keepAlive',
    'clientIdLength',
    'sessions',
    'sessionsPerUser',
    'flapping',
    'memoryRefused',
    'memoryPaused',
    'memoryDropped',
    'memoryDisconnected',
  ],
  counters: {
    authFailed: { figure: 'auth_failed_total', help: 'Attempts to connect that authentication refused.' },
    authSlowed: { figure: 'auth_slowed_total', help: 'Attempts to connect that had to wait after failures from their address.' },
    authTurnedAway: {},
  },
  options: {
    /** Connections in all. `null` sets no limit, here and below. */
    maxConnections: { type: 'integer', default: null, minimum: 1, live: true },
    /** Connections from one address. */
    maxConnectionsPerAddress: { type: 'integer', default: null, minimum: 1, live: true },
    /** Connections under one user name. Clients without one are not counted. */
    maxConnectionsPerUser: { type: 'integer', default: null, minimum: 1, live: true },
    /** Characters that a client id may have; a client with a longer one is refused. */
    maxClientIdLength: { type: 'integer', default: null, minimum: 23, maximum: 65_535, live: true },
    /** Sessions, connected or not, that this node knows; one more is refused. */
    maxSessions: { type: 'integer', default: null, minimum: 1, live: true },
    /** Sessions of one user that outlive their connection. Those without a user name are not counted. */
    maxSessionsPerUser: { type: 'integer', default: null, minimum: 1, live: true },
    /** IPv6 addresses that are alike in so many bits count as one address: whoever has one has them all. */
    ipv6Prefix: { type: 'integer', default: 64, minimum: 1, maximum: 128 },
    /** New connections a second, in all. */
    connectsPerSecond: { type: 'number', default: null, minimum: 0.01, live: true },
    /** New connections that may come at once, where it was quiet before. `null`: two seconds' worth. */
    connectBurst: { type: 'integer', default: null, minimum: 1, live: true },
    /** New connections a second from one address. */
    connectsPerSecondPerAddress: { type: 'number', default: null, minimum: 0.01, live: true },
    /** New connections from one address that may come at once. `null`: two seconds' worth. */
    connectBurstPerAddress: { type: 'integer', default: null, minimum: 1, live: true },
    /** Messages that one client may publish a second. */
    messagesPerSecond: { type: 'number', default: null, minimum: 0.01, live: true },
    /** Messages of one client that may come at once. `null`: two seconds' worth. */
    messageBurst: { type: 'integer', default: null, minimum: 1, live: true },
    /** Bytes that one client may send a second. */
    bytesPerSecond: { type: 'bytes', default: null, minimum: 1, live: true },
    /** Bytes of one client that may come at once. `null`: two seconds' worth. */
    byteBurst: { type: 'bytes', default: null, minimum: 1, live: true },
    /**
     * What happens to a client above its message or byte rate: `pause`, it is not read until it is within again, so nothing is lost; `refuse`, its
     * messages are (0x97; before MQTT 5 as `mqtt.deniedPublish` says); `disconnect` (0x96).
     */
    overRate: { type: 'string', enum: ['pause', 'refuse', 'disconnect'], default: 'pause', live: true },
    /** Messages to certain topics, of all clients together; a message counts for each filter that matches its topic. */
    topicRates: {
      type: 'list',
      items: {
        type: 'object',
        properties: {
          /** The topics: a filter, without `$share`. */
          filter: { type: 'string', required: true, minLength: 1 },
          /** Messages a second. */
          messagesPerSecond: { type: 'number', required: true, minimum: 0.01 },
          /** Messages that may come at once. `null`: two seconds' worth. */
          messageBurst: { type: 'integer', default: null, minimum: 1 },
          /** What happens above it: as `overRate`, or `drop`: acknowledged, but it goes nowhere. */
          overRate: { type: 'string', enum: ['pause', 'refuse', 'disconnect', 'drop'], default: 'pause' },
        },
      },
      default: [],
      maxItems: 1000,
      live: true,
    },
    /** Bytes that a payload may have; a message with more is refused (0x97; before MQTT 5 as `mqtt.deniedPublish` says), and so is a client whose will has more (0x95; 5 before MQTT 5). */
    maxPayload: { type: 'bytes', default: null, minimum: 1, live: true },
    /** The time in which a packet that has begun must have come whole. */
    packetTimeout: { type: 'duration', default: null, minimum: 100, live: true },
    /** The longest keep-alive. A client that asks for more, or for none, gets this; MQTT 5 clients are told so, others have to keep to it unasked. */
    maxKeepAlive: { type: 'duration', default: null, minimum: '1s', maximum: '65535s', live: true },
    /** Client ids that connect again and again: two devices with one id, or one that gives up at once. Only clients that got a CONNACK count. */
    flapping: {
      type: 'object',
      properties: {
        /** Connections of one client id within `within` from which on the next ones are slowed, or the id is banned. */
        max: { type: 'integer', default: null, minimum: 2 },
        /** The time in which they are counted. */
        within: { type: 'duration', default: '1m', minimum: '1s', maximum: '1d' },
        /** How long such a client waits for its CONNACK; shorter than `mqtt.verdictTimeout`. */
        delay: { type: 'duration', default: '2s', minimum: '100ms' },
        /** Bans the client id for so long at `max`; needs plugin `ban`. `null`: it is slowed only. */
        ban: { type: 'duration', default: null, minimum: '1s' },
      },
      live: true,
    },
    /** Sheds load before the process runs out of memory. What is in use is what is alive in the process, against `max`, or V8's heap, against its own limit: whichever is nearer to it. */
    memory: {
      type: 'object',
      properties: {
        /** Bytes that the process may use. `auto`: as much as its container may, or the machine has. `null` looks at nothing. */
        max: {
          oneOf: [
            { type: 'string', enum: ['auto'] },
            { type: 'bytes', minimum: '1MiB' },
          ],
          default: null,
        },
        /** How often it is looked at. */
        interval: { type: 'duration', default: '250ms', minimum: 100 },
        /** Percent in use from which on no new client is let in. */
        refuseAt: { type: 'number', default: 75, minimum: 0, maximum: 100 },
        /** Percent from which on publishers are slowed to a message an `interval`. */
        pauseAt: { type: 'number', default: 85, minimum: 0, maximum: 100 },
        /** Percent from which on QoS 0 messages are dropped as they come. */
        dropAt: { type: 'number', default: 90, minimum: 0, maximum: 100 },
        /** Percent from which on the clients for which most bytes are kept are disconnected. */
        disconnectAt: { type: 'number', default: 95, minimum: 0, maximum: 100 },
      },
    },
  },
})

/** No limit is set. */
export function limitsNothing({
  memory,
  flapping,
  topicRates,
  ipv6Prefix,
  overRate,
  ...limits
}: OptionsOf<typeof limitsManifest.options>): boolean {
  return memory.max === null && flapping.max === null && topicRates.length === 0 && Object.values(limits).every(limit => limit === null)
}

declare module '../../core/counter-names.js' {
  interface LimitCounts {
    connections: number
    connectionsPerAddress: number
    connectionsPerUser: number
    connectRate: number
    connectRatePerAddress: number
    messageRate: number
    byteRate: number
    topicRate: number
    packetTimeout: number
    payload: number
    keepAlive: number
    clientIdLength: number
    sessions: number
    sessionsPerUser: number
    flapping: number
    memoryRefused: number
    memoryPaused: number
    memoryDropped: number
    memoryDisconnected: number
  }
  interface PluginCounts {
    /** Attempts to connect that authentication refused. */
    authFailed: number
    /** Attempts that had to wait, because too many from their address had failed. */
    authSlowed: number
    /** Attempts that were refused because too many waited. */
    authTurnedAway: number
  }
}
