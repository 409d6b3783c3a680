import type { Log } from '../../core/log.ts'
import { MessageRefusedError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { cutText } from '../kit/cut-text.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import { type RefusalReason, verdictOn } from './verdicts.ts'

const linesEveryMs = 10_000

/** What Redis refuses by itself, while it takes everything else: counted by reason, and named in a line. */
export class RedisRefusals {
  readonly #log: Log
  readonly #lines: LineThrottle
  /** Writes, and records that could not be read, by reason. */
  readonly counts: Record<RefusalReason, number> = {
    wrongType: 0,
    noPermission: 0,
    crossSlot: 0,
    tooLarge: 0,
    full: 0,
    damaged: 0,
    other: 0,
  }

  constructor(clock: Clock, log: Log) {
    this.#log = log
    this.#lines = new LineThrottle(clock, {
      everyMs: linesEveryMs,
      others: 'other keys',
      more: (count, about) => log.warn({ count }, `redis refused ${count} more for ${about}`),
    })
  }

  /** Redis refuses what concerns `about`: a key, or a client's session. Returns the error for whoever asked. */
  refuse(error: Error, about: string, clientId: string | null = null): Error {
    const { meaning, reason, cure } = verdictOn(error)
    if (meaning === 'full') {
      this.counts.full += 1
      return new StoreFullError('Redis is out of memory; raise its maxmemory or make room')
    }
    this.counts[reason] += 1
    const shown = cutText(about)
    const text = `redis refuses ${shown}: ${error.message}; ${cure}`
    this.#say(`${reason} ${shown}`, clientId, text)
    return new MessageRefusedError(text)
  }

  /** What lies in Redis cannot be read, and stays where it is. */
  unreadable(error: Error, about: string, clientId: string | null = null): void {
    this.counts.damaged += 1
    const shown = cutText(about)
    const text = `redis holds what cannot be read, so it is left where it is and left out: ${shown}: ${error.message}`
    this.#say(`damaged ${shown}`, clientId, text)
  }

  /** Something that nobody asked for was not done. */
  say(kind: string, text: string): void {
    this.#say(kind, null, text)
  }

  #say(kind: string, clientId: string | null, text: string): void {
    if (this.#lines.pass(kind) > 0) this.#log.warn(clientId === null ? {} : { clientId }, text)
  }

  stop(): void {
    this.#lines.flush()
  }
}
