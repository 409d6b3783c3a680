/**
 * Something with a moment in the future. It carries its own links, so that scheduling allocates nothing. For keep-alive: note
 * when something was heard, leave the wheel alone, and schedule again only when the wheel comes round and finds it early.
 */
export interface WheelItem {
  next: WheelItem | null
  previous: WheelItem | null
  /** Milliseconds since the Unix epoch; the wheel's own. */
  dueAt: number
  /** Must not throw: the others of the round would wait for the wheel to come round again. */
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

  /** Fires `item` at `dueAt` or a little later, at `Infinity` never; moves one that is scheduled already. */
  schedule(item: WheelItem, dueAt: number): void {
    this.cancel(item)
    item.dueAt = dueAt
    if (dueAt === Number.POSITIVE_INFINITY) return
    const tick = Math.max(this.#tick + 1, Math.ceil(dueAt / this.#tickMs))
    append(this.#slots[tick % this.#slots.length]!, item)
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
    if (slot.next === slot) return
    // The items move to a ring of their own, which is emptied from the front: so one that is fired may call off or move any
    // other, or come back into this slot, and each is looked at once.
    const ring = head()
    ring.next = slot.next
    ring.previous = slot.previous
    ring.next!.previous = ring
    ring.previous!.next = ring
    slot.next = slot
    slot.previous = slot
    for (let item = ring.next!; item !== ring; item = ring.next!) {
      this.cancel(item)
      if (item.dueAt > now) append(slot, item)
      else item.onTimer(now)
    }
  }
}

function append(ring: WheelItem, item: WheelItem): void {
  item.next = ring
  item.previous = ring.previous
  ring.previous!.next = item
  ring.previous = item
}

function head(): WheelItem {
  const item: WheelItem = { next: null, previous: null, dueAt: Number.POSITIVE_INFINITY, onTimer: () => {} }
  item.next = item
  item.previous = item
  return item
}
