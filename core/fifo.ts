/** First in, first out. Taking from the front moves nothing, but once in a while, which costs less than moving what is left for each. */
export class Fifo<T> {
  #items: T[] = []
  // Items before this index have been taken.
  #head = 0

  /** How many items there are. */
  get length(): number {
    return this.#items.length - this.#head
  }

  /** The item that comes next; `undefined` where there is none. */
  get first(): T | undefined {
    return this.#items[this.#head]
  }

  /** Puts an item in, behind all others. */
  push(item: T): void {
    this.#items.push(item)
  }

  /** Takes out the item that comes next; `undefined` where there is none. */
  shift(): T | undefined {
    const items = this.#items
    const head = this.#head
    if (head === items.length) return undefined
    const item = items[head]
    items[head] = undefined as never
    this.#head = head + 1
    if (this.#head === items.length) this.clear()
    else if (this.#head > 1024 && this.#head * 2 > items.length) {
      this.#items = items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Takes out the first item that is wanted, wherever it stands: `undefined` where none is. Looks at each before it. */
  shiftFirst(isWanted: (item: T) => boolean): T | undefined {
    for (let i = this.#head; i < this.#items.length; i++) if (isWanted(this.#items[i]!)) return this.#items.splice(i, 1)[0]
    return undefined
  }

  /** Takes out the items that do not stay, in order; the others keep theirs. */
  sift(stays: (item: T) => boolean): T[] {
    const kept: T[] = []
    const gone: T[] = []
    for (const item of this) (stays(item) ? kept : gone).push(item)
    this.#items = kept
    this.#head = 0
    return gone
  }

  /** Takes out all items, in order. */
  shiftAll(): T[] {
    const items = this.#head === 0 ? this.#items : this.#items.slice(this.#head)
    this.clear()
    return items
  }

  /** Takes all items out. */
  clear(): void {
    this.#items = []
    this.#head = 0
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i]!
  }
}
