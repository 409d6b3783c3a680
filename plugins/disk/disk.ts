import { existsSync } from 'node:fs'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import type {} from '../kit/services/parts.ts'
import type { RetainedStore } from '../kit/services/retained.ts'
import type { RowReader, RowStores } from '../kit/services/row-store.ts'
import type {} from '../kit/services/state.ts'
import type {} from '../kit/services/state-folder.ts'
import { statePath } from '../kit/state-path.ts'
import { watchDamage } from './damaged-rows.ts'
import { DiskStore } from './disk-store.ts'
import { Folder } from './folder.ts'
import { keepInBackups } from './kept-folders.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { diskManifest } from './manifest.ts'
import { checkWorkers, partPath } from './part-folders.ts'
import { ReadRetained } from './read-retained.ts'

// Another worker opens its part in the same moment.
const lookEveryMs = 20
const looksMax = 3000

/** Keeps sessions, queues, retained messages and wills in a folder: durable on one machine, with no server beside it. Of several workers each keeps a part. */
export const disk = definePlugin(diskManifest, ({ services, broker, clock, log, report, worker }, options) => {
  const folder = statePath(broker.folder, options.path)
  const parts = services.find('parts')
  // `check` has the parts, too, and is no worker.
  const place = parts === undefined ? null : worker
  const count = place?.count ?? 1
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
  const alone = <T>(work: () => Promise<T>): Promise<T> =>
    place === null
      ? work()
      : Promise.reject(
          new OperatorError('ERR_DISK_COPY', `disk: not while several workers keep ${folder}; stop the broker, then copy the folder`),
        )
  keepInBackups(broker, {
    plugin: 'disk',
    path,
    copyTo: to => alone(() => store.folder.copyTo(to)),
    compact: () => alone(() => store.folder.compact()),
  })

  async function readFirst(): Promise<RowReader> {
    const first = partPath(folder, { number: 1, count })
    const open = stores().read
    if (open === undefined)
      throw new OperatorError(
        'ERR_DISK_WORKERS',
        'workers: what another plugin keeps rows in (service rowStores) cannot be read by several; leave out workers',
      )
    for (let looks = 0; looks < looksMax; looks++) {
      const rows = existsSync(first) ? await open(first) : null
      if (rows !== null) return rows
      await new Promise<void>(resolve => void clock.after(lookEveryMs, resolve))
    }
    throw new OperatorError('ERR_DISK_UNUSABLE', `disk.path: the first worker has not made ${first}; its own lines say why`)
  }

  return {
    verify() {
      Folder.verify({ plugin: 'disk', path: folder }, stores())
    },
    async start() {
      if (services.find('rowStores') === undefined) checkWorkers(folder, count)
      await store.open(stores())
      read?.attach(await readFirst())
      log.info(`sessions, queues and retained messages are kept in ${path}`)
    },
    async stop() {
      await parts?.closing()
      await read?.close()
      await store.close()
    },
  }
})
