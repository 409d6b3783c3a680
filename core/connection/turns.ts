/**
 * Long work of one client goes on a slice at a time, and only one slice of anybody's in each turn of the event loop: a
 * hundred clients that subscribe to a thousand filters each at once hold the others up for one slice, not for all of them.
 */
export class Turns {
  // At most one for each client, since what stands behind a packet waits for it.
  #waiting: (() => void)[] = []
  readonly #run = (): void => {
    const next = this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(this.#run)
    next?.()
  }

  /** Resolves when it is this caller's turn to do its next slice. */
  next(): Promise<void> {
    return new Promise(resolve => {
      if (this.#waiting.push(resolve) === 1) setImmediate(this.#run)
    })
  }
}

/** What is done with many things, done to a slice of them in each turn. */
export async function inTurns<T>(turns: Turns, items: readonly T[], perTurn: number, step: (slice: readonly T[]) => void): Promise<void> {
  for (let from = 0; from < items.length; from += perTurn) {
    await turns.next()
    step(items.slice(from, from + perTurn))
  }
}

/** Filters that are subscribed to, or unsubscribed from, in one turn: some 0.4 ms. */
export const filtersPerTurn = 128
