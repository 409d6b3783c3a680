import type { Block } from './conf.ts'
import type { Translation } from './translation.ts'

// What each type of mosquitto's log is here, the most talkative first.
const levels = ['trace', 'debug', 'info', 'warn', 'error'] as const
const levelOf: Readonly<Record<string, (typeof levels)[number]>> = {
  all: 'trace',
  debug: 'trace',
  websockets: 'debug',
  internal: 'debug',
  subscribe: 'debug',
  unsubscribe: 'debug',
  information: 'info',
  notice: 'info',
  warning: 'warn',
  error: 'error',
}

/** Where the log goes, and how much of it there is. `verbose`: all of it, whatever the file says. */
export function translateLog(broker: Block, translation: Translation, verbose = false): void {
  const types = broker.all('log_type')
  const wanted = types.map(({ value }) => value)
  for (const line of types)
    if (line.value !== 'none' && levelOf[line.value] === undefined) translation.leave(line, 'mosquitto knows no such type')
  const level = verbose
    ? 'trace'
    : wanted.includes('none')
      ? 'silent'
      : wanted.length === 0
        ? 'info'
        : (levels.find(one => wanted.some(type => levelOf[type] === one)) ?? 'info')
  const destinations = broker.all('log_dest')
  let to: string | { file: string } = 'stderr'
  let silent = false
  for (const line of destinations) {
    const [kind = '', ...rest] = line.value.split(/ +/)
    if (kind === 'stdout' || kind === 'stderr') to = kind
    else if (kind === 'none') silent = true
    else if (kind === 'file' && rest.length > 0) to = { file: translation.path(rest.join(' ')) }
    else translation.leave(line, elsewhere[kind] ?? 'mosquitto knows no such place')
  }
  const file = typeof to === 'object' ? to.file : null
  translation.set('log', {
    level: silent && !verbose ? 'silent' : level,
    ...(file === null ? { to } : { file }),
  })
  for (const name of ['log_timestamp', 'log_timestamp_format', 'log_facility'])
    translation.leave(broker.line(name), 'lines have the local time (log.format: pretty) or milliseconds since 1970 (json)')
  if (broker.flag('connection_messages') === false)
    translation.leave(
      broker.line('connection_messages'),
      'clients that come and go are lines of level info: log.level warn leaves them out',
    )
}

const elsewhere: Readonly<Record<string, string>> = {
  syslog: 'systemd takes what is written to standard error into its journal',
  topic: 'the log goes to no topic; npx mqttx-broker logs shows the last lines',
  dlt: 'there is no DLT',
}
