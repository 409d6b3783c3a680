import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Bodies } from './bodies.ts'
import type { CheckedRows } from './checked-rows.ts'
import type { FolderTime } from './folder-time.ts'
import type { GroupCommit } from './group-commit.ts'
import type { Numbers } from './numbers.ts'
import type { QueueTotals } from './queue-totals.ts'
import type { SpreadMessages } from './spread-messages.ts'

/** An open store, as its parts see it: what is on disk, and what is on its way there. */
export interface StoreParts {
  readonly database: CheckedRows
  readonly commit: GroupCommit
  readonly numbers: Numbers
  readonly bodies: Bodies
  readonly totals: QueueTotals
  readonly spread: SpreadMessages
  /** When something comes due is kept by this time, and so are the times of messages. */
  readonly time: FolderTime
  readonly clock: Clock
  readonly log: Log
}
