/** What has been begun and is not through yet. */
export class UnderWay {
  readonly #begun = new Set<Promise<unknown>>()

  /** How much is under way. */
  get size(): number {
    return this.#begun.size
  }

  /** From now on this is under way, until it is through; returns it. */
  add<T>(begun: Promise<T>): Promise<T> {
    const done = (): void => void this.#begun.delete(begun)
    this.#begun.add(begun)
    begun.then(done, done)
    return begun
  }

  /** Resolves when all that is under way now is through, whatever has come of it. */
  async through(): Promise<void> {
    await Promise.allSettled(this.#begun)
  }
}
