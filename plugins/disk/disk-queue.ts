import { definePlugin } from '../../core/plugin.ts'
import type { RowStores } from '../kit/services/row-store.ts'
import { statePath } from '../kit/state-path.ts'
import { watchDamage } from './damaged-rows.ts'
import { diskQueueManifest } from './disk-queue-manifest.ts'
import { DiskQueues } from './disk-queues.ts'
import { Folder } from './folder.ts'
import { keepInBackups } from './kept-folders.ts'
import { keptParts } from './kept-parts.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { checkQueueWorkers, partPath } from './part-folders.ts'

/** Keeps queues in a folder, whatever keeps the sessions: what a bridge could not send yet outlives the broker. Of several workers each has queues of its own. */
export const diskQueue = definePlugin(diskQueueManifest, ({ services, broker, clock, log, worker }, options) => {
  const folder = statePath(broker.folder, options.path)
  const path = worker === null ? folder : partPath(folder, worker)
  const queues = new DiskQueues({ ...options, path }, log, clock)
  const stores = (): RowStores => services.find('rowStores') ?? lmdbStores
  services.provide('queue', queues, 'diskQueue')
  watchDamage(broker, queues.damage)
  keepInBackups(broker, keptParts({ plugin: 'diskQueue', path: folder, place: worker, own: () => queues.folder, stores, clock }))
  return {
    verify: () => Folder.verify({ plugin: 'diskQueue', path: folder }, stores()),
    start() {
      if (services.find('rowStores') === undefined) checkQueueWorkers(folder, worker?.count ?? 1)
      return queues.start(stores())
    },
    stop: () => queues.stop(),
  }
})
