import { definePlugin } from '../../core/plugin.ts'
import type {} from '../kit/services/parts.ts'
import type { RetainedStore } from '../kit/services/retained.ts'
import type { RowStores } from '../kit/services/row-store.ts'
import type {} from '../kit/services/state.ts'
import type {} from '../kit/services/state-folder.ts'
import { statePath } from '../kit/state-path.ts'
import { watchDamage } from './damaged-rows.ts'
import { DiskStore } from './disk-store.ts'
import { Folder } from './folder.ts'
import { keepInBackups } from './kept-folders.ts'
import { keptParts, readFirstPart } from './kept-parts.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { diskManifest } from './manifest.ts'
import { checkWorkers, partPath } from './part-folders.ts'
import { ReadRetained } from './read-retained.ts'

/** Keeps sessions, queues, retained messages and wills in a folder: durable on one machine, with no server beside it. Of several workers each keeps a part. */
export const disk = definePlugin(diskManifest, ({ services, broker, clock, log, report, worker }, options) => {
  const folder = statePath(broker.folder, options.path)
  const parts = services.find('parts')
  // `check` has the parts, too, and is no worker.
  const place = parts === undefined ? null : worker
  const path = place === null ? folder : partPath(folder, place)
  const store = new DiskStore({ ...options, path }, clock, log, place)
  const stores = (): RowStores => services.find('rowStores') ?? lmdbStores
  const read = store.keepsAll ? null : new ReadRetained(clock, log)
  const retained: RetainedStore = read ?? store.retained
  services.provide('sessions', parts?.sessions(store.sessions) ?? store.sessions, 'disk')
  services.provide('retained', parts?.retainedAtFirst(retained) ?? retained, 'disk')
  store.state.table.onError = report
  services.provide('state', parts?.state(store.state, store.state.table, true) ?? store.state, 'disk')
  services.provide('stateFolder', { path: folder }, 'disk')
  watchDamage(broker, store.damage)
  const parted = { plugin: 'disk', path: folder, place, own: () => store.folder, stores, clock }
  keepInBackups(broker, keptParts(parted))

  return {
    verify() {
      Folder.verify({ plugin: 'disk', path: folder }, stores())
    },
    async start() {
      if (services.find('rowStores') === undefined) checkWorkers(folder, place?.count ?? 1)
      await store.open(stores())
      if (place !== null) read?.attach(await readFirstPart({ ...parted, place }))
      log.info(`sessions, queues and retained messages are kept in ${path}`)
    },
    async stop() {
      await parts?.closing()
      await read?.close()
      await store.close()
    },
  }
})
