import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'
import { steadyShift } from '../kit/copies/opened-store.ts'
import type { RowStores } from '../kit/services/row-store.ts'
import { Bodies } from './bodies.ts'
import { DamagedRows } from './damaged-rows.ts'
import { DiskRetained } from './disk-retained.ts'
import { DiskSessions } from './disk-sessions.ts'
import { DiskState } from './disk-state.ts'
import { Folder } from './folder.ts'
import { lmdbStores } from './lmdb-stores.ts'
import type { diskManifest } from './manifest.ts'
import { Numbers } from './numbers.ts'
import { QueueTotals } from './queue-totals.ts'
import { nameStoreRow } from './row-names.ts'
import { SpreadMessages } from './spread-messages.ts'

/** All services on one folder. */
export class DiskStore {
  readonly #options: OptionsOf<typeof diskManifest.options>
  readonly #clock: Clock
  readonly #log: Log
  readonly #part: WorkerPlace | null
  #folder: Folder | null
  readonly sessions: DiskSessions
  readonly retained: DiskRetained
  readonly state: DiskState
  /** What is damaged in the folder. */
  readonly damage: DamagedRows

  /** `part`: which worker's it is; of several the first keeps the retained messages and the state. */
  constructor(options: OptionsOf<typeof diskManifest.options>, clock: Clock, log: Log, part: WorkerPlace | null = null) {
    this.#options = options
    this.#clock = clock
    this.#log = log
    this.#part = part
    this.#folder = null
    this.sessions = new DiskSessions(clock)
    this.retained = new DiskRetained(clock)
    this.state = new DiskState(clock)
    this.damage = new DamagedRows(log, clock, { plugin: 'disk', path: options.path }, nameStoreRow)
    this.damage.clientOf = session => this.sessions.clientOf(session)
  }

  /** Retained messages and the state are in it, too. */
  get keepsAll(): boolean {
    return this.#part === null || this.#part.number === 1
  }

  /** Opens the folder, for this broker alone, and takes up what is in it. `steady`: its time is ahead by whole seconds, for whoever copies what is in it. */
  async open(stores: RowStores = lmdbStores, { steady = false } = {}): Promise<void> {
    const kind = this.#part === null ? 'mqttx-broker' : `mqttx-broker, part ${this.#part.number} of ${this.#part.count},`
    const folder = await Folder.open(stores, { ...this.#options, plugin: 'disk', kind }, this.damage, this.#log, this.#clock)
    if (steady) folder.time.shift = steadyShift(folder.time.shift)
    await folder.read(() => this.#attach(folder))
    this.#folder = folder
  }

  #attach({ database, commit, time }: Folder): void {
    const numbers = new Numbers(database, commit)
    const totals = new QueueTotals(database, commit)
    const parts = {
      database,
      commit,
      numbers,
      totals,
      spread: new SpreadMessages({ database, commit, clock: this.#clock }),
      bodies: new Bodies(database, commit, time, this.#log),
      time,
      clock: this.#clock,
      log: this.#log,
    }
    this.sessions.attach(parts)
    if (!this.keepsAll) return
    this.retained.attach(parts)
    this.state.attach(parts)
  }

  /** The folder, while it is open; an `OperatorError` where it is not. */
  get folder(): Folder {
    if (this.#folder === null) throw new OperatorError('ERR_DISK_COPY', 'disk: the folder is not open; ask once the broker has started')
    return this.#folder
  }

  /** Writes what is left and gives the folder back. */
  async close(): Promise<void> {
    const folder = this.#folder
    this.#folder = null
    if (folder === null) return
    this.sessions.detach()
    this.state.table.stop()
    await folder.close()
  }
}
