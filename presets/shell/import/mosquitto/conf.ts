import { OperatorError } from '../../../../core/errors.ts'
import { unknownName } from '../../../../plugins/kit/options/suggestion.ts'
import { type ConfLine, placeOf } from './conf-lines.ts'
import { type ConfOption, confOptions, oldNames, secrets } from './options.ts'

/** What is said of one thing: the broker, a listener, a bridge. Asking for an option marks it as looked at. */
export class Block {
  readonly #said = new Map<string, ConfLine[]>()
  readonly #seen = new Set<string>()

  add(name: string, line: ConfLine): void {
    const lines = this.#said.get(name)
    if (lines === undefined) this.#said.set(name, [line])
    else lines.push(line)
  }

  has(name: string): boolean {
    return this.#said.has(name)
  }

  /** The lines of an option, in order. */
  all(name: string): readonly ConfLine[] {
    this.#seen.add(name)
    return this.#said.get(name) ?? []
  }

  /** The line that counts: of several the last. */
  line(name: string): ConfLine | undefined {
    return this.all(name).at(-1)
  }

  text(name: string): string | undefined {
    return this.line(name)?.value
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : value === 'true' || value === '1'
  }

  integer(name: string): number | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : Number(value)
  }

  /** The options that nobody has asked for, with their lines. */
  rest(): ConfLine[] {
    return [...this.#said].filter(([name]) => !this.#seen.has(name)).flatMap(([, lines]) => lines)
  }
}

/** A listener of mosquitto.conf. */
export class Listener extends Block {
  /** The line `listener`; absent for the one that is made of options before the first such line, and for those of the command line. */
  readonly at: ConfLine | undefined
  readonly port: number
  /** The address or host name that it is bound to; `undefined`: all of them. */
  readonly host: string | undefined
  /** A Unix socket in place of port and host. */
  readonly path: string | undefined

  constructor(port: number, host?: string, path?: string, at?: ConfLine) {
    super()
    this.port = port
    this.host = host
    this.path = path
    this.at = at
  }
}

/** A bridge of mosquitto.conf. */
export class Bridge extends Block {
  /** The line `connection`. */
  readonly at: ConfLine

  constructor(at: ConfLine) {
    super()
    this.at = at
  }
}

/** mosquitto.conf by what its options are about. */
export interface Conf {
  readonly broker: Block
  /** What holds for all listeners, where `per_listener_settings` does not say that each has its own. */
  readonly security: Block
  readonly perListener: boolean
  /** Only this machine may connect: the file names no listener. */
  readonly localOnly: boolean
  readonly listeners: readonly Listener[]
  readonly bridges: readonly Bridge[]
}

// What makes a listener of options that stand before the first line `listener`; the others of a listener say nothing by themselves.
const makesDefault = [...confOptions].filter(
  ([name, { scope }]) => scope === 'listener' && name !== 'max_topic_alias' && name !== 'http_dir',
)

/** Sorts the lines as mosquitto does; what mosquitto would refuse is an `OperatorError`. `ports`: those of the command line, which count where the file names no listener. */
export function sortConf(lines: readonly ConfLine[], name: string, ports: readonly number[] = []): Conf {
  const problems: string[] = []
  const [broker, security] = [new Block(), new Block()]
  const byDefault = new Block()
  const named: Listener[] = []
  const bridges: Bridge[] = []
  let perListener = false
  for (const line of lines) {
    const say = (text: string): void => void problems.push(`${placeOf(name, line)}: ${line.name}: ${text}`)
    if (line.name === 'listener') {
      const made = listenerOf(line)
      if (typeof made === 'string') say(made)
      else named.push(made)
      continue
    }
    if (line.name === 'connection') {
      if (line.value === '') say('needs a name')
      bridges.push(new Bridge(line))
      continue
    }
    const known = optionOf(line.name)
    if (known === undefined) {
      say(unknownName(line.name, [...confOptions.keys(), 'listener', 'connection', 'include_dir']))
      continue
    }
    const { option, as } = known
    const fault = valueFault(option, line)
    if (fault !== undefined) say(fault)
    if (as === 'per_listener_settings') perListener = line.value === 'true' || line.value === '1'
    const listener = named.at(-1) ?? byDefault
    const blocks = { broker, listener, security: perListener ? listener : security, bridge: bridges.at(-1) }
    const block = blocks[option.scope]
    if (block === undefined) say('stands above the first line connection, which begins a bridge; move it below')
    else if (option.kind === 'text' && option.repeats !== true && block.has(as)) say('stands there twice; mosquitto takes it once')
    else block.add(as, line)
  }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)

  const localOnly = named.length === 0 && !byDefault.has('port') && !byDefault.has('bind_address')
  const listeners = localOnly ? (ports.length > 0 ? ports : [1883]).map(port => new Listener(port, 'localhost')) : named
  if (localOnly || makesDefault.some(([option]) => byDefault.has(option)) || (perListener && byDefault.has('password_file'))) {
    const target = localOnly ? listeners : [new Listener(byDefault.integer('port') ?? 1883, byDefault.text('bind_address'))]
    for (const one of target) for (const line of byDefault.rest()) one.add(optionOf(line.name)!.as, line)
    if (!localOnly) listeners.push(...target)
  }
  return { broker, security, perListener, localOnly, listeners, bridges }
}

/** A line as it may be shown: without what is a secret. */
export function shownLine({ name, value }: ConfLine): string {
  return secrets.has(oldNames[name] ?? name) || name.includes('_opt_') ? `${name} …` : `${name} ${value}`.trimEnd()
}

function optionOf(name: string): { option: ConfOption; as: string } | undefined {
  const family = /^(plugin|auth)_opt_(?=.)/.exec(name)?.[0]
  const as = family ?? oldNames[name] ?? name
  const option = confOptions.get(as)
  return option === undefined ? undefined : { option, as }
}

function valueFault({ kind, range, among }: ConfOption, { value }: ConfLine): string | undefined {
  const got = `got ${JSON.stringify(value)}`
  if (value === '') return 'needs a value'
  if (kind === 'boolean' && !/^(true|false|0|1)$/.test(value)) return `must be true or false, ${got}`
  if (kind === 'integer' && !/^-?\d{1,15}$/.test(value)) return `must be a whole number, ${got}`
  if (range !== undefined && (Number(value) < range[0] || Number(value) > range[1]))
    return `must be from ${range[0]} to ${range[1]}, ${got}`
  return among !== undefined && !among.includes(value) ? `must be one of ${among.join(', ')}, ${got}` : undefined
}

function listenerOf(line: ConfLine): Listener | string {
  const [number = '', place] = line.value.split(/ +/)
  const port = /^\d{1,5}$/.test(number) ? Number(number) : Number.NaN
  if (!(port >= 0 && port <= 65_535)) return `must be a port, got ${JSON.stringify(number)}`
  const bound = place === undefined || place.startsWith('#') ? undefined : place
  if (port === 0) return bound === undefined ? 'with port 0 it needs the path of a Unix socket' : new Listener(0, undefined, bound, line)
  return new Listener(port, bound, undefined, line)
}
