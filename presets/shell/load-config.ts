import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, join, resolve } from 'node:path'
import type { Loader, PublicExplorer } from 'cosmiconfig'
import { OperatorError } from '../../core/errors.ts'
import type { YamlError } from '../../plugins/kit/yaml.ts'
import type { Catalogue } from './catalogue.ts'
import { describeFailure, loadModule } from './load-module.ts'

/** What a config file may be called; nothing else is looked for, and only in the current folder. */
export const configFileNames = ['ts', 'js', 'mjs', 'json', 'yaml', 'yml'].map(extension => `mqttx.config.${extension}`)

export interface LoadedConfig {
  readonly path: string
  readonly values: unknown
}

/** What a config that is a function is called with. */
export interface ConfigContext {
  /** The environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** What is done with the config: a broker starts, or it is only checked. A config that is read again while the broker runs is `start`, too. */
  readonly command: 'start' | 'check'
}

/** The config file of a folder, or the one that `--config` names; `undefined` if the folder has none. `again`: as it is now, though it was read before. */
export async function loadConfig(
  catalogue: Pick<Catalogue, 'exports'>,
  folder: string,
  named?: string,
  again = false,
  context: ConfigContext = { env: {}, command: 'start' },
): Promise<LoadedConfig | undefined> {
  const path = named === undefined ? undefined : resolve(folder, named)
  if (path !== undefined && !existsSync(path)) {
    throw new OperatorError('ERR_CONFIG', `--config: there is no file ${named}; npx mqttx-broker init writes one`)
  }
  const found = path === undefined ? await namesIn(folder) : [basename(path)]
  const [name] = found
  if (name === undefined) return undefined
  if (found.length > 1) {
    throw new OperatorError('ERR_CONFIG', `several config files: ${found.join(', ')}; keep one, or say which: --config ${name}`)
  }
  if (!/\.([cm]?[jt]s|json|ya?ml)$/.test(name)) {
    throw new OperatorError('ERR_CONFIG', `${name}: a config file ends in .ts, .js, .mjs, .json, .yaml or .yml`)
  }
  const explorer = explorerOf(catalogue, again, context)
  try {
    const result = path === undefined ? await explorer.search(folder) : await explorer.load(path)
    // cosmiconfig passes over what it cannot read, and a broker without its config is open to nobody knows whom.
    if (result === null) throw new OperatorError('ERR_CONFIG', `${name}: cannot be read; make it a file that the broker may read`)
    return { path: result.filepath, values: (result.config as unknown) ?? {} }
  } catch (error) {
    if (error instanceof OperatorError) throw error
    throw new OperatorError('ERR_CONFIG', await describeFailure(path ?? join(folder, name), error), { cause: error })
  }
}

// cosmiconfig takes the first of several, and here they are an error.
async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((): string[] => [])
  return configFileNames.filter(name => names.includes(name))
}

function explorerOf(catalogue: Pick<Catalogue, 'exports'>, again: boolean, context: ConfigContext): PublicExplorer {
  const module: Loader = async file => {
    const exported = await loadModule(file, catalogue, again)
    if (!('default' in exported))
      throw new OperatorError('ERR_CONFIG', `${basename(file)}: no default export; write export default defineConfig({ … })`)
    const config = exported.default
    return (typeof config === 'function' ? ((await config(context)) as unknown) : config) ?? {}
  }
  // Required, not imported: hooks on imports, jiti's for one, do not bear what it requires in turn. It takes some 30 ms, for nothing where there is no config file.
  const { cosmiconfig } = createRequire(import.meta.url)('cosmiconfig') as typeof import('cosmiconfig')
  const loaders: Record<string, Loader> = { '.json': readJson, '.yaml': readYamlFile, '.yml': readYamlFile }
  // cosmiconfig's own loader for TypeScript does not work with typescript 7 and writes a file beside the config.
  for (const one of ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']) loaders[one] = module
  return cosmiconfig('mqttx', { loaders, searchPlaces: configFileNames, cache: false, ignoreEmptySearchPlaces: false })
}

function readJson(path: string, content: string): unknown {
  try {
    return (JSON.parse(content.replace(/^\uFEFF/, '')) as unknown) ?? {}
  } catch (cause) {
    const said = (cause as Error).message
      .replace(/(, ".*)? is not valid JSON$|( in JSON)? at position \d+.*$/s, '')
      .replace("'\n'", 'at the end of the line')
    throw new OperatorError('ERR_CONFIG', `${basename(path)}:${jsonErrorLine(content, cause as Error)}: ${said}`, { cause })
  }
}

// JSON.parse says the position of some errors; of the others we look for the first text that is no token of JSON.
function jsonErrorLine(content: string, error: Error): number {
  const token = /\s+|[{}[\],:]|"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/y
  let position = Number(/at position (\d+)/.exec(error.message)?.[1] ?? Number.NaN)
  if (Number.isNaN(position)) {
    position = 0
    while (position < content.length && token.test(content)) position = token.lastIndex
  }
  return content.slice(0, position).split('\n').length
}

async function readYamlFile(path: string, content: string): Promise<unknown> {
  const { readYaml } = await import('../../plugins/kit/yaml.ts')
  try {
    return readYaml(path, content) ?? {}
  } catch (cause) {
    const { place, message } = cause as YamlError
    throw new OperatorError('ERR_CONFIG', `${basename(path)}${place}: ${message}`, { cause })
  }
}
