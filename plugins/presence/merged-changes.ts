import type { Clock, Timer } from '../../core/time/clock.ts'

// Clients that are looked at in one turn of the event loop.
const sliceMax = 200

/** Lets the first change of a client through in each time, and at its end the last one: whoever flaps costs two messages. */
export class MergedChanges<Change> {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #say: (clientId: string, change: Change) => void
  readonly #merged: () => void
  // Those that have said something in this time, and what they have to say at its end.
  #recent: Map<string, Change | null>
  #timer: Timer | null

  /** `merged`: a change is left out, because another one follows. */
  constructor(clock: Clock, intervalMs: number, say: (clientId: string, change: Change) => void, merged: () => void) {
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#say = say
    this.#merged = merged
    this.#recent = new Map()
    this.#timer = null
  }

  add(clientId: string, change: Change): void {
    if (this.#intervalMs === 0) return this.#say(clientId, change)
    const waiting = this.#recent.get(clientId)
    if (waiting === undefined) {
      this.#recent.set(clientId, null)
      this.#timer ??= this.#clock.after(this.#intervalMs, () => this.#over())
      return this.#say(clientId, change)
    }
    if (waiting !== null) this.#merged()
    this.#recent.set(clientId, change)
  }

  /** Says at once what waits. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    const recent = this.#recent
    this.#recent = new Map()
    for (const [clientId, change] of recent) if (change !== null) this.#say(clientId, change)
  }

  #over(): void {
    this.#timer = null
    const recent = this.#recent
    this.#recent = new Map()
    const changes = [...recent].filter(([, change]) => change !== null)
    // They have said something in the time that begins now; what comes meanwhile takes the place of what waits.
    for (const [clientId, change] of changes) this.#recent.set(clientId, change)
    if (changes.length === 0) return
    this.#timer = this.#clock.after(this.#intervalMs, () => this.#over())
    const next = (): void => {
      for (const [clientId] of changes.splice(0, sliceMax)) {
        const change = this.#recent.get(clientId)
        if (change === undefined || change === null) continue
        this.#recent.set(clientId, null)
        this.#say(clientId, change)
      }
      if (changes.length > 0) this.#clock.turn(next)
    }
    next()
  }
}
