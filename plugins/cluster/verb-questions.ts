import type { Actor } from '../../core/actor.ts'
import type { Broker } from '../../core/broker.ts'
import type { Bus } from '../kit/services/bus.ts'
import type { VerbLink } from '../kit/verbs/verbs.ts'
import { confirmVersion, spokenBy } from './cluster-version.ts'
import { packConfirm, type VerbFrame } from './frames.ts'

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
  readonly #open = new Map<number, Question>()
  #number = 0

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
  }

  others(): readonly string[] {
    const { node } = this.#bus
    return this.#bus
      .nodes()
      .map(({ name }) => name)
      .filter(name => name !== node)
  }

  ask(node: string, verb: string, given: object, actor: Actor, waits = false): Promise<unknown> {
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
      const ms = waits ? longWaitMs : waitMs
      const timer = this.#broker.clock.after(ms, () => end(`no answer within ${ms} ms`, null))
      this.#open.set(number, { node, end })
      this.#bus.tell(node, packConfirm(['q', number, verb, given, actor]))
    })
  }

  /** Another node asks. */
  asked(from: string, [, number, verb, given, actor]: VerbFrame & { readonly 0: 'q' }): void {
    this.#broker.verbs.here(verb, given, actor).then(
      answer => this.#bus.tell(from, packConfirm(['a', number, null, answer ?? null])),
      (error: Error) => this.#bus.tell(from, packConfirm(['a', number, error.message, null])),
    )
  }

  /** Another node has answered. */
  answered(frame: VerbFrame & { readonly 0: 'a' }): void {
    this.#open.get(frame[1])?.end(frame[2], frame[3])
  }

  /** Another node has gone: it answers no more. */
  left(node: string): void {
    for (const question of [...this.#open.values()]) if (question.node === node) question.end('it has gone meanwhile', null)
  }
}
