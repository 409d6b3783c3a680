import type { Message } from '../../core/messages/message.ts'
import {
  type AppendTarget,
  type Done,
  MessageRefusedError,
  type ReceivedId,
  type SessionKey,
  StoreAwayError,
  StoreFullError,
} from '../../core/sessions/session-store.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import type { AnswerOrder } from './answer-order.ts'
import { InTurn } from './in-turn.ts'
import type { OwnPart } from './own-part.ts'
import { type AllSessions, keyOf, type PartTerms } from './part-terms.ts'
import { type Appended, type SpreadTerms, spreadAppend } from './spread-append.ts'

/** Messages on their way to the parts of the sessions that are to have them. */
export class PartAppends {
  readonly #own: OwnPart
  readonly #terms: PartTerms
  readonly #all: AllSessions
  readonly #order: AnswerOrder
  // While an append of another worker is under way.
  #collected: { readonly message: Message; readonly dropped: Appended['dropped'][number][]; readonly lost: SessionKey[] } | null = null
  // QoS 2 messages on their way to several parts.
  readonly #spreading = new InTurn()
  /** Packet identifiers of those that broke off: what the parts have of such a message is to be known when it is sent again. */
  readonly #broken = new Map<string, Set<number>>()

  constructor(own: OwnPart, terms: PartTerms, all: AllSessions, order: AnswerOrder) {
    this.#own = own
    this.#terms = terms
    this.#all = all
    this.#order = order
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done {
    const { self, homeOf } = this.#terms
    const isHere = (clientId: string): boolean => homeOf(clientId) === self
    const ids = targets.map(({ clientId }) => clientId)
    if (received !== null) ids.push(received.session.clientId)
    if (ids.every(isHere) && (received === null || !this.#isSpread(received))) {
      const done = this.#here(self, message, targets, received)
      return this.#order.waits(ids) ? this.#order.appended(ids, Promise.resolve(done)) : done
    }
    const byHome = new Map<string, AppendTarget[]>()
    for (const target of targets) {
      const home = homeOf(target.clientId)
      const some = byHome.get(home)
      if (some === undefined) byHome.set(home, [target])
      else some.push(target)
    }
    const keeper = received === null ? null : homeOf(received.session.clientId)
    if (keeper !== null && !byHome.has(keeper)) byHome.set(keeper, [])
    const body = encodeMessage(message)
    if (received !== null && this.#own.store.lasting !== undefined)
      return this.#order.appended(ids, this.#spread(message, body, byHome, keeper!, received))
    const plain = received === null ? null : { session: keyOf(received.session), packetId: received.packetId }
    if (plain === null || (byHome.size === 1 && (keeper === self || !this.#spreading.has(plain.session.clientId))))
      return this.#order.appended(ids, this.#at(message, body, byHome, keeper, plain))
    const handOn = (): Promise<void> => this.#handOn(message, body, byHome, keeper!, plain)
    return this.#order.appended(ids, this.#spreading.begin(plain.session.clientId, plain.packetId, handOn))
  }

  /** In each part what is its own. */
  async #at(
    message: Message,
    body: Buffer,
    byHome: ReadonlyMap<string, AppendTarget[]>,
    keeper: string | null,
    received: ReceivedId | null,
  ): Promise<void> {
    const { self, calls } = this.#terms
    const done: Done[] = []
    for (const [home, some] of byHome) {
      const also = home === keeper ? received : null
      if (some.length === 0 && also === null) continue
      if (home === self) {
        done.push(this.#here(self, message, some, also))
        continue
      }
      const ask = (): Promise<unknown> => calls.ask(home, 's.append', body, some, also)
      // What no client sends again is asked once more: the part is lost with its worker, so it has nothing of it.
      const isSentAgain = message.origin === 'client' || this.#own.store.lasting !== undefined
      const asked = isSentAgain ? ask() : ask().catch(error => (error instanceof StoreAwayError ? ask() : Promise.reject(error)))
      done.push(asked.then(...this.#answered(message, some)))
    }
    await Promise.all(done)
  }

  /** A QoS 2 message whose receivers lie in other parts than its publisher, all of which are lost with their workers: its identifier is kept when all have it, and claims wait for that. */
  async #handOn(
    message: Message,
    body: Buffer,
    byHome: ReadonlyMap<string, AppendTarget[]>,
    keeper: string,
    received: ReceivedId,
  ): Promise<void> {
    const { self, calls } = this.#terms
    try {
      // Without a turn in between where the publisher's part is this one, so that what comes next does not overtake it.
      if (keeper === self) this.#own.beginHalf(self, received)
      else await calls.ask(keeper, 's.half', received)
      await this.#at(message, body, byHome, null, null)
      if (keeper === self) await this.#own.received(self, received)
      else await calls.ask(keeper, 's.received', received)
    } catch (error) {
      if (keeper === self) this.#own.endHalf(self, received)
      else calls.tell(keeper, 's.unhalf', received)
      throw error
    }
  }

  // Where an attempt before went in steps, though all lies in this part, it is known by its token; and what comes behind such a message must not overtake it.
  #isSpread({ session, packetId }: ReceivedId): boolean {
    const { lasting } = this.#own.store
    return lasting !== undefined && (this.#spreading.has(session.clientId) || lasting.isIntended(session, packetId))
  }

  #spread(
    message: Message,
    body: Buffer,
    byHome: ReadonlyMap<string, AppendTarget[]>,
    keeper: string,
    received: ReceivedId,
  ): Promise<void> {
    const { self, calls, clock } = this.#terms
    const terms: SpreadTerms = {
      self,
      own: this.#own.store,
      calls,
      clock,
      once: (_message, targets, token) => this.#here(self, message, targets, null, token),
      appended: (_message, _targets, answer) => this.#heardOf(message, answer),
      failed: (targets, error) => this.#unknown(targets, error),
    }
    const { packetId } = received
    const session = keyOf(received.session)
    const done = this.#spreading.begin(session.clientId, packetId, () =>
      spreadAppend(terms, message, body, byHome, keeper, { session, packetId }),
    )
    done.catch(error => {
      if (!isVerdict(error)) this.#breaks(session.clientId, packetId)
    })
    return done
  }

  #breaks(clientId: string, packetId: number): void {
    const known = this.#broken.get(clientId)
    if (known === undefined) this.#broken.set(clientId, new Set([packetId]))
    else known.add(packetId)
  }

  /** Resolves when nothing of a client's is under way any more at this worker, which is about to claim its session. */
  async settled(clientId: string): Promise<void> {
    if (this.#own.store.lasting !== undefined && this.#spreading.has(clientId)) await this.#spreading.through(clientId)
    this.#broken.delete(clientId)
  }

  forget(session: SessionKey, packetId: number): void | Promise<void> {
    const key = keyOf(session)
    const { clientId } = key
    const broken = this.#broken.get(clientId)
    // The broker gives it up because it broke off, and has not said to the client that it has the message. Whether the parts have it they say when it comes again.
    if (broken?.delete(packetId) === true) {
      if (broken.size === 0) this.#broken.delete(clientId)
      return
    }
    // Answered behind what was called before it. What comes later under the same identifier waits for this, so this must not wait for that.
    return this.#order.behind(
      clientId,
      this.#spreading.behind(clientId, packetId, () => this.#forget(key, packetId)),
    )
  }

  #forget(key: SessionKey, packetId: number): Done {
    const { self, homeOf, calls } = this.#terms
    const home = homeOf(key.clientId)
    return home === self ? this.#own.store.forget(key, packetId) : calls.ask(home, 's.forget', key, packetId).then(() => {})
  }

  /** What becomes of an append at another worker. */
  #answered(message: Message, targets: readonly AppendTarget[]): [(answer: unknown) => void, (error: Error) => never] {
    return [
      answer => this.#heardOf(message, answer as Appended),
      error => {
        this.#unknown(targets, error)
        throw error
      },
    ]
  }

  #heardOf(message: Message, { dropped, lost }: Appended): void {
    const { events } = this.#all
    for (const [clientId, reason] of dropped) events.dropped(clientId, message, reason)
    for (const session of lost) events.lost(session)
  }

  // A part that outlives its worker may have kept what it did not answer: clients that are connected here come again, and get what lies there.
  #unknown(targets: readonly AppendTarget[], error: Error): void {
    if (this.#own.store.lasting === undefined) return
    const { mine, events } = this.#all
    for (const { clientId, epoch } of targets) if (mine.get(clientId) === epoch) events.lost({ clientId, epoch }, error)
  }

  #here(from: string, message: Message, targets: readonly AppendTarget[], received: ReceivedId | null, token: string | null = null): Done {
    const { store } = this.#own
    let done =
      token === null
        ? store.append(message, targets, received)
        : store.lasting!.appendOnce(message, targets, token, target => this.#takenBefore(from, target))
    const isUntold = this.#order.tells
    if (received !== null && isUntold) done = this.#order.behindTold(received.session.clientId, done)
    for (const target of targets) {
      if (isUntold) done = this.#order.behindTold(target.clientId, done)
      this.#own.appended(from, target)
    }
    return done
  }

  // Under which packet identifier it was taken, whoever asks does not know: its client, where it has one, comes again.
  #takenBefore(from: string, { clientId, packetId, epoch }: AppendTarget): void {
    const error = new StoreAwayError('a worker has died while it kept a message')
    if (packetId === 0) return
    if (this.#collected !== null) this.#collected.lost.push({ clientId, epoch })
    else if (from === this.#terms.self) this.#all.events.lost({ clientId, epoch }, error)
  }

  /** Another worker appends to sessions of this part. */
  asked(
    from: string,
    body: Buffer,
    targets: readonly AppendTarget[],
    received: ReceivedId | null,
    token: string | null = null,
  ): Appended | Promise<Appended> {
    const message = decodeMessage(body)
    const collected = { message, dropped: [] as Appended['dropped'][number][], lost: [] as SessionKey[] }
    this.#collected = collected
    const done = this.#here(from, message, targets, received, token)
    this.#collected = null
    const answer: Appended = { dropped: collected.dropped, lost: collected.lost }
    return done instanceof Promise ? done.then(() => answer) : answer
  }

  /** What the own store tells of an append goes to whoever asked for it. */
  dropped(clientId: string, message: Message, reason: Appended['dropped'][number][1]): void {
    if (this.#collected?.message === message) this.#collected.dropped.push([clientId, reason])
    else this.#all.events.dropped(clientId, message, reason)
  }

  lost(session: SessionKey): void {
    if (this.#collected !== null) this.#collected.lost.push(session)
    else this.#all.events.lost(session)
  }
}

/** The parts have said no, and the client is told so, or has a newer connection; anything else leaves open what they have. */
function isVerdict(error: unknown): boolean {
  return error instanceof StoreFullError || error instanceof MessageRefusedError
}
