import type { Actor } from '../../core/actor.ts'
import type { Broker } from '../../core/broker.ts'
import type { Bus } from '../kit/services/bus.ts'
import type { VerbLink } from '../kit/verbs/verbs.ts'
import { confirmVersion, spokenBy } from './cluster-version.ts'
import { packConfirm, type VerbFrame } from './frames.ts'
import { readStream, type StreamPart, VerbStreams } from './verb-streams.ts'

// An operator who waits longer takes the node for dead, and the answer says so.
const waitMs = 2000
// What takes long is waited for as long as the node lives, and no longer than this where its answer was lost on the way.
const longWaitMs = 600_000
// Whoever asks more than this at a time is no operator.
const openMax = 1000

interface Question {
  readonly node: string
  /** `failed`: why there is no answer. */
  end(failed: string | null, answer: unknown): void
}

/** Asks other nodes what an operator wants to know of them, or has them do it, and answers when they ask. */
export class VerbQuestions implements VerbLink {
  readonly #broker: Broker
  readonly #bus: Bus
  /** What this node is asked, and answers in pieces. */
  readonly streams: VerbStreams
  readonly #open = new Map<number, Question>()
  #number = 0

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
    this.streams = new VerbStreams(broker.clock)
  }

  others(): readonly string[] {
    const { node } = this.#bus
    return this.#bus
      .nodes()
      .map(({ name }) => name)
      .filter(name => name !== node)
  }

  ask(node: string, verb: string, given: object, actor: Actor, waits = false): Promise<unknown> {
    return this.#ask(node, number => ['q', number, verb, given, actor], waits ? longWaitMs : waitMs)
  }

  #ask(node: string, frameOf: (number: number) => VerbFrame, ms: number): Promise<unknown> {
    const other = this.#bus.nodes().find(({ name }) => name === node)
    if (other === undefined || !this.#bus.connected) return Promise.reject(new Error('it cannot be reached'))
    if (spokenBy(other) < confirmVersion) return Promise.reject(new Error('its version cannot be asked; upgrade it'))
    if (this.#open.size >= openMax) return Promise.reject(new Error('too many questions are open; ask again later'))
    this.#number += 1
    const number = this.#number
    return new Promise((resolve, reject) => {
      const end = (failed: string | null, answer: unknown): void => {
        timer.cancel()
        this.#open.delete(number)
        if (failed === null) resolve(answer)
        else reject(new Error(failed))
      }
      const timer = this.#broker.clock.after(ms, () => end(`no answer within ${ms} ms`, null))
      this.#open.set(number, { node, end })
      this.#bus.tell(node, packConfirm(frameOf(number)))
    })
  }

  /** Another node asks. */
  asked(from: string, [, number, verb, given, actor]: VerbFrame & { readonly 0: 'q' }): void {
    this.#answer(from, number, this.#broker.verbs.here(verb, given, actor))
  }

  /** Another node reads on. */
  askedOn(from: string, [, number, stream]: VerbFrame & { readonly 0: 'n' }): void {
    this.#answer(from, number, this.streams.read(from, stream))
  }

  #answer(to: string, number: number, found: Promise<unknown>): void {
    found
      .then(answer =>
        isStream(answer)
          ? packConfirm(['a', number, null, null, this.streams.add(to, answer)])
          : packConfirm(['a', number, null, answer ?? null]),
      )
      .catch((error: Error) => packConfirm(['a', number, error.message, null]))
      .then(frame => this.#bus.tell(to, frame))
  }

  /** Another node has answered. */
  answered(from: string, [, number, failed, answer, stream]: VerbFrame & { readonly 0: 'a' }): void {
    const question = this.#open.get(number)
    if (stream === undefined) return question?.end(failed, answer)
    const end = (): void => this.#bus.tell(from, packConfirm(['x', stream]))
    // Nobody waits any more.
    if (question === undefined) return end()
    const next = (): Promise<StreamPart> => this.#ask(from, asking => ['n', asking, stream], waitMs) as Promise<StreamPart>
    question.end(null, readStream(next, end))
  }

  /** Another node has gone: it answers no more, and reads no more. */
  left(node: string): void {
    for (const question of [...this.#open.values()]) if (question.node === node) question.end('it has gone meanwhile', null)
    this.streams.left(node)
  }
}

function isStream(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer
}
