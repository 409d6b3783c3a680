import type { Counters } from './counters.ts'
import type { Hooks } from './hooks.ts'
import { LineThrottle } from './line-throttle.ts'
import type { Log } from './log.ts'
import { MessageRefusedError, StoreAwayError, StoreFullError } from './sessions/session-store.ts'
import { TapError } from './taps.ts'
import type { Clock } from './time/clock.ts'

/** What is used of the broker here. */
export interface ErrorReportsHost {
  readonly clock: Clock
  readonly counters: Counters
  readonly hooks: Hooks
  readonly log: Log
}

/** Says what failed that no client is to blame for. */
export class ErrorReports {
  readonly #host: ErrorReportsHost
  // A store that is away fails for every client at once.
  readonly #storeLines: LineThrottle
  // What fails at each message, a broken tap say: a kind must not be named by what clients say.
  readonly #errorLines: LineThrottle

  constructor(host: ErrorReportsHost) {
    const { clock, log } = host
    this.#host = host
    this.#storeLines = new LineThrottle(clock, { everyMs: 1000 })
    const more = (count: number, kind: string): void => log.error({ count }, `${kind}: ${count} more like those before, in 10 s`)
    this.#errorLines = new LineThrottle(clock, { everyMs: 10_000, linesMax: 20, others: 'other failures', more })
  }

  /** `Broker.report`. */
  report(error: unknown): void {
    const { counters, hooks, log } = this.#host
    // That a store is away or full is a state that ends by itself, which its owner reports.
    if (error instanceof StoreAwayError || error instanceof StoreFullError || error instanceof MessageRefusedError) {
      const count = this.#storeLines.pass(error.code)
      if (count > 0) log.warn({ code: error.code, alsoFailed: count - 1 }, `the store did not do what it was asked: ${error.message}`)
      return
    }
    const failure = error instanceof Error ? error : new Error(String(error))
    if (failure instanceof TapError) {
      const { plugin, hook } = failure
      counters.tapErrors += 1
      if (this.#errorLines.pass(`${plugin} at ${hook}`) > 0) log.error({ plugin, hook, err: failure.cause ?? failure }, failure.message)
      // A tap on onError that fails is logged only: told of its own failure, it would fail again, and so on.
      if (hook === 'onError') return
    } else if (this.#errorLines.pass((failure as NodeJS.ErrnoException).code ?? failure.name) > 0) {
      log.error({ err: failure }, failure.message)
    }
    hooks.onError.call(failure)
  }

  /** Says what had no line yet. */
  flush(): void {
    this.#errorLines.flush()
  }
}
