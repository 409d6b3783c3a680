import type { KnownSession } from './known-session.ts'
import { type EndedSession, SessionLostError, type SessionStore } from './session-store.ts'

// So many are tried again each time.
const retriesMax = 100

/** What is used of the broker here. */
export interface SessionEndingsHost {
  readonly sessions: SessionStore
  clientOf(clientId: string): object | undefined
  report(error: unknown): void
}

/**
 * The ends of connections as the store has to know them: a session is closed, or ends. One that the store did not take is told to it
 * again, for else the session's expiry would never begin. It is for the next claim to say otherwise.
 */
export class SessionEndings {
  readonly #host: SessionEndingsHost
  /** What is still to be told, by client id: bounded by the number of stored sessions. */
  readonly #untold = new Map<string, () => void>()

  constructor(host: SessionEndingsHost) {
    this.#host = host
  }

  close(session: KnownSession, keepWill: boolean): void {
    const { expiryMs, epoch, clientId } = session
    this.#tell(clientId, () => this.#host.sessions.close({ clientId, epoch }, expiryMs, keepWill))
  }

  end({ clientId, epoch }: KnownSession, ended: (ended: EndedSession) => void): void {
    this.#tell(clientId, () => {
      const done = this.#host.sessions.end({ clientId, epoch })
      if (done instanceof Promise) return done.then(gone => gone === null || ended(gone))
      if (done !== null) ended(done)
      return undefined
    })
  }

  /** A new owner has it: what the old one did not get told is void. */
  claimed(clientId: string): void {
    this.#untold.delete(clientId)
  }

  /** The store has a session that it should have ended or closed. */
  has(clientId: string): boolean {
    return this.#untold.has(clientId)
  }

  /** Called now and then. */
  retry(): void {
    let count = 0
    for (const [clientId, tell] of this.#untold) {
      this.#untold.delete(clientId)
      tell()
      count += 1
      if (count === retriesMax) return
    }
  }

  #tell(clientId: string, write: () => void | Promise<unknown>): void {
    const tell = (): void => {
      const done = write()
      if (done === undefined) return
      done.catch(error => {
        // Somebody else has claimed it since, or does so now.
        if (error instanceof SessionLostError || this.#host.clientOf(clientId) !== undefined) return
        this.#host.report(error)
        this.#untold.set(clientId, tell)
      })
    }
    tell()
  }
}
