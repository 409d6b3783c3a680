import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { OperatorError } from '../../../core/errors.ts'
import { type Log, silentLog } from '../../../core/log.ts'
import { partPaths, workersOf } from '../../../plugins/disk/part-folders.ts'
import type { RestoreAnswer } from '../../../plugins/disk/restore-backup.ts'
import { exportLines } from '../../../plugins/kit/copies/export-lines.ts'
import { type ImportAnswer, importLines } from '../../../plugins/kit/copies/import-lines.ts'
import type { OpenedStore } from '../../../plugins/kit/copies/opened-store.ts'
import { readLines } from '../../../plugins/kit/copies/read-lines.ts'
import type { AskIo } from '../ask/ask-io.ts'
import { foldersOf, openStore, type StorePlace } from './open-store.ts'

/** What was copied, and between which stores. */
export interface MigrateAnswer extends ImportAnswer {
  readonly from: string
  readonly to: string
}

const node = 'copy'

/** `export --from STORE`: what a stopped broker keeps, an object for each line. */
export async function* exportFrom(from: string, place: StorePlace): AsyncGenerator<object, void, undefined> {
  const store = await openSource(from, place)
  try {
    yield* exportLines(store)
  } finally {
    await store.close()
  }
}

/** `import FILE --to STORE`: to the store of a stopped broker, made where there is none. */
export async function importTo(to: string, lines: AsyncIterable<string>, skipExisting: boolean, place: StorePlace): Promise<ImportAnswer> {
  const store = await openStore(to, false, place)
  try {
    return await importLines(store, lines, { node, skipExisting })
  } finally {
    await store.close()
  }
}

/** `migrate --from STORE --to STORE`: all that the one holds to the other, which is empty. */
export async function migrate(from: string, to: string, place: StorePlace): Promise<MigrateAnswer> {
  const source = await openSource(from, place)
  try {
    const target = await openStore(to, false, place)
    try {
      await checkEmpty(target)
      const answer = await importLines(target, linesOf(source), { node })
      return { from: source.name, to: target.name, ...answer }
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

/** `restore BACKUP`: into the folders that are named, or those of a config. */
export async function restore(given: Readonly<Record<string, string>>, place: StorePlace): Promise<RestoreAnswer> {
  const { backup = '', to = null, queueTo = null, config } = given
  const folders = config === undefined ? {} : await foldersOf(config, place.folder, place.env)
  const named = { disk: to, diskQueue: queueTo }
  const all: Record<string, string | null> = {}
  for (const [plugin, path] of Object.entries(named)) all[plugin] = path === null ? (folders[plugin] ?? null) : resolve(place.folder, path)
  const { restoreBackup } = await import('../../../plugins/disk/restore-backup.ts')
  return await restoreBackup(resolve(place.folder, backup), all, place.log)
}

/** `compact --folder FOLDER`: that of a stopped broker, with the parts of all its workers. */
export async function compactFolder(path: string, { folder }: StorePlace): Promise<{ rows: object[] }> {
  const at = resolve(folder, path)
  const parts = workersOf(at).flatMap(count => partPaths(at, count))
  if (parts.length === 0) throw new OperatorError('ERR_ARGUMENTS', `compact: ${at}: no broker has kept anything there`)
  const { lmdbStores } = await import('../../../plugins/disk/lmdb-stores.ts')
  const rows: object[] = []
  for (const part of parts) {
    const { rows: kept, close } = await lmdbStores.open(part, 'compact --folder')
    try {
      rows.push({ folder: part, ...(await kept.compact!()) })
    } finally {
      await close()
    }
  }
  return { rows }
}

/** The lines of a file, or of standard input. */
export function linesIn(file: string, { folder, input }: AskIo): AsyncIterable<string> {
  if (file !== '-') return readLines(createReadStream(resolve(folder, file)))
  if (input === undefined) throw new OperatorError('ERR_ARGUMENTS', 'import: there is no standard input here; name a file')
  return readLines(input())
}

/** What goes wrong with a store is said on standard error; what is only worth knowing is not. */
export function errorLog({ error }: AskIo): Log {
  const write = (...line: [string] | [object, string]): void => error(`warning: ${line.at(-1) as string}`)
  return { ...silentLog, warn: write, error: write }
}

async function openSource(text: string, place: StorePlace): Promise<OpenedStore> {
  const store = await openStore(text, true, place)
  if (store.owed.length === 0) return store
  await store.close()
  throw new OperatorError(
    'ERR_COPY_STORE',
    `${store.name}: its broker was not stopped in order: ${store.owed.join('; ')}. Start it once more and stop it: it hands on what it owes`,
  )
}

async function checkEmpty({ name, sessions, retained, state }: OpenedStore): Promise<void> {
  const { sessions: some } = await sessions.list!(null, 1)
  if (some.length === 0 && retained.size === 0 && state.entries('').length === 0) return
  throw new OperatorError(
    'ERR_COPY_STORE',
    `${name} is not empty; name another, or take away what a migrate that was cut short has left there`,
  )
}

async function* linesOf(source: OpenedStore): AsyncGenerator<string, void, undefined> {
  for await (const line of exportLines(source)) yield JSON.stringify(line)
}
