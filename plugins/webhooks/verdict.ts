import { cutText } from '../kit/cut-text.ts'
import { RecordsRefusedError, TargetAwayError } from '../kit/services/bridge-target.ts'

/** What a server has answered. */
export interface HttpAnswer {
  readonly status: number
  /** The header `Retry-After`; undefined: there is none. */
  readonly retryAfter: string | undefined
  /** Where it redirects to; undefined: it does not say. */
  readonly location: string | undefined
  /** The beginning of the body. */
  readonly text: string
}

/** By what a verdict is found. */
export interface VerdictOptions {
  /** Statuses from 400 to 499 that say nothing against what was sent. */
  readonly retryStatuses: readonly number[]
  /** The longest pause that the server may ask for, in milliseconds. */
  readonly retryAfterMax: number
  /** The time of day: milliseconds since the Unix epoch. */
  readonly wall: number
}

// What is wrong by these is wrong with every request alike: the place, its rights, the method. Of several events none is more to blame than another.
const ofEveryRequest = new Set([401, 402, 403, 404, 405, 406, 407, 410, 411, 415, 417, 421, 426, 431, 451])
// A server that is there and fails may do so at one request only.
const ofTheServer = new Set([502, 503, 504])

/**
 * What an answer says of the `count` events that were sent: null, the server has them. A status from 400 on refuses them, but for those that the options name. Everything
 * else is an outage: they are sent again.
 */
export function verdictOf(answer: HttpAnswer, count: number, options: VerdictOptions): RecordsRefusedError | TargetAwayError | null {
  const { status, text, location } = answer
  if (status >= 200 && status < 300) return null
  const retryAfterMs = Math.min(pauseOf(answer.retryAfter, options.wall), options.retryAfterMax)
  const said = text === '' ? '' : ` (${JSON.stringify(cutText(text, 100))})`
  if (status >= 300 && status < 400) {
    const to = location === undefined ? '' : ` to ${JSON.stringify(cutText(location, 200))}`
    return new TargetAwayError(`it answers ${status}, which redirects${to}; redirects are not followed: write the right place into url`)
  }
  if (status >= 400 && status < 500 && !options.retryStatuses.includes(status)) {
    const all = count === 1 || ofEveryRequest.has(status)
    const indexes = all ? Array.from({ length: count }, (_, index) => index) : []
    return new RecordsRefusedError(indexes, `the server answers ${status}${said}`, { reason: `HTTP_${status}` })
  }
  const isBusy = status < 500 || ofTheServer.has(status)
  return new TargetAwayError(`it answers ${status}${said}; look at its log`, { retryAfterMs, partly: !isBusy })
}

/** The pause that `Retry-After` asks for, in milliseconds: seconds, or a date. 0: it asks for none, or is neither. */
export function pauseOf(retryAfter: string | undefined, wall: number): number {
  if (retryAfter === undefined) return 0
  if (/^\s*\d{1,9}\s*$/.test(retryAfter)) return Number(retryAfter) * 1000
  const date = Date.parse(retryAfter)
  return Number.isNaN(date) ? 0 : Math.max(0, date - wall)
}
