/** Where the client of a session is connected, and by which claim. */
export interface SessionPlace {
  readonly node: string
  readonly epoch: number
}

/** Which sessions are stored, as far as this node has heard, and which of them have their clients at other nodes. */
export class KnownSessions {
  // Each has a number, higher than that of all that were known before it.
  readonly #numbers = new Map<string, number>()
  readonly #places = new Map<string, SessionPlace>()
  // In the order of the numbers; a session that is known no more stays until there are too many of those.
  #order: { readonly clientId: string; readonly number: number }[] = []
  #last = 0

  has(clientId: string): boolean {
    return this.#numbers.has(clientId)
  }

  /** `place`: another node that its client is connected to; null: none. */
  add(clientId: string, place: SessionPlace | null): void {
    if (place === null) this.#places.delete(clientId)
    else this.#places.set(clientId, place)
    if (this.#numbers.has(clientId)) return
    this.#last += 1
    this.#numbers.set(clientId, this.#last)
    this.#order.push({ clientId, number: this.#last })
  }

  delete(clientId: string): void {
    this.#places.delete(clientId)
    if (!this.#numbers.delete(clientId)) return
    if (this.#order.length > 2 * this.#numbers.size + 1000) {
      this.#order = this.#order.filter(session => this.#numbers.get(session.clientId) === session.number)
    }
  }

  /** All of them. */
  get all(): Iterable<string> {
    return this.#numbers.keys()
  }

  placeOf(clientId: string): SessionPlace | undefined {
    return this.#places.get(clientId)
  }

  /** Sessions whose clients are at other nodes, and at which. */
  get elsewhere(): Iterable<readonly [clientId: string, place: SessionPlace]> {
    return this.#places
  }

  /** At most `limit` sessions from behind the number `after`, in the order in which they became known; `next` is null at the end. */
  page(after: number, limit: number): { readonly clientIds: string[]; readonly next: number | null } {
    const order = this.#order
    const clientIds: string[] = []
    for (let at = this.#indexBehind(after); at < order.length; at++) {
      const { clientId, number } = order[at]!
      if (this.#numbers.get(clientId) !== number) continue
      if (clientIds.length === limit) return { clientIds, next: order[at - 1]!.number }
      clientIds.push(clientId)
    }
    return { clientIds, next: null }
  }

  #indexBehind(after: number): number {
    let low = 0
    let high = this.#order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#order[middle]!.number <= after) low = middle + 1
      else high = middle
    }
    return low
  }
}
