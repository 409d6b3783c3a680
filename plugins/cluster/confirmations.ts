import type { Log } from '../../core/log.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { afterAwake } from '../kit/awake-timer.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import type { Bus, Node } from '../kit/services/bus.ts'
import { Timing } from '../kit/timing.ts'
import { confirmVersion, spokenBy } from './cluster-version.ts'

/**
 * A node has announced everything up to this number, and the others are to confirm that they act on it. `run` names the run of the node. `isBack`: it has come,
 * or was away, and is waited for from here on; the others say at once that they know that.
 */
export type NumberRecord = readonly ['n', number: number, run: string, isBack: 0 | 1]
/** A node does not confirm: answers leave without it once it must have noticed that it is out of step. */
export type LeftOutRecord = readonly ['l', node: string]

interface Peer {
  readonly name: string
  /** It speaks a version in which nodes confirm. */
  readonly confirms: boolean
  /** Answers wait for it. */
  living: boolean
  /** What it has acted on of this node's. */
  confirmed: number
  /** The last number with which this node came back that it knows of. */
  knowsBack: number
  /** The number that had been announced when it was left out. */
  leftOutAt: number
  /** It has been told that it will be left out, and has not been heard of since. */
  warning: Warning | null
  /** Its last mark that has been heard. */
  mark: number
  /** Confirmations that count when its mark has been heard. */
  readonly early: { readonly number: number; readonly mark: number }[]
}

interface Warning {
  /** What had been announced by then. */
  readonly number: number
  /** When this node itself had heard the warning, by the clock; null: it has not. From then on the other hears nothing new without hearing the warning first. */
  heardAt: number | null
}

interface Wait {
  /** 0: it is announced at the end of this turn. */
  number: number
  readonly isBack: boolean
  readonly done: Promise<void>
  readonly resolve: () => void
  /** How often it has been looked at, because it waits for long. */
  looks: number
  timer: Timer
}

// A warning, the time to notice it, what hearing it took; and again, for a node that came back between.
const looksMax = 5
// Confirmations of one node that wait for its mark.
const earlyMax = 100
// A node that is left out again and again has a line in so much time.
const lineEveryMs = 10_000

export interface ConfirmationTerms {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Log
  /** Milliseconds that anybody waits at most. */
  readonly timeoutMs: number
  /** Announces a record with all that is announced in this turn, behind it. */
  announce(record: NumberRecord | LeftOutRecord): void
}

/**
 * Waits until all living nodes act on what this one has announced. What is announced in one turn has one number, and nodes confirm up to a number. A node that
 * has not confirmed in half of the time is told that it will be left out, and is left out, until it confirms, in the other half: by then it has heard so or sees that it has
 * heard nothing for too long, so it does not serve its clients with what it knows while others do not wait for it. A node that speaks an older version is never waited for.
 */
export class Confirmations {
  readonly #terms: ConfirmationTerms
  /** Names this run of the node. */
  readonly run: string
  readonly #peers = new Map<string, Peer>()
  #number = 0
  #heardOwn = 0
  #back = 0
  /** In the order of their numbers. */
  #waits: Wait[] = []
  #asked: Wait | null = null
  // What is announced in this turn has a number.
  #isNumbered = false
  readonly #lines: LineThrottle
  /** How often a node has been left out. */
  leftOut = 0
  /** From asking until all living nodes have confirmed. */
  readonly timing: Timing

  constructor(terms: ConfirmationTerms) {
    this.#terms = terms
    this.run = terms.clock.random(6).toString('base64url')
    this.timing = new Timing(terms.clock)
    this.#lines = new LineThrottle(terms.clock, { everyMs: lineEveryMs })
  }

  /** Nodes that are there and not waited for, though they could confirm. */
  get absent(): number {
    let absent = 0
    for (const { confirms, living } of this.#peers.values()) if (confirms && !living) absent += 1
    return absent
  }

  /** The names of the nodes that are waited for. */
  get living(): string[] {
    return [...this.#peers.values()].flatMap(({ name, living }) => (living ? [name] : []))
  }

  /** There are other nodes. */
  get hasOthers(): boolean {
    return this.#peers.size > 0
  }

  /** The node could confirm, and is not waited for. */
  isAbsent(name: string): boolean {
    const peer = this.#peers.get(name)
    return peer?.confirms === true && !peer.living
  }

  joined(node: Node): void {
    const confirms = spokenBy(node) >= confirmVersion
    this.#peers.set(node.name, {
      name: node.name,
      confirms,
      living: false,
      confirmed: 0,
      knowsBack: 0,
      leftOutAt: 0,
      warning: null,
      mark: 0,
      early: [],
    })
  }

  left(name: string): void {
    this.#peers.delete(name)
    this.#settle()
  }

  /**
   * Resolves when all living nodes act on what has been announced so far, or the time is over; undefined: nobody has to be waited for. `isBack`: when all that
   * could confirm wait for this node from now on, and this node has heard what was announced before.
   */
  everywhere(isBack = false): Promise<void> | undefined {
    if (!this.#terms.bus.connected) return undefined
    if (!this.#awaits(isBack)) {
      // Who was left out is waited for again when it confirms.
      if (this.absent > 0 && !this.#isNumbered) this.#say(false)
      return undefined
    }
    if (this.#asked === null || this.#asked.isBack !== isBack) this.#asked = this.#ask(isBack)
    return this.#asked.done
  }

  #awaits(isBack: boolean): boolean {
    for (const { living, confirms } of this.#peers.values()) if (living || (isBack && confirms)) return true
    return false
  }

  #ask(isBack: boolean): Wait {
    const { clock, timeoutMs } = this.#terms
    let resolve!: () => void
    const done = new Promise<void>(settled => {
      resolve = settled
    })
    this.timing.follow(done)
    const wait: Wait = { number: 0, isBack, done, resolve, looks: 0, timer: afterAwake(clock, timeoutMs / 2, () => this.#look(wait)) }
    wait.number = this.#say(isBack)
    if (isBack) this.#back = wait.number
    this.#waits.push(wait)
    return wait
  }

  #say(isBack: boolean): number {
    this.#number += 1
    this.#isNumbered = true
    this.#terms.announce(['n', this.#number, this.run, isBack ? 1 : 0])
    return this.#number
  }

  /** The end of a turn: what is asked for from now on has another number. */
  turned(): void {
    this.#asked = null
    this.#isNumbered = false
  }

  /** A number has been heard. */
  numbered(from: string, number: number, run: string, isBack: boolean): void {
    if (from === this.#terms.bus.node) {
      if (run === this.run) this.#heardOwn = number
    } else if (isBack) {
      const peer = this.#peers.get(from)
      if (peer !== undefined) this.#isThere(peer)
    }
    this.#settle()
  }

  /** A mark of another node has been heard. */
  marked(from: string, mark: number): void {
    const peer = this.#peers.get(from)
    if (peer === undefined) return
    peer.mark = mark
    while (peer.early.length > 0 && peer.early[0]!.mark <= mark) this.#confirm(peer, peer.early.shift()!.number)
    this.#settle()
  }

  /** Another node says what it acts on. */
  confirmed(from: string, number: number, run: string, mark: number): void {
    const peer = this.#peers.get(from)
    if (peer === undefined || run !== this.run) return
    if (peer.mark >= mark) {
      this.#confirm(peer, number)
    } else {
      peer.early.push({ number, mark })
      // The last one says what all before it say.
      if (peer.early.length > earlyMax) peer.early.shift()
    }
    this.#settle()
  }

  /** Another node says that it waits for this one from now on. */
  knowsBack(from: string, number: number, run: string): void {
    const peer = this.#peers.get(from)
    if (peer === undefined || run !== this.run) return
    if (number > peer.knowsBack) peer.knowsBack = number
    this.#isThere(peer)
    this.#settle()
  }

  /** This node has heard its own number, with which it came back last, and so all that stands before it. */
  get heardBack(): boolean {
    return this.#heardOwn >= this.#back
  }

  #confirm(peer: Peer, number: number): void {
    if (number > peer.confirmed) peer.confirmed = number
    if (!peer.living && peer.confirmed >= peer.leftOutAt) peer.living = true
    if (peer.warning !== null && peer.confirmed >= peer.warning.number) peer.warning = null
  }

  #isThere(peer: Peer): void {
    peer.living = true
    peer.warning = null
  }

  #settle(): void {
    while (this.#waits.length > 0 && this.#isEverywhere(this.#waits[0]!)) {
      const { resolve, timer } = this.#waits.shift()!
      timer.cancel()
      resolve()
    }
  }

  #isEverywhere(wait: Wait): boolean {
    let awaits = false
    for (const peer of this.#peers.values()) {
      if (!this.#counts(peer, wait)) continue
      if (!hasAnswered(peer, wait)) return false
      awaits = true
    }
    return !awaits || this.#heardOwn >= wait.number
  }

  #counts({ living, confirms, leftOutAt }: Peer, { isBack, number }: Wait): boolean {
    return living || (isBack && confirms && leftOutAt < number)
  }

  // A part of the time is over.
  #look(wait: Wait): void {
    const { bus, clock, timeoutMs } = this.#terms
    wait.looks += 1
    const hearsItself = this.#heardOwn >= wait.number
    let ms = hearsItself || wait.looks > 1 ? 0 : timeoutMs / 2
    // Where this node itself does not hear what is announced, nothing can be said of the others.
    if (hearsItself) {
      for (const peer of this.#peers.values()) {
        if (this.#counts(peer, wait) && !hasAnswered(peer, wait)) ms = Math.max(ms, this.#leavesOutIn(peer))
      }
    }
    if (ms > 0 && bus.connected && wait.looks < looksMax) {
      wait.timer = afterAwake(clock, ms, () => this.#look(wait))
      return
    }
    this.#waits = this.#waits.filter(one => one !== wait)
    wait.resolve()
    this.#settle()
  }

  /** Milliseconds until a node that has not confirmed has noticed that it will be left out; 0: it is left out now. */
  #leavesOutIn(peer: Peer): number {
    const { clock, timeoutMs, announce } = this.#terms
    if (peer.warning === null) {
      peer.warning = { number: this.#number, heardAt: null }
      announce(['l', peer.name])
    }
    const { heardAt } = peer.warning
    if (heardAt === null) return timeoutMs / 2
    const left = heardAt + timeoutMs / 2 - clock.now()
    if (left > 0) return left
    peer.warning = null
    peer.living = false
    peer.leftOutAt = this.#number
    this.#leftOut(peer)
    return 0
  }

  /** This node has heard its own warning to another. */
  heardWarning(name: string): void {
    const warning = this.#peers.get(name)?.warning
    if (warning) warning.heardAt ??= this.#terms.clock.now()
  }

  #leftOut({ name }: Peer): void {
    const { log, timeoutMs } = this.#terms
    this.leftOut += 1
    const count = this.#lines.pass(name)
    if (count > 0)
      log.warn(
        { node: name, count },
        `a node has not confirmed what this one announced within ${timeoutMs} ms (cluster.confirmTimeout): answers to clients do not wait for it until it does`,
      )
  }

  /** Nobody waits any longer. */
  stop(): void {
    for (const { resolve, timer } of this.#waits.splice(0)) {
      timer.cancel()
      resolve()
    }
  }
}

function hasAnswered({ knowsBack, confirmed }: Peer, { isBack, number }: Wait): boolean {
  return (isBack ? knowsBack : confirmed) >= number
}
