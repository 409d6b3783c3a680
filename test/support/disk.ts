import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { DiskStore } from '../../plugins/disk/store.ts'

export const diskDefaults = { path: '', pendingBytesMax: 256 * 1024 * 1024, reserve: 0 }

/** A disk store in a folder of its own, for one test. */
export class TestDisk {
  readonly #root = mkdtempSync(join(tmpdir(), 'mqttx-disk-'))
  readonly #clock: Clock
  readonly #options: Partial<typeof diskDefaults>
  #folders = 0
  store: DiskStore

  constructor(clock: Clock, options: Partial<typeof diskDefaults> = {}) {
    this.#clock = clock
    this.#options = options
    this.store = this.#create()
  }

  get path(): string {
    return join(this.#root, String(this.#folders))
  }

  async open(): Promise<this> {
    await this.store.open()
    return this
  }

  /** Goes on, in another store, from the very bytes that are on the disk now. The old one has not been told. */
  async crash(): Promise<void> {
    // The last commit is on its way; nobody can say whether a real crash comes before it or behind it.
    await this.store.sessions.flush()
    const before = { store: this.store, path: this.path }
    this.#folders += 1
    cpSync(before.path, this.path, { recursive: true, filter: source => !source.includes('in-use-') })
    this.store = this.#create()
    await this.store.open()
    await before.store.close()
  }

  /** Stops in order and opens the same folder again. */
  async restart(): Promise<void> {
    await this.store.close()
    this.store = this.#create()
    await this.store.open()
  }

  async dispose(): Promise<void> {
    await this.store.close()
    rmSync(this.#root, { recursive: true, force: true })
  }

  #create(): DiskStore {
    return new DiskStore({ ...diskDefaults, ...this.#options, path: this.path }, this.#clock, silentLog)
  }
}
