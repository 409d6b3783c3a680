import type { ErrorCode } from './error-codes.ts'
import type { Clock } from './time/clock.ts'

/** A tap that threw, rejected, answered nonsense or took too long. */
export class TapError extends Error {
  override readonly name = 'TapError'
  readonly code = 'ERR_TAP' satisfies ErrorCode
  /** The `name` given to `tap`: the plugin. */
  readonly plugin: string
  /** The hook's name: `onPublish`. */
  readonly hook: string

  constructor(plugin: string, hook: string, what: string, options?: ErrorOptions) {
    super(`${plugin}, ${hook}: ${what}`, options)
    this.plugin = plugin
    this.hook = hook
  }
}

export interface TapGuardOptions {
  readonly clock: Clock
  /** Milliseconds an asynchronous tap has for its answer. */
  readonly verdictTimeoutMs: number
  report(error: TapError): void
  /** A hook gets a tap; from now on it is used, for taps are never taken away. */
  tapped?(hook: string): void
}

/** How a hook takes its taps' answers. */
export interface TapPolicy {
  /** `observe`: answers mean nothing; `decide`: they do, and come at once; `decideAsync`: they may come later. */
  readonly kind: 'observe' | 'observeAsync' | 'decide' | 'decideAsync'
  /** True for an answer that this hook knows; `undefined` (no opinion) is never asked about. */
  readonly accepts?: (answer: unknown) => boolean
  /** True for an answer that is known, but says no more than `undefined` does. */
  readonly passes?: (answer: unknown) => boolean
  /** Of `decideAsync`: an answer may take any time. */
  readonly patient?: boolean
  /** The answer in place of a failed tap's: the refusal, because a deciding hook fails closed. */
  readonly refusal?: (plugin: string) => unknown
}

type Fn = (...args: unknown[]) => unknown

interface FullTap {
  name: string
  type: 'sync' | 'async' | 'promise'
  fn: unknown
}

interface GuardedHook {
  readonly taps: readonly unknown[]
  isUsed: () => boolean
  intercept(interceptor: { register(tap: FullTap): FullTap }): void
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** A callback's first argument, as Node has it: anything but null or nothing is a failure. */
function isError(value: unknown): boolean {
  return value !== undefined && value !== null
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null) return `an object with ${Object.keys(value).join(', ') || 'no keys'}`
  return String(value)
}

/**
 * Wraps every tap of a hook when it is registered, so that one that throws, rejects, answers twice or never answers harms
 * only what it was asked about, and is named. tapable by itself stops at the first throw and does not name the tap.
 */
export function guardTaps(hook: object, name: string, policy: TapPolicy, options: TapGuardOptions): void {
  const guarded = hook as GuardedHook
  // tapable counts interceptors as use, so every hook would look used.
  guarded.isUsed = () => guarded.taps.length > 0
  guarded.intercept({
    register(tap) {
      options.tapped?.(name)
      const guard = new TapGuard(tap, name, policy, options)
      switch (policy.kind) {
        case 'observe':
          return { ...tap, fn: guard.observe() }
        case 'decide':
          return { ...tap, fn: guard.decide() }
        default:
          // Whatever the way of tapping, one callback form: an async function given to `tap` works like one given to `tapPromise`.
          return { ...tap, type: 'async', fn: guard.decideAsync() }
      }
    },
  })
}

class TapGuard {
  readonly #plugin: string
  readonly #type: FullTap['type']
  readonly #fn: Fn
  readonly #hook: string
  readonly #policy: TapPolicy
  readonly #options: TapGuardOptions

  constructor(tap: FullTap, hook: string, policy: TapPolicy, options: TapGuardOptions) {
    this.#plugin = tap.name
    this.#type = tap.type
    this.#fn = tap.fn as Fn
    this.#hook = hook
    this.#policy = policy
    this.#options = options
  }

  observe(): Fn {
    const fn = this.#fn
    return (a, b, c, d) => {
      try {
        const result = fn(a, b, c, d)
        if (isThenable(result)) result.then(undefined, error => this.#fail(error))
      } catch (error) {
        this.#fail(error)
      }
      return undefined
    }
  }

  decide(): Fn {
    const fn = this.#fn
    return (a, b, c) => {
      let answer: unknown
      try {
        answer = fn(a, b, c)
      } catch (error) {
        return this.#fail(error)
      }
      if (answer === undefined) return undefined
      if (isThenable(answer)) {
        answer.then(undefined, error => this.#fail(error))
        return this.#fail(new Error('gave a promise, but this hook needs its answer at once; decide in onConnect and keep the result'))
      }
      return this.#judge(answer)
    }
  }

  decideAsync(): Fn {
    const fn = this.#fn
    if (this.#type === 'async') {
      return (a, b, callback) => {
        const answer = this.#once(callback as Callback)
        const failed = (error: unknown) => answer.callback(error ?? new Error('failed without a reason'))
        try {
          const result = fn(a, b, answer.callback)
          // An async function may take a callback too; what it throws is a rejection, and nobody else would look at it.
          if (isThenable(result)) result.then(undefined, failed)
        } catch (error) {
          failed(error)
        }
        answer.startBudget()
      }
    }
    return (a, b, callback) => {
      let result: unknown
      try {
        result = fn(a, b)
      } catch (error) {
        ;(callback as Callback)(null, this.#fail(error))
        return
      }
      if (!isThenable(result)) {
        ;(callback as Callback)(null, result === undefined ? undefined : this.#judge(result))
        return
      }
      const answer = this.#once(callback as Callback)
      result.then(
        value => answer.callback(null, value),
        error => answer.callback(error ?? new Error('failed without a reason')),
      )
      answer.startBudget()
    }
  }

  /** One answer, within the budget; what comes after it is reported and goes nowhere. */
  #once(callback: Callback): { callback: Callback; startBudget(): void } {
    const { clock, verdictTimeoutMs } = this.#options
    let state: 'open' | 'answered' | 'late' = 'open'
    let timer: { cancel(): void } | undefined
    return {
      callback: (error, value) => {
        if (state !== 'open') {
          if (state === 'answered') this.#fail(isError(error) ? error : new Error('answered twice; the first answer stands'))
          return
        }
        state = 'answered'
        timer?.cancel()
        if (isError(error)) callback(null, this.#fail(error))
        else callback(null, value === undefined ? undefined : this.#judge(value))
      },
      startBudget: () => {
        if (state !== 'open' || this.#policy.patient === true) return
        timer = clock.after(verdictTimeoutMs, () => {
          state = 'late'
          callback(null, this.#fail(new Error(`gave no answer within ${verdictTimeoutMs} ms; answer sooner or raise mqtt.verdictTimeout`)))
        })
      },
    }
  }

  #judge(answer: unknown): unknown {
    const { kind, accepts, passes } = this.#policy
    if (kind === 'observeAsync') return undefined
    if (accepts?.(answer)) return answer
    if (passes?.(answer)) return undefined
    return this.#fail(new Error(`answered ${describe(answer)}, which this hook does not know`))
  }

  #fail(cause: unknown): unknown {
    const what = cause instanceof Error ? cause.message : describe(cause)
    this.#options.report(new TapError(this.#plugin, this.#hook, what, { cause }))
    return this.#policy.refusal?.(this.#plugin)
  }
}

type Callback = (error: unknown, value?: unknown) => void
