import type { Preset } from '../core/config/catalogue.ts'
import type { OptionsInput } from '../core/config/options.ts'
import type { Plugin } from '../core/plugin.ts'
import type { limitsOptions } from '../plugins/limits/options.ts'

/** In memory, TCP: starts in well under a second; what a user's own test suite embeds. */
const test: Preset = () => ['log', 'memory', 'retain', 'shareTopic', 'socket']

/** Durable on one machine, with no server beside it. The default where no config names a preset. */
const standalone: Preset = () => ['log', 'disk', 'retain', 'shareTopic', 'socket']

/** For developing: everything readable, everything on. */
const dev: Preset = () => ['log', 'memory', 'retain', 'shareTopic', 'sysTopic', 'socket', inMemory('dev', 'the Redis store')]

/** High enough that no honest client of an ordinary fleet meets them. */
const prodLimits = {
  maxConnections: 100_000,
  maxConnectionsPerAddress: 10_000,
  maxConnectionsPerUser: 10_000,
  connectsPerSecond: 2000,
  connectsPerSecondPerAddress: 200,
  messagesPerSecond: 10_000,
  bytesPerSecond: '16MiB',
  packetTimeout: '60s',
  maxKeepAlive: '1h',
  memory: { max: 'auto' },
} satisfies OptionsInput<typeof limitsOptions>

/** For production: logs for machines, and nobody comes in unless somebody said how. */
const prod: Preset = {
  settings: { requireAuthentication: true, mqtt: { subscriptionsMax: 1000, topicLengthMax: 1024 } },
  plugins: () => [
    ['log', { format: 'json' }],
    ['limits', prodLimits],
    'memory',
    'retain',
    'shareTopic',
    'sysTopic',
    'socket',
    'websocket',
    inMemory('prod', 'the Redis store'),
  ],
}

export const presets = { test, standalone, dev, prod }

/** Says in one line what a preset does not yet keep. */
function inMemory(preset: string, store: string): Plugin {
  return {
    name: `${preset}Preset`,
    requires: ['sessions'],
    apply({ services, broker }) {
      return {
        start() {
          if (services.ownerOf('sessions') !== 'memory') return
          broker.log.info(`preset ${preset} keeps sessions and retained messages in memory until ${store} is there: a restart forgets them`)
        },
      }
    },
  }
}
