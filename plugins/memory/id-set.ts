const listMax = 32

/**
 * The packet identifiers of the QoS 2 messages that one publisher has under way: mostly one or a few, added and taken away again and
 * again. A `Set` allocates a new table every few of these, for each of thousands of sessions; a short list is searched faster, too.
 */
export class IdSet {
  readonly #list: number[] = []
  #set: Set<number> | null = null

  add(id: number): void {
    if (this.#set !== null) this.#set.add(id)
    else if (!this.#list.includes(id)) {
      this.#list.push(id)
      if (this.#list.length > listMax) {
        this.#set = new Set(this.#list)
        this.#list.length = 0
      }
    }
  }

  delete(id: number): void {
    if (this.#set !== null) {
      this.#set.delete(id)
      if (this.#set.size === 0) this.#set = null
      return
    }
    const list = this.#list
    const at = list.indexOf(id)
    if (at === -1) return
    // In order, for that is how they are handed out at a claim.
    for (let i = at + 1; i < list.length; i++) list[i - 1] = list[i]!
    list.pop()
  }

  [Symbol.iterator](): Iterator<number> {
    return (this.#set ?? this.#list)[Symbol.iterator]()
  }
}
