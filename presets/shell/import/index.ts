import { readdir } from 'node:fs/promises'
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path'
import { OperatorError } from '../../../core/errors.ts'
import { applicationYml } from './application-yml.ts'
import type { Imported, Importer, ImportSource } from './imported.ts'
import { mosquittoConf } from './mosquitto-conf.ts'
import { readText } from './read-text.ts'

/** What `init --from` can translate. */
const importers: readonly Importer[] = [applicationYml, mosquittoConf]

/** Translates the config of another broker: `from`, relative to `folder`, in which the new config will stand. */
export async function importFile(folder: string, from: string, env: ImportSource['env']): Promise<{ imported: Imported; title: string }> {
  const path = resolve(folder, from)
  const text = await readText(path).catch((cause: NodeJS.ErrnoException) => {
    throw new OperatorError('ERR_INIT', `init --from: ${from} cannot be read (${cause.message}); name a file that can be`, { cause })
  })
  const name = basename(path)
  const importer = importers.find(one => one.recognises(name, text))
  if (importer === undefined) {
    const known = importers.map(({ title }) => title).join(', ')
    throw new OperatorError('ERR_INIT', `init --from: ${from} is of no kind that is known here: ${known}`)
  }
  return { imported: await importer.translate(text, sourceOf(path, folder, env)), title: importer.title }
}

function sourceOf(path: string, folder: string, env: ImportSource['env']): ImportSource {
  const own = dirname(path)
  return {
    name: basename(path),
    folder: own,
    env,
    read: async other => readText(resolve(own, other)).catch(() => undefined),
    list: async other => (await readdir(resolve(own, other)).catch((): string[] => [])).sort(),
    path(other) {
      if (isAbsolute(other)) return other
      const whole = resolve(own, other)
      const near = relative(folder, whole)
      return near.startsWith('..') || isAbsolute(near) ? whole : near.replaceAll('\\', '/')
    },
  }
}
