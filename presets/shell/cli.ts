import { OperatorError } from '../../core/errors.ts'
import type { Catalogue } from './catalogue.ts'
import { commandConfig } from './command-config.ts'
import { helpWith, type InitCommand, parseCommand, type RunCommand } from './command-line.ts'
import type { Examined } from './probe.ts'
import type { ResolvedConfig } from './resolved-config.ts'

/** What the command needs of the world around it; `presets/bin.ts` hands in the process, a test something smaller. */
export interface CliIo {
  /** The current folder. */
  readonly folder: string
  /** Writes a line to standard output. */
  out(line: string): void
  /** Writes a line to standard error. */
  error(line: string): void
  /** Starts a broker: resolves when it is ready (having logged so), rejects when it cannot. `again` reads the config anew, or another file in its place. */
  start(config: ResolvedConfig, again: (configFile?: string) => Promise<ResolvedConfig>): Promise<StartedBroker>
  /** Where SIGTERM and SIGINT arrive: `process`. */
  readonly signals: SignalSource
  /** Ends the process at once. */
  exit(code: number): void
}

/** What the command needs of a broker that runs. */
export interface StartedBroker {
  /** Drains and stops. */
  stop(): Promise<unknown>
  /** An address of the page that lets in whoever opens it first. */
  entrance(): Promise<string>
}

export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
  off(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
}

// None of what a command may be asked besides.
const nothing = { verbose: false, connect: false, store: false, ui: false } as const

type Environment = Readonly<Record<string, string | undefined>>

/** Runs one command, `start` if none is named. Resolves to the exit code; never rejects. */
export async function runCli(catalogue: Catalogue, argv: readonly string[], env: Environment, io: CliIo): Promise<number> {
  // Asked for before anything is parsed, so that a command line which cannot be parsed can be looked into too.
  const verbose = argv.includes('--verbose')
  try {
    const [name = '', ...args] = argv
    if (name === '--mosquitto') {
      const { runMosquitto } = await import('./mosquitto-command.ts')
      return await runMosquitto(catalogue, args, io, read => start(read, io))
    }
    const { commands = {} } = catalogue
    if (Object.hasOwn(commands, name)) {
      const run = await commands[name]!.load()
      return await run(
        args.filter(argument => argument !== '--verbose'),
        io,
      )
    }
    const { knownVerbs } = await import('./ask/known-verbs.ts')
    const { verbOf } = await import('./ask/verb-arguments.ts')
    if (verbOf(argv, knownVerbs) !== undefined) return await (await import('./ask/ask.ts')).runVerb(argv, env, io)
    const command = parseCommand(argv, [...Object.keys(commands), ...knownVerbs.map(verb => verb.name)])
    switch (command.name) {
      case 'help':
        io.out(`${helpWith(commands)}\n\n${(await import('./ask/verb-help.ts')).verbList(knownVerbs)}`)
        return 0
      case 'version':
        io.out(catalogue.version)
        return 0
      case 'init': {
        const lines = await init(catalogue, command, env, io)
        for (const line of lines) io.out(line)
        return 0
      }
      case 'check':
        return await check(catalogue, command, env, io)
      case 'start':
        return await start(
          (again, configFile) => resolved(catalogue, configFile === undefined ? command : { ...command, configFile }, env, io, again),
          io,
          command.ui,
        )
    }
  } catch (error) {
    report(error, verbose, io)
    return 1
  }
}

async function init(catalogue: Catalogue, { tls, from }: InitCommand, env: Environment, io: CliIo): Promise<string[]> {
  if (tls) return (await import('./init-tls.ts')).initTls(io.folder, await tlsPort(catalogue, env, io))
  const version = `^${catalogue.version}`
  if (from !== undefined) return (await import('./init-from.ts')).initFrom(io.folder, from, env, version)
  return (await import('./init.ts')).initFolder(io.folder, version)
}

function resolved(catalogue: Catalogue, command: RunCommand, env: Environment, io: CliIo, again = false): Promise<ResolvedConfig> {
  return commandConfig(catalogue, command, env, io.folder, again)
}

// Where a listener would speak TLS once `ssl` is there, by the config as it is now.
async function tlsPort(catalogue: Catalogue, env: Environment, io: CliIo): Promise<number> {
  const usual = 1883
  try {
    const { plugins } = await resolved(catalogue, { name: 'check', assignments: [], ...nothing }, env, io)
    const listeners = plugins.filter(({ name }) => name === 'socket').map(({ options }) => options as { port: number; tls?: unknown })
    return listeners.find(({ tls }) => tls !== false)?.port || usual
  } catch {
    // Whatever is wrong with the config, certificates can be made; the start will say it.
    return usual
  }
}

/** Runs a broker until a signal ends it. `read`: its config, as it was read before or `again`, of another file where one is named. */
async function start(read: (again: boolean, configFile?: string) => Promise<ResolvedConfig>, io: CliIo, ui = false): Promise<number> {
  let signalled: () => void = () => {}
  const stopWanted = new Promise<void>(resolve => {
    signalled = resolve
  })
  let signals = 0
  const listeners = (['SIGTERM', 'SIGINT'] as const).map(signal => {
    const listener = () => {
      // The first asks to drain; whoever asks twice does not want to wait.
      if (++signals === 1) signalled()
      else io.exit(signal === 'SIGTERM' ? 143 : 130)
    }
    io.signals.on(signal, listener)
    return { signal, listener }
  })
  try {
    const broker = await io.start(await read(false), configFile => read(true, configFile))
    // On standard output and not in the log, which others read too.
    if (ui) await showEntrance(broker, io)
    // Where every listener is off nothing else keeps the process alive, and Node would end it in the middle of waiting.
    const alive = setInterval(() => {}, 2 ** 31 - 1)
    await stopWanted
    clearInterval(alive)
    await broker.stop()
    return 0
  } finally {
    for (const { signal, listener } of listeners) io.signals.off(signal, listener)
  }
}

async function showEntrance(broker: StartedBroker, io: CliIo): Promise<void> {
  try {
    io.out(`\nThe page, for whoever opens this first, within ten minutes:\n${await broker.entrance()}\n`)
  } catch (error) {
    // The broker serves all the same.
    io.error(`no address of the page (${(error as Error).message}); npx mqttx-broker page prints one`)
  }
}

async function check(catalogue: Catalogue, command: RunCommand, env: Environment, io: CliIo): Promise<number> {
  try {
    const config = await resolved(catalogue, command, env, io)
    const { configReport } = await import('./config-report.ts')
    for (const line of configReport(catalogue, config)) io.out(line)
    const found = await examined(catalogue, config, command.connect)
    tell(found, io)
    if (!command.store) return found.problems.length > 0 ? 1 : 0
    const stored = await (await import('./copies/check-stores.ts')).checkStores(config)
    tell(stored, io)
    return found.problems.length + stored.problems.length > 0 ? 1 : 0
  } catch (error) {
    if (!(error instanceof OperatorError) || command.verbose) throw error
    for (const problem of error.problems) io.error(`error: ${problem}`)
    return 1
  }
}

async function examined(catalogue: Catalogue, config: ResolvedConfig, connect: boolean): Promise<Examined> {
  const { examine } = await import('./probe.ts')
  return await examine(catalogue, config, connect)
}

function tell({ lines, problems }: Examined, io: CliIo): void {
  for (const line of lines) io.out(line)
  for (const problem of problems) io.error(`error: ${problem}`)
}

// One clear line, however much is wrong: what an operator greps for, and what a service manager keeps.
function report(error: unknown, verbose: boolean, io: CliIo): void {
  if (error instanceof OperatorError) {
    const shown = error.problems.slice(0, 5).join('; ')
    const rest = error.problems.length - 5
    io.error(`error: ${shown}${rest > 0 ? `; and ${rest} more: npx mqttx-broker check lists them all` : ''}`)
  } else {
    const text = error instanceof Error ? error.message : String(error)
    io.error(`error: ${text.split('\n')[0]}${verbose ? '' : ' (--verbose shows where)'}`)
  }
  if (verbose && error instanceof Error) io.error(stackOf(error))
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own
}
