import type { Client } from './client.ts'

/** Publishers that one slow reader keeps from being read. */
export class HeldPublishers {
  #held: Client[] | null = null

  hold(publisher: Client): void {
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
