/** What is done one after the other under a name, as long as something is under way there. */
export class InTurn {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Under how many names something is under way. */
  get size(): number {
    return this.#last.size
  }

  /** Resolves when what is under way now under these names is through. */
  async through(isOne: (name: string) => boolean): Promise<void> {
    await Promise.all([...this.#last].map(([name, settled]) => (isOne(name) ? settled : undefined)))
  }

  /** Begins it behind what is under way under the name; whatever comes after under the same name waits for it. */
  begin(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.#last.get(name)
    const done = before === undefined ? work() : before.then(work)
    const settled = done
      .catch(() => {})
      .then(() => {
        if (this.#last.get(name) === settled) this.#last.delete(name)
      })
    this.#last.set(name, settled)
    return done
  }

  /** Does it at once where nothing is under way under the name; else behind that. */
  behind(name: string, work: () => void | Promise<void>): void | Promise<void> {
    return this.#last.has(name) ? this.begin(name, async () => await work()) : work()
  }
}
