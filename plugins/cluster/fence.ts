import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Bus } from '../kit/services/bus.ts'
import { packConfirm } from './frames.ts'
import type { Outgoing } from './outgoing.ts'

interface Passing {
  /** How often each node has yet to say that it has read the fence: it is sent both ways. */
  readonly missing: Map<string, number>
  readonly done: Promise<void>
  readonly resolve: () => void
  readonly timer: Timer
}

export interface FenceTerms {
  readonly bus: Bus
  readonly clock: Clock
  readonly outgoing: Outgoing
  /** Milliseconds that anybody waits at most. */
  readonly timeoutMs: number
  /** The nodes that answer. */
  living(): readonly string[]
}

/** Tells when the other nodes have read what messages were sent to them before: each is asked by both ways, behind the messages. */
export class Fence {
  readonly #terms: FenceTerms
  readonly #passing = new Map<number, Passing>()
  #number = 0
  #asked: Promise<void> | null = null

  constructor(terms: FenceTerms) {
    this.#terms = terms
  }

  /** Resolves when they have, or the time is over. Those who ask in one turn of the event loop share a fence. */
  pass(): Promise<void> {
    this.#asked ??= new Promise(resolve => {
      this.#terms.clock.turn(() => {
        this.#asked = null
        this.#send().then(resolve)
      })
    })
    return this.#asked
  }

  #send(): Promise<void> {
    const { bus, clock, outgoing, timeoutMs, living } = this.#terms
    const nodes = living()
    if (nodes.length === 0 || !bus.connected) return Promise.resolve()
    outgoing.flush()
    this.#number += 1
    const number = this.#number
    const frame = packConfirm(['f', number])
    let resolve!: () => void
    const done = new Promise<void>(settled => {
      resolve = settled
    })
    const passing = {
      missing: new Map(nodes.map(node => [node, 2])),
      done,
      resolve,
      timer: clock.after(timeoutMs, () => this.#end(number)),
    }
    this.#passing.set(number, passing)
    for (const node of nodes) {
      bus.tell(node, frame)
      bus.post(node, frame).catch(() => this.#passed(node, number, 2))
    }
    return done
  }

  /** Another node asks whether this one has read so far. */
  asked(from: string, number: number): void {
    this.#terms.bus.tell(from, packConfirm(['F', number]))
  }

  /** Another node has read a fence that came one way. */
  answered(from: string, number: number): void {
    this.#passed(from, number, 1)
  }

  /** A node has gone. */
  left(node: string): void {
    for (const number of [...this.#passing.keys()]) this.#passed(node, number, 2)
  }

  #passed(node: string, number: number, ways: number): void {
    const passing = this.#passing.get(number)
    const missing = passing?.missing.get(node)
    if (passing === undefined || missing === undefined) return
    if (missing > ways) passing.missing.set(node, missing - ways)
    else passing.missing.delete(node)
    if (passing.missing.size === 0) this.#end(number)
  }

  #end(number: number): void {
    const passing = this.#passing.get(number)
    if (passing === undefined) return
    this.#passing.delete(number)
    passing.timer.cancel()
    passing.resolve()
  }

  stop(): void {
    for (const number of [...this.#passing.keys()]) this.#end(number)
  }
}
