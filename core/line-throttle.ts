import type { Clock, Timer } from './time/clock.ts'

/** How many lines are written, and what is said of the others. */
export interface LineThrottleOptions {
  /** Milliseconds in which one kind of event gets `linesMax` lines. */
  readonly everyMs: number
  /** Lines of one kind in that time. The default is 1. */
  readonly linesMax?: number
  /** How many kinds of lines are counted each by itself; those beyond count as one kind. Default 100. */
  readonly kindsMax?: number
  /** The name of that kind. The default is `others`. */
  readonly others?: string
  /**
   * Says, when the time is over, how many events of a kind had no line. Left out: nothing is said then, and the count of the next line has
   * them in it.
   */
  more?(count: number, kind: string): void
}

interface Kind {
  since: number
  lines: number
  /** Events since the last line, or since the time began. */
  count: number
}

/** Keeps what happens again and again from filling the log: so many lines of each kind in a time, and the others as a number. */
export class LineThrottle {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #linesMax: number
  readonly #kindsMax: number
  readonly #others: string
  readonly #more: ((count: number, kind: string) => void) | undefined
  readonly #kinds = new Map<string, Kind>()
  #timer: Timer | null = null

  constructor(clock: Clock, options: LineThrottleOptions) {
    this.#clock = clock
    this.#everyMs = options.everyMs
    this.#linesMax = options.linesMax ?? 1
    this.#kindsMax = options.kindsMax ?? 100
    this.#others = options.others ?? 'others'
    this.#more = options.more
  }

  /** An event of a kind. Returns 0 where it gets no line, else for how many events its line stands: itself, and those before that had none. */
  pass(name: string): number {
    const now = this.#clock.now()
    const kind = this.#kinds.get(name) ?? this.#begin(name, now)
    kind.count += 1
    if (this.#more === undefined && this.#isOver(kind, now)) kind.lines = 0
    if (kind.lines === this.#linesMax) return 0
    if (kind.lines === 0) kind.since = now
    kind.lines += 1
    const { count } = kind
    kind.count = 0
    return count
  }

  /** The next event of this kind gets a line, which does not count those before: what they were about is over. */
  forget(name: string): void {
    this.#kinds.delete(name)
  }

  /** Says how many events had no line, and begins anew. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const [name, { count }] of this.#kinds) if (count > 0) this.#more?.(count, name)
    this.#kinds.clear()
  }

  #begin(name: string, now: number): Kind {
    if (this.#kinds.size >= this.#kindsMax) this.#makeRoom(now)
    const own = this.#kinds.size < this.#kindsMax ? name : this.#others
    let kind = this.#kinds.get(own)
    if (kind === undefined) {
      kind = { since: now, lines: 0, count: 0 }
      this.#kinds.set(own, kind)
    }
    if (this.#more !== undefined) this.#timer ??= this.#clock.after(this.#everyMs, () => this.flush())
    return kind
  }

  // Where a timer runs it clears all kinds. Else those go whose time is over, with what they had left out.
  #makeRoom(now: number): void {
    if (this.#more !== undefined) return
    for (const [name, kind] of this.#kinds) if (this.#isOver(kind, now)) this.#kinds.delete(name)
  }

  #isOver({ since }: Kind, now: number): boolean {
    return now - since >= this.#everyMs
  }
}
