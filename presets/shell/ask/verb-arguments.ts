import { OperatorError } from '../../../core/errors.ts'
import type { OptionSchema } from '../../../core/options/options.ts'
import { suggest } from '../../../plugins/kit/options/suggestion.ts'
import type { VerbRow } from '../../../plugins/kit/verbs/listed.ts'

/** What the command line says to a broker. */
export interface VerbCommand {
  readonly verb: VerbRow
  /** As texts; the broker reads them by what the verb takes. */
  readonly given: Readonly<Record<string, string>>
  /** The answer as JSON. */
  readonly json: boolean
  /** All pages, one after the other. */
  readonly all: boolean
  /** What the verb takes is shown, and nothing is asked. */
  readonly help: boolean
}

/** The verb that the first words name, the longest name first; `undefined`: none of these. */
export function verbOf(words: readonly string[], verbs: readonly VerbRow[]): VerbRow | undefined {
  const [first = '', second = ''] = words
  return verbs.find(({ name }) => name === `${first} ${second}`) ?? verbs.find(({ name }) => name === first)
}

/** `queue meter-7 --clear` is `queue clear meter-7`: an option that the verb does not take, and that is the second word of another one. */
export function spelledOut(words: readonly string[], verbs: readonly VerbRow[]): readonly string[] {
  const [first, ...rest] = words
  const takes = verbs.find(({ name }) => name === first)?.takes
  if (takes === undefined) return words
  const at = rest.findIndex(
    word => word.startsWith('--') && !Object.hasOwn(takes, word.slice(2)) && verbs.some(({ name }) => name === `${first} ${word.slice(2)}`),
  )
  return at === -1 ? words : [first!, rest[at]!.slice(2), ...rest.slice(0, at), ...rest.slice(at + 1)]
}

/** Where the command line says that the broker is: `--socket PATH` at any place. Returns the other arguments, too. */
export function socketOf(argv: readonly string[]): { socket: string | undefined; rest: string[] } {
  const rest: string[] = []
  let socket: string | undefined
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!
    if (argument === '--') return { socket, rest: [...rest, ...argv.slice(i)] }
    if (argument.startsWith('--socket=')) socket = argument.slice('--socket='.length)
    else if (argument === '--socket') socket = argv[++i] ?? ''
    else rest.push(argument)
  }
  if (socket === '') throw wrong('--socket: needs a value, as in --socket data/admin-7.sock')
  return { socket, rest }
}

const common = { json: 'boolean', all: 'boolean', help: 'boolean' } as const

/** The arguments behind a verb. What cannot be understood is an `OperatorError` with what was meant. */
export function parseVerb(verb: VerbRow, argv: readonly string[]): VerbCommand {
  const words = argv.slice(verb.name.split(' ').length)
  const given: Record<string, string> = {}
  const flags = { json: false, all: false, help: false }
  const places = [...verb.positional]
  const place = (text: string): void => {
    const name = places.shift()
    if (name === undefined) throw wrong(`${verb.name}: ${text} is one too many; as in: mqttx-broker ${verb.example}`)
    given[name] = text
  }
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === '--') {
      for (const text of words.slice(i + 1)) place(text)
      break
    }
    if (word === '-h') flags.help = true
    else if (!word.startsWith('--')) place(word)
    else {
      const equals = word.indexOf('=')
      const name = equals === -1 ? word.slice(2) : word.slice(2, equals)
      if (Object.hasOwn(common, name)) {
        flags[name as keyof typeof flags] = true
        continue
      }
      const option = Object.hasOwn(verb.takes, name) ? verb.takes[name] : undefined
      if (option === undefined) throw wrong(`${word}: ${verb.name} takes no such option; ${cure(name, verb)}`)
      if (equals !== -1) given[name] = word.slice(equals + 1)
      else if (isFlag(option)) given[name] = 'true'
      else if (i + 1 < words.length) given[name] = words[++i]!
      else throw wrong(`${word}: needs a value, as in: mqttx-broker ${verb.example}`)
    }
  }
  if (!flags.help) {
    const lacks = verb.positional.find(name => verb.takes[name]?.required === true && given[name] === undefined)
    if (lacks !== undefined) throw wrong(`${verb.name}: say ${lacks.toUpperCase()}, as in: mqttx-broker ${verb.example}`)
  }
  return { verb, given, ...flags }
}

function isFlag(option: OptionSchema): boolean {
  return 'type' in option && option.type === 'boolean'
}

function cure(name: string, verb: VerbRow): string {
  const names = [...Object.keys(verb.takes), ...Object.keys(common)]
  const meant = suggest(name, names)
  return meant === undefined ? `there are ${names.map(one => `--${one}`).join(', ')}` : `did you mean --${meant}?`
}

function wrong(text: string): OperatorError {
  return new OperatorError('ERR_ARGUMENTS', text)
}
