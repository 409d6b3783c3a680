import { parseArgs } from 'node:util'
import { OperatorError } from '../../core/errors.ts'
import { suggest, unknownName } from '../../plugins/kit/options/suggestion.ts'
import type { Assignment } from './assignments.ts'
import type { CatalogueCommand } from './catalogue.ts'

export const help = `Usage: mqttx-broker [start] [options]   run a broker
       mqttx-broker check [options]     print the merged config and who set each value; list every problem, those of files too
       mqttx-broker check --connect     the same, and try Redis, Kafka and whatever else the plugins depend on
       mqttx-broker check --store       the same, and read all that is kept on disk, naming each row that is not as it was written; a broker may run
       mqttx-broker init                write a commented mqttx.config.ts and a first plugin
       mqttx-broker init --from FILE    translate the config of another broker: mosquitto.conf, or mqttx' application.yml
       mqttx-broker --mosquitto -c FILE run a mosquitto.conf as it is; -h for its options
       mqttx-broker init --tls          make a CA for testing, and certificates for the broker and a client, in tls/

Options:
  --preset NAME           the plugins to begin with: test, dev, prod or standalone
  --config FILE           the config file; without it mqttx.config.{ts,js,mjs,json,yaml,yml} of the current folder
  --host H                the address to bind to
  --port N                the port of the plain TCP listener; 0 picks a free one
  --set key.path=value    sets one option, as in --set redis.url=redis://cache:6379; may be repeated
  --ui                    serves a page on loopback, and prints an address that lets you in once
  --verbose               shows where an error comes from
  --help, --version

The environment sets options too: MQTTX_SYS_TOPIC__INTERVAL=10s is --set sysTopic.interval=10s.`

/** `start` and `check` read the config. */
export interface RunCommand {
  readonly name: 'start' | 'check'
  readonly configFile?: string
  readonly assignments: readonly Assignment[]
  readonly verbose: boolean
  /** `check` tries what the plugins depend on. */
  readonly connect: boolean
  /** `check` reads all that is kept on disk. */
  readonly store: boolean
  /** `start` prints an address of the page. */
  readonly ui: boolean
}

/** `init` writes a config: a first one, a translated one, or certificates instead. */
export interface InitCommand {
  readonly name: 'init'
  readonly tls: boolean
  /** The config of another broker. */
  readonly from?: string
}

export type Command = RunCommand | InitCommand | { readonly name: 'help' | 'version' }

const commands = ['start', 'check', 'init'] as const

const options = {
  preset: { type: 'string' },
  config: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  set: { type: 'string', multiple: true },
  tls: { type: 'boolean' },
  from: { type: 'string' },
  connect: { type: 'boolean' },
  store: { type: 'boolean' },
  ui: { type: 'boolean' },
  verbose: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

/** The help, with the commands that plugins bring along. */
export function helpWith(commands: Readonly<Record<string, CatalogueCommand>> = {}): string {
  const lines = Object.entries(commands).map(([name, one]) => `       mqttx-broker ${`${name} ${one.usage}`.padEnd(19)} ${one.help}\n`)
  return help.replace('\n\nOptions:', `\n${lines.join('')}\nOptions:`)
}

/** The command that the arguments say; what cannot be understood is an `OperatorError` with what was meant. `more`: commands that others carry out. */
export function parseCommand(argv: readonly string[], more: readonly string[] = []): Command {
  const { values, positionals, tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true })
  const problems: string[] = []
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(options, token.name) ? options[token.name as keyof typeof options] : undefined
    if (option === undefined) {
      const cure = unknownName(token.name, Object.keys(options)).replace(/mean (.*)\?$/, 'mean --$1?')
      problems.push(`${token.rawName}: ${cure}`)
    } else if (option.type === 'string' && (token.value === undefined || token.value === '')) {
      problems.push(`${token.rawName}: needs a value, as in ${token.rawName} ${example[token.name as keyof typeof example] ?? ''}`)
    } else if (option.type === 'boolean' && token.value !== undefined) {
      problems.push(`${token.rawName}: takes no value; leave out =${token.value}`)
    }
  }
  if (problems.length > 0) throw new OperatorError('ERR_ARGUMENTS', problems)
  if (values.help === true) return { name: 'help' }
  if (values.version === true) return { name: 'version' }

  const [first = 'start', ...rest] = positionals
  const name = commands.find(command => command === first)
  if (name === undefined) {
    const names = [...commands, ...more]
    const meant = suggest(first, names)
    const cure = meant === undefined ? `there are ${names.join(', ')}` : `did you mean ${meant}?`
    throw new OperatorError('ERR_ARGUMENTS', `${first}: no such command; ${cure}`)
  }
  if (rest.length > 0) throw new OperatorError('ERR_ARGUMENTS', `${rest[0]}: one command at a time; options begin with --`)
  const { from } = values
  if (name === 'init') {
    if (from !== undefined && values.tls === true)
      throw new OperatorError('ERR_ARGUMENTS', '--from and --tls: one at a time; run init twice')
    return { name, tls: values.tls === true, ...(typeof from === 'string' ? { from } : {}) }
  }
  if (from !== undefined) throw new OperatorError('ERR_ARGUMENTS', '--from: belongs to init; start reads --config FILE')
  if (values.tls === true)
    throw new OperatorError('ERR_ARGUMENTS', `--tls: belongs to init; TLS is turned on by --set ssl.cert=… and ssl.key=…`)

  if (values.connect === true && name !== 'check')
    throw new OperatorError('ERR_ARGUMENTS', '--connect: belongs to check; start connects by itself')

  if (values.store === true && name !== 'check')
    throw new OperatorError('ERR_ARGUMENTS', '--store: belongs to check; start looks at each row when it reads it')

  const configFile = values.config
  return {
    name,
    assignments: assignmentsOf(values),
    verbose: values.verbose === true,
    connect: values.connect === true,
    store: values.store === true,
    ui: values.ui === true && name === 'start',
    ...(typeof configFile === 'string' ? { configFile } : {}),
  }
}

const example = {
  preset: 'dev',
  config: 'mqttx.config.ts',
  host: '127.0.0.1',
  port: '1883',
  set: 'socket.port=1883',
  from: 'application.yml',
}

function assignmentsOf(values: Record<string, unknown>): Assignment[] {
  const assignments: Assignment[] = []
  for (const text of (values.set as string[] | undefined) ?? []) {
    const equals = text.indexOf('=')
    if (equals < 1) throw new OperatorError('ERR_ARGUMENTS', `--set ${text}: write --set key.path=value`)
    assignments.push({ keys: text.slice(0, equals).split('.'), text: text.slice(equals + 1), who: '--set' })
  }
  if (values.ui === true) assignments.push({ keys: ['admin', 'page'], text: 'true', who: '--ui' })
  // The options of their own come last: they are the shorter way, and so the later thought.
  for (const [option, keys] of Object.entries({ preset: ['preset'], host: ['host'], port: ['socket', 'port'] })) {
    const text = values[option]
    if (typeof text === 'string') assignments.push({ keys, text, who: `--${option}` })
  }
  return assignments
}
