import { destination, type Logger, pino } from 'pino'
import { LateLog, silentLog } from '../../core/log.ts'
import { definePlugin } from '../../core/plugin.ts'
import { logManifest } from './manifest.ts'
import { packetLine } from './packet-line.ts'

/** Log lines by pino, to standard output. */
export const log = definePlugin(logManifest, ({ hooks, services, broker }, { level, format }) => {
  let logger: Logger
  // The service is there when plugins are wired, the logger when they have started.
  services.provide('log', new LateLog(() => logger ?? silentLog), 'log')
  let tapped = false
  const trace = (on: boolean): void => {
    broker.trace(true, on)
    if (!on || tapped) return
    tapped = true
    hooks.onPacketReceived.tap('log', (client, packet) => logger.trace(packetLine(client, packet), 'received'))
    hooks.onPacketSent.tap('log', (client, packet) => logger.trace(packetLine(client, packet), 'sent'))
  }
  trace(level === 'trace')
  return {
    // Clients that are connected already are traced, or not, from their next connection on.
    reload(options) {
      logger.level = options.level
      trace(options.level === 'trace')
    },
    async start() {
      const options = { level, base: null }
      if (format === 'json') {
        logger = pino(options, destination({ fd: 1, sync: true }))
        return
      }
      const { default: pretty } = await import('pino-pretty')
      const colorize = process.stdout.isTTY === true
      logger = pino(
        options,
        pretty({ colorize, singleLine: true, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', destination: 1 }),
      )
    },
  }
})
