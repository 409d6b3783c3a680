import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { isPartFolder } from './part-folders.ts'

/** The file of a backup that says what is in it. It is written last, so a folder without it is no backup. */
export const manifestFile = 'backup.json'
/** The version of what stands in it. */
export const backupFormat = 1
const format = 'mqttx-broker backup'

/** A part of a backup: one file of one plugin's. */
export interface BackupPart {
  readonly plugin: string
  /** Where it lies in the backup: `disk`, or of several workers `disk/workers-2/1`. Behind the plugin's name it is where it lies in the folder of that plugin. */
  readonly folder: string
  readonly bytes: number
  /** Of the file, in hexadecimal digits. */
  readonly sha256: string
}

/** What a backup says of itself. */
export interface BackupManifest {
  readonly upTo: string
  readonly parts: readonly BackupPart[]
}

export function manifestText({ upTo, parts }: BackupManifest, version: string): string {
  return `${JSON.stringify({ format, version: backupFormat, broker: version, upTo, parts }, null, 2)}\n`
}

/** What is in a backup; a folder that is none is an `OperatorError`. */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const refused = (why: string): OperatorError => new OperatorError('ERR_DISK_COPY', `${folder}: ${why}`)
  const text = await readFile(join(folder, manifestFile), 'utf8').catch(() => null)
  if (text === null) throw refused(`no backup is there, or one that was cut short: ${manifestFile} is missing`)
  let said: Partial<Record<string, unknown>>
  try {
    said = JSON.parse(text) as Record<string, unknown>
  } catch {
    throw refused(`${manifestFile} is damaged; take another backup`)
  }
  if (said?.format !== format) throw refused(`${manifestFile} is not that of a backup`)
  if (!(Number(said.version) <= backupFormat))
    throw refused(`a newer version of mqttx-broker has made this backup; restore it with that one`)
  const parts = said.parts as readonly BackupPart[]
  const isPart = ({ plugin, folder: at, bytes, sha256 }: BackupPart): boolean =>
    (plugin === 'disk' || plugin === 'diskQueue') &&
    (at === plugin || (String(at).startsWith(`${plugin}/`) && isPartFolder(String(at).slice(plugin.length + 1)))) &&
    Number.isSafeInteger(bytes) &&
    /^[0-9a-f]{64}$/.test(String(sha256))
  if (!Array.isArray(parts) || !parts.every(isPart)) throw refused(`${manifestFile} is damaged; take another backup`)
  return { upTo: String(said.upTo), parts }
}

/** The SHA-256 of a file, in hexadecimal digits. */
export async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
