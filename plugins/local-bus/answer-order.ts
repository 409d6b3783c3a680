import type { Done } from '../../core/sessions/session-store.ts'

/**
 * Answers what is done to one session in the order of the calls, though some of it is done at other workers or is yet to be told to all. As long as an answer waits for one before it, what is
 * called later is answered behind that.
 */
export class AnswerOrder {
  /** Sessions that have an answer to come which waits for something. */
  readonly #last = new Map<string, Promise<void>>()
  /** Sessions of which all are yet to hear what was done. */
  readonly #untold = new Map<string, Promise<void>>()
  /** Sessions for which an append that others keep a part of is under way. */
  readonly #appending = new Map<string, Promise<void>>()

  /** Answers behind what was called before. */
  behind<T>(clientId: string, done: T | Promise<T>): T | Promise<T> {
    const before = this.#last.get(clientId)
    if (before === undefined) return done
    caught(done)
    const answer = before.then(() => done)
    keep(this.#last, clientId, settled(answer))
    return answer
  }

  /** A step of an append is done when all have been told of the session what was done to it before. It must not wait for the append that it is a part of. */
  behindTold<T>(clientId: string, done: T | Promise<T>): T | Promise<T> {
    const untold = this.#untold.get(clientId)
    if (untold === undefined) return done
    caught(done)
    return untold.then(() => done)
  }

  /** Does what is to show all appends that were called before, when several workers have kept those. */
  afterAppends<T>(clientId: string, work: () => T | Promise<T>): T | Promise<T> {
    const appending = this.#appending.get(clientId)
    return appending === undefined ? work() : appending.then(work)
  }

  /** All are told of a session by `tell`, when what was done to it is done; whatever is called meanwhile is answered behind it. */
  told(clientId: string, done: Done, tell: () => Promise<void>): Promise<void> {
    const told = done instanceof Promise ? done.then(tell) : tell()
    caught(told)
    const before = this.#untold.get(clientId)
    const ordered = before === undefined ? told : before.then(() => told)
    keep(this.#untold, clientId, settled(ordered))
    const answer = Promise.resolve(this.behind(clientId, ordered))
    keep(this.#last, clientId, settled(answer))
    return answer
  }

  /** Something is yet to be told. */
  get tells(): boolean {
    return this.#untold.size > 0
  }

  /** An answer of one of these sessions waits for something. */
  waits(clientIds: readonly string[]): boolean {
    return this.#last.size > 0 && clientIds.some(id => this.#last.has(id))
  }

  /** An append that others keep a part of: what is called later for any of its sessions is answered behind it. */
  appended(clientIds: readonly string[], done: Promise<void>): Promise<void> {
    const over = settled(done)
    const before = clientIds.flatMap(id => this.#last.get(id) ?? [])
    // Where it fails, that is said at once: what its publisher sends behind it must not be kept before it comes again.
    const answer = before.length === 0 ? done : Promise.all([done, ...before]).then(() => {})
    const last = Promise.all([over, ...before]).then(() => {})
    caught(answer)
    for (const id of clientIds) {
      const appending = this.#appending.get(id)
      keep(this.#appending, id, appending === undefined ? over : Promise.all([over, appending]).then(() => {}))
      keep(this.#last, id, last)
    }
    return answer
  }
}

/** It may fail before anybody looks at it. */
function caught(done: unknown): void {
  if (done instanceof Promise) done.catch(() => {})
}

function settled(done: Promise<unknown>): Promise<void> {
  return done.then(
    () => {},
    () => {},
  )
}

/** It stands there until it is over, or something else does. */
function keep(map: Map<string, Promise<void>>, clientId: string, until: Promise<void>): void {
  map.set(clientId, until)
  void until.then(() => {
    if (map.get(clientId) === until) map.delete(clientId)
  })
}
