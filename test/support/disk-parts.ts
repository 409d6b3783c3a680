import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { DiskStore } from '../../plugins/disk/disk-store.ts'
import { lmdbStores } from '../../plugins/disk/lmdb-stores.ts'
import { partPath } from '../../plugins/disk/part-folders.ts'
import { ReadRetained } from '../../plugins/disk/read-retained.ts'
import { diskDefaults } from './disk.ts'
import { type MakeStores, TestWorkers } from './worker-parts.ts'

/** Disk stores in the parts of several workers, in a folder of their own, for one test. */
export class DiskParts {
  readonly #root = mkdtempSync(join(tmpdir(), 'mqttx-parted-'))
  readonly #clock: Clock
  #folders = 0
  readonly stores: DiskStore[] = []
  workers!: TestWorkers

  private constructor(clock: Clock) {
    this.#clock = clock
  }

  static async start(clock: Clock, count = 2): Promise<DiskParts> {
    const disk = new DiskParts(clock)
    disk.workers = await TestWorkers.start(disk.#make, count)
    return disk
  }

  get path(): string {
    return join(this.#root, String(this.#folders))
  }

  readonly #make: MakeStores = async (parts, place) => {
    const store = new DiskStore({ ...diskDefaults, path: partPath(this.path, place) }, this.#clock, silentLog, place)
    this.stores[place.number - 1] = store
    const read = store.keepsAll ? null : new ReadRetained(this.#clock, silentLog)
    const stores = {
      sessions: parts.sessions(store.sessions),
      retained: parts.retainedAtFirst(read ?? store.retained),
      state: parts.state(store.state, store.state.table, true),
    }
    await store.open()
    read?.attach((await lmdbStores.read!(partPath(this.path, { ...place, number: 1 })))!)
    const close = async (): Promise<void> => {
      await read?.close()
      await store.close()
    }
    return { ...stores, close }
  }

  /** All workers go on from the bytes that are on the disk when all writes so far are; the old ones have not been told. */
  async restart(): Promise<void> {
    for (const { sessions } of this.stores) await sessions.flush()
    const before = this.path
    this.#folders += 1
    cpSync(before, this.path, { recursive: true, filter: source => !source.includes('in-use-') })
    await this.workers.restart()
  }

  async dispose(): Promise<void> {
    await this.workers.stop()
    rmSync(this.#root, { recursive: true, force: true })
  }
}
