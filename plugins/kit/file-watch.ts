import type { Clock, Timer } from '../../core/time/clock.ts'
import { stampOf } from './file-stamp.ts'

/** A file, and what `stampOf` said of it before it was read last. */
export interface SeenFile {
  /** The path of the file. */
  readonly path: string
  /** What `stampOf` said before the file was read. */
  readonly stamp: string
}

/**
 * Looks now and then whether files have changed. They are looked at rather than listened to, because a mounted secret changes by a link two
 * folders away, which no watcher is told of. One look at a time; a change is told once, also where it could not be taken up. With `settles` it is told
 * when two looks have seen the same, so that nobody reads what is still being written.
 */
export class FileWatch {
  readonly #clock: Clock
  readonly #changed: () => Promise<void>
  readonly #settles: boolean
  // What the last look saw that is not told yet.
  #unsettled: readonly SeenFile[] | null
  #files: readonly SeenFile[]
  #timer: Timer | null
  #looking: boolean

  /** `changed` must not reject. `settles`: a change is told when the look after it has seen no other; default false, at once. */
  constructor(clock: Clock, changed: () => Promise<void>, settles = false) {
    this.#clock = clock
    this.#changed = changed
    this.#settles = settles
    this.#unsettled = null
    this.#files = []
    this.#timer = null
    this.#looking = false
  }

  /** These files have just been read: from now on they are the ones that are looked at. */
  saw(files: readonly SeenFile[]): void {
    this.#files = files
    this.#unsettled = null
  }

  /** Begins to look. `everyMs`: milliseconds between two looks; null: never. */
  start(everyMs: number | null): void {
    if (everyMs !== null) this.#timer = this.#clock.every(everyMs, () => void this.look())
  }

  /** Looks no more. */
  stop(): void {
    this.#timer?.cancel()
  }

  /** Looks whether any of them has changed. */
  async look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      const seen = this.#files
      const now = await Promise.all(seen.map(async ({ path }) => ({ path, stamp: await stampOf(path) })))
      // Somebody else has read them meanwhile.
      if (this.#files !== seen) return
      const unsettled = this.#unsettled
      this.#unsettled = null
      if (areSame(now, seen)) return
      if (this.#settles && (unsettled === null || !areSame(now, unsettled))) {
        this.#unsettled = now
        return
      }
      // Remembered before they are read: what is wrong with them is said once.
      this.#files = now
      await this.#changed()
    } finally {
      this.#looking = false
    }
  }
}

function areSame(files: readonly SeenFile[], others: readonly SeenFile[]): boolean {
  return files.every(({ stamp }, i) => stamp === others[i]!.stamp)
}
