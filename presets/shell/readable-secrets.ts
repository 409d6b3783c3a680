import { statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import type { OptionSchema } from '../../core/options/options.ts'
import { formFor, isSecretName } from '../../plugins/kit/options/describe.ts'
import type { ResolvedPlugin } from './resolved-config.ts'

const readableByAll = 0o004

/** What is said of the files of passwords and keys that a config names and every user of this machine may read: a line for each. */
export function readableSecrets(plugins: readonly ResolvedPlugin[], folder: string): string[] {
  const lines: string[] = []
  for (const { name, section = name, schema = {}, options } of plugins) {
    for (const { at, file } of secretFiles({ type: 'object', properties: schema }, options, section)) {
      // As Java's class path, which is this folder.
      const path = resolve(folder, file.replace(/^classpath:\s*\/*/i, ''))
      if ((modeOf(path) & readableByAll) !== 0) lines.push(`${at}: every user of this machine may read ${path}; chmod o= ${path}`)
    }
  }
  return lines
}

// Of a file that is not there or not to be reached its plugin says so.
function modeOf(path: string): number {
  if (process.platform === 'win32') return 0
  try {
    return statSync(path).mode
  } catch {
    return 0
  }
}

/** The same of the config's own file, where passwords stand in it. A program that is a config may have them from elsewhere. */
export function readableConfig(path: string | undefined, provenance: ReadonlyMap<string, string>): string[] {
  if (path === undefined || !/\.(json|ya?ml)$/.test(path) || (modeOf(path) & readableByAll) === 0) return []
  // The path of a file with a password is none.
  const holds = (name: string): boolean => isSecretName(name) && !name.endsWith('File')
  const secret = [...provenance].find(([at, who]) => who === basename(path) && holds(at.slice(at.lastIndexOf('.') + 1)))
  if (secret === undefined) return []
  return [`${secret[0]}: every user of this machine may read ${path}; chmod o= ${path}`]
}

function* secretFiles(option: OptionSchema, value: unknown, at: string): Generator<{ readonly at: string; readonly file: string }> {
  const form = formFor(option, value)
  if (form === undefined || value === null || value === undefined) return
  if (typeof value === 'string') {
    if ('secretFile' in form && form.secretFile === true) yield { at, file: value }
  } else if ('properties' in form) {
    for (const [name, part] of Object.entries(form.properties))
      yield* secretFiles(part, (value as Record<string, unknown>)[name], `${at}.${name}`)
  } else if ('items' in form && Array.isArray(value)) {
    for (const [index, part] of value.entries()) yield* secretFiles(form.items, part, `${at}[${index}]`)
  }
}
