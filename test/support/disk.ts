import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { DiskStore } from '../../plugins/disk/disk-store.ts'

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

  /** Goes on, in another store, from the bytes that are on the disk when all writes so far are. The old one has not been told. */
  async crash(): Promise<void> {
    await this.store.sessions.flush()
    await this.crashNow()
  }

  /** The same from the bytes that are on the disk now. No commit may be on its way. */
  async crashNow(): Promise<void> {
    const before = { store: this.store, path: this.path }
    this.#folders += 1
    cpSync(before.path, this.path, { recursive: true, filter: source => !source.includes('in-use-') })
    this.store = this.#create()
    await this.store.open()
    await before.store.close()
  }

  /** How many transactions LMDB has committed. */
  get commits(): number {
    const bytes = readFileSync(join(this.path, 'data.mdb'))
    return Math.max(...[0, 4096].map(at => Number(bytes.readBigUInt64LE(at + 152))))
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
