import type { Seats } from '../../../core/connection/transport.ts'

/** How many connections one listener has, and may have. */
export class CountedSeats implements Seats {
  /** How many places there are; `Infinity`: no limit. */
  readonly max: number
  /** How many places are taken. */
  taken = 0

  constructor(max: number | null) {
    this.max = max ?? Number.POSITIVE_INFINITY
  }

  /** Takes one; `false` where there is none left. */
  take(): boolean {
    if (this.taken >= this.max) return false
    this.taken += 1
    return true
  }

  free(): void {
    this.taken -= 1
  }
}
