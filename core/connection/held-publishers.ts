import type { Connection } from './connection.ts'

/** Publishers that one slow reader keeps from being read. */
export class HeldPublishers {
  #held: Connection[] | null = null

  hold(publisher: Connection): void {
    publisher.hold('subscriber')
    this.#held ??= []
    this.#held.push(publisher)
  }

  release(): void {
    const held = this.#held
    if (held === null) return
    this.#held = null
    for (const publisher of held) publisher.release('subscriber')
  }
}
