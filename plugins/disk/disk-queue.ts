import { definePlugin } from '../../core/plugin.ts'
import type { RowStores } from '../kit/services/row-store.ts'
import { statePath } from '../kit/state-path.ts'
import { watchDamage } from './damaged-rows.ts'
import { diskQueueManifest } from './disk-queue-manifest.ts'
import { DiskQueues } from './disk-queues.ts'
import { Folder } from './folder.ts'
import { keepInBackups } from './kept-folders.ts'
import { lmdbStores } from './lmdb-stores.ts'

/** Keeps queues in a folder, whatever keeps the sessions: what a bridge could not send yet outlives the broker. */
export const diskQueue = definePlugin(diskQueueManifest, ({ services, broker, clock, log }, options) => {
  const path = statePath(broker.folder, options.path)
  const queues = new DiskQueues({ ...options, path }, log, clock)
  services.provide('queue', queues, 'diskQueue')
  watchDamage(broker, queues.damage)
  keepInBackups(broker, {
    plugin: 'diskQueue',
    path,
    copyTo: folder => queues.folder.copyTo(folder),
    compact: () => queues.folder.compact(),
  })
  const stores = (): RowStores => services.find('rowStores') ?? lmdbStores
  return {
    verify: () => Folder.verify({ plugin: 'diskQueue', path }, stores()),
    start: () => queues.start(stores()),
    stop: () => queues.stop(),
  }
})
