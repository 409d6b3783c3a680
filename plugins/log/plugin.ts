import { destination, type Logger, pino } from 'pino'
import { definePlugin } from '../../core/plugin.ts'
import type { Log } from '../../core/log.ts'
import { packetLine } from './packet-line.ts'
import { logOptions } from './options.ts'

/** Log lines by pino, to standard output. */
export const log = definePlugin({
  name: 'log',
  provides: ['log'],
  options: logOptions,
  apply({ hooks, services, broker }, { level, format }) {
    let logger: Logger
    services.provide('log', new LateLog(() => logger), 'log')
    if (level === 'trace') {
      broker.traceAll = true
      hooks.onPacketReceived.tap('log', (client, packet) => logger.trace(packetLine(client, packet), 'received'))
      hooks.onPacketSent.tap('log', (client, packet) => logger.trace(packetLine(client, packet), 'sent'))
    }
    return {
      async start() {
        const options = { level, base: null }
        if (format === 'json') {
          logger = pino(options, destination({ fd: 1, sync: true }))
          return
        }
        const { default: pretty } = await import('pino-pretty')
        const colorize = process.stdout.isTTY === true
        logger = pino(options, pretty({ colorize, singleLine: true, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', destination: 1 }))
      },
    }
  },
})

// The service is there when plugins are wired, the logger when they have started.
class LateLog implements Log {
  readonly #logger: () => Logger | undefined
  constructor(logger: () => Logger | undefined) {
    this.#logger = logger
  }
  get trace(): Log['trace'] {
    return this.#write('trace')
  }
  get debug(): Log['debug'] {
    return this.#write('debug')
  }
  get info(): Log['info'] {
    return this.#write('info')
  }
  get warn(): Log['warn'] {
    return this.#write('warn')
  }
  get error(): Log['error'] {
    return this.#write('error')
  }
  isLevelEnabled(level: string): boolean {
    return this.#logger()?.isLevelEnabled(level) ?? false
  }
  #write(level: 'trace' | 'debug' | 'info' | 'warn' | 'error'): Log['trace'] {
    const logger = this.#logger()
    return (logger === undefined ? () => {} : logger[level].bind(logger)) as Log['trace']
  }
}
