import type { Imported, Importer, ImportSource, Untranslated } from './imported.ts'
import { translateBridges } from './mosquitto/bridges.ts'
import { translateBroker } from './mosquitto/broker.ts'
import { sortConf } from './mosquitto/conf.ts'
import { readConfLines } from './mosquitto/conf-lines.ts'
import { translateListeners } from './mosquitto/listeners.ts'
import { translateLog } from './mosquitto/log.ts'
import { confOptions } from './mosquitto/options.ts'
import { translateSecurity } from './mosquitto/security.ts'
import { Translation } from './mosquitto/translation.ts'

/** What mosquitto's command line says beside the file. */
export interface MosquittoArguments {
  /** `-p`: ports at loopback, where the file names no listener. */
  readonly ports?: readonly number[]
  /** `-v`: everything is logged. */
  readonly verbose?: boolean
}

/** What mosquitto.conf has come to. */
export interface ImportedConf extends Imported {
  /** Of what was not translated, that without which more would be allowed than before. */
  readonly unsafe: readonly Untranslated[]
}

/** mosquitto.conf, version 2.0. */
export const mosquittoConf: Importer = {
  title: 'mosquitto.conf',
  recognises: (name, text) => /\bmosquitto\b.*\.conf$/.test(name) || (name.endsWith('.conf') && looksLikeConf(text)),
  translate: async (text, source) => {
    const { unsafe, ...imported } = await translateMosquitto(text, source)
    if (unsafe.length === 0) return imported
    // Whoever starts the new config before reading to its end must not be open to everybody.
    return { ...imported, ...closed(imported) }
  },
}

/** Translates mosquitto.conf; what mosquitto itself would refuse is an `OperatorError` that names the lines. */
export async function translateMosquitto(
  text: string,
  source: ImportSource,
  { ports = [], verbose = false }: MosquittoArguments = {},
): Promise<ImportedConf> {
  const conf = sortConf(await readConfLines(text, source), source.name, ports)
  const translation = new Translation(source)
  translation.set('preset', 'standalone')
  translateListeners(conf, translation)
  await translateSecurity(conf, translation)
  translateBroker(conf, translation)
  translateLog(conf.broker, translation, verbose)
  translateBridges(conf, translation)
  translation.untranslated.sort((a, b) =>
    a.file === b.file ? a.line - b.line : a.file === undefined ? -1 : b.file === undefined ? 1 : a.file < b.file ? -1 : 1,
  )
  const { config, comments, notes, untranslated, unsafe } = translation
  if (conf.localOnly) translation.note('The file names no listener, so only this machine may connect, as in mosquitto 2.')
  return { config, comments, notes, untranslated, unsafe }
}

/** The same config with nobody let in whom no plugin vouches for, at any listener. */
function closed({ config, comments = {}, notes }: Imported): Pick<Imported, 'config' | 'comments' | 'notes'> {
  const shut = (section: unknown): unknown =>
    Array.isArray(section)
      ? section.map(shut)
      : typeof section === 'object' && section !== null
        ? { ...section, allowAnonymous: false }
        : section
  const listeners = Object.fromEntries(['socket', 'websocket'].flatMap(name => (name in config ? [[name, shut(config[name])]] : [])))
  const note =
    'What was not translated would leave the broker more open than before, so allowAnonymous is false everywhere until you have put something in its place.'
  return { config: { ...config, allowAnonymous: false, ...listeners }, comments, notes: [note, ...notes] }
}

function looksLikeConf(text: string): boolean {
  const names = text.split('\n').flatMap(line => /^([a-z_0-9.]+) \S/.exec(line)?.[1] ?? [])
  return names.length > 0 && names.every(name => confOptions.has(name) || ['listener', 'connection', 'include_dir'].includes(name))
}
