import type { Broker } from '../../core/broker.ts'
import { Fifo } from '../kit/fifo.ts'
import type { MemoryPressure } from '../kit/services/memory-pressure.ts'

/** What may still be done in this turn of the event loop. */
export interface Budget {
  /** Bytes of messages. */
  bytes: number
  /** By the broker's clock. */
  readonly until: number
}

/** A replay that has something to do. */
export interface Slices {
  /** Does some of it, and says to `Replays` by `add` that there is more. */
  slice(budget: Budget): void
}

// What all replays together send in one turn of the event loop, and how long they take. One that stalls needs hardly any of it.
const turnBytes = 262_144
const turnMs = 2
// What one replay sends before the next has its turn.
const sliceBytes = 32_768
// Short of memory, all replays together send one slice in this time.
const pressureMs = 250
// Messages that were read and wait because their readers do not read: beyond this they are forgotten, and read again.
const heldMax = 4_194_304

/**
 * All replays of a broker. They take turns, a slice each, within one budget for all of them: 400 clients that ask for 40 MB each at once hold nobody
 * else up, and take no more memory than what is on its way to them.
 */
export class Replays {
  readonly #broker: Broker
  readonly #pressure: () => MemoryPressure | undefined
  readonly #ready = new Fifo<Slices>()
  readonly #waiting = new Set<Slices>()
  #isRunning = false
  // What may still be sent in this turn of the event loop.
  #left = turnBytes
  #inTurn = false
  /** Bytes of messages that replays have read and not yet sent. */
  held = 0
  /** Turns of the event loop in which replays did something, and the most bytes in one: for the test that holds the budget. */
  turns = 0
  bytesMax = 0

  constructor(broker: Broker, pressure: () => MemoryPressure | undefined) {
    this.#broker = broker
    this.#pressure = pressure
  }

  /** So much is held that whoever has to wait lets go of what it has read. */
  get crowded(): boolean {
    return this.held > heldMax
  }

  /** A replay has something to do: at once, where nobody waits and this turn has room for it. */
  add(replay: Slices): void {
    if (this.#waiting.has(replay)) return
    this.#waiting.add(replay)
    this.#ready.push(replay)
    if (this.#inTurn) return
    if (this.#ready.length === 1 && this.#left > 0 && this.#pressure()?.slows !== true) this.#turn()
    if (!this.#isRunning) this.#run().catch(error => this.#broker.report(error))
  }

  // Until a turn in which nobody had anything to do: then the budget is whole again.
  async #run(): Promise<void> {
    this.#isRunning = true
    try {
      for (let wasUsed = true; wasUsed || this.#ready.length > 0; ) {
        await this.#broker.turns.next()
        const isShort = this.#pressure()?.slows === true
        this.#left = isShort ? sliceBytes : turnBytes
        wasUsed = this.#turn()
        if (isShort && this.#ready.length > 0) await new Promise<void>(resolve => this.#broker.clock.after(pressureMs, resolve))
      }
    } finally {
      this.#isRunning = false
    }
  }

  /** Returns whether anything was done. */
  #turn(): boolean {
    const until = this.#broker.clock.now() + turnMs
    const before = this.#left
    this.#inTurn = true
    while (this.#left > 0) {
      const replay = this.#ready.shift()
      if (replay === undefined) break
      this.#waiting.delete(replay)
      const slice = Math.min(this.#left, sliceBytes)
      const budget = { bytes: slice, until }
      try {
        replay.slice(budget)
      } catch (error) {
        this.#broker.report(error)
      }
      this.#left -= slice - budget.bytes
      if (this.#broker.clock.now() >= until) break
    }
    this.#inTurn = false
    if (this.#left === before) return false
    this.turns += 1
    this.bytesMax = Math.max(this.bytesMax, before - this.#left)
    return true
  }
}
