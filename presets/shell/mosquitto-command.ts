import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { CommandIo } from '../../plugins/kit/command.ts'
import { shownText } from '../../plugins/kit/shown-text.ts'
import type { Catalogue } from './catalogue.ts'
import { resolveConfig } from './config.ts'
import type { ImportSource } from './import/imported.ts'
import { placeOf, readConfLines } from './import/mosquitto/conf-lines.ts'
import { originOf } from './import/mosquitto/origin.ts'
import { translateMosquitto } from './import/mosquitto-conf.ts'
import { readText } from './import/read-text.ts'
import { shownUntranslated } from './import/write-config.ts'
import type { ResolvedConfig } from './resolved-config.ts'

const usage = `Usage: mqttx-broker --mosquitto [-c FILE] [-p PORT]... [-v]

Runs a mosquitto.conf as it is. What it cannot translate is a warning with the line, and where the broker would be more open without it, the end.

  -c FILE   the file; without it mosquitto's defaults: this machine only, anybody
  -p PORT   a port at loopback, in place of 1883; not looked at where FILE names a listener
  -v        everything is logged, packets too
  -h        this help

npx mqttx-broker init --from FILE writes an mqttx.config.ts of it, once for all.`

// What mosquitto ends with for a command line or a config that is wrong; everything else that hinders a start is 1.
const wrongInput = 3
const portsMax = 10
const problemMax = 4096

interface Arguments {
  readonly file: string | null
  readonly ports: readonly number[]
  readonly verbose: boolean
}

/** `--mosquitto`: mosquitto's own command line. Resolves to the exit code, which is mosquitto's. `run` runs a broker until it is told to end. */
export async function runMosquitto(
  catalogue: Catalogue,
  argv: readonly string[],
  io: CommandIo & { error(line: string): void },
  run: (read: () => Promise<ResolvedConfig>) => Promise<number>,
): Promise<number> {
  if (argv.includes('-h') || argv.includes('--help')) {
    io.out(usage)
    return wrongInput
  }
  let read: () => Promise<ResolvedConfig>
  let first: ResolvedConfig | null
  let given: Arguments
  try {
    given = argumentsOf(argv)
    read = () => configOf(catalogue, given, io)
    first = await read()
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error
    for (const problem of error.problems) io.error(`error: ${shownText(problem, problemMax)}`)
    return wrongInput
  }
  try {
    return await run(async () => {
      // What was read for its errors is what is started.
      const config = first ?? (await read())
      first = null
      return config
    })
  } catch (error) {
    if (!(error instanceof OperatorError) || given.file === null) throw error
    throw await inWordsOfTheFile(error, given.file, io.folder)
  }
}

/** Names the lines of the file in problems that speak of the options which the lines have become. */
async function inWordsOfTheFile(error: OperatorError, file: string, folder: string): Promise<OperatorError> {
  const lines = await readConfLines(await textOf(folder, file), sourceOf(folder, file))
  const problems = error.problems.map(problem => {
    const line = originOf(problem, lines)
    return line === undefined ? problem : `${placeOf(file, line)}: ${line.name}: ${problem}`
  })
  return new OperatorError(error.code, problems, { cause: error })
}

function argumentsOf(argv: readonly string[]): Arguments {
  let file: string | null = null
  let verbose = false
  const ports: number[] = []
  const say = (text: string): never => {
    throw new OperatorError('ERR_ARGUMENTS', text)
  }
  const rest = [...argv]
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const value = (): string => rest.shift() ?? say(`${argument}: needs a value`)
    if (argument === '-c' || argument === '--config-file') file = value()
    else if (argument === '-v' || argument === '--verbose') verbose = true
    else if (argument === '-p' || argument === '--port') {
      const port = value()
      if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) say(`${argument}: ${port} is no port`)
      ports.push(Number(port))
    } else if (argument === '-d' || argument === '--daemon') {
      say(
        `${argument}: the broker stays in the foreground, so that its service manager knows it; leave ${argument} out, or start it by systemd-run or nohup`,
      )
    } else say(`${argument}: mosquitto has no such option; there are -c, -p, -v and -h`)
  }
  if (ports.length > portsMax) say(`-p: ${portsMax} ports at most, as in mosquitto`)
  return { file, ports, verbose }
}

async function configOf(
  catalogue: Catalogue,
  { file, ports, verbose }: Arguments,
  { folder }: Pick<CommandIo, 'folder'>,
): Promise<ResolvedConfig> {
  const text = file === null ? '' : await textOf(folder, file)
  const { config, untranslated, unsafe } = await translateMosquitto(text, sourceOf(folder, file), { ports, verbose })
  if (unsafe.length > 0) {
    const cure = 'npx mqttx-broker init --from writes a config in which you can put something in its place'
    throw new OperatorError(
      'ERR_CONFIG',
      unsafe.map(one => `${shownUntranslated(named(one, file))}; ${cure}`),
    )
  }
  // mosquitto looks at its file when it is told to, and makes no folder where it keeps nothing.
  const values = { ...config, checkConfigEvery: null, ...(config.memory === true ? { admin: false } : {}) }
  const path = file === null ? undefined : resolve(folder, file)
  const resolved = await resolveConfig(catalogue, path === undefined ? { object: values, folder } : { file: { path, values }, folder })
  return { ...resolved, warnings: [...resolved.warnings, ...untranslated.map(one => shownUntranslated(named(one, file)))] }
}

function named<T extends { readonly file?: string | undefined }>(one: T, file: string | null): T {
  return { ...one, file: one.file ?? file ?? undefined }
}

// mosquitto takes paths relative to the folder in which it is started, not to that of its file.
function sourceOf(folder: string, file: string | null): ImportSource {
  return {
    name: file ?? 'mosquitto.conf',
    folder,
    env: {},
    read: path => readText(resolve(folder, path)).catch(() => undefined),
    list: async path => (await readdir(resolve(folder, path)).catch((): string[] => [])).sort(),
    path: path => resolve(folder, path),
  }
}

async function textOf(folder: string, file: string): Promise<string> {
  try {
    return await readText(resolve(folder, file))
  } catch (cause) {
    throw new OperatorError('ERR_CONFIG', `-c: ${file} cannot be read (${(cause as Error).message}); name a file that can be`, { cause })
  }
}
