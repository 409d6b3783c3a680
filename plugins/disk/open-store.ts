import type { Log } from '../../core/log.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { SystemClock } from '../../core/time/clock.ts'
import { noEvents, noLimits, type OpenedStore } from '../kit/copies/opened-store.ts'
import { checkOptions } from '../kit/options/validation.ts'
import { DiskStore } from './disk-store.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { diskManifest } from './manifest.ts'

/** Opens the folder of a stopped broker, as a broker does: nobody else can have it meanwhile. What stands in the way is an `OperatorError`. */
export async function openDiskStore(path: string, log: Log): Promise<OpenedStore> {
  const options = checkOptions(diskManifest.options, { path }, 'disk') as OptionsOf<typeof diskManifest.options>
  const store = new DiskStore(options, new SystemClock(), log)
  await store.open(lmdbStores, { steady: true })
  const { sessions, retained, state } = store
  sessions.open(noEvents, noLimits)
  return { name: `disk:${path}`, owed: sessions.owed, sessions, retained, state, close: () => store.close() }
}
