interface HeapNode<T> {
  readonly at: number
  /** Which came first, of those that are due at the same time. */
  readonly order: number
  readonly item: T
}

/** Items by the time at which they come due, those of one time in the order in which they came: a binary heap. One whose time changes is put in again; whoever takes it out looks whether it still holds. */
export class DueTimes<T> {
  #heap: HeapNode<T>[] = []
  #added = 0

  /** How many items there are. */
  get size(): number {
    return this.#heap.length
  }

  /** Puts an item in, which is due `at`, in the unit of `shiftDue`. */
  add(item: T, at: number): void {
    const heap = this.#heap
    const entry = { at, order: this.#added++, item }
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isBefore(entry, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = entry
  }

  /** Takes out the earliest, if it is due. */
  shiftDue(now: number): T | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.at > now) return undefined
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return first.item
  }

  /** Leaves out what no longer holds. */
  keepOnly(holds: (item: T) => boolean): void {
    const kept = this.#heap.filter(({ item }) => holds(item)).sort((a, b) => a.order - b.order)
    this.#heap = []
    for (const { item, at } of kept) this.add(item, at)
  }

  #sink(entry: HeapNode<T>): void {
    const heap = this.#heap
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, entry)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = entry
  }
}

function isBefore(one: HeapNode<unknown>, other: HeapNode<unknown>): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
