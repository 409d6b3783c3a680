import type { Transport } from '../../core/connection/transport.ts'
import type { PluginContext } from '../../core/context.ts'
import { Stage } from '../../core/hooks.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { Timer } from '../../core/time/clock.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import { type OpenFiles, openFiles } from '../kit/listening/open-files.ts'
import { filesCure } from '../kit/listening/refused-lines.ts'
import { LimitLog } from './limit-log.ts'

const lookMs = 10_000
const refusal: Refusal = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: 'the broker has as many connections as its system lets it open',
}
const tap = { name: 'limits', stage: Stage.Guard }

/** Refuses connections before the process has as many files open as it may: see `OpenFiles`. */
export class FileGuard {
  readonly #context: PluginContext
  readonly #files: OpenFiles
  readonly #log: LimitLog
  readonly #lines: LineThrottle
  // Refused connections that wait for their CONNECT, to be told why: each has a descriptor of the reserve until then.
  readonly #told: Set<Transport>
  #timer: Timer | null

  constructor(context: PluginContext) {
    this.#context = context
    this.#files = openFiles()
    this.#log = new LimitLog(context.broker)
    this.#lines = new LineThrottle(context.clock, { everyMs: 60_000 })
    this.#told = new Set()
    this.#timer = null
    const { hooks } = context
    hooks.onAccept.tap(tap, transport => this.#accept(transport))
    hooks.onClosed.tap(tap, transport => void this.#told.delete(transport))
  }

  /** When all plugins have opened what they need. `maxConnections`: what the config wants. */
  start(maxConnections: number | null): void {
    this.compare(maxConnections)
    this.#timer = this.#context.clock.every(lookMs, () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Says so where the system does not allow what the config does. */
  compare(maxConnections: number | null): void {
    const { max, reserve } = this.#files
    const room = Math.max(0, max - reserve - this.#files.count())
    if (maxConnections === null || maxConnections <= room) return
    this.#context.log.warn(
      `limits.maxConnections is ${maxConnections}, but the system lets this process open ${max} files, which leaves room for some ${room} connections; ${filesCure}; or lower limits.maxConnections`,
    )
  }

  #accept(transport: Transport): Refusal | false | undefined {
    if (this.#files.hasRoom()) return undefined
    const { remoteAddress: address, listener } = transport
    const { max } = this.#files
    const what = `connections are refused: this process has nearly as many files open as the system allows; ${filesCure}`
    this.#log.hit('openFiles', what, () => ({ address, listener, max }))
    if (this.#told.size >= this.#files.reserve / 4) return false
    this.#told.add(transport)
    return refusal
  }

  // Who has no connection to accept is told as well: at the limit itself the system tells nobody.
  #look(): void {
    const { max, reserve } = this.#files
    const open = this.#files.count()
    if (max - open > reserve / 4 || this.#lines.pass('') === 0) return
    this.#context.log.warn(
      { open, max },
      `limits: ${open} of ${max} files are open that the system allows; beyond, connections are closed without a word and nothing can be read; ${filesCure}`,
    )
  }
}
