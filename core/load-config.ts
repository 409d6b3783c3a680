import { existsSync, readFileSync } from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import type { Loader } from 'cosmiconfig'
import type { Catalogue } from './catalogue.ts'
import { OperatorError } from './errors.ts'
import { describeFailure, loadModule } from './load-module.ts'

/** What a config file may be called; nothing else is looked for, and only in the current folder. */
export const configFileNames = ['ts', 'js', 'mjs', 'json', 'yaml', 'yml'].map(extension => `mqttx.config.${extension}`)

export interface LoadedConfig {
  readonly path: string
  readonly values: unknown
}

/** The config file of a folder, or the one that `--config` names; `undefined` if the folder has none. */
export async function loadConfig(catalogue: Pick<Catalogue, 'exports'>, folder: string, named?: string): Promise<LoadedConfig | undefined> {
  const path = named === undefined ? findConfig(folder) : resolve(folder, named)
  if (path === undefined) return undefined
  if (!existsSync(path)) throw new OperatorError('ERR_CONFIG', `--config: there is no file ${named}; npx mqttx-broker init writes one`)
  return { path, values: await readConfig(catalogue, path) }
}

function findConfig(folder: string): string | undefined {
  const found = configFileNames.filter(name => existsSync(join(folder, name)))
  if (found.length > 1) {
    throw new OperatorError('ERR_CONFIG', `several config files: ${found.join(', ')}; keep one, or say which: --config ${found[0]}`)
  }
  return found[0] === undefined ? undefined : join(folder, found[0])
}

async function readConfig(catalogue: Pick<Catalogue, 'exports'>, path: string): Promise<unknown> {
  const extension = extname(path)
  const module: Loader = async file => {
    const exported = await loadModule(file, catalogue)
    if (!('default' in exported))
      throw new OperatorError('ERR_CONFIG', `${basename(file)}: no default export; write export default defineConfig({ … })`)
    return exported.default
  }
  const { cosmiconfig, defaultLoaders } = await import('cosmiconfig')
  const text =
    (loader: Loader): Loader =>
    async (file, content) => {
      try {
        return (await loader(file, content)) as unknown
      } catch (error) {
        throw new OperatorError('ERR_CONFIG', textFailure(file, error), { cause: error })
      }
    }
  const loaders: Record<string, Loader> = {
    '.json': text(defaultLoaders['.json']),
    '.yaml': text(defaultLoaders['.yaml']),
    '.yml': text(defaultLoaders['.yml']),
  }
  // cosmiconfig's own loader for TypeScript does not work with typescript 7 and writes a file beside the config.
  for (const one of ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']) loaders[one] = module
  if (loaders[extension] === undefined) {
    throw new OperatorError('ERR_CONFIG', `${basename(path)}: a config file ends in .ts, .js, .mjs, .json, .yaml or .yml`)
  }
  try {
    const result = await cosmiconfig('mqttx', { loaders, searchPlaces: configFileNames, cache: false }).load(path)
    return result?.isEmpty === true ? {} : (result?.config as unknown)
  } catch (error) {
    if (error instanceof OperatorError) throw error
    throw new OperatorError('ERR_CONFIG', await describeFailure(path, error), { cause: error })
  }
}

// parse-json and js-yaml say the line in ways of their own.
function textFailure(path: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const mark = (error as { mark?: { line: number } }).mark
  const json = /at position (\d+)|\((?:line )?(\d+)[: ]/.exec(message)
  const line =
    mark !== undefined
      ? mark.line + 1
      : json?.[2] !== undefined
        ? Number(json[2])
        : json?.[1] !== undefined
          ? readFileSync(path, 'utf8').slice(0, Number(json[1])).split('\n').length
          : undefined
  const said = message
    .split('\n')
    .filter(text => !/^(JSON|YAML) Error in /.test(text) && text.trim() !== '')[0]
    ?.replaceAll(path, basename(path))
    .replace(/ in JSON at position \d+.*$/, '')
    .replace(/\s*\(\d+:\d+\)\s*$/, '')
  return `${basename(path)}${line === undefined ? '' : `:${line}`}: ${said ?? 'cannot be read'}`
}
