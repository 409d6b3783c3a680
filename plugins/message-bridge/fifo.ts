/** First in, first out. Taking from the front moves nothing, but once in a while, which costs less than moving what is left for each. */
export class Fifo<T> {
  #items: T[] = []
  // Those before it have gone.
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  /** The one that comes next. */
  get first(): T | undefined {
    return this.#items[this.#head]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** Takes out the one that comes next; there must be one. */
  take(): T {
    const item = this.#items[this.#head]!
    this.#items[this.#head] = undefined as never
    this.#head += 1
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Takes out the first of a kind, wherever it stands. */
  takeFirst(isWanted: (item: T) => boolean): T | undefined {
    const at = this.#items.findIndex((item, index) => index >= this.#head && isWanted(item))
    return at === -1 ? undefined : this.#items.splice(at, 1)[0]
  }

  /** Takes out all. */
  takeAll(): T[] {
    const items = this.#items.slice(this.#head)
    this.#items = []
    this.#head = 0
    return items
  }
}
