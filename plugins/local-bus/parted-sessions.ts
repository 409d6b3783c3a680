import type { Message } from '../../core/messages/message.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import type {
  AppendTarget,
  Claim,
  ClaimRequest,
  Done,
  Due,
  EndedSession,
  QueueEntry,
  QueueLimits,
  ReceivedId,
  SessionKey,
  SessionPage,
  SessionStore,
  SessionStoreEvents,
  SessionSummary,
  StoredSessionState,
  StoredSubscriber,
  StoreRoom,
  StoreTotals,
} from '../../core/sessions/session-store.ts'
import type { Node } from '../kit/services/bus.ts'
import type { PartStore } from '../kit/services/parts.ts'
import { AnswerOrder } from './answer-order.ts'
import { OwnPart, sessionsPerPage } from './own-part.ts'
import { PartAppends } from './part-appends.ts'
import * as packed from './part-records.ts'
import { type AllSessions, keyOf, type PartTerms, type SessionNote } from './part-terms.ts'

type Verb = 'send' | 'ack' | 'remove' | 'release'

/**
 * Sessions in the parts of all workers: each in one, by a hash of its client id, wherever its client is connected. So a client may come anywhere, and its session need not be moved.
 * Parts in memory are lost with their workers, but for the sessions that clients of other workers have open: those write them again. Parts on a disk come back, and are told who is
 * connected where.
 */
export class PartedSessions implements SessionStore {
  readonly #store: PartStore
  readonly #terms: PartTerms
  readonly #all: AllSessions = {
    events: { dropped: () => {}, lost: () => {}, appended: () => {} },
    known: new Set(),
    mine: new Map(),
  }
  readonly #order = new AnswerOrder()
  readonly #own: OwnPart
  readonly #appends: PartAppends
  #localEpoch = 0
  /** Wills of sessions that end with their connection lie in the part of the worker that has the connection: they are due when that one has died. Absent: parts in memory keep none. */
  readonly keepWill?: NonNullable<SessionStore['keepWill']>

  constructor(own: PartStore, terms: PartTerms) {
    this.#store = own
    this.#terms = terms
    this.#own = new OwnPart(own, terms, this.#all, this.#order)
    this.#appends = new PartAppends(this.#own, terms, this.#all, this.#order)
    const { lasting, keepWill } = own
    if (lasting !== undefined && keepWill !== undefined) this.keepWill = keepWill.bind(own)
  }

  trouble(): Error | null {
    return this.#store.trouble?.() ?? null
  }

  room(): StoreRoom {
    return this.#store.room?.() ?? { full: false, freeBytes: null }
  }

  open(events: SessionStoreEvents, limits: QueueLimits): Done {
    this.#all.events = events
    const appends = this.#appends
    return this.#store.open(
      {
        dropped: (clientId, message, reason) => appends.dropped(clientId, message, reason),
        lost: session => appends.lost(session),
        appended: clientId => events.appended(clientId),
      },
      limits,
    )
  }

  async *sessions(): AsyncIterable<StoredSubscriber> {
    await this.#terms.load()
    yield* this.#own.sessions()
    for (const name of this.#others()) {
      for await (const subscriber of this.#sessionsOf(name)) {
        this.#all.known.add(subscriber.clientId)
        yield subscriber
      }
    }
  }

  async *#sessionsOf(name: string): AsyncIterable<StoredSubscriber> {
    const { calls, there } = this.#terms
    for (let from: 'first' | 'next' = 'first'; ; ) {
      let page: StoredSubscriber[]
      try {
        page = (await calls.now(name, 's.sessions', from)) as StoredSubscriber[]
      } catch {
        // What it had in memory is gone; what lies on a disk is there again with it, and is read from the beginning.
        if (this.#store.lasting === undefined) return
        await there(name)
        from = 'first'
        continue
      }
      if (page.length === 0) return
      yield* page
      from = 'next'
    }
  }

  #others(): string[] {
    return this.#terms.all.filter(name => name !== this.#terms.self)
  }

  /** The name of the worker that keeps a session; null: this one does. */
  #elsewhere(clientId: string): string | null {
    const home = this.#terms.homeOf(clientId)
    return home === this.#terms.self ? null : home
  }

  // ---- verbs

  async claim(request: ClaimRequest): Promise<Claim> {
    const { clientId, expiryMs } = request
    // Nothing is stored under it, as far as all have told; where they have not, `changed` says so in a moment.
    if (expiryMs === 0 && !this.#all.known.has(clientId)) {
      this.#localEpoch += 1
      return {
        epoch: this.#localEpoch,
        present: false,
        subscriptions: [],
        receivedIds: [],
        queued: { messages: 0, bytes: 0 },
        ended: null,
        ...this.#owed(clientId),
      }
    }
    await this.#appends.settled(clientId)
    const home = this.#elsewhere(clientId)
    const owed = this.#owed(clientId)
    const claim =
      home === null
        ? await this.#own.claim(request)
        : packed.readClaim((await this.#terms.calls.ask(home, 's.claim', packed.claimRequest(request))) as packed.PackedClaim)
    if (claim.present || expiryMs > 0) this.#all.mine.set(clientId, claim.epoch)
    return { ...claim, ...owed }
  }

  /** The will that this worker's part owes of an earlier run. */
  #owed(clientId: string): Pick<Claim, 'orphanedWill'> {
    const orphanedWill = this.#store.lasting?.orphanedWill(clientId) ?? null
    return orphanedWill === null ? {} : { orphanedWill }
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done {
    return this.#appends.append(message, targets, received)
  }

  page(session: SessionKey, position: number, limit: number): readonly QueueEntry[] | Promise<readonly QueueEntry[]> {
    const key = keyOf(session)
    const { clientId } = key
    const { calls } = this.#terms
    const home = this.#elsewhere(clientId)
    const read = (): readonly QueueEntry[] | Promise<readonly QueueEntry[]> =>
      home === null
        ? this.#store.page(key, position, limit)
        : calls.ask(home, 's.page', key, position, limit).then(found => packed.readEntries(found as never))
    return this.#order.behind(clientId, this.#order.afterAppends(clientId, read))
  }

  send(session: SessionKey, position: number, packetId: number): Done {
    return this.#verb('send', session, position, packetId)
  }

  ack(session: SessionKey, packetId: number): Done {
    return this.#verb('ack', session, packetId)
  }

  remove(session: SessionKey, position: number): Done {
    return this.#verb('remove', session, position)
  }

  release(session: SessionKey, packetId: number): Done {
    return this.#verb('release', session, packetId)
  }

  forget(session: SessionKey, packetId: number): Done {
    return this.#appends.forget(session, packetId)
  }

  #verb(verb: Verb, session: SessionKey, ...args: number[]): Done {
    const home = this.#elsewhere(session.clientId)
    const done =
      home === null
        ? (this.#store[verb] as (session: SessionKey, ...args: number[]) => Done)(session, ...args)
        : this.#terms.calls.ask(home, `s.${verb}`, keyOf(session), ...args).then(() => {})
    return this.#order.behind(session.clientId, done)
  }

  subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Done {
    const home = this.#elsewhere(session.clientId)
    if (home === null) return this.#own.subscribe(keyOf(session), subscriptions)
    return this.#terms.calls.ask(home, 's.subscribe', keyOf(session), subscriptions) as Promise<void>
  }

  unsubscribe(session: SessionKey, filters: readonly string[]): Done {
    const home = this.#elsewhere(session.clientId)
    if (home === null) return this.#own.unsubscribe(keyOf(session), filters)
    return this.#terms.calls.ask(home, 's.unsubscribe', keyOf(session), filters) as Promise<void>
  }

  close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt?: number): Done {
    const key = this.#leaves(session)
    const home = this.#elsewhere(key.clientId)
    if (home === null) return this.#own.close(key, expiryMs, keepWill, closedAt)
    return this.#terms.calls.ask(home, 's.close', key, expiryMs, keepWill, closedAt) as Promise<void>
  }

  end(session: SessionKey): Promise<EndedSession | null> {
    const key = this.#leaves(session)
    const home = this.#elsewhere(key.clientId)
    if (home === null) return this.#own.end(key)
    return this.#terms.calls.ask(home, 's.end', key).then(ended => packed.readEnded(ended as never))
  }

  #leaves(session: SessionKey): SessionKey {
    const { clientId, epoch } = session
    if (this.#all.mine.get(clientId) === epoch) this.#all.mine.delete(clientId)
    return { clientId, epoch }
  }

  expire(now: number, limit: number): Promise<readonly Due[]> {
    return this.#own.expire(now, limit)
  }

  async flush(): Promise<void> {
    // Parts in memory may be gone by now, when the broker stops.
    if (this.#store.lasting !== undefined) await this.#terms.calls.answered()
    await this.#store.flush()
  }

  async totals(): Promise<StoreTotals> {
    const { calls } = this.#terms
    const parts = [this.#store.totals!(), ...this.#others().map(name => calls.now(name, 's.totals').catch(() => null))]
    const sum = { sessions: 0, messages: 0, bytes: 0 }
    for (const part of (await Promise.all(parts)) as (StoreTotals | null)[]) {
      sum.sessions += part?.sessions ?? 0
      sum.messages += part?.messages ?? 0
      sum.bytes += part?.bytes ?? 0
    }
    return sum
  }

  peek(clientId: string, position: number, limit: number): readonly QueueEntry[] | null | Promise<readonly QueueEntry[] | null> {
    const home = this.#elsewhere(clientId)
    if (home === null) return this.#store.peek!(clientId, position, limit)
    return this.#terms.calls
      .ask(home, 's.peek', clientId, position, limit)
      .then(found => (found === null ? null : packed.readEntries(found as never)))
  }

  inspect(clientId: string): StoredSessionState | null | Promise<StoredSessionState | null> {
    const home = this.#elsewhere(clientId)
    if (home === null) return this.#store.inspect!(clientId)
    return this.#terms.calls.ask(home, 's.inspect', clientId).then(state => packed.readState(state as never))
  }

  async list(after: string | null, limit: number): Promise<SessionPage> {
    const { all, self, calls } = this.#terms
    const [part = '0', cursor = ''] = after === null ? [] : after.split(/:(.*)/s)
    const sessions: SessionSummary[] = []
    let given = cursor === '' ? null : cursor
    for (let i = Number(part); i < all.length; i++) {
      const room = limit - sessions.length
      if (room === 0) return { sessions, next: `${i}:` }
      const page = (all[i] === self ? await this.#store.list!(given, room) : await calls.ask(all[i]!, 's.list', given, room)) as SessionPage
      sessions.push(...page.sessions)
      if (page.next !== null) return { sessions, next: `${i}:${page.next}` }
      given = null
    }
    return { sessions, next: null }
  }

  // ---- what others ask, and what all are told

  /** Another worker asks this one's part. */
  asked(from: string, verb: string, args: readonly never[]): unknown {
    const own = this.#own
    const store = this.#store
    switch (verb) {
      case 's.claim':
        return own.claim(packed.readClaimRequest(args[0]!)).then(packed.claim)
      case 's.append':
        return this.#appends.asked(from, ...(args as unknown as [Buffer, AppendTarget[], ReceivedId | null]))
      case 's.intend':
        return store.lasting!.intend(...(args as unknown as [ReceivedId, string]))
      case 's.once': {
        const [body, targets, token] = args as unknown as [Buffer, AppendTarget[], string]
        return this.#appends.asked(from, body, targets, null, token)
      }
      case 's.received':
        return own.received(from, args[0]!)
      case 's.half':
        return own.beginHalf(from, args[0]!)
      case 's.unhalf':
        return own.endHalf(from, args[0]!)
      case 's.giveUp':
        return own.giveUp(...(args as unknown as [string, number]))
      case 's.through':
        return store.lasting!.through(...(args as unknown as [string, string[]]))
      case 's.tokens':
        return store.lasting!.tokens()
      case 's.page':
        return Promise.resolve(store.page(...(args as unknown as [SessionKey, number, number]))).then(packed.entries)
      case 's.subscribe':
        return own.subscribe(...(args as unknown as [SessionKey, Subscription[]]))
      case 's.unsubscribe':
        return own.unsubscribe(...(args as unknown as [SessionKey, string[]]))
      case 's.close':
        return own.close(...(args as unknown as [SessionKey, number, boolean]))
      case 's.end':
        return own.end(args[0]!).then(packed.ended)
      case 's.totals':
        return store.totals!()
      case 's.peek':
        return Promise.resolve(store.peek!(...(args as unknown as [string, number, number]))).then(found => found && packed.entries(found))
      case 's.inspect':
        return Promise.resolve(store.inspect!(args[0]!)).then(packed.state)
      case 's.list':
        return store.list!(...(args as unknown as [string | null, number]))
      case 's.sessions':
        return own.page(from, args[0]!)
      case 's.mine':
        return own.connectedAt(from, args[0]!)
      case 's.restore':
        return own.restore(from, packed.readSurviving(args[0]!))
      case 's.appended':
        return this.#all.mine.has(args[0]!) ? this.#all.events.appended(args[0]!) : undefined
      default: {
        const done = (store[verb.slice(2) as Verb] as (...args: never[]) => Done)(...args)
        // As long a way as that of an append, so that what was called later is answered later.
        return done instanceof Promise ? done.then(() => undefined) : undefined
      }
    }
  }

  /** A worker is there: what its part does not know of the sessions whose clients are connected here is written again, or said. */
  joined({ name }: Node): void {
    const { homeOf, calls, report } = this.#terms
    const { mine, events } = this.#all
    if (this.#store.lasting !== undefined) {
      const there = [...mine].filter(([clientId]) => homeOf(clientId) === name)
      for (let at = 0; at < there.length; at += sessionsPerPage) calls.tell(name, 's.mine', there.slice(at, at + sessionsPerPage))
      // Something may have come that its worker could not tell any more.
      for (const [clientId] of there) events.appended(clientId)
      return
    }
    for (const session of events.emptied?.() ?? [])
      if (homeOf(session.key.clientId) === name) calls.now(name, 's.restore', packed.surviving(session)).catch(report)
  }

  /** A worker has gone. */
  left({ name }: Node): void {
    this.#own.left(name)
  }

  /** A part has told all workers of a session. */
  noted(note: SessionNote): void {
    const { known, mine, events } = this.#all
    const { self } = this.#terms
    const [kind, clientId, epoch] = note
    if (kind === 'e') known.delete(clientId)
    else known.add(clientId)
    if (kind === 'c' && note[3] !== self && epoch > (mine.get(clientId) ?? epoch)) mine.delete(clientId)
    // What this worker does itself it knows.
    if ((mine.get(clientId) ?? -1) >= epoch || (kind === 'c' && note[3] === self)) return
    const { changed, gone } = events
    switch (kind) {
      case 'c':
        if (note[4] === 1) gone?.({ clientId, epoch: epoch - 1 })
        return changed?.({ clientId, epoch, node: note[3] })
      case 'p':
        return changed?.({ clientId, epoch, node: null })
      case 's':
        return changed?.({ clientId, epoch, subscribed: note[3] })
      case 'u':
        return changed?.({ clientId, epoch, unsubscribed: note[3] })
      case 'e':
        return gone?.({ clientId, epoch: epoch === 0 ? Number.MAX_SAFE_INTEGER : epoch })
    }
  }
}
