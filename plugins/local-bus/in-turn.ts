/** What is done one after the other under a number of a client, as long as something is under way there. */
export class InTurn {
  readonly #last = new Map<string, Map<number, Promise<void>>>()

  /** Something of a client's is under way. */
  has(clientId: string): boolean {
    return this.#last.size > 0 && this.#last.has(clientId)
  }

  /** Resolves when all of a client's that is under way now is through. */
  async through(clientId: string): Promise<void> {
    await Promise.all(this.#last.get(clientId)?.values() ?? [])
  }

  /** Begins it behind what is under way under the number; whatever comes after under the same number waits for it. */
  begin(clientId: string, number: number, work: () => Promise<void>): Promise<void> {
    let own = this.#last.get(clientId)
    if (own === undefined) this.#last.set(clientId, (own = new Map()))
    const before = own.get(number)
    const done = before === undefined ? work() : before.then(work)
    const settled = done
      .catch(() => {})
      .then(() => {
        if (own.get(number) === settled) own.delete(number)
        if (own.size === 0 && this.#last.get(clientId) === own) this.#last.delete(clientId)
      })
    own.set(number, settled)
    return done
  }

  /** Does it at once where nothing is under way under the number; else behind that. */
  behind(clientId: string, number: number, work: () => void | Promise<void>): void | Promise<void> {
    return this.#last.get(clientId)?.has(number) === true ? this.begin(clientId, number, async () => await work()) : work()
  }
}
