import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'
import type { RowReader, RowStores } from '../kit/services/row-store.ts'
import type { Folder } from './folder.ts'
import type { KeptFolder } from './kept-folders.ts'
import { partFolder, partPath } from './part-folders.ts'

/** A folder of this broker's, of which each worker keeps a part. */
export interface PartedFolder {
  /** The plugin: `disk`, `diskQueue`. */
  readonly plugin: string
  /** The folder of the broker. */
  readonly path: string
  /** Which part this process writes; null: all of it. */
  readonly place: WorkerPlace | null
  /** What this process writes, while it is open; an `OperatorError` where it is not. */
  readonly own: () => Folder
  readonly stores: () => RowStores
  readonly clock: Clock
}

// Another worker opens its part in the same moment.
const lookEveryMs = 20
const looksMax = 3000
const copyLooksMax = 50

/** The folder of a broker, or of all its workers, for `keepInBackups`. */
export function keptParts(folder: PartedFolder): KeptFolder {
  const { plugin, path, place, own } = folder
  const ownPart = place === null ? '' : partFolder(place)
  return {
    plugin,
    parts: place === null ? [''] : Array.from({ length: place.count }, (_, i) => partFolder({ number: i + 1, count: place.count })),
    // Another worker's part is read as it lies there, so that one that hangs holds up nothing.
    copyTo: (to, part) => (part === ownPart ? own().copyTo(to) : copyPart(folder, part, to)),
    own: join(path, ownPart),
    compact: () => own().compact(),
  }
}

/** What the first worker keeps, for another one, which reads it: there as soon as the first has made it. */
export async function readFirstPart(folder: PartedFolder & { readonly place: WorkerPlace }): Promise<RowReader> {
  const first = partPath(folder.path, { ...folder.place, number: 1 })
  const rows = await readPart(folder, first, looksMax)
  if (rows !== null) return rows
  throw new OperatorError('ERR_DISK_UNUSABLE', `${folder.plugin}.path: the first worker has not made ${first}; its own lines say why`)
}

async function copyPart(folder: PartedFolder, part: string, to: string): Promise<void> {
  const path = join(folder.path, part)
  const rows = await readPart(folder, path, copyLooksMax)
  if (rows === null)
    throw new OperatorError('ERR_DISK_COPY', `${folder.plugin}: ${path} is not there yet; ask again when all workers serve`)
  try {
    if (rows.copyTo === undefined)
      throw new OperatorError(
        'ERR_DISK_COPY',
        `${folder.plugin}: no backup can be made of ${path}, which another plugin keeps (service rowStores)`,
      )
    await rows.copyTo(to)
  } finally {
    await rows.close()
  }
}

async function readPart({ stores, clock }: PartedFolder, path: string, looks: number): Promise<RowReader | null> {
  const open = stores().read
  if (open === undefined)
    throw new OperatorError(
      'ERR_DISK_WORKERS',
      'workers: what another plugin keeps rows in (service rowStores) cannot be read by several; leave out workers',
    )
  for (let look = 0; look < looks; look++) {
    const rows = existsSync(path) ? await open(path) : null
    if (rows !== null) return rows
    await new Promise<void>(resolve => void clock.after(lookEveryMs, resolve))
  }
  return null
}
