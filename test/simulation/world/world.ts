import { createHash } from 'node:crypto'
import { Chance } from './chance.ts'

/** Something that events happen to: a node, which may be dead, frozen, or another run of itself by the time when an event is due. */
export interface Party {
  readonly name: string
  /** Nothing happens to it any more. */
  readonly isGone: boolean
  /** What happens to it happens at this time at the earliest. Milliseconds of the world. */
  readonly frozenUntil: number
}

/** An event to come. */
export interface Coming {
  cancel(): void
}

class Happening implements Coming {
  at: number
  readonly order: number
  readonly party: Party | null
  readonly what: string
  act: (() => void) | null

  constructor(at: number, order: number, party: Party | null, what: string, act: () => void) {
    this.at = at
    this.order = order
    this.party = party
    this.what = what
    this.act = act
  }

  cancel(): void {
    this.act = null
  }
}

// What is kept of the trace for whoever reads it.
const linesMax = 400_000

/**
 * Everything that happens, one event after another, by a time of its own. What is due when is drawn from the seed; what the program does in one event, its microtasks
 * included, follows from the program. So one seed is one run.
 */
export class World {
  readonly chance: Chance
  /** Milliseconds since the world began. */
  now = 0
  /** Events so far. */
  events = 0
  /** The trace in words, where it was asked for. */
  readonly lines: string[] | null
  readonly #hash = createHash('sha256')
  #pending = ''
  #order = 0
  // A heap: the event that is due first stands first.
  readonly #heap: Happening[] = []

  constructor(seed: string | number, keepsLines = false) {
    this.chance = new Chance(seed)
    this.lines = keepsLines ? [] : null
  }

  /** Something happens after `ms`, to `party` if it is still there; to the world where it is null. */
  after(ms: number, party: Party | null, what: string, act: () => void): Coming {
    return this.at(this.now + ms, party, what, act)
  }

  at(at: number, party: Party | null, what: string, act: () => void): Coming {
    this.#order += 1
    const happening = new Happening(Math.max(at, this.now), this.#order, party, what, act)
    this.#push(happening)
    return happening
  }

  /** A line of the trace. */
  note(text: string): void {
    const line = `${this.now.toFixed(3)} ${text}\n`
    this.#pending += line
    if (this.#pending.length > 65_536) this.#settle()
    if (this.lines !== null && this.lines.length < linesMax) this.lines.push(line.trimEnd())
  }

  /** A line for whoever reads the trace, which does not count. */
  remark(text: string): void {
    if (this.lines !== null && this.lines.length < linesMax) this.lines.push(`${this.now.toFixed(3)}   (${text})`)
  }

  /** Lets happen what is due until `until`, or until `isOver` says so, which is asked after each event. */
  run(until: number, isOver: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          if (!isOver() && this.#happen(until)) setImmediate(step)
          else resolve()
        } catch (error) {
          reject(error as Error)
        }
      }
      step()
    })
  }

  #happen(until: number): boolean {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || first.at > until) {
        if (until < Number.POSITIVE_INFINITY) this.now = Math.max(this.now, until)
        return false
      }
      this.#pop()
      const { act, party } = first
      if (act === null || party?.isGone === true) continue
      if (party !== null && party.frozenUntil > first.at) {
        first.at = party.frozenUntil
        this.#push(first)
        continue
      }
      this.now = first.at
      this.events += 1
      this.#pending += `${first.at.toFixed(3)} ${first.what}\n`
      if (this.#pending.length > 65_536) this.#settle()
      first.act = null
      act()
      return true
    }
  }

  /** What has happened so far, in one number of 64 hexadecimal digits. */
  hash(): string {
    this.#settle()
    return this.#hash.copy().digest('hex')
  }

  #settle(): void {
    this.#hash.update(this.#pending)
    this.#pending = ''
  }

  #push(happening: Happening): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(happening)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(happening, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = happening
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
