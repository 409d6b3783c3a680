import type { Connection } from './connection.ts'

/** Publishers that one slow reader keeps from being read. */
export class PausedPublishers {
  #paused: Connection[] | null = null

  pause(publisher: Connection): void {
    publisher.pauseFor('subscriber')
    this.#paused ??= []
    this.#paused.push(publisher)
  }

  resume(): void {
    const paused = this.#paused
    if (paused === null) return
    this.#paused = null
    for (const publisher of paused) publisher.resumeFor('subscriber')
  }
}
