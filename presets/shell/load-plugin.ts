import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { OperatorError } from '../../core/errors.ts'
import type { Plugin } from '../../core/plugin.ts'
import { suggest } from '../../plugins/kit/options/suggestion.ts'
import type { Catalogue } from './catalogue.ts'
import { loadModule } from './load-module.ts'
import { createPlugin, isPlugin, isPluginFactory } from './plugin-shapes.ts'

/** The plugin in a file (`./rate-limit.js`) or a package, as `plugins` of a JSON config names it. */
export async function loadPlugin(name: string, options: unknown, folder: string, catalogue: Catalogue): Promise<Plugin> {
  const exported = await loadModule(await locate(name, folder, catalogue), catalogue)
  const found = pluginsIn(exported)
  const [plugin] = found
  if (plugin === undefined) {
    throw new OperatorError('ERR_CONFIG', `${name} exports no plugin; add export default definePlugin({ name, apply })`)
  }
  if (found.length > 1) throw new OperatorError('ERR_CONFIG', `${name} exports several plugins; make one of them the default export`)
  if (isPluginFactory(plugin)) return createPlugin(plugin, (options ?? {}) as object)
  if (options !== undefined)
    throw new OperatorError('ERR_CONFIG', `${name} exports a finished plugin, which takes no options; export its factory`)
  return plugin as Plugin
}

/** The plugins that a module exports: its default export, else what it exports by names. Of a CommonJS module the default export is all that it exports. */
function pluginsIn(exported: Record<string, unknown>): unknown[] {
  const isOne = (value: unknown): boolean => isPluginFactory(value) || isPlugin(value)
  if (isOne(exported.default)) return [exported.default]
  const { default: whole, ...named } = exported
  const within = typeof whole === 'object' && whole !== null ? (whole as Record<string, unknown>) : named
  return isOne(within.default) ? [within.default] : Object.values(within).filter(isOne)
}

async function locate(name: string, folder: string, catalogue: Catalogue): Promise<string> {
  if (name.startsWith('.') || isAbsolute(name)) {
    const path = resolve(folder, name)
    if (!existsSync(path)) throw new OperatorError('ERR_CONFIG', `there is no file ${name}; paths are relative to ${folder}`)
    return path
  }
  const beside = join(folder, 'package.json')
  try {
    return createRequire(beside).resolve(name)
  } catch (cause) {
    // A package that can be imported only, not required.
    if ((cause as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return fileURLToPath(await importedAs(name, beside))
    const meant = suggest(name, Object.keys(catalogue.plugins))
    const cure = existsSync(join(folder, name))
      ? `did you mean ./${name}?`
      : `a file begins with ./${meant === undefined ? '' : `; did you mean ${meant}?`}`
    throw new OperatorError('ERR_CONFIG', `${name} is neither a built-in plugin nor an installed package; ${cure}`, { cause })
  }
}

async function importedAs(name: string, beside: string): Promise<string> {
  const { createJiti } = await import('jiti')
  return createJiti(pathToFileURL(beside).href).esmResolve(name)
}
