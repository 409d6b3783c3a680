/**
 * Something with a moment in the future. It carries its own links, so that scheduling allocates nothing. For keep-alive: note
 * when something was heard, leave the wheel alone, and schedule again only when the wheel comes round and finds it early.
 */
export interface WheelItem {
  next: WheelItem | null
  previous: WheelItem | null
  /** Milliseconds since the Unix epoch; the wheel's own. */
  dueAt: number
  onTimer(now: number): void
}

/** Coarse timers for very many things: one tick for all, O(1) to schedule and to cancel. Fires at most one tick late, never early. */
export class TimerWheel {
  readonly #tickMs: number
  // Each slot is the head of a ring of items.
  readonly #slots: WheelItem[]
  #tick: number

  constructor(now: number, tickMs: number, slots = 512) {
    this.#tickMs = tickMs
    this.#tick = Math.floor(now / tickMs)
    this.#slots = Array.from({ length: slots }, head)
  }

  /** Fires `item` at `dueAt` or a little later; moves one that is scheduled already. */
  schedule(item: WheelItem, dueAt: number): void {
    this.cancel(item)
    item.dueAt = dueAt
    const tick = Math.max(this.#tick + 1, Math.ceil(dueAt / this.#tickMs))
    const slot = this.#slots[tick % this.#slots.length]!
    item.next = slot
    item.previous = slot.previous
    slot.previous!.next = item
    slot.previous = item
  }

  cancel(item: WheelItem): void {
    if (item.next === null) return
    item.previous!.next = item.next
    item.next.previous = item.previous
    item.next = null
    item.previous = null
  }

  /** Brings the wheel to `now` and fires what is due. */
  advance(now: number): void {
    const target = Math.floor(now / this.#tickMs)
    // After a long sleep one turn of the wheel sees every item.
    const steps = Math.min(target - this.#tick, this.#slots.length)
    this.#tick = target
    for (let step = steps - 1; step >= 0; step--) this.#fire(this.#slots[(target - step) % this.#slots.length]!, now)
  }

  #fire(slot: WheelItem, now: number): void {
    // What is fired may schedule itself into the same slot: it goes behind the mark and is not looked at again.
    const mark = head()
    const last = slot.previous!
    mark.next = slot
    mark.previous = last
    last.next = mark
    slot.previous = mark
    for (let item = slot.next!; item !== mark; ) {
      const current = item
      item = item.next!
      if (current.dueAt > now) continue
      // `current` may cancel its neighbour: look at the ring again afterwards.
      this.cancel(current)
      current.onTimer(now)
      item = slot.next!
      while (item !== mark && item.dueAt > now) item = item.next!
    }
    this.cancel(mark)
  }
}

function head(): WheelItem {
  const item: WheelItem = { next: null, previous: null, dueAt: Number.POSITIVE_INFINITY, onTimer: () => {} }
  item.next = item
  item.previous = item
  return item
}
