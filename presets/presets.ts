import type { OptionsInput } from '../core/options/options.ts'
import type { SettingsInput } from '../core/options/settings.ts'
import type { limitsManifest } from '../plugins/limits/manifest.ts'
import type { Preset } from './shell/catalogue.ts'

/** In memory, TCP: starts in well under a second; what a user's own test suite embeds. */
const test: Preset = () => ['log', 'dropLog', 'limits', 'memory', 'retain', 'shareTopic', 'socket']

// Where its socket cannot be made, everything else works all the same.
const admin = ['admin', { optional: true }] as const

/** Durable on one machine, with no server beside it. The default where no config names a preset. */
const standalone: Preset = () => [
  'log',
  'dropLog',
  ['limits', { memory: { max: 'auto' } }],
  'disk',
  'ban',
  'retain',
  'shareTopic',
  admin,
  'socket',
]

/** For developing, with Redis on this machine: everything readable, everything on. */
const dev: Preset = () => ['log', 'dropLog', 'limits', 'redis', 'ban', 'retain', 'shareTopic', 'sysTopic', admin, 'socket']

/** High enough that no honest client of an ordinary fleet meets them. */
const prodLimits = {
  maxConnections: 100_000,
  maxConnectionsPerAddress: 10_000,
  maxConnectionsPerUser: 10_000,
  maxSessions: 1_000_000,
  maxSessionsPerUser: 10_000,
  connectsPerSecond: 2000,
  connectsPerSecondPerAddress: 200,
  messagesPerSecond: 10_000,
  bytesPerSecond: '16MiB',
  packetTimeout: '60s',
  maxKeepAlive: '1h',
  maxClientIdLength: 1024,
  flapping: { max: 120 },
  memory: { max: 'auto' },
} satisfies OptionsInput<typeof limitsManifest.options>

/** What one client may send, and leave behind. No value is above those of other brokers' hardened defaults: docs/security.md has the table. */
const prodBounds = {
  maximumPacketSize: '1MiB',
  connectSizeMax: '96KiB',
  topicAliasMaximum: 10,
  clientIdOwner: 'user',
  subscriptionsMax: 1000,
  topicLengthMax: 1024,
  sessionExpiryMax: '30d',
} satisfies SettingsInput['mqtt']

/** For production: sessions in Redis, logs for machines, and nobody comes in unless somebody said how. */
const prod: Preset = {
  // A client has its CONNECT ready when it connects: what is late with it is on a bad line, and comes again, or means no good.
  settings: { heartbeat: '15s', requireAuthentication: true, mqtt: prodBounds },
  plugins: () => [
    ['log', { format: 'json' }],
    'dropLog',
    ['limits', prodLimits],
    'redis',
    'ban',
    'cluster',
    ['retain', { messagesMax: 1_000_000 }],
    'shareTopic',
    'sysTopic',
    'metrics',
    admin,
    'socket',
    'websocket',
  ],
}

/** The presets: which built-in plugins, in which order, with which options. To extend one: `preset: () => [...presets.standalone(), builtIn.delay()]`. */
export const presets = { test, standalone, dev, prod }
