import { resolve } from 'node:path'
import { OperatorError } from '../../../core/errors.ts'
import { suggest } from '../../../plugins/kit/options/suggestion.ts'
import type { VerbRow } from '../../../plugins/kit/verbs/listed.ts'
import { pathArguments } from '../copies/declarations.ts'
import type { AskIo } from './ask-io.ts'
import { knownVerbs } from './known-verbs.ts'
import { showAnswer } from './show.ts'
import { askBroker, findSocket } from './socket-request.ts'
import { parseVerb, socketOf, spelledOut, type VerbCommand, verbOf } from './verb-arguments.ts'

/** The exit code where the answer is no: not well, not connected, nobody there. */
const no = 3

/**
 * Asks a running broker, or has it do something: everything that `mqttx-broker` is told but `start`, `check` and the like. Evaluates no config. Resolves to the
 * exit code: 0 done, 1 it could not be asked or refused, 3 the answer is no. Never rejects.
 */
export async function runVerb(argv: readonly string[], env: Readonly<Record<string, string | undefined>>, io: AskIo): Promise<number> {
  try {
    const { socket, rest: words } = socketOf(argv)
    if (words[0] === 'completion') {
      const { completion } = await import('./completion.ts')
      for (const line of completion(words[1], knownVerbs)) io.out(line)
      return 0
    }
    const rest = spelledOut(words[0] === 'help' ? [...words.slice(1), '--help'] : words, knownVerbs)
    const place = (): Promise<string> => findSocket({ folder: io.folder, given: socket, environment: env.MQTTX_SOCKET })
    const verb = verbOf(rest, knownVerbs) ?? (await foreignVerb(rest, place))
    const command = parseVerb(verb, rest)
    if (command.help) {
      const { verbHelp } = await import('./verb-help.ts')
      for (const line of verbHelp(verb)) io.out(line)
      return 0
    }
    if (isOwn(command)) return await doOwn(command, env, io)
    return await ask(await place(), withPaths(command, io.folder), io)
  } catch (error) {
    const problems = error instanceof OperatorError ? error.problems : [(error as Error).message]
    io.error(`error: ${problems.join('; ')}`)
    return 1
  }
}

/** No broker is asked: it is about a store whose broker is stopped, or about a broker that is talked to as its clients do. */
function isOwn({ verb, given }: VerbCommand): boolean {
  switch (verb.name) {
    case 'migrate':
    case 'replay':
    case 'restore':
      return true
    case 'compact':
      return given.folder !== undefined
    case 'export':
      return given.from !== undefined
    case 'import':
      return given.to !== undefined
    default:
      return false
  }
}

async function doOwn({ verb, given, json }: VerbCommand, env: Readonly<Record<string, string | undefined>>, io: AskIo): Promise<number> {
  if (verb.name === 'replay') {
    const { runReplay } = await import('../replay/run-replay.ts')
    return await runReplay(given, json, io)
  }
  const { compactFolder, errorLog, exportFrom, importTo, linesIn, migrate, restore } = await import('../copies/run-local.ts')
  const { from = '', to = '', file = '', skipExisting } = given
  const place = { folder: io.folder, env, log: errorLog(io) }
  const show = (answer: object): number => {
    if (json) io.out(JSON.stringify(answer))
    else for (const line of showAnswer(answer, Date.now())) io.out(line)
    return 0
  }
  if (verb.name === 'export') {
    for await (const line of exportFrom(from, place)) io.out(JSON.stringify(line))
    return 0
  }
  if (verb.name === 'import') return show(await importTo(to, linesIn(file, io), skipExisting === 'true', place))
  if (verb.name === 'restore') return show(await restore(given, place))
  if (verb.name === 'compact') return show(await compactFolder(given.folder!, place))
  if (from === '' || to === '')
    throw new OperatorError('ERR_ARGUMENTS', `migrate: say from where and to where, as in: mqttx-broker ${verb.example}`)
  return show(await migrate(from, to, place))
}

// What names a folder is meant as whoever types it sees it, and the broker's current folder is another.
function withPaths(command: VerbCommand, folder: string): VerbCommand {
  const name = pathArguments[command.verb.name]
  const path = name === undefined ? undefined : command.given[name]
  return path === undefined ? command : { ...command, given: { ...command.given, [name!]: resolve(folder, path) } }
}

async function ask(socket: string, { verb, given: said, json, all }: VerbCommand, io: AskIo): Promise<number> {
  let after: string | undefined
  const { file, ...given } = said
  const lines = verb.takesLines && file !== undefined ? (await import('../copies/run-local.ts')).linesIn(file, io) : null
  for (;;) {
    const answer = await askBroker(socket, verb, after === undefined ? (lines === null ? said : given) : { ...said, after }, lines)
    if (answer.kind === 'stream') {
      for await (const piece of answer.pieces) io.out(json || verb.printsJson ? JSON.stringify(piece) : pieceLine(piece))
      return 0
    }
    const { value } = answer
    if (json) io.out(JSON.stringify(value))
    else for (const line of showAnswer(value, Date.now())) io.out(line)
    const { next, missing = [] } = value as { next?: string | null; missing?: readonly { node: string; why: string }[] }
    for (const { node, why } of missing) io.error(`warning: node ${node} has not answered: ${why}`)
    if (all && typeof next === 'string') {
      after = next
      continue
    }
    if (!json && typeof next === 'string') io.error(`there are more: --all shows them, or --after ${next} the next page`)
    const yes = verb.yes === null ? true : (value as Record<string, unknown>)[verb.yes]
    return yes === false || yes === 0 ? no : 0
  }
}

// One line for each: what comes from clients is shown as it is in JSON, where nothing else can stand.
function pieceLine(piece: object): string {
  return Object.entries(piece)
    .map(([name, value]) => `${name}=${typeof value === 'string' && /^[\w./$+#:-]*$/.test(value) ? value : JSON.stringify(value)}`)
    .join(' ')
}

/** A verb that only the broker knows, because a plugin of its config brings it. */
async function foreignVerb(words: readonly string[], place: () => Promise<string>): Promise<VerbRow> {
  const [first = ''] = words
  let found: readonly VerbRow[] = []
  try {
    const answer = await askBroker(await place(), { name: 'verbs', changes: false }, {})
    if (answer.kind === 'one') found = (answer.value as { rows: VerbRow[] }).rows
  } catch {
    // No broker, so there are those of the package.
  }
  const verb = verbOf(words, found)
  if (verb !== undefined) return verb
  const names = [...new Set([...commands, ...knownVerbs.map(({ name }) => name), ...found.map(({ name }) => name)])]
  const meant = suggest(first, names)
  const cure = meant === undefined ? 'mqttx-broker --help lists all' : `did you mean ${meant}?`
  throw new OperatorError('ERR_ARGUMENTS', `${first}: no such command; ${cure}`)
}

const commands = ['start', 'check', 'init', 'create-plugin', 'passwd', 'token', 'completion', 'help']
