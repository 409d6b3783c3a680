import { destination, pino } from 'pino'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import { logManifest } from './manifest.ts'
import { packetLine } from './packet-line.ts'

/** Log lines by pino, to standard output. */
export const log = definePlugin(logManifest, ({ hooks, services, broker }, { level, format }) => {
  // The service is there when plugins are wired, what it writes to when they have started; lines before that are lost.
  let out: { write(line: string): unknown } | null = null
  const logger = pino({ level, base: null }, { write: line => out?.write(line) })
  services.provide('log', logger, 'log')
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
      if (format === 'json') {
        out = destination({ fd: 1, sync: true })
        return
      }
      const pretty = await loadPretty()
      const colorize = process.stdout.isTTY === true
      out = pretty({ colorize, singleLine: true, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', destination: 1 })
    },
  }
})

// Who logs JSON can do without it: npm install --omit=optional.
async function loadPretty() {
  try {
    return (await import('pino-pretty')).default
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new OperatorError(
      'ERR_CONFIG',
      'log.format: pretty needs a package of its own: npm install pino-pretty, or set log.format to json',
      { cause },
    )
  }
}
