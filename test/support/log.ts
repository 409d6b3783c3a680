import type { Log } from '../../core/log.ts'
import { definePlugin, type Plugin } from '../../core/plugin.ts'

/** One line, as it was given to the log. */
export interface LogLine {
  readonly level: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

/** A log that keeps its lines: give `startBroker` its plugin, and `log: false`. */
export function keptLog(): { readonly lines: LogLine[]; readonly plugin: Plugin } {
  const lines: LogLine[] = []
  const write =
    (level: string) =>
    (...line: [string] | [object, string]): void => {
      const [fields, message] = line.length === 1 ? [{}, line[0]] : line
      lines.push({ level, fields: fields as Record<string, unknown>, message })
    }
  const log: Log = {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    isLevelEnabled: () => true,
  }
  const keeper = definePlugin({
    name: 'keptLog',
    provides: ['log'],
    apply({ services }) {
      services.provide('log', log, 'keptLog')
    },
  })
  return { lines, plugin: keeper() }
}
