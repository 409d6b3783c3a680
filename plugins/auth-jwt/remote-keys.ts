import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import { formatDuration } from '../kit/options/quantity.ts'
import { fetchText } from './fetch-text.ts'
import { candidates, type KeyWish, keysOfJson, type VerificationKey } from './keys.ts'

/** How the keys are kept. Times in milliseconds. */
export interface RemoteKeysOptions {
  readonly url: string
  readonly clock: Clock
  readonly log: Log
  readonly refreshMs: number
  readonly missMs: number
  readonly staleMs: number
  readonly timeoutMs: number
  /** Reads the CAs that the server is judged by, each time; `undefined`: those that Node believes. Throws an `OperatorError`. */
  readCa(): Buffer | undefined
}

const bytesMax = 256 * 1024
const retryMinMs = 1000
const retryMaxMs = 30_000

/**
 * The keys that an issuer publishes at a URL: read again and again, and at once where a key is asked for that is not among them, as after a rotation. While they cannot
 * be read those that are known go on for a while.
 */
export class RemoteKeys {
  readonly #options: RemoteKeysOptions
  readonly #url: URL
  readonly #lines: LineThrottle
  #keys: readonly VerificationKey[] | null
  /** When `#keys` was read. */
  #readAt: number
  /** When it was last begun to read it; whether that failed, and why. */
  #askedAt: number
  #trouble: string | null
  #troubleSince: number
  #reading: Promise<void> | null
  #retryMs: number
  #timer: Timer | null
  // Whoever waits for an answer would keep the process from ending.
  readonly #stopped: AbortController
  /** How often it was read, and could not be. */
  reads: number
  failures: number
  /** Tokens of unknown keys that were refused without asking. */
  missesUnasked: number

  constructor(options: RemoteKeysOptions) {
    this.#options = options
    this.#url = new URL(options.url)
    this.#lines = new LineThrottle(options.clock, { everyMs: 10_000 })
    this.#keys = null
    this.#readAt = 0
    this.#askedAt = Number.NEGATIVE_INFINITY
    this.#trouble = null
    this.#troubleSince = 0
    this.#reading = null
    this.#retryMs = retryMinMs
    this.#timer = null
    this.#stopped = new AbortController()
    this.reads = 0
    this.failures = 0
    this.missesUnasked = 0
  }

  /** How many there are. */
  get count(): number {
    return this.#keys?.length ?? 0
  }

  /** Why they cannot be read just now; `null`: they can. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** What `jwks` is called in messages: without what may be a password in it. */
  get place(): string {
    return `${this.#url.origin}${this.#url.pathname}`
  }

  /** Whether what it is judged by can be read. */
  verify(): void {
    this.#options.readCa()
  }

  /** Reads them now. */
  async reread(): Promise<void> {
    await this.#read()
  }

  /** Reads them for the first time, and then again and again. What is wrong is said, and tried again. */
  async start(): Promise<void> {
    await this.#read()
  }

  stop(): void {
    this.#stopped.abort()
    this.#timer?.cancel()
  }

  /** Reads them now; rejects with the cure where they cannot be read. For `check --connect`. */
  async probe(): Promise<string> {
    await this.#read()
    this.stop()
    if (this.#trouble !== null)
      throw new OperatorError(
        'ERR_JWKS',
        `authJwt.jwks: the keys at ${this.place} cannot be read: ${this.#trouble}; correct it, or start what serves them`,
      )
    return `authJwt: ${this.count} keys at ${this.place}`
  }

  /** The keys that a token may have been signed with; none: there is no such key. `null`: nobody can tell just now. */
  async find(wish: KeyWish): Promise<readonly VerificationKey[] | null> {
    this.#forgetStale()
    // Right after the start, or after a long outage: whoever comes waits for the one answer.
    if (this.#keys === null) {
      if (this.#mayAsk(retryMinMs)) await this.#read()
      else await this.#reading
    }
    const known = this.#keys === null ? [] : candidates(this.#keys, wish)
    if (this.#keys === null || known.length > 0) return this.#keys === null ? null : known
    if (this.#reading !== null) await this.#reading
    else if (this.#mayAsk(this.#options.missMs)) await this.#read()
    else this.missesUnasked += 1
    if (this.#keys === null) return null
    const found = candidates(this.#keys, wish)
    // The key may be a new one, which cannot be looked for.
    return found.length === 0 && this.#trouble !== null ? null : found
  }

  #mayAsk(everyMs: number): boolean {
    return this.#reading === null && this.#options.clock.now() - this.#askedAt >= everyMs
  }

  #forgetStale(): void {
    const { clock, staleMs, log } = this.#options
    if (this.#keys === null || this.#trouble === null || clock.now() - this.#readAt <= staleMs) return
    this.#keys = null
    log.error(
      `authJwt.jwks: the keys could not be read for ${formatDuration(staleMs)} (authJwt.staleFor), and count no more: nobody is let in by a token until ${this.place} answers`,
    )
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null
    })
    return this.#reading
  }

  async #readOnce(): Promise<void> {
    const { clock, timeoutMs, readCa } = this.#options
    this.#askedAt = clock.now()
    this.#timer?.cancel()
    try {
      const { keys, unusable } = keysOfJson(
        await fetchText(this.#url, { clock, timeoutMs, bytesMax, ca: readCa(), signal: this.#stopped.signal }),
      )
      this.#succeeded(keys, unusable)
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#failed(messageOf(error as NodeJS.ErrnoException))
    }
  }

  #succeeded(keys: readonly VerificationKey[], unusable: number): void {
    const { clock, log, refreshMs } = this.#options
    this.reads += 1
    this.#readAt = clock.now()
    this.#retryMs = retryMinMs
    if (this.#trouble !== null) {
      const seconds = Math.round((clock.now() - this.#troubleSince) / 1000)
      log.info(`authJwt.jwks: the keys at ${this.place} can be read again, after ${seconds} s`)
      this.#trouble = null
      this.#lines.forget('failure')
    }
    if (this.#names(this.#keys) !== this.#names(keys))
      log.info(
        { keys: keys.length, unusable },
        keys.length === 0 ? `authJwt.jwks: ${this.place} has no key that can be used, so no token counts` : 'authJwt.jwks: keys taken up',
      )
    this.#keys = keys
    this.#again(refreshMs)
  }

  #failed(why: string): void {
    const { clock, log } = this.#options
    this.failures += 1
    if (this.#trouble === null) this.#troubleSince = clock.now()
    this.#trouble = why
    this.#forgetStale()
    const count = this.#lines.pass('failure')
    const meanwhile = this.#keys === null ? 'nobody is let in by a token' : `the ${this.count} known ones go on`
    if (count > 0) log.warn({ count }, `authJwt.jwks: the keys at ${this.place} cannot be read (${why}); ${meanwhile}`)
    this.#again(this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, retryMaxMs)
  }

  #again(ms: number): void {
    if (!this.#stopped.signal.aborted) this.#timer = this.#options.clock.after(ms, () => void this.#read())
  }

  #names(keys: readonly VerificationKey[] | null): string {
    return keys === null ? '' : JSON.stringify(keys.map(({ id, key }) => [id ?? null, key.export({ format: 'jwk' })]))
  }
}

function messageOf({ code, message }: NodeJS.ErrnoException): string {
  return code === undefined || message.includes(code) ? message : `${message} (${code})`
}
