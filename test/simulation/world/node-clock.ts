import type { Clock, Moment, Timer } from '../../../core/time/clock.ts'
import type { Chance } from './chance.ts'
import type { Party, World } from './world.ts'

/** A machine's clocks: how fast they go, what the wall clock says, and how often the machine was started. */
export interface MachineClocks {
  readonly name: string
  /** The monotonic clock goes so much faster than the world's time: 0.0001 is 100 ppm. */
  readonly drift: number
  /** What the wall clock is ahead of the right time. Milliseconds; a fault changes it. */
  wallAhead: number
  /** When the machine was started last. */
  startedAt: number
  /** How often. */
  starts: number
  /** Its processes begin their clocks alike, as a supervisor has its workers do; else each with the wall clock. */
  readonly sharesClock: boolean
}

// When the world begins, by a right wall clock.
const epoch = Date.UTC(2027, 0, 1)
// Turns of the event loop take so long at most, I/O in between.
const turnMs = 0.2

/** What a simulated node has of the world: its clocks, its turns and its chance. One for each run of the node. */
export class NodeClock implements Clock {
  readonly #world: World
  readonly #party: Party
  readonly #machine: MachineClocks
  readonly #chance: Chance
  readonly #touch: () => void
  readonly #origin: number
  readonly #begunAt: number
  // Turns come in the order in which they were asked for.
  #lastTurnAt = 0

  /** `touch`: called at each thing that the node wants of the world; the node may crash in it. */
  constructor(world: World, party: Party, machine: MachineClocks, chance: Chance, touch: () => void) {
    this.#world = world
    this.#party = party
    this.#machine = machine
    this.#chance = chance
    this.#touch = touch
    this.#begunAt = machine.sharesClock ? 0 : world.now
    this.#origin = machine.sharesClock ? epoch : this.#wall()
  }

  now(): number {
    return this.#origin + (this.#world.now - this.#begunAt) * (1 + this.#machine.drift)
  }

  moment(): Moment {
    const { name, starts, startedAt, drift } = this.#machine
    return { wall: this.#wall(), boot: `${name}-${starts}`, uptime: (this.#world.now - startedAt) * (1 + drift) }
  }

  after(ms: number, callback: () => void): Timer {
    this.#touch()
    // Node's timers count whole milliseconds.
    const due = Math.max(1, Math.ceil(ms)) / (1 + this.#machine.drift)
    return this.#world.after(due, this.#party, `timer ${this.#party.name}`, callback)
  }

  every(ms: number, callback: () => void): Timer {
    let timer: Timer
    const arm = (): void => {
      timer = this.after(ms, () => {
        arm()
        callback()
      })
    }
    arm()
    return { cancel: () => timer.cancel() }
  }

  turn(callback: () => void): void {
    this.#touch()
    this.#lastTurnAt = Math.max(this.#lastTurnAt, this.#world.now + this.#chance.latency(turnMs))
    this.#world.at(this.#lastTurnAt, this.#party, `turn ${this.#party.name}`, callback)
  }

  random(size: number): Buffer {
    this.#touch()
    return this.#chance.bytes(size)
  }

  #wall(): number {
    return epoch + this.#world.now + this.#machine.wallAhead
  }
}
