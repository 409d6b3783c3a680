import type { Clock } from '../../core/time/clock.ts'
import { Fifo } from '../kit/fifo.ts'

const againMs = 100

/**
 * Tells when everything that was told to this node before has arrived: it tells itself a number by the same way, where nothing overtakes anything, and waits
 * for it. Those who ask in one turn of the event loop share a number.
 */
export class Barrier {
  readonly #clock: Clock
  readonly #send: (number: number) => Promise<unknown>
  readonly #waiting = new Fifo<{ readonly number: number; readonly passed: () => void }>()
  #number = 0
  #asked: Promise<void> | null = null
  #stopped = false

  /** `send`: tells this node a number, or rejects. */
  constructor(clock: Clock, send: (number: number) => Promise<unknown>) {
    this.#clock = clock
    this.#send = send
  }

  /** Resolves when what was told before the call has arrived, or can no longer. */
  pass(): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    this.#asked ??= new Promise(passed => {
      this.#number += 1
      const number = this.#number
      this.#waiting.push({ number, passed })
      setImmediate(() => {
        this.#asked = null
        this.#try(number)
      })
    })
    return this.#asked
  }

  /** A number has come back. */
  arrived(number: number): void {
    while (this.#waiting.length > 0 && this.#waiting.first!.number <= number) this.#waiting.shift()!.passed()
  }

  /** The way was interrupted, and whoever could have missed something knows that: nobody has to wait any longer. */
  interrupted(): void {
    this.arrived(this.#number)
  }

  stop(): void {
    this.#stopped = true
    this.interrupted()
  }

  #try(number: number): void {
    if (this.#stopped || (this.#waiting.first?.number ?? number + 1) > number) return
    this.#send(number).catch(() => this.#clock.after(againMs, () => this.#try(number)))
  }
}
