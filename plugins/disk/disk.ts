import { definePlugin } from '../../core/plugin.ts'
import type { RowStores } from '../kit/services/row-store.ts'
import type {} from '../kit/services/state.ts'
import type {} from '../kit/services/state-folder.ts'
import { statePath } from '../kit/state-path.ts'
import { watchDamage } from './damaged-rows.ts'
import { DiskStore } from './disk-store.ts'
import { Folder } from './folder.ts'
import { keepInBackups } from './kept-folders.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { diskManifest } from './manifest.ts'

/** Keeps sessions, queues, retained messages and wills in a folder: durable on one machine, with no server beside it. */
export const disk = definePlugin(diskManifest, ({ services, broker, clock, log, report }, options) => {
  const path = statePath(broker.folder, options.path)
  const store = new DiskStore({ ...options, path }, clock, log)
  const stores = (): RowStores => services.find('rowStores') ?? lmdbStores
  services.provide('sessions', store.sessions, 'disk')
  services.provide('retained', store.retained, 'disk')
  store.state.table.onError = report
  services.provide('state', store.state, 'disk')
  services.provide('stateFolder', { path }, 'disk')
  watchDamage(broker, store.damage)
  keepInBackups(broker, {
    plugin: 'disk',
    path,
    copyTo: folder => store.folder.copyTo(folder),
    compact: () => store.folder.compact(),
  })
  return {
    verify: () => Folder.verify({ plugin: 'disk', path }, stores()),
    async start() {
      await store.open(stores())
      log.info(`sessions, queues and retained messages are kept in ${path}`)
    },
    stop: () => store.close(),
  }
})
