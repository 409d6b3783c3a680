import { closeSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { isatty } from 'node:tty'
import { type LogFn, type Logger, levels as logLevels, pino } from 'pino'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Timer } from '../../core/time/clock.ts'
import { fileOutput, lostLines, standardError, standardOutput } from '../kit/output/standard-outputs.ts'
import { packetLine } from '../kit/packet-line.ts'
import { shownLine } from '../kit/shown-text.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { KeptLines, mergeLines } from './kept-lines.ts'
import { type LevelAnswer, levelVerb, logsVerb } from './log-verbs.ts'
import { logManifest } from './manifest.ts'

// Lines of `apply`, a few for each plugin.
const earlyMax = 1000
const levels = ['trace', 'debug', 'info', 'warn', 'error'] as const

/** Log lines by pino, to standard output, standard error or a file, which nothing waits for: lines that are not read in time are dropped, counted, and said. */
export const log = definePlugin(logManifest, ({ hooks, services, broker, clock, worker }, { level, format, to, file }) => {
  const path = file === null ? null : resolve(broker.folder, file)
  // The service is there when plugins are wired, what it writes to when they have started: lines before that wait, the first of them if they are very many.
  const early: string[] = []
  const kept = new KeptLines()
  let write: (line: string) => void = line => void (early.length < earlyMax && early.push(line))
  // What stands in lines may be a client's: it is cut, and what would write something else in a terminal than it says is escaped.
  const written = new Map(levels.map(name => [logLevels.values[name]!, 0]))
  const counted = function (this: Logger, line: Parameters<LogFn>, method: LogFn, number: number): void {
    written.set(number, (written.get(number) ?? 0) + 1)
    logMethod.call(this, line, method)
  }
  const logger = pino(
    { level, base: worker === null ? null : { worker: worker.number }, hooks: { logMethod: counted } },
    {
      write: line => {
        kept.add(line)
        write(line)
      },
    },
  )
  services.provide('log', logger, 'log')
  broker.figures.add({
    name: 'log_dropped_lines_total',
    type: 'counter',
    help: 'Lines of this process that were dropped, because standard output or standard error was not read in time.',
    read: () => [{ value: lostLines() }],
  })
  broker.figures.add({
    name: 'log_lines_total',
    type: 'counter',
    help: 'Lines of the log, by level.',
    read: () => [...written].map(([number, value]) => ({ value, labels: { level: logLevels.labels[number]! } })),
  })
  let tapped = false
  const trace = (on: boolean): void => {
    broker.trace(true, on)
    if (!on || tapped) return
    tapped = true
    hooks.onPacketReceived.tap('log', (client, packet) => logger.trace(packetLine(client, packet), 'received'))
    hooks.onPacketSent.tap('log', (client, packet) => logger.trace(packetLine(client, packet), 'sent'))
  }
  trace(level === 'trace')
  const setLevel = (wanted: string): void => {
    logger.level = wanted
    trace(wanted === 'trace')
  }
  // What the config says, and when it comes back.
  let configured: string = level
  let back: Timer | undefined
  broker.verbs.add(
    defineVerb(broker, levelVerb, {
      run(_broker, { level: wanted, for: ms }) {
        const before = logger.level
        back?.cancel()
        setLevel(wanted)
        if (ms !== null) back = clock.after(ms, () => setLevel(configured))
        return { level: wanted, before, until: ms === null ? null : Math.round(clock.now() + ms) }
      },
      merge: ([first], missing): LevelAnswer => ({ ...(first!.answer as LevelAnswer), ...(missing.length > 0 ? { missing } : {}) }),
    }),
  )
  broker.verbs.add(defineVerb(broker, logsVerb, { run: (_broker, given) => kept.answer(broker.verbs.node, given), merge: mergeLines }))
  return {
    // Clients that are connected already are traced, or not, from their next connection on.
    reload(options) {
      back?.cancel()
      configured = options.level
      setLevel(configured)
    },
    verify() {
      if (path === null) return
      try {
        closeSync(openSync(path, 'a', 0o640))
      } catch (cause) {
        const text = `log.file: ${path} cannot be written (${(cause as Error).message}); make its folder, or let this user write there`
        throw new OperatorError('ERR_CONFIG', text, { cause })
      }
    },
    reread() {
      if (path !== null) fileOutput(path).reopen()
    },
    async start() {
      const fd = to === 'stdout' ? 1 : 2
      const worded = format === 'json' ? (line: string) => line : await loadPretty(path === null && isatty(fd))
      const output = path !== null ? fileOutput(path) : fd === 1 ? standardOutput() : standardError()
      write = line => {
        output.write(worded(line))
      }
      for (const line of early.splice(0)) write(line)
      output.lostLine = (lost, why) =>
        worded(lineOf({ lost, ...(why === null ? {} : { why }) }, `${lost} lines lost: they were not read in time`))
    },
  }
})

function logMethod(this: Logger, line: Parameters<LogFn>, write: LogFn): void {
  write.apply(this, shownLine(line) as Parameters<LogFn>)
}

/** One line as the log has it, without writing it. */
function lineOf(fields: object, message: string): string {
  let text = ''
  pino({ base: null }, { write: line => (text = line) }).warn(fields, message)
  return text
}

// Who logs JSON can do without it: npm install --omit=optional.
async function loadPretty(colorize: boolean): Promise<(line: string) => string> {
  try {
    const { prettyFactory } = (await import('pino-pretty')).default
    return prettyFactory({ colorize, singleLine: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new OperatorError(
      'ERR_CONFIG',
      'log.format: pretty needs a package of its own: npm install pino-pretty, or set log.format to json',
      { cause },
    )
  }
}
