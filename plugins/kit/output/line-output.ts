import { closeSync, write as writeInPool, writeSync } from 'node:fs'
import { type Descriptor, openDescriptor } from './descriptor.ts'

/** Bytes of lines that wait for a reader; lines beyond are dropped. A line that comes while nothing waits is taken whatever its size. */
export const waitingBytesMax = 1024 * 1024
// Lines are taken again when so much is free, so that "N lines lost" is one line and not one behind each gap.
const takenAgainAt = waitingBytesMax / 2
const retryMs = 10
const retryMsMax = 500
// What is written at the end of the process is offered so often within the time.
const lookMs = 5

/** What is said, in the place of lines that were dropped; `why`: what the system said, where it is more than that nobody read. */
export type LostLine = (count: number, why: string | null) => string

/**
 * Lines to standard output, standard error or a file that never wait for whoever reads there. A pipe that nobody reads, a terminal stopped by ^S, a full disk: what is not taken waits
 * here, up to `waitingBytesMax`; more is dropped and counted, and one line says how many were lost when lines are taken again.
 *
 * How it writes without waiting is in `descriptor.ts`. It asks again by a timer, since Node tells nobody when a descriptor can be written to; the timer keeps no process
 * from ending.
 */
export class LineOutput {
  /** Lines that were dropped, since the start of the process. */
  lost: number
  /** How dropped lines are told. */
  lostLine: LostLine
  /** What the system says to each attempt, told once until an attempt succeeds; not that nobody reads. */
  onTrouble: ((error: NodeJS.ErrnoException) => void) | null
  readonly #fd: 1 | 2 | string
  #descriptor: Descriptor | null
  #trouble: NodeJS.ErrnoException | null
  /** What the system said while lines were dropped, or before. */
  #why: string | null
  // Of the first buffer, what lies before `at` is written.
  #head: Buffer
  #at: number
  #rest: Buffer[]
  #waiting: number
  #dropping: boolean
  #lostSaid: number
  #underway: boolean
  #reopens: boolean
  #timer: NodeJS.Timeout | null
  #retryMs: number

  /** `fd`: standard output, standard error, or the path of a file. */
  constructor(fd: 1 | 2 | string) {
    this.lost = 0
    this.lostLine = (count, why) => `${count} lines lost: they were not read in time${why === null ? '' : ` (${why})`}\n`
    this.onTrouble = null
    this.#fd = fd
    this.#descriptor = null
    this.#trouble = null
    this.#why = null
    this.#head = Buffer.alloc(0)
    this.#at = 0
    this.#rest = []
    this.#waiting = 0
    this.#dropping = false
    this.#lostSaid = 0
    this.#underway = false
    this.#reopens = false
    this.#timer = null
    this.#retryMs = retryMs
    this.#open()
  }

  /** Writes a text that ends with its line, or keeps it for later; false: it is dropped. */
  write(text: string): boolean {
    const bytes = Buffer.from(text)
    if (this.#dropping ? this.#waiting > takenAgainAt : this.#waiting > 0 && this.#waiting + bytes.length > waitingBytesMax) {
      this.#dropping = true
      this.lost += 1
      return false
    }
    if (this.#dropping) this.#sayLost()
    this.#keep(bytes)
    if (this.#timer === null) this.#flush()
    return true
  }

  /** Offers what waits once more, at the end of the process; never waits. */
  flushNow(): void {
    if (this.#descriptor === null) return
    const { inPool, isFile } = this.#descriptor
    if (inPool && !isFile) {
      // Node waits for its pool when it ends, and a write to a terminal that is stopped does not return.
      if (this.#underway) process.kill(process.pid, 'SIGKILL')
      return
    }
    try {
      for (;;) {
        while (this.#waiting > 0) this.#took(writeSync(this.#descriptor.fd, this.#next(), this.#at))
        if (!this.#dropping) return
        this.#sayLost()
      }
    } catch {
      // There is nobody to tell.
    }
  }

  /** Resolves when nothing waits any more, or `withinMs` later: for a process that is about to end. */
  async drained(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs
    while (this.#waiting > 0 && performance.now() < until) {
      clearTimeout(this.#timer ?? undefined)
      this.#timer = null
      this.#flush()
      if (this.#waiting > 0) await new Promise(resolve => setTimeout(resolve, lookMs))
    }
  }

  /** Opens the file anew, because another has taken its place or its old one has another name by now; what is under way goes where it was going. */
  reopen(): void {
    if (typeof this.#fd !== 'string') return
    if (this.#underway) {
      this.#reopens = true
      return
    }
    this.#reopens = false
    if (this.#descriptor !== null) closeSync(this.#descriptor.fd)
    this.#descriptor = null
    this.#open()
    this.#flush()
  }

  #open(): boolean {
    try {
      this.#descriptor = openDescriptor(this.#fd)
      return true
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException)
      return false
    }
  }

  #keep(bytes: Buffer): void {
    this.#rest.push(bytes)
    this.#waiting += bytes.length
  }

  #sayLost(): void {
    const line = this.lostLine(this.lost - this.#lostSaid, this.#why)
    this.#why = null
    this.#dropping = false
    this.#lostSaid = this.lost
    this.#keep(Buffer.from(line))
  }

  #flush(): void {
    if (this.#underway || (this.#descriptor === null && !this.#open())) return
    const { fd, inPool } = this.#descriptor!
    if (inPool) return this.#flushInPool(fd)
    try {
      while (this.#waiting > 0) this.#took(writeSync(fd, this.#next(), this.#at))
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException)
    }
  }

  // One write at a time: should it never return, it has one thread of the pool, and no more.
  #flushInPool(fd: number): void {
    if (this.#waiting === 0) return
    this.#underway = true
    const bytes = this.#next()
    writeInPool(fd, bytes, this.#at, bytes.length - this.#at, null, (error, count) => {
      this.#underway = false
      if (error === null) this.#took(count)
      else this.#failed(error)
      if (this.#reopens) this.reopen()
      else if (error === null) this.#flushInPool(fd)
    })
  }

  /** The buffer that is to be written from `#at` on: what has come since the last one, together. */
  #next(): Buffer {
    if (this.#at === this.#head.length) {
      this.#head = this.#rest.length === 1 ? this.#rest[0]! : Buffer.concat(this.#rest)
      this.#at = 0
      this.#rest = []
    }
    return this.#head
  }

  #took(count: number): void {
    this.#at += count
    this.#waiting -= count
    this.#retryMs = retryMs
    this.#trouble = null
    if (!this.#dropping) this.#why = null
    else if (this.#waiting <= takenAgainAt) this.#sayLost()
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (!isUnread(error)) {
      if (this.#trouble?.code !== error.code) this.onTrouble?.(error)
      this.#why = error.message
    }
    this.#trouble = error
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#flush()
    }, this.#retryMs)
    this.#timer.unref()
    this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
  }
}

/** Nobody reads just now. */
function isUnread({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EAGAIN'
}
