import type { Bus } from '../kit/services/bus.ts'
import type { RetainedStore } from '../kit/services/retained.ts'
import { UnderWay } from '../kit/under-way.ts'
import { packConfirm } from './frames.ts'

/** What a node has set is on its way to the others before this: who has heard the mark knows of it. */
export type MarkRecord = readonly ['m', mark: number]

type Due = readonly (readonly [node: string, upTo: readonly [number: number, run: string]])[]

export interface ActedOnTerms {
  readonly bus: Bus
  /** Where retained messages are kept; undefined: nowhere. */
  retained(): RetainedStore | undefined
  /** Announces a record at the end of this turn. */
  announce(record: MarkRecord): void
}

/** Tells other nodes up to which number this one acts on what they have announced: once for each that has announced something in what was heard at once. */
export class ActedOn {
  readonly #terms: ActedOnTerms
  /** The last number of each node that is to be confirmed, and the run that it is of. */
  readonly #due = new Map<string, readonly [number: number, run: string]>()
  /** What has been begun because others announced it. */
  readonly #underWay = new UnderWay()
  #mark = 0

  constructor(terms: ActedOnTerms) {
    this.#terms = terms
  }

  /** Nothing is confirmed before this is done; it must not reject, and must come to an end. */
  begun(done: Promise<void>): void {
    void this.#underWay.add(done)
  }

  /** All that a node has announced up to this number has taken effect here, but for what is under way. */
  upTo(node: string, number: number, run: string): void {
    // What is heard at once is confirmed at once.
    if (this.#due.size === 0) queueMicrotask(() => this.#confirm())
    this.#due.set(node, [number, run])
  }

  #confirm(): void {
    const due = [...this.#due]
    this.#due.clear()
    if (this.#underWay.size === 0) this.#settle(due)
    else void this.#underWay.through().then(() => this.#settle(due))
  }

  // Who subscribes elsewhere reads what is retained once this has been confirmed.
  #settle(due: Due): void {
    const settled = this.#terms.retained()?.settle?.()
    if (settled === undefined) return this.#tell(due)
    void settled.then(told => {
      if (told) {
        this.#mark += 1
        this.#terms.announce(['m', this.#mark])
      }
      this.#tell(due)
    })
  }

  #tell(due: Due): void {
    const { bus } = this.#terms
    for (const [node, [number, run]] of due) bus.tell(node, packConfirm(['c', number, run, this.#mark]))
  }
}
