import type { Subscription } from '../../core/routing/subscription.ts'
import type {
  AppendTarget,
  Claim,
  ClaimRequest,
  Due,
  EndedSession,
  SessionKey,
  StoredSubscriber,
  SurvivingSession,
} from '../../core/sessions/session-store.ts'
import type { PartStore } from '../kit/services/parts.ts'
import type { AnswerOrder } from './answer-order.ts'
import type { AllSessions, PartTerms, SessionNote } from './part-terms.ts'

/** Where the client of a stored session is connected, as its part knows. */
interface Owner {
  node: string | null
  epoch: number
  expiryMs: number
}

/** Sessions that are read, or said, in one frame. */
export const sessionsPerPage = 1000

/** The sessions that this worker keeps, for whoever asks, this worker or another one; it tells all what becomes of them. */
export class OwnPart {
  readonly store: PartStore
  readonly #terms: PartTerms
  readonly #all: AllSessions
  readonly #order: AnswerOrder
  readonly #owners = new Map<string, Owner>()
  // Of others that read the sessions of this part, how far they have come.
  readonly #readers = new Map<string, Iterator<StoredSubscriber>>()

  constructor(store: PartStore, terms: PartTerms, all: AllSessions, order: AnswerOrder) {
    this.store = store
    this.#terms = terms
    this.#all = all
    this.#order = order
  }

  *sessions(): Iterable<StoredSubscriber> {
    for (const subscriber of this.store.sessions() as Iterable<StoredSubscriber>) {
      const { clientId } = subscriber
      // Of those that lie on a disk this part has not heard yet.
      if (!this.#owners.has(clientId)) this.#owners.set(clientId, { node: null, epoch: 0, expiryMs: 0 })
      const { node, epoch } = this.#owners.get(clientId)!
      this.#all.known.add(clientId)
      yield { ...subscriber, node, epoch: Math.max(epoch, subscriber.epoch ?? 0) }
    }
  }

  /** A page of them for another worker, from the `first` on or the `next` one; empty: there are no more. */
  page(reader: string, which: string): StoredSubscriber[] {
    if (which === 'first') this.#readers.set(reader, this.sessions()[Symbol.iterator]())
    const rest = this.#readers.get(reader)
    const page: StoredSubscriber[] = []
    while (rest !== undefined && page.length < sessionsPerPage) {
      const { value, done } = rest.next()
      if (done === true) break
      page.push(value)
    }
    if (page.length === 0) this.#readers.delete(reader)
    return page
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    const { clientId, node, expiryMs } = request
    const { note } = this.#terms
    const claim = await this.store.claim(request)
    const { epoch, ended, present } = claim
    const notes: Promise<void>[] = []
    if (ended !== null) {
      this.#owners.delete(clientId)
      notes.push(note(['e', clientId, epoch - 1]))
    }
    if (present || expiryMs > 0) {
      this.#owners.set(clientId, { node: String(node), epoch, expiryMs })
      // What it replaces may be one that died with the worker that kept it, of which this one has never heard.
      notes.push(note(['c', clientId, epoch, String(node), present ? 0 : 1]))
    }
    await Promise.all(notes)
    return claim
  }

  /** A message has been appended to a session for the worker `from`: whose client is connected elsewhere hears of it there. */
  appended(from: string, { clientId, packetId, epoch }: AppendTarget): void {
    const { self, calls, note, report } = this.#terms
    const owner = this.#owners.get(clientId)
    if (owner === undefined) {
      // This part has lost it, or never had it: nobody is to send it anything any more.
      if (this.#all.known.delete(clientId)) note(['e', clientId, 0]).catch(report)
    } else if (owner.node !== null && owner.node !== from && (packetId === 0 || owner.epoch !== epoch)) {
      if (owner.node === self) this.#all.events.appended(clientId)
      else calls.tell(owner.node, 's.appended', clientId)
    }
  }

  subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Promise<void> {
    return this.#told(this.store.subscribe(session, subscriptions), ['s', session.clientId, session.epoch, subscriptions])
  }

  unsubscribe(session: SessionKey, filters: readonly string[]): Promise<void> {
    return this.#told(this.store.unsubscribe(session, filters), ['u', session.clientId, session.epoch, filters])
  }

  close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt?: number): Promise<void> {
    const { clientId, epoch } = session
    const done = this.store.close(session, expiryMs, keepWill, closedAt)
    const owner = this.#owners.get(clientId)
    if (owner?.epoch === epoch) owner.node = null
    return this.#told(done, ['p', clientId, epoch])
  }

  #told(done: void | Promise<void>, note: SessionNote): Promise<void> {
    return this.#order.told(note[1], done, () => this.#terms.note(note))
  }

  async end(session: SessionKey): Promise<EndedSession | null> {
    const ended = await this.store.end(session)
    if (this.#owners.get(session.clientId)?.epoch === session.epoch) this.#owners.delete(session.clientId)
    await this.#terms.note(['e', session.clientId, session.epoch])
    return ended
  }

  async expire(now: number, limit: number): Promise<readonly Due[]> {
    const due = await this.store.expire(now, limit)
    for (const one of due) {
      if (one.kind !== 'expired') continue
      const { clientId } = one.session
      const epoch = this.#owners.get(clientId)?.epoch || (one.session.epoch ?? 0)
      this.#owners.delete(clientId)
      this.#terms.note(['e', clientId, epoch]).catch(this.#terms.report)
    }
    return due
  }

  /** Another worker says whose clients are connected to it, since before this part was opened. */
  connectedAt(from: string, sessions: readonly (readonly [clientId: string, epoch: number])[]): void {
    const { note, report } = this.#terms
    for (const [clientId, epoch] of sessions) {
      if ((this.#owners.get(clientId)?.epoch ?? 0) >= epoch) continue
      const expiryMs = this.store.lasting!.connected({ clientId, epoch }, from)
      if (expiryMs === null) continue
      this.#owners.set(clientId, { node: from, epoch, expiryMs })
      this.#all.known.add(clientId)
      note(['c', clientId, epoch, from, 0]).catch(report)
    }
  }

  /** Another worker gives back what a part in memory has lost. */
  restore(from: string, session: SurvivingSession): void {
    const { clientId, epoch } = session.key
    if ((this.#owners.get(clientId)?.epoch ?? 0) >= epoch) return
    this.store.restore!(session, from)
    this.#owners.set(clientId, { node: from, epoch, expiryMs: session.expiryMs })
    this.#all.known.add(clientId)
    const { note, report } = this.#terms
    note(['c', clientId, epoch, from, 0]).catch(report)
    note(['s', clientId, epoch, session.subscriptions]).catch(report)
  }

  /** A worker has gone: the sessions of its clients that lie in this part have no connection any more. */
  left(name: string): void {
    for (const [clientId, owner] of this.#owners)
      if (owner.node === name) this.close({ clientId, epoch: owner.epoch }, owner.expiryMs, true).catch(this.#terms.report)
  }
}
