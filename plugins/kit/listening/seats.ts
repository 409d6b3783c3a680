import type { Seats } from '../../../core/connection/transport.ts'
import type { RefusedLines } from './refused-lines.ts'

/** How many connections one listener has, and may have. */
export class CountedSeats implements Seats {
  /** How many places there are; `Infinity`: no limit. */
  readonly max: number
  /** How many places are taken. */
  taken = 0
  /** Where the listener's options stand in the config; `undefined`: nobody has said. */
  readonly at: string | undefined
  readonly #refused: RefusedLines | null

  /** `refused`: says which connections there was no place for. */
  constructor(max: number | null, refused: RefusedLines | null = null) {
    this.at = refused?.at
    this.#refused = refused
    this.max = max ?? Number.POSITIVE_INFINITY
  }

  /** Takes one; `false` where there is none left. */
  take(): boolean {
    if (this.taken >= this.max) {
      this.#refused?.full(this.max)
      return false
    }
    this.taken += 1
    return true
  }

  free(): void {
    this.taken -= 1
  }
}
