import { readdirSync, readFileSync, statSync } from 'node:fs'

const reserveMax = 64
const recountAfter = 64

/**
 * How many files, sockets among them, this process has open, and may have (`ulimit -n`). At the limit the system takes connections and closes them without telling anybody,
 * no file is read and no server is reached, so whoever accepts connections asks first: a reserve is kept for health, stores and all that is not a client.
 */
export class OpenFiles {
  /** What the system allows this process; `Infinity` where it does not say (there is no /proc). */
  readonly max: number
  /** Of these, how many are kept from clients: 64, or a quarter where there are few. */
  readonly reserve: number
  readonly #folder: string
  // Linux 6.2 and later tell the number as the size of the folder; before, the folder has to be read.
  readonly #isCheap: boolean
  #open: number
  #sinceCount: number

  constructor(limits = '/proc/self/limits', folder = '/proc/self/fd') {
    this.max = limitIn(limits)
    this.reserve = Math.min(reserveMax, Math.floor(this.max / 4))
    this.#folder = folder
    this.#isCheap = sizeOf(folder) > 0
    this.#open = 0
    this.#sinceCount = 0
    this.count()
  }

  /** How many are open, counted now; 0 where the system does not say. */
  count(): number {
    if (this.max === Number.POSITIVE_INFINITY) return 0
    // The folder itself is open while it is read.
    this.#open = this.#isCheap ? sizeOf(this.#folder) : Math.max(0, entriesOf(this.#folder) - 1)
    this.#sinceCount = 0
    return this.#open
  }

  /**
   * Whether a connection that was just accepted leaves the reserve whole, but for `into` descriptors of it. Files that others open are seen by counting
   * now and then, which the reserve allows for.
   */
  hasRoom(into = 0): boolean {
    const most = this.max - this.reserve + into
    this.#open += 1
    this.#sinceCount += 1
    if (this.#open <= most && this.#sinceCount < recountAfter) return true
    if (this.#isCheap || this.#sinceCount > this.#open / 16) this.count()
    return this.#open <= most
  }
}

let known: OpenFiles | undefined

/** The files of this process. */
export function openFiles(): OpenFiles {
  known ??= new OpenFiles()
  return known
}

function limitIn(file: string): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(file, 'latin1'))?.[1]
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

function sizeOf(folder: string): number {
  try {
    return statSync(folder).size
  } catch {
    return 0
  }
}

function entriesOf(folder: string): number {
  try {
    return readdirSync(folder).length
  } catch {
    // None is left to read the folder by.
    return Number.POSITIVE_INFINITY
  }
}

declare module '../../../core/counter-names.js' {
  interface LimitCounts {
    /** Connections that were refused because the process has nearly as many files open as the system allows. */
    openFiles: number
  }
}
