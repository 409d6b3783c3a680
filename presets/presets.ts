import type { Preset } from '../core/config/catalogue.ts'
import type { Plugin } from '../core/plugin.ts'

/** In memory, TCP: starts in well under a second; what a user's own test suite embeds. */
const test: Preset = () => ['log', 'memory', 'retain', 'shareTopic', 'socket']

/** One machine, no server beside it. The default where no config names a preset. */
const standalone: Preset = () => ['log', 'memory', 'retain', 'shareTopic', 'socket', inMemory('standalone', 'the disk store')]

/** For developing: everything readable, everything on. */
const dev: Preset = () => ['log', 'memory', 'retain', 'shareTopic', 'sysTopic', 'socket', inMemory('dev', 'the Redis store')]

/** For production: logs for machines, and nobody comes in unless somebody said how. */
const prod: Preset = {
  settings: { requireAuthentication: true },
  plugins: () => [
    ['log', { format: 'json' }],
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
