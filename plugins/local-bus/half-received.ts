import type { Clock, Timer } from '../../core/time/clock.ts'

// Who connects meanwhile waits so long at most: longer than a worker may stand still that is not taken for dead.
const waitMs = 6000

interface Half {
  readonly from: string
  readonly clientId: string
  readonly packetId: number
}

/**
 * QoS 2 messages that other workers hand to the parts of their receivers just now, in the part of their publishers: the packet identifier is kept when all have the message.
 * A publisher that comes again meanwhile would send it a second time, so its claim waits.
 */
export class HalfReceived {
  readonly #clock: Clock
  readonly #halves = new Map<string, Half[]>()
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A worker begins to hand a message on. */
  begin(from: string, clientId: string, packetId: number): void {
    const halves = this.#halves.get(clientId)
    if (halves === undefined) this.#halves.set(clientId, [{ from, clientId, packetId }])
    else halves.push({ from, clientId, packetId })
  }

  /** All have it, or not all: then it comes again. */
  end(from: string, clientId: string, packetId: number): void {
    this.#keep(clientId, half => half.from !== from || half.packetId !== packetId)
  }

  /** A worker has gone: what it has begun nobody finishes. */
  left(from: string): void {
    for (const clientId of [...this.#halves.keys()]) this.#keep(clientId, half => half.from !== from)
  }

  /** Resolves when nothing of this client is under way, or the time is over; undefined: nothing is. */
  through(clientId: string): Promise<void> | undefined {
    if (!this.#halves.has(clientId)) return undefined
    return new Promise(resolve => {
      const late: Timer = this.#clock.after(waitMs, resolve)
      const done = (): void => {
        late.cancel()
        resolve()
      }
      this.#waiting.set(clientId, [...(this.#waiting.get(clientId) ?? []), done])
    })
  }

  #keep(clientId: string, isLeft: (half: Half) => boolean): void {
    const left = (this.#halves.get(clientId) ?? []).filter(isLeft)
    if (left.length > 0) return void this.#halves.set(clientId, left)
    this.#halves.delete(clientId)
    const waiting = this.#waiting.get(clientId) ?? []
    this.#waiting.delete(clientId)
    for (const resolve of waiting) resolve()
  }
}
