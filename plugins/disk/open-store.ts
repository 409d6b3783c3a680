import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { noEvents, noLimits, type OpenedStore } from '../kit/copies/opened-store.ts'
import { checkOptions } from '../kit/options/validation.ts'
import { SystemClock } from '../kit/system-clock.ts'
import { DiskStore } from './disk-store.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { diskManifest } from './manifest.ts'
import { partPath, workersOf } from './part-folders.ts'
import { partsAsOne } from './parts-as-one.ts'

/**
 * Opens the folder of a stopped broker, as a broker does: nobody else can have it meanwhile. What stands in the way is an `OperatorError`. `workers`: how many the broker has that it is
 * for; where something is there, it is theirs.
 */
export async function openDiskStore(path: string, log: Log, workers?: number): Promise<OpenedStore> {
  const found = workersOf(path)
  const count = workers ?? found[0] ?? 1
  const other = found.find(one => one !== count)
  if (other !== undefined)
    throw new OperatorError('ERR_DISK_WORKERS', `disk:${path}: what is there is that of a broker with workers: ${other}`)
  const stores: DiskStore[] = []
  const close = async (): Promise<void> => {
    for (const store of stores) await store.close()
  }
  try {
    for (let number = 1; number <= count; number++) {
      const part = count === 1 ? null : { number, count }
      const options = { path: part === null ? path : partPath(path, part) }
      const checked = checkOptions(diskManifest.options, options, 'disk') as OptionsOf<typeof diskManifest.options>
      const store = new DiskStore(checked, new SystemClock(), log, part)
      await store.open(lmdbStores, { steady: true })
      stores.push(store)
    }
  } catch (error) {
    await close()
    throw error
  }
  const [{ sessions: only, retained, state }] = stores as [DiskStore]
  const sessions = count === 1 ? only : partsAsOne(stores.map(store => store.sessions))
  sessions.open(noEvents, noLimits)
  return { name: `disk:${path}`, owed: stores.flatMap(store => store.sessions.owed), sessions, retained, state, close }
}
