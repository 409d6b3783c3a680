import type { Clock, Timer } from '../../core/time/clock.ts'

/** A node sees whether it still hears what is announced: nobody else looks at this. */
export type TickRecord = readonly ['t', tick: number]

export interface StepTerms {
  readonly clock: Clock
  /** Milliseconds after which the others do not wait for this node any more. */
  readonly timeoutMs: number
  /** The bus works. */
  isConnected(): boolean
  /** There are other nodes. */
  hasOthers(): boolean
  /** Announces a record at the end of this turn. */
  announce(record: TickRecord): void
  /** This node has heard all that was announced: resolves with `true` when it knows what that says, and the others wait for it; with `false`: not yet. */
  comeBack(): Promise<boolean>
}

// What waits until this node is in step.
const laterBytesMax = 32 * 1024 * 1024
const againMs = 20
// Announced and not heard; more are forgotten.
const ticksMax = 100
// A node that has had no message to route for so long does not look whether it still hears.
const idleMs = 10_000

/**
 * Whether this node knows what the others have announced. One that was frozen, or cut off from the bus, or does not keep up, does not: the others have gone on without it. It
 * knows what was announced before it announced something itself that it has heard; where that was too long ago, what depends on what it knows of the others waits
 * until it has heard something anew. Alone, without a bus, it serves with what it knows.
 */
export class Step {
  readonly #terms: StepTerms
  readonly #timer: Timer
  #isBehind = false
  #looked = false
  /** All that was announced before this time has been heard. Milliseconds, by the clock that never steps. */
  #knownAt = 0
  #usedAt = Number.NEGATIVE_INFINITY
  #tick = 0
  #ticks: { readonly tick: number; readonly at: number; readonly heard: (isHeard: boolean) => void }[] = []
  #episode = 0
  #later: (() => void)[] = []
  #laterBytes = 0
  readonly #inStep: (() => void)[] = []
  readonly #turned = (): void => {
    this.#looked = false
  }

  constructor(terms: StepTerms) {
    this.#terms = terms
    this.#timer = terms.clock.every(Math.ceil(terms.timeoutMs / 4), () => this.#beat())
  }

  /** It may not know all that it should, and can find out. The clock is looked at once a turn of the event loop. */
  get isBehind(): boolean {
    return this.isOutOfStep && this.#terms.isConnected()
  }

  /** It may not know all that it should. */
  get isOutOfStep(): boolean {
    if (!this.#looked) {
      this.#looked = true
      this.#terms.clock.turn(this.#turned)
      this.#look()
    }
    return this.#isBehind
  }

  #look(): void {
    const now = this.#terms.clock.now()
    this.#usedAt = now
    if (!this.#isBehind && now - this.#knownAt > this.#terms.timeoutMs / 2) this.lost()
  }

  #beat(): void {
    const { isConnected, hasOthers } = this.#terms
    if (!isConnected()) return this.#alone()
    if (!this.#isBehind && hasOthers() && this.#terms.clock.now() - this.#usedAt < idleMs) this.#say(() => {})
  }

  #say(heard: (isHeard: boolean) => void): void {
    this.#tick += 1
    this.#ticks.push({ tick: this.#tick, at: this.#terms.clock.now(), heard })
    while (this.#ticks.length > ticksMax) this.#ticks.shift()!.heard(false)
    this.#terms.announce(['t', this.#tick])
  }

  /** This node has heard a tick of its own. */
  heard(tick: number): void {
    while (this.#ticks.length > 0 && this.#ticks[0]!.tick <= tick) {
      const { at, heard } = this.#ticks.shift()!
      this.#knownAt = at
      heard(true)
    }
  }

  /** Something of what the others have announced may not be known here. */
  lost(): void {
    if (!this.#terms.hasOthers()) return
    this.#isBehind = true
    this.#episode += 1
    void this.#catchUp(this.#episode)
  }

  /** The same; resolves when this node is in step, or alone. */
  regain(): Promise<void> {
    this.lost()
    return new Promise(resolve => this.when(0, resolve))
  }

  async #catchUp(episode: number): Promise<void> {
    const { clock, isConnected, comeBack } = this.#terms
    while (episode === this.#episode) {
      if (isConnected() && (await this.#hears()) && episode === this.#episode && (await comeBack())) break
      await new Promise<void>(resolve => clock.after(againMs, resolve))
    }
    if (episode === this.#episode) this.#goOn()
  }

  #hears(): Promise<boolean> {
    const { clock, timeoutMs } = this.#terms
    return new Promise(resolve => {
      const late = clock.after(timeoutMs, () => resolve(false))
      this.#say(isHeard => {
        late.cancel()
        resolve(isHeard)
      })
    })
  }

  #goOn(): void {
    this.#isBehind = false
    this.#episode += 1
    this.#alone()
    for (const run of this.#inStep.splice(0)) run()
  }

  // Who serves alone does so with what is known.
  #alone(): void {
    const later = this.#later
    if (later.length === 0) return
    this.#later = []
    this.#laterBytes = 0
    for (const run of later) run()
  }

  /** Runs it when this node is in step, however long it is cut off before. */
  whenInStep(run: () => void): void {
    if (this.#isBehind) this.#inStep.push(run)
    else run()
  }

  /** Runs it when this node is in step, or alone, at once where it is; `bytes` are what it keeps in memory. `false`: too much waits already, and it does not run. */
  when(bytes: number, run: () => void): boolean {
    if (!this.#isBehind || !this.#terms.isConnected()) {
      run()
      return true
    }
    if (this.#laterBytes + bytes > laterBytesMax) return false
    this.#laterBytes += bytes
    this.#later.push(run)
    return true
  }

  stop(): void {
    this.#timer.cancel()
    this.#goOn()
  }
}
