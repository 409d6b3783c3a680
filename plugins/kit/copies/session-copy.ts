import { OperatorError } from '../../../core/errors.ts'
import type { Subscription } from '../../../core/routing/subscription.ts'
import type { Done, SessionKey, SessionStore } from '../../../core/sessions/session-store.ts'
import { noMessage } from '../no-message.ts'
import type { CopiedSession, CopyLine } from './copy-lines.ts'

/** A line that was not kept, and why. */
export interface FailedLine {
  /** Its number, from 1 on. */
  readonly number: number
  readonly error: Error
}

/** What has become of a session. */
export interface SessionCopied {
  /** Messages in its queue. */
  readonly queued: number
  /** Messages that found no room in it. */
  readonly dropped: number
  /** The first line that was not kept, and then the session is not there; null: all is. */
  readonly failed: FailedLine | null
}

type PartLine = CopyLine & { readonly kind: 'subscription' | 'received' | 'queued' }

const subscriptionsAtOnce = 100
const identifierBytes = 50

/** Writes one session by the verbs by which a broker does: it is claimed, gets what its client would have given it, and is closed. */
export class SessionCopy {
  readonly #store: SessionStore
  readonly #session: CopiedSession
  readonly #number: number
  readonly #claimed: Promise<SessionKey>
  // Resolves when all that was asked of the store so far has been answered. Never rejects.
  #last: Promise<unknown>
  #subscriptions: Subscription[]
  #failed: FailedLine | null
  #queued: number
  #finish: (copied: SessionCopied) => void
  /** Bytes of its lines that the store has not answered. */
  bytes: number
  /** Resolves when nothing of it is under way any more. Never rejects. */
  readonly ended: Promise<SessionCopied>

  /** `number`: that of its line. */
  constructor(store: SessionStore, session: CopiedSession, node: string, number: number) {
    this.#store = store
    this.#session = session
    this.#number = number
    this.#subscriptions = []
    this.#failed = null
    this.#queued = 0
    this.bytes = 0
    this.#finish = () => {}
    this.ended = new Promise(resolve => {
      this.#finish = resolve
    })
    this.#claimed = this.#claim(node)
    this.#last = this.#claimed.catch(error => this.#fail(number, error))
  }

  /** One more line of it; `bytes` of it are held until it is kept. */
  add(number: number, line: PartLine, bytes: number): void {
    switch (line.kind) {
      case 'subscription':
        this.#subscriptions.push(line.subscription)
        if (this.#subscriptions.length >= subscriptionsAtOnce) this.#subscribe(number)
        return
      case 'received':
        for (const packetId of line.packetIds)
          this.#ask(number, identifierBytes, session => this.#store.append(noMessage, [], { session, packetId }))
        return
      case 'queued': {
        const { message, released, ...target } = line.entry
        const { clientId } = this.#session
        this.#queued += 1
        this.#ask(number, bytes, async session => {
          await this.#store.append(message, [{ ...target, clientId, epoch: session.epoch }], null)
          if (released) await this.#store.release(session, target.packetId)
        })
      }
    }
  }

  /** Resolves when all that is under way has been answered. Never rejects. */
  settled(): Promise<unknown> {
    return this.#last
  }

  /** All its lines have come. Never rejects. */
  close(): Promise<SessionCopied> {
    this.#subscribe(this.#number)
    void this.#closeBehind(this.#last)
    return this.ended
  }

  /** It is not to be there. Never rejects. */
  async abandon(): Promise<void> {
    await this.#last
    try {
      await this.#store.end(await this.#claimed)
    } catch {
      // It is not there, or the store is away: why it was given up is what is said.
    }
    this.#finish({ queued: 0, dropped: 0, failed: this.#failed })
  }

  async #claim(node: string): Promise<SessionKey> {
    const { clientId, user, expiryMs, will } = this.#session
    const { epoch, present } = await this.#store.claim({ clientId, node, user, userOnly: false, cleanStart: false, expiryMs, will })
    if (!present) return { clientId, epoch }
    // Its client has come in between. It is its own again when it comes once more.
    await this.#store.close({ clientId, epoch }, expiryMs, false)
    throw new OperatorError('ERR_COPY_STORE', `session ${clientId} has come meanwhile`)
  }

  async #closeBehind(last: Promise<unknown>): Promise<void> {
    await last
    try {
      if (this.#failed !== null) return await this.abandon()
      const { closedAt, expiryMs, clientId } = this.#session
      const kept = (await this.#store.inspect?.(clientId))?.queued.messages ?? this.#queued
      await this.#store.close(await this.#claimed, expiryMs, true, ...(closedAt === null ? [] : [closedAt]))
      this.#finish({ queued: kept, dropped: this.#queued - kept, failed: null })
    } catch (error) {
      this.#fail(this.#number, error as Error)
      await this.abandon()
    }
  }

  #subscribe(number: number): void {
    const subscriptions = this.#subscriptions
    this.#subscriptions = []
    if (subscriptions.length > 0) this.#ask(number, 0, session => this.#store.subscribe(session, subscriptions))
  }

  // The store keeps what it is asked in the order in which it is asked: nothing waits for the answer before it.
  #ask(number: number, bytes: number, write: (session: SessionKey) => Done): void {
    this.bytes += bytes
    const asked = this.#claimed
      .then(write)
      .catch(error => this.#fail(number, error as Error))
      .finally(() => {
        this.bytes -= bytes
      })
    this.#last = Promise.all([this.#last, asked])
  }

  #fail(number: number, error: Error): void {
    if (this.#failed === null || number < this.#failed.number) this.#failed = { number, error }
  }
}
