import { onTestFinished } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { formatKey } from '../../plugins/disk/add-sums.ts'
import { CheckedRows } from '../../plugins/disk/checked-rows.ts'
import { DamagedRows } from '../../plugins/disk/damaged-rows.ts'
import { Database } from '../../plugins/disk/database.ts'
import { DiskStore } from '../../plugins/disk/disk-store.ts'
import { nameStoreRow } from '../../plugins/disk/row-names.ts'
import type { RowStores } from '../../plugins/kit/services/row-store.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { messageOf, subscriptionOf, willOf } from '../contracts/suite/sessions-harness.ts'
import { diskDefaults } from './disk.ts'

export const request = { clientId: 'c', node: 1, user: 'eve', userOnly: false, cleanStart: false, expiryMs: 60_000, will: null }
export const target = { qos: 1, retain: false, identifiers: [1], group: 'g/a', packetId: 0, epoch: 0 } as const

/** A disk store that is closed when the test ends. */
export function storeOn(path: string, log = silentLog): DiskStore {
  const store = new DiskStore({ ...diskDefaults, path }, new ManualClock(), log)
  onTestFinished(() => store.close())
  return store
}

/** Fills a store, so that there is a row of each kind, and closes it; it was not stopped in order, for two sessions are connected. */
export async function fill(store: DiskStore, stores?: RowStores): Promise<void> {
  await store.open(stores)
  const { sessions, retained, state } = store
  const session = { clientId: 'c', ...(await sessions.claim({ ...request, will: willOf('w', 1000) })) }
  const other = { clientId: 'd', ...(await sessions.claim({ ...request, clientId: 'd' })) }
  await sessions.keepWill('clean', 1, willOf('clean', 0))
  await sessions.subscribe(session, [subscriptionOf('a')])
  const both = { ...target, identifiers: null, group: null, packetId: 5, epoch: session.epoch }
  await sessions.append(
    messageOf('both'),
    [
      { ...both, clientId: 'c' },
      { ...both, clientId: 'd', packetId: 0, epoch: other.epoch },
    ],
    { session, packetId: 9 },
  )
  await sessions.append(messageOf('one'), [{ ...target, clientId: 'c' }], null)
  await sessions.release(session, 5)
  await sessions.append(
    messageOf('of three'),
    ['c', 'd', 'd'].map(clientId => ({ ...target, clientId })),
    null,
  )
  const last = (await sessions.page(other, 0, 10)).at(-1)!
  await sessions.remove(other, last.position)
  await retained.set(messageOf('retained', { retain: true }))
  await state.set('key', 'value')
  await store.close()
}

/** The rows of a folder that no broker has, with their checksums looked at and made. */
export async function openRows(path: string): Promise<CheckedRows & { close(): Promise<void> }> {
  const database = await Database.open(path)
  const rows = new CheckedRows(database, formatKey, new DamagedRows(silentLog, new ManualClock(), { plugin: 'disk', path }, nameStoreRow))
  return Object.assign(rows, { close: () => database.close() })
}
