import { copyFile, mkdir, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { exportLines } from '../kit/copies/export-lines.ts'
import { checkOptions } from '../kit/options/validation.ts'
import { SystemClock } from '../kit/system-clock.ts'
import { type BackupPart, hashOf, readManifest } from './backup-format.ts'
import { diskQueueManifest } from './disk-queue-manifest.ts'
import { DiskQueues } from './disk-queues.ts'
import { FolderLock } from './folder-lock.ts'
import { keepFile, keepFolder } from './keep-files.ts'
import { openDiskStore } from './open-store.ts'
import { partPaths, workersOf } from './part-folders.ts'

/** What was restored. */
export interface RestoreAnswer {
  /** All that was acknowledged before this moment is there. */
  readonly upTo: string
  readonly sessions: number
  readonly queued: number
  readonly retained: number
  readonly state: number
  /** What waits in the queues of `diskQueue`. */
  readonly waiting: number
  readonly rows: readonly { readonly plugin: string; readonly folder: string; readonly bytes: number }[]
}

/**
 * Lays a backup into folders that are empty, or not there: `to` says which for each plugin. What is in it is compared with what was backed up, and read from its beginning to its end. What stands in
 * the way is an `OperatorError`, and nothing has changed.
 */
export async function restoreBackup(backup: string, to: Readonly<Record<string, string | null>>, log: Log): Promise<RestoreAnswer> {
  const { upTo, parts } = await readManifest(backup)
  const lacks = parts.filter(({ plugin }) => to[plugin] == null).map(({ plugin }) => plugin)
  if (lacks.length > 0)
    throw new OperatorError(
      'ERR_ARGUMENTS',
      `restore: say where ${lacks.join(' and ')} of this backup goes: --to FOLDER for disk, --queueTo FOLDER for diskQueue, or --config FILE for both`,
    )
  // All of it is looked at before anything is written.
  for (const part of parts) await checkPart(backup, part)
  const plugins = [...new Set(parts.map(({ plugin }) => plugin))]
  for (const plugin of plugins) await checkFree(to[plugin]!)
  const rows: { plugin: string; folder: string; bytes: number }[] = []
  for (const part of parts) {
    const { plugin, folder, bytes } = part
    const target = join(to[plugin]!, folder.slice(plugin.length))
    await lay(backup, part, target)
    rows.push({ plugin, folder: target, bytes })
  }
  const counts = { sessions: 0, queued: 0, retained: 0, state: 0, waiting: 0 }
  for (const plugin of plugins) {
    if (plugin === 'disk') Object.assign(counts, await readStore(to[plugin]!, log))
    else counts.waiting = await readQueues(to[plugin]!, log)
  }
  return { upTo, ...counts, rows }
}

async function checkPart(backup: string, { folder, bytes, sha256 }: BackupPart): Promise<void> {
  const file = join(backup, folder, 'data.mdb')
  const found = await stat(file).catch(() => null)
  if (found === null || found.size !== bytes || (await hashOf(file)) !== sha256)
    throw new OperatorError('ERR_DISK_COPY', `restore: ${file} is not what was backed up; take another backup`)
}

async function checkFree(target: string): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  // Says so where a broker has it; and its own mark is gone before it is looked what else is there.
  await (await FolderLock.acquire(target, 'restore')).release()
  const [one] = await readdir(target)
  if (one !== undefined) throw new OperatorError('ERR_DISK_COPY', `restore: ${target} is not empty (${one}); name another folder`)
}

// Under another name until it is whole, so that no broker takes up half of it.
async function lay(backup: string, { folder }: BackupPart, target: string): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  const partial = join(target, 'data.mdb.partial')
  await copyFile(join(backup, folder, 'data.mdb'), partial)
  await keepFile(partial)
  await rename(partial, join(target, 'data.mdb'))
  await keepFolder(target)
}

async function readStore(path: string, log: Log): Promise<object> {
  const store = await openDiskStore(path, log)
  try {
    let counts: object = {}
    for await (const line of exportLines(store)) if ('end' in line) counts = line.end as object
    return counts
  } finally {
    await store.close()
  }
}

async function readQueues(folder: string, log: Log): Promise<number> {
  let waiting = 0
  for (const path of workersOf(folder).flatMap(count => partPaths(folder, count))) {
    const options = checkOptions(diskQueueManifest.options, { path }, 'diskQueue') as ConstructorParameters<typeof DiskQueues>[0]
    const queues = new DiskQueues(options, log, new SystemClock())
    await queues.start()
    try {
      waiting += queues.names().reduce((sum, name) => sum + queues.open(name, Number.MAX_SAFE_INTEGER).length, 0)
    } finally {
      await queues.stop()
    }
  }
  return waiting
}
