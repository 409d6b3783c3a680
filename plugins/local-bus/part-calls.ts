import { deserialize, serialize } from 'node:v8'
import type { ErrorCode } from '../../core/error-codes.ts'
import {
  MessageRefusedError,
  SessionLostError,
  SessionOwnedError,
  StoreAwayError,
  StoreFullError,
} from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Node } from '../kit/services/bus.ts'
import type { LocalBus } from './bus.ts'
import type { PeerRun } from './peer-links.ts'

/** A question, or with a `number` of 0 something that is only said; or an answer, with `number` below 0. */
type Frame = readonly [number: number, verb: string, args: readonly unknown[]]

interface Failure {
  readonly code: ErrorCode | ''
  readonly text: string
  readonly clientId?: string
  readonly owner?: string | null
}

interface Question {
  readonly node: string
  /** What was asked, where it may be asked again; null: it may not. */
  readonly again: Buffer | null
  resolve(value: unknown): void
  reject(error: Error): void
}

interface Waiting {
  readonly bytes: Buffer
  readonly number: number
}

// Done twice these leave what they leave done once: where a part outlives its worker, they are asked again when that is back.
const repeatable = new Set(
  ['send', 'ack', 'remove', 'release', 'forget', 'subscribe', 'unsubscribe', 'close', 'page', 'intend', 'once', 'received'].map(
    verb => `s.${verb}`,
  ),
)
// A worker that has died is there again in a second or two.
const awayMs = 15_000
const waitingBytesMax = 32 * 1024 * 1024

/** Does what a part of another worker asks for. */
export type Serve = (from: string, verb: string, args: readonly never[]) => unknown

/** How the parts of stores ask one another. What is asked of a worker that is being started again waits for it. */
export class PartCalls {
  readonly #bus: LocalBus
  readonly #clock: Clock
  readonly #serve: Serve
  readonly #open = new Map<number, Question>()
  readonly #waiting = new Map<string, Waiting[]>()
  #idle: (() => void)[] = []
  #waitingBytes = 0
  #number = 0
  /** Parts outlive their workers. */
  lasting = false

  constructor(bus: LocalBus, clock: Clock, serve: Serve) {
    this.#bus = bus
    this.#clock = clock
    this.#serve = serve
  }

  /** Asks, without waiting for a worker that is not there, and before what waits for it. */
  now(node: string, verb: string, ...args: unknown[]): Promise<unknown> {
    return this.#ask(node, verb, args, false)
  }

  ask(node: string, verb: string, ...args: unknown[]): Promise<unknown> {
    return this.#ask(node, verb, args, true)
  }

  #ask(node: string, verb: string, args: unknown[], waits: boolean): Promise<unknown> {
    this.#number += 1
    const number = this.#number
    const bytes = serialize([number, verb, args] satisfies Frame)
    return new Promise((resolve, reject) => {
      this.#open.set(number, { node, again: this.lasting && repeatable.has(verb) ? bytes : null, resolve, reject })
      // Behind what waits already, but for what the worker needs to begin.
      if (!(waits && this.#waiting.has(node)) && this.#bus.toPart(node, bytes)) return
      if (waits && this.#waitingBytes + bytes.length <= waitingBytesMax) this.#wait(node, number, bytes)
      else this.#fail(number, `worker ${node}, which keeps this, is not there`)
    })
  }

  #wait(node: string, number: number, bytes: Buffer): void {
    this.#waitingBytes += bytes.length
    const waiting = this.#waiting.get(node)
    if (waiting !== undefined) return void waiting.push({ bytes, number })
    const begun: Waiting[] = [{ bytes, number }]
    this.#waiting.set(node, begun)
    this.#clock.after(awayMs, () => {
      if (this.#waiting.get(node) !== begun) return
      this.#waiting.delete(node)
      for (const one of begun) {
        this.#waitingBytes -= one.bytes.length
        this.#fail(one.number, `worker ${node}, which keeps this, has not come back`)
      }
    })
  }

  #fail(number: number, text: string): void {
    this.#take(number)?.reject(new StoreAwayError(text))
  }

  #take(number: number): Question | undefined {
    const question = this.#open.get(number)
    this.#open.delete(number)
    if (this.#open.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
    return question
  }

  /** Says something that nobody answers; it is lost where the worker is not there. */
  tell(node: string, verb: string, ...args: unknown[]): void {
    this.#bus.toPart(node, serialize([0, verb, args] satisfies Frame))
  }

  /** A worker is there: what waited for it goes to it. */
  joined({ name }: Node): void {
    const waiting = this.#waiting.get(name) ?? []
    this.#waiting.delete(name)
    for (const { bytes, number } of waiting) {
      this.#waitingBytes -= bytes.length
      if (!this.#bus.toPart(name, bytes)) this.#fail(number, `worker ${name} has gone`)
    }
  }

  /** A worker has gone: what it was asked for it may have done or not. */
  left({ name }: Node): void {
    const waits = new Set(this.#waiting.get(name)?.map(({ number }) => number))
    const again: Waiting[] = []
    for (const [number, { node, again: bytes }] of [...this.#open]) {
      if (node !== name || waits.has(number)) continue
      if (bytes === null) this.#fail(number, `worker ${name}, which keeps this, has ended`)
      else again.push({ bytes, number })
    }
    if (again.length === 0) return
    // Before what has been asked since.
    const since = this.#waiting.get(name)?.splice(0) ?? []
    for (const { bytes, number } of again) this.#wait(name, number, bytes)
    this.#waiting.get(name)!.push(...since)
  }

  /** Resolves when all that has been asked is answered. */
  async answered(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  /** A frame has come. */
  heard(from: PeerRun, bytes: Buffer): void {
    const [number, verb, args] = deserialize(bytes) as Frame
    if (number < 0) return this.#heardAnswer(-number, verb, args[0])
    const answer = (how: 'ok' | 'no', value: unknown): void => {
      if (number > 0) this.#bus.answerPart(from, serialize([-number, how, [value]] satisfies Frame))
    }
    try {
      const found = this.#serve(from.name, verb, args as readonly never[])
      if (found instanceof Promise)
        found.then(
          value => answer('ok', value),
          error => answer('no', failureOf(error as Error)),
        )
      else answer('ok', found)
    } catch (error) {
      answer('no', failureOf(error as Error))
    }
  }

  #heardAnswer(number: number, how: string, value: unknown): void {
    const question = this.#take(number)
    if (how === 'ok') question?.resolve(value)
    else question?.reject(errorOf(value as Failure))
  }
}

function failureOf(error: Error & { code?: ErrorCode; owner?: string | null; clientId?: string }): Failure {
  const { code = '', message, owner, clientId } = error
  return { code, text: message, ...(clientId === undefined ? {} : { clientId }), ...(owner === undefined ? {} : { owner }) }
}

// What core tells apart, by its class.
function errorOf({ code, text, owner = null }: Failure): Error {
  switch (code) {
    case 'ERR_SESSION_LOST':
      return Object.assign(new SessionLostError(''), { message: text })
    case 'ERR_SESSION_OWNED':
      return Object.assign(new SessionOwnedError('', owner), { message: text })
    case 'ERR_STORE_AWAY':
      return new StoreAwayError(text)
    case 'ERR_STORE_FULL':
      return new StoreFullError(text)
    case 'ERR_MESSAGE_REFUSED':
      return new MessageRefusedError(text)
    default:
      return new Error(text)
  }
}
