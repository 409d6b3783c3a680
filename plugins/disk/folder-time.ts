import type { Clock, Moment, Timer } from '../../core/time/clock.ts'
import { passedBetween } from '../kit/moment.ts'
import type { CheckedRows } from './checked-rows.ts'
import { formatByte, formatOf } from './format.ts'
import type { GroupCommit } from './group-commit.ts'
import { singleKey } from './keys.ts'

const timeKey = singleKey(4)
// With every batch, but no oftener than this; and by itself when the clocks of the machine part.
const everyMs = 1000
const partedMs = 1000

/**
 * The time of a folder, by which all that is kept in it comes due: it goes on with what really passes, over restarts of the broker and of the machine,
 * whatever the wall clock says. A row tells what time it was at which moment of the machine's own clocks. Where nobody knows how long the broker was not
 * there, no time has passed, so nothing expires.
 */
export class FolderTime {
  readonly #commit: GroupCommit
  readonly #clock: Clock
  readonly #timer: Timer
  #writtenAt: number
  // The machine's clocks when the row was written, and at the last look.
  #written: Moment
  #seen: Moment
  #seenAt: number
  /** Milliseconds to add to a time of the broker's clock. */
  shift: number
  /** The broker was away for nobody knows how long. */
  readonly unknown: boolean

  constructor(database: CheckedRows, commit: GroupCommit, clock: Clock) {
    this.#commit = commit
    this.#clock = clock
    this.#seen = clock.moment()
    this.#seenAt = clock.now()
    const row = database.get(timeKey)
    const passed = row === undefined ? null : passedBetween(momentOf(row), this.#seen)
    this.shift = row === undefined ? 0 : row.readDoubleBE(1) + (passed ?? 0) - this.#seenAt
    const isDamaged = row === undefined && database.sizeOf(timeKey) !== undefined
    this.unknown = isDamaged || (row !== undefined && passed === null)
    this.#writtenAt = Number.NEGATIVE_INFINITY
    this.#written = this.#seen
    commit.beforeBatch(() => {
      if (clock.now() - this.#writtenAt >= everyMs) this.#write()
    })
    this.#timer = clock.every(everyMs, () => this.#look())
  }

  now(): number {
    return this.#clock.now() + this.shift
  }

  /** The broker stops: from here on the time is told by whoever starts next. */
  stop(): void {
    this.#timer.cancel()
    this.#look()
    this.#write()
  }

  #look(): void {
    const seen = this.#clock.moment()
    const at = this.#clock.now()
    // The broker's clock stands still while the machine sleeps, and this one does not.
    const sleptMs = seen.uptime - this.#seen.uptime - (at - this.#seenAt)
    if (sleptMs >= partedMs) this.shift += sleptMs
    this.#seen = seen
    this.#seenAt = at
    // The wall clock was set: after a restart of the machine, what passed since is told by the new one.
    const steppedMs = seen.wall - this.#written.wall - (seen.uptime - this.#written.uptime)
    if (Math.abs(steppedMs) >= partedMs || sleptMs >= partedMs) this.#write()
  }

  #write(): void {
    const moment = this.#clock.moment()
    this.#written = moment
    this.#writtenAt = this.#clock.now()
    const boot = Buffer.from(moment.boot)
    const row = Buffer.allocUnsafe(25 + boot.length)
    row[0] = formatByte
    row.writeDoubleBE(this.now(), 1)
    row.writeDoubleBE(moment.wall, 9)
    row.writeDoubleBE(moment.uptime, 17)
    row.set(boot, 25)
    this.#commit.put(timeKey, row)
  }
}

/** The same for whoever only reads a folder that another process has open. */
export function shiftOf(database: Pick<CheckedRows, 'get'>, clock: Clock): number {
  const row = database.get(timeKey)
  return row === undefined ? 0 : row.readDoubleBE(1) + (passedBetween(momentOf(row), clock.moment()) ?? 0) - clock.now()
}

function momentOf(row: Buffer): Moment {
  formatOf(row, 'the time of the folder')
  return { wall: row.readDoubleBE(9), uptime: row.readDoubleBE(17), boot: row.toString('latin1', 25) }
}
