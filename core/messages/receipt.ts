/**
 * Keeps the publisher's acknowledgement back until everybody who has to keep the message has said so: stores, cluster,
 * bridge. Acknowledged means kept.
 */
export class Receipt {
  // Whoever creates it holds it until routing is through, so that it cannot settle half-way.
  #holds = 1
  // How many readers of it do not keep up.
  #slowedBy = 0
  #error: Error | undefined
  #names: string[] | undefined
  /**
   * Somebody has subscribed to the topic. A plugin that brings the message to subscribers elsewhere sets it inside `onRoute`: else MQTT 5's acknowledgement says that nobody
   * has (0x10). Default false.
   */
  matched = false
  #settled: ((error: Error | undefined) => void) | undefined

  /** Keeps the acknowledgement back; each `hold` needs its own `release`. */
  hold(): void
  /**
   * The same, and says who holds: a receipt that is too late names its holders in the log. Returns the `release` of this hold, which may be called again and does
   * nothing then.
   */
  hold(name: string): (error?: Error) => void
  hold(name?: string): ((error?: Error) => void) | undefined {
    this.holdAs(name)
    if (name === undefined) return undefined
    return error => {
      if (name !== undefined) this.release(error, name)
      name = undefined
    }
  }

  /**
   * Keeps the acknowledgement back and says who does, without a function for each message: each `holdAs` needs its own `release` with the same name. A constant as the name costs 45 ns a message,
   * what `hold(name)` returns 85 (median of three runs of two million).
   */
  holdAs(name: string | undefined): void {
    if (this.#holds === 0) throw new Error('this receipt has settled; hold it synchronously, inside onRoute')
    this.#holds += 1
    if (name !== undefined) (this.#names ??= []).push(name)
  }

  /** Who holds it: those that gave a name, and that there are others where some did not. */
  get holders(): string[] {
    const named = this.#names ?? []
    return named.length < this.#holds ? [...named, 'the session store, or a plugin that gives no name'] : [...named]
  }

  /** Ends one `hold`, or the `holdAs` of that name. With an error the message is not acknowledged, and its publisher's connection is closed so that it sends again. */
  release(error?: Error, name?: string): void {
    if (this.#holds === 0) return
    if (name !== undefined) this.#names!.splice(this.#names!.indexOf(name), 1)
    if (error !== undefined) this.#error ??= error
    if (--this.#holds === 0) this.#settled?.(this.#error)
  }

  /** Keeps the acknowledgement back for the sake of a slow reader: as long as that one gets on, no time limit runs. */
  slow(): void {
    this.hold()
    this.#slowedBy += 1
  }

  /** Ends one `slow`. */
  ease(): void {
    this.#slowedBy -= 1
    this.release()
  }

  /** A reader that does not keep up holds it. */
  get slowed(): boolean {
    return this.#slowedBy > 0
  }

  /** True when nobody holds it any more. */
  get settled(): boolean {
    return this.#holds === 0
  }

  /** What `release` was given first; `undefined`: nothing went wrong. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Tells one listener, at once where it has settled already. */
  onSettled(callback: (error: Error | undefined) => void): void {
    if (this.#holds === 0) callback(this.#error)
    else this.#settled = callback
  }
}
