import type { Subscription } from '../../core/routing/subscription.ts'
import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type Done,
  type Due,
  type EndedSession,
  type ReceivedId,
  type SessionKey,
  SessionLostError,
  type StoredSubscriber,
  type StoredWill,
  type SurvivingSession,
} from '../../core/sessions/session-store.ts'
import { noMessage } from '../kit/no-message.ts'
import type { PartStore } from '../kit/services/parts.ts'
import type { AnswerOrder } from './answer-order.ts'
import { HalfReceived } from './half-received.ts'
import { InTurn } from './in-turn.ts'
import type { AllSessions, PartTerms, SessionNote } from './part-terms.ts'

/** Where the client of a stored session is connected, as its part knows. */
interface Owner {
  node: string | null
  epoch: number
  expiryMs: number
}

/** Sessions that are read, or said, in one frame. */
export const sessionsPerPage = 1000
// A worker that has not given a will up by then stands still: the client is answered without it.
const giveUpMs = 1000

/** The sessions that this worker keeps, for whoever asks, this worker or another one; it tells all what becomes of them. */
export class OwnPart {
  readonly store: PartStore
  readonly #terms: PartTerms
  readonly #all: AllSessions
  readonly #order: AnswerOrder
  readonly #owners = new Map<string, Owner>()
  // Of others that read the sessions of this part, how far they have come.
  readonly #readers = new Map<string, Iterator<StoredSubscriber>>()
  /** QoS 2 messages of clients of this part that others hand on just now, where parts are lost with their workers. */
  readonly #half: HalfReceived
  /** Claims, one at a time for each client id. */
  readonly #claims = new InTurn()

  constructor(store: PartStore, terms: PartTerms, all: AllSessions, order: AnswerOrder) {
    this.store = store
    this.#terms = terms
    this.#all = all
    this.#order = order
    this.#half = new HalfReceived(terms.clock)
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

  // While a part in memory is gone, whose clients are connected here only this worker knows.
  *#connectedHere(): Iterable<StoredSubscriber> {
    if (this.store.lasting !== undefined) return
    const { self, homeOf } = this.#terms
    for (const { key, user, subscriptions } of this.#all.events.emptied?.() ?? []) {
      const { clientId, epoch } = key
      if (homeOf(clientId) !== self) yield { clientId, ...(user === undefined ? {} : { user }), subscriptions, node: self, epoch }
    }
  }

  *#allHere(): Iterable<StoredSubscriber> {
    yield* this.sessions()
    yield* this.#connectedHere()
  }

  /** A page of them for another worker, from the `first` on or the `next` one; empty: there are no more. */
  page(reader: string, which: string): StoredSubscriber[] {
    if (which === 'first') this.#readers.set(reader, this.#allHere()[Symbol.iterator]())
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
    let claim!: Claim
    await this.#claims.begin(request.clientId, 0, async () => {
      claim = await this.#claimInTurn(request)
    })
    return claim
  }

  async #claimInTurn(request: ClaimRequest): Promise<Claim> {
    const { clientId, node, expiryMs } = request
    const { note } = this.#terms
    const half = this.#half.through(clientId)
    if (half !== undefined) await half
    const due = this.store.lasting === undefined ? await this.#willDue(request) : null
    const claimed = await this.store.claim(request)
    const claim = due !== null && claimed.ended === null ? { ...claimed, orphanedWill: due } : claimed
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

  /**
   * The will of the connection before, which whoever claims the session sends: it is due, and nobody has sent it. Where that connection is open at another worker, that one closes
   * it and gives the will up.
   */
  async #willDue({ clientId, node, cleanStart }: ClaimRequest): Promise<StoredWill | null> {
    const owner = this.#owners.get(clientId)
    const before = owner === undefined ? null : await this.store.inspect!(clientId)
    if (owner === undefined || before === null || before.will === null) return null
    const isElsewhere = owner.node !== null && owner.node !== String(node)
    const isGiven = isElsewhere && (cleanStart || before.will.delayMs === 0) && (await this.#givenUp(owner, clientId))
    // It may have been sent meanwhile, by whoever had the connection, or here.
    const state = await this.store.inspect!(clientId)
    const will = state === null ? before.will : state.will
    if (will === null) return null
    if (isGiven) return will.delayMs === 0 ? will : null
    return state?.closedAt != null && state.closedAt + will.delayMs <= this.#terms.clock.now() ? will : null
  }

  /** The worker that has a session's connection closes it without its will; false: it had closed it before, or does not answer. */
  async #givenUp({ node, epoch }: Owner, clientId: string): Promise<boolean> {
    const { self, calls, clock } = this.#terms
    if (node === self) return this.giveUp(clientId, epoch)
    const answer = calls.now(node!, 's.giveUp', clientId, epoch).catch(() => false)
    return new Promise(resolve => {
      const late = clock.after(giveUpMs, () => resolve(false))
      void answer.then(isGiven => {
        late.cancel()
        resolve(isGiven === true)
      })
    })
  }

  /** The connection of a session at this worker is closed without its will; false: there is none. */
  giveUp(clientId: string, epoch: number): boolean {
    const { mine, events } = this.#all
    if (mine.get(clientId) !== epoch) return false
    mine.delete(clientId)
    events.changed?.({ clientId, epoch: epoch + 1 })
    return true
  }

  /** A worker begins to hand a QoS 2 message of a client of this part on: claims of its session wait for that. */
  beginHalf(from: string, { session: { clientId, epoch }, packetId }: ReceivedId): void {
    if (this.#owners.get(clientId)?.epoch !== epoch) throw new SessionLostError(clientId)
    this.#half.begin(from, clientId, packetId)
  }

  /** All receivers of the message have it: its packet identifier is kept. */
  received(from: string, received: ReceivedId): Done {
    const done = this.store.append(noMessage, [], received)
    this.endHalf(from, received)
    return done
  }

  /** Not all have it, or all: nobody hands it on any more. */
  endHalf(from: string, { session, packetId }: ReceivedId): void {
    this.#half.end(from, session.clientId, packetId)
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
    this.#half.left(name)
    for (const [clientId, owner] of this.#owners)
      if (owner.node === name) this.close({ clientId, epoch: owner.epoch }, owner.expiryMs, true).catch(this.#terms.report)
  }
}
