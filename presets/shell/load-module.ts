import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import { OperatorError } from '../../core/errors.ts'
import type { Catalogue } from './catalogue.ts'

/** How a config says `import … from 'mqttx-broker'`. */
const packageName = 'mqttx-broker'

/** What a module of the user's exports. JavaScript is imported as it is, TypeScript by way of jiti. `again`: as it is now, with what it imports. */
export async function loadModule(path: string, catalogue: Pick<Catalogue, 'exports'>, again = false): Promise<Record<string, unknown>> {
  try {
    // Node keeps what it has imported for ever.
    if (again || /\.[cm]?ts$/.test(path)) return await loadByJiti(path, catalogue, again)
    try {
      return (await import(pathToFileURL(path).href)) as Record<string, unknown>
    } catch (error) {
      // Beside a config there need not be a node_modules with this package; jiti knows where it is. And it takes `import` in a folder whose package.json says commonjs.
      if (error instanceof SyntaxError) return await loadAnyway(path, catalogue, error)
      if (!isMissingPackage(error)) throw error
      return await loadByJiti(path, catalogue)
    }
  } catch (error) {
    throw new OperatorError('ERR_CONFIG', await describeFailure(path, error), { cause: error })
  }
}

/** A function's or module's failure in one line: file, line and what it says, without a stack. */
export async function describeFailure(path: string, error: unknown): Promise<string> {
  const message = firstLine(error instanceof Error ? error.message : String(error), path)
  const line = lineOf(path, error) ?? (await syntaxErrorLine(path, error))
  return `${basename(path)}${line === undefined ? '' : `:${line}`}: ${message}`
}

// jiti takes some 150 ms, so it is imported only when there is TypeScript to load. Without its file cache it writes
// nothing: a config may lie in a folder that cannot be written to.
async function loadByJiti(path: string, catalogue: Pick<Catalogue, 'exports'>, again = false): Promise<Record<string, unknown>> {
  const { createJiti } = await import('jiti')
  const own = await catalogue.exports?.()
  const jiti = createJiti(pathToFileURL(path).href, {
    fsCache: false,
    interopDefault: false,
    tryNative: false,
    moduleCache: !again,
    // The very module that is running: a second copy of it would have other hooks, errors and classes.
    ...(own === undefined ? {} : { virtualModules: { [packageName]: own } }),
  })
  return await jiti.import<Record<string, unknown>>(path)
}

/** JavaScript that Node takes for the other of its two kinds. What is no JavaScript at all is Node's own error, which knows the place. */
async function loadAnyway(path: string, catalogue: Pick<Catalogue, 'exports'>, error: SyntaxError): Promise<Record<string, unknown>> {
  try {
    return await loadByJiti(path, catalogue)
  } catch (other) {
    throw other instanceof SyntaxError || (other as Error).message.startsWith('ParseError') ? error : other
  }
}

function isMissingPackage(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  return (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && error.message.includes(`'${packageName}'`)
}

function firstLine(message: string, path: string): string {
  const line = message.split('\n').find(text => text.trim() !== '') ?? message
  // Parsers put the place in front or behind, with the whole path; we say it once, and short.
  return line
    .replaceAll(pathToFileURL(path).href, basename(path))
    .replaceAll(path, basename(path))
    .replace(/^(ParseError|SyntaxError):\s*/, '')
    .replace(/\s*\(\d+:\d+\)\s*$/, '')
    .trim()
}

function lineOf(path: string, error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  // The stack of a syntax error begins with the place; that of a thrown error has it in its frames. jiti's parser says (12:5).
  const stack = `${error.stack ?? ''}`.replaceAll('file://', '')
  const place = new RegExp(`${escapePattern(path)}:(\\d+)`).exec(stack) ?? /\((\d+):\d+\)/.exec(error.message)
  return place === null ? undefined : Number(place[1])
}

// V8 keeps the place of a syntax error in an imported module to itself; `node --check` prints it.
async function syntaxErrorLine(path: string, error: unknown): Promise<number | undefined> {
  if (!(error instanceof SyntaxError)) return undefined
  const { spawnSync } = await import('node:child_process')
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', timeout: 5000 })
  const place = new RegExp(`${escapePattern(basename(path))}:(\\d+)`).exec(stderr ?? '')
  return place === null ? undefined : Number(place[1])
}

const escapePattern = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
