// Why it is long: one interface, each verb once here for whoever calls it and once for whoever keeps the part; what lies in frames stands in a file of its own.
import type { Message } from '../../core/messages/message.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type Done,
  type Due,
  type EndedSession,
  type QueueEntry,
  type QueueLimits,
  type ReceivedId,
  type SessionKey,
  type SessionPage,
  type SessionStore,
  type SessionStoreEvents,
  type SessionSummary,
  StoreAwayError,
  type StoredSessionState,
  type StoredSubscriber,
  type StoreRoom,
  type StoreTotals,
  type SurvivingSession,
} from '../../core/sessions/session-store.ts'
import { noMessage } from '../kit/no-message.ts'
import type { Node } from '../kit/services/bus.ts'
import type { PartStore } from '../kit/services/parts.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import { InTurn } from './in-turn.ts'
import type { PartCalls } from './part-calls.ts'
import * as packed from './part-records.ts'
import { type Appended, type SpreadTerms, spreadAppend } from './spread-append.ts'

/** What all nodes are told of a session: claimed, parked, subscribed, unsubscribed, ended. */
export type SessionNote =
  /** With a 1: it is a new one, and whatever was known under that client id before is no more. */
  | readonly ['c', clientId: string, epoch: number, node: string, isNew: 0 | 1]
  | readonly ['p', clientId: string, epoch: number]
  | readonly ['s', clientId: string, epoch: number, subscriptions: readonly Subscription[]]
  | readonly ['u', clientId: string, epoch: number, filters: readonly string[]]
  | readonly ['e', clientId: string, epoch: number]

/** What parts use of one another. */
export interface PartTerms {
  /** This worker's name. */
  readonly self: string
  /** The names of all workers, by number, whether they are there or not. */
  readonly all: readonly string[]
  readonly calls: PartCalls
  /** The name of the worker that keeps what belongs to a text. */
  homeOf(text: string): string
  /** Tells all workers, in one order; resolves when this one has heard it. */
  note(note: SessionNote): Promise<void>
  /** Waits until this worker has what it needs to begin. */
  load(): Promise<void>
  /** Waits until a worker is there. */
  there(name: string): Promise<void>
  report(error: unknown): void
}

/** Where the client of a stored session is connected, as its part knows. */
interface Owner {
  node: string | null
  epoch: number
  expiryMs: number
}

type Verb = 'send' | 'ack' | 'remove' | 'release' | 'forget'
/**
 * Sessions in the parts of all workers: each in one, by a hash of its client id, wherever its client is connected. So a client may come anywhere, and its session need not be moved.
 * Parts in memory are lost with their workers, but for the sessions that clients of other workers have open: those write them again. Parts on a disk come back, and are told who is
 * connected where.
 */
export class PartedSessions implements SessionStore {
  readonly #own: PartStore
  readonly #terms: PartTerms
  readonly #owners = new Map<string, Owner>()
  /** Stored sessions, of all parts. */
  readonly #known = new Set<string>()
  /** Those whose clients are connected here. */
  readonly #mine = new Map<string, number>()
  #events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }
  // While an append of another worker is under way.
  #collected: { readonly message: Message; readonly dropped: Appended['dropped'][number][]; readonly lost: SessionKey[] } | null = null
  /** Sessions of which all are yet to hear what was done. */
  readonly #untold = new Map<string, Promise<void>>()
  /** Sessions for which an append at several workers is under way. */
  readonly #appending = new Map<string, Promise<void>>()
  #localEpoch = 0
  /** Wills of sessions that end with their connection lie in the part of the worker that has the connection: they are due when that one has died. Absent: parts in memory keep none. */
  readonly keepWill?: NonNullable<SessionStore['keepWill']>
  // QoS 2 messages on their way to several parts.
  readonly #spreading = new InTurn()
  // Of others that read the sessions of this part, how far they have come.
  readonly #readers = new Map<string, Iterator<StoredSubscriber>>()

  constructor(own: PartStore, terms: PartTerms) {
    this.#own = own
    this.#terms = terms
    const { lasting, keepWill } = own
    if (lasting !== undefined && keepWill !== undefined) this.keepWill = keepWill.bind(own)
  }

  trouble(): Error | null {
    return this.#own.trouble?.() ?? null
  }

  room(): StoreRoom {
    return this.#own.room?.() ?? { full: false, freeBytes: null }
  }

  open(events: SessionStoreEvents, limits: QueueLimits): Done {
    this.#events = events
    return this.#own.open(
      {
        dropped: (clientId, message, reason) => {
          if (this.#collected?.message === message) this.#collected.dropped.push([clientId, reason])
          else events.dropped(clientId, message, reason)
        },
        lost: session => {
          if (this.#collected !== null) this.#collected.lost.push(session)
          else events.lost(session)
        },
        appended: clientId => events.appended(clientId),
      },
      limits,
    )
  }

  async *sessions(): AsyncIterable<StoredSubscriber> {
    await this.#terms.load()
    yield* this.#mineHere()
    for (const name of this.#others()) {
      for await (const subscriber of this.#sessionsOf(name)) {
        this.#known.add(subscriber.clientId)
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
        if (this.#own.lasting === undefined) return
        await there(name)
        from = 'first'
        continue
      }
      if (page.length === 0) return
      yield* page
      from = 'next'
    }
  }

  *#mineHere(): Iterable<StoredSubscriber> {
    for (const subscriber of this.#own.sessions() as Iterable<StoredSubscriber>) {
      const { clientId } = subscriber
      // Of those that lie on a disk this part has not heard yet.
      if (!this.#owners.has(clientId)) this.#owners.set(clientId, { node: null, epoch: 0, expiryMs: 0 })
      const { node, epoch } = this.#owners.get(clientId)!
      this.#known.add(clientId)
      yield { ...subscriber, node, epoch: Math.max(epoch, subscriber.epoch ?? 0) }
    }
  }

  #page(from: string, which: string): StoredSubscriber[] {
    if (which === 'first') this.#readers.set(from, this.#mineHere()[Symbol.iterator]())
    const reader = this.#readers.get(from)
    const page: StoredSubscriber[] = []
    while (reader !== undefined && page.length < sessionsPerPage) {
      const { value, done } = reader.next()
      if (done === true) break
      page.push(value)
    }
    if (page.length === 0) this.#readers.delete(from)
    return page
  }

  #others(): string[] {
    return this.#terms.all.filter(name => name !== this.#terms.self)
  }

  // ---- verbs

  async claim(request: ClaimRequest): Promise<Claim> {
    const { clientId, expiryMs } = request
    const { calls, self, homeOf } = this.#terms
    // Nothing is stored under it, as far as all have told; where they have not, `changed` says so in a moment.
    if (expiryMs === 0 && !this.#known.has(clientId)) {
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
    if (this.#spreading.size > 0) await this.#spreading.through(name => name.endsWith(` ${clientId}`))
    const home = homeOf(clientId)
    const owed = this.#owed(clientId)
    const claim =
      home === self
        ? await this.#claimHere(request)
        : packed.readClaim((await calls.ask(home, 's.claim', packed.claimRequest(request))) as packed.PackedClaim)
    if (claim.present || expiryMs > 0) this.#mine.set(clientId, claim.epoch)
    return { ...claim, ...owed }
  }

  /** The will that this worker's part owes of an earlier run. */
  #owed(clientId: string): Pick<Claim, 'orphanedWill'> {
    const orphanedWill = this.#own.lasting?.orphanedWill(clientId) ?? null
    return orphanedWill === null ? {} : { orphanedWill }
  }

  async #claimHere(request: ClaimRequest): Promise<Claim> {
    const { clientId, node, expiryMs } = request
    const { note } = this.#terms
    const claim = await this.#own.claim(request)
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

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done {
    const { self, homeOf, calls } = this.#terms
    const isHere = (clientId: string): boolean => homeOf(clientId) === self
    const ids = targets.map(({ clientId }) => clientId)
    if (received !== null) ids.push(received.session.clientId)
    if (ids.every(isHere)) {
      const done = this.#appendHere(self, message, targets, received)
      return ids.some(id => this.#appending.has(id)) ? this.#appended(ids, Promise.resolve(done)) : done
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
    if (received !== null && this.#own.lasting !== undefined)
      return this.#appended(ids, this.#spread(message, body, byHome, keeper!, received))
    // What the broker calls a session is more than can be sent.
    const plain = received === null ? null : { session: keyOf(received.session), packetId: received.packetId }
    const done: Done[] = []
    for (const [home, some] of byHome) {
      const also = home === keeper ? plain : null
      if (home === self) done.push(this.#appendHere(self, message, some, also))
      else done.push(calls.ask(home, 's.append', body, some, also).then(...this.#answered(message, some)))
    }
    const all = this.#appended(
      ids,
      Promise.all(done).then(() => {}),
    )
    if (plain === null) return all
    return all.catch(async error => {
      // Not all have it, so it is to come again: its identifier must not say that it has come.
      await this.forget(plain.session, plain.packetId)
      throw error
    })
  }

  #spread(
    message: Message,
    body: Buffer,
    byHome: ReadonlyMap<string, AppendTarget[]>,
    keeper: string,
    received: ReceivedId,
  ): Promise<void> {
    const { self, calls } = this.#terms
    const terms: SpreadTerms = {
      self,
      own: this.#own,
      calls,
      once: (_message, targets, token) => this.#appendHere(self, message, targets, null, token),
      appended: (_message, _targets, answer) => this.#heardOf(message, answer),
      failed: (targets, error) => this.#unknown(targets, error),
    }
    const { packetId } = received
    const session = keyOf(received.session)
    const begin = (): Promise<void> => spreadAppend(terms, message, body, byHome, keeper, { session, packetId })
    return this.#spreading.begin(nameOf(session, packetId), begin)
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
    for (const [clientId, reason] of dropped) this.#events.dropped(clientId, message, reason)
    for (const session of lost) this.#events.lost(session)
  }

  // A part that outlives its worker may have kept what it did not answer: clients that are connected here come again, and get what lies there.
  #unknown(targets: readonly AppendTarget[], error: Error): void {
    if (this.#own.lasting === undefined) return
    for (const { clientId, epoch } of targets) if (this.#mine.get(clientId) === epoch) this.#events.lost({ clientId, epoch }, error)
  }

  /** An append that others keep a part of: what is called later for any of its sessions is answered behind it. */
  #appended(clientIds: readonly string[], done: Promise<void>): Promise<void> {
    const before = clientIds.flatMap(id => this.#appending.get(id) ?? [])
    // It may fail before it is looked at.
    done.catch(() => {})
    const ordered = before.length === 0 ? done : Promise.all(before).then(() => done)
    const settled = ordered.catch(() => {})
    for (const id of clientIds) this.#appending.set(id, settled)
    void settled.then(() => {
      for (const id of clientIds) if (this.#appending.get(id) === settled) this.#appending.delete(id)
    })
    return ordered
  }

  #appendHere(
    from: string,
    message: Message,
    targets: readonly AppendTarget[],
    received: ReceivedId | null,
    token: string | null = null,
  ): Done {
    let done =
      token === null
        ? this.#own.append(message, targets, received)
        : this.#own.lasting!.appendOnce(message, targets, token, target => this.#takenBefore(from, target))
    const { self, calls, note, report } = this.#terms
    if (received !== null && this.#untold.size > 0) done = this.#inOrder(received.session.clientId, done)
    for (const { clientId, packetId, epoch } of targets) {
      if (this.#untold.size > 0) done = this.#inOrder(clientId, done)
      const owner = this.#owners.get(clientId)
      if (owner === undefined) {
        // This part has lost it, or never had it: nobody is to send it anything any more.
        if (this.#known.delete(clientId)) note(['e', clientId, 0]).catch(report)
      } else if (owner.node !== null && owner.node !== from && (packetId === 0 || owner.epoch !== epoch)) {
        if (owner.node === self) this.#events.appended(clientId)
        else calls.tell(owner.node, 's.appended', clientId)
      }
    }
    return done
  }

  // Under which packet identifier it was taken, whoever asks does not know: its client, where it has one, comes again.
  #takenBefore(from: string, { clientId, packetId, epoch }: AppendTarget): void {
    const error = new StoreAwayError('a worker has died while it kept a message')
    if (packetId === 0) return
    if (this.#collected !== null) this.#collected.lost.push({ clientId, epoch })
    else if (from === this.#terms.self) this.#events.lost({ clientId, epoch }, error)
  }

  #appendFor(
    from: string,
    body: Buffer,
    targets: readonly AppendTarget[],
    received: ReceivedId | null,
    token: string | null = null,
  ): Appended | Promise<Appended> {
    const message = decodeMessage(body)
    const collected = { message, dropped: [] as Appended['dropped'][number][], lost: [] as SessionKey[] }
    this.#collected = collected
    const done = this.#appendHere(from, message, targets, received, token)
    this.#collected = null
    const answer: Appended = { dropped: collected.dropped, lost: collected.lost }
    return done instanceof Promise ? done.then(() => answer) : answer
  }

  page(session: SessionKey, position: number, limit: number): readonly QueueEntry[] | Promise<readonly QueueEntry[]> {
    const home = this.#terms.homeOf(session.clientId)
    if (home === this.#terms.self) return this.#inOrder(session.clientId, this.#own.page(session, position, limit))
    const page = this.#terms.calls.ask(home, 's.page', keyOf(session), position, limit)
    return this.#inOrder(
      session.clientId,
      page.then(found => packed.readEntries(found as never)),
    )
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
    const key = keyOf(session)
    // Answered behind what was called before it. What comes later under the same identifier waits for this, so this must not wait for that.
    return this.#inOrder(
      key.clientId,
      this.#spreading.behind(nameOf(key, packetId), () => this.#done('forget', key, packetId)),
    )
  }

  #verb(verb: Verb, session: SessionKey, ...args: number[]): Done {
    return this.#inOrder(session.clientId, this.#done(verb, session, ...args))
  }

  /** Does it where the session is kept, whatever is under way for it. */
  #done(verb: Verb, session: SessionKey, ...args: number[]): Done {
    const home = this.#terms.homeOf(session.clientId)
    if (home === this.#terms.self) return (this.#own[verb] as (session: SessionKey, ...args: number[]) => Done)(session, ...args)
    return this.#terms.calls.ask(home, `s.${verb}`, keyOf(session), ...args).then(() => {})
  }

  /** What was called later is answered later: behind what all are yet to hear of the session, and behind what several workers are yet to keep for it. */
  #inOrder<T>(clientId: string, done: T | Promise<T>): T | Promise<T> {
    const [untold, appending] = [this.#untold.get(clientId), this.#appending.get(clientId)]
    if (untold === undefined && appending === undefined) return done
    if (done instanceof Promise) done.catch(() => {})
    return Promise.all([untold, appending]).then(() => done)
  }

  /** All are told of a session, when what was done to it is done; whatever is called meanwhile is answered behind it. */
  #told(done: Done, note: SessionNote): Promise<void> {
    const [, clientId] = note
    const { note: tell } = this.#terms
    const told = done instanceof Promise ? done.then(() => tell(note)) : tell(note)
    const before = this.#untold.get(clientId)
    told.catch(() => {})
    const settled = (before === undefined ? told : before.then(() => told)).catch(() => {})
    this.#untold.set(clientId, settled)
    void settled.then(() => {
      if (this.#untold.get(clientId) === settled) this.#untold.delete(clientId)
    })
    return before === undefined ? told : before.then(() => told)
  }

  subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Done {
    const home = this.#terms.homeOf(session.clientId)
    if (home === this.#terms.self) return this.#subscribeHere(keyOf(session), subscriptions)
    return this.#terms.calls.ask(home, 's.subscribe', keyOf(session), subscriptions) as Promise<void>
  }

  #subscribeHere(session: SessionKey, subscriptions: readonly Subscription[]): Promise<void> {
    return this.#told(this.#own.subscribe(session, subscriptions), ['s', session.clientId, session.epoch, subscriptions])
  }

  unsubscribe(session: SessionKey, filters: readonly string[]): Done {
    const home = this.#terms.homeOf(session.clientId)
    if (home === this.#terms.self) return this.#unsubscribeHere(keyOf(session), filters)
    return this.#terms.calls.ask(home, 's.unsubscribe', keyOf(session), filters) as Promise<void>
  }

  #unsubscribeHere(session: SessionKey, filters: readonly string[]): Promise<void> {
    return this.#told(this.#own.unsubscribe(session, filters), ['u', session.clientId, session.epoch, filters])
  }

  close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt?: number): Done {
    const { clientId, epoch } = session
    if (this.#mine.get(clientId) === epoch) this.#mine.delete(clientId)
    const home = this.#terms.homeOf(clientId)
    if (home === this.#terms.self) return this.#closeHere({ clientId, epoch }, expiryMs, keepWill, closedAt)
    return this.#terms.calls.ask(home, 's.close', { clientId, epoch }, expiryMs, keepWill, closedAt) as Promise<void>
  }

  #closeHere(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt?: number): Promise<void> {
    const { clientId, epoch } = session
    const done = this.#own.close(session, expiryMs, keepWill, closedAt)
    const owner = this.#owners.get(clientId)
    if (owner?.epoch === epoch) owner.node = null
    return this.#told(done, ['p', clientId, epoch])
  }

  end(session: SessionKey): Promise<EndedSession | null> {
    const { clientId, epoch } = session
    if (this.#mine.get(clientId) === epoch) this.#mine.delete(clientId)
    const home = this.#terms.homeOf(clientId)
    if (home === this.#terms.self) return this.#endHere({ clientId, epoch })
    return this.#terms.calls.ask(home, 's.end', { clientId, epoch }).then(ended => packed.readEnded(ended as never))
  }

  async #endHere(session: SessionKey): Promise<EndedSession | null> {
    const ended = await this.#own.end(session)
    if (this.#owners.get(session.clientId)?.epoch === session.epoch) this.#owners.delete(session.clientId)
    await this.#terms.note(['e', session.clientId, session.epoch])
    return ended
  }

  async expire(now: number, limit: number): Promise<readonly Due[]> {
    const due = await this.#own.expire(now, limit)
    for (const one of due) {
      if (one.kind !== 'expired') continue
      const { clientId } = one.session
      const epoch = this.#owners.get(clientId)?.epoch || (one.session.epoch ?? 0)
      this.#owners.delete(clientId)
      this.#terms.note(['e', clientId, epoch]).catch(this.#terms.report)
    }
    return due
  }

  async flush(): Promise<void> {
    // Parts in memory may be gone by now, when the broker stops.
    if (this.#own.lasting !== undefined) await this.#terms.calls.answered()
    await this.#own.flush()
  }

  async totals(): Promise<StoreTotals> {
    const parts = [this.#own.totals!(), ...this.#others().map(name => this.#terms.calls.now(name, 's.totals').catch(() => null))]
    const sum = { sessions: 0, messages: 0, bytes: 0 }
    for (const part of (await Promise.all(parts)) as (StoreTotals | null)[]) {
      sum.sessions += part?.sessions ?? 0
      sum.messages += part?.messages ?? 0
      sum.bytes += part?.bytes ?? 0
    }
    return sum
  }

  peek(clientId: string, position: number, limit: number): readonly QueueEntry[] | null | Promise<readonly QueueEntry[] | null> {
    const home = this.#terms.homeOf(clientId)
    if (home === this.#terms.self) return this.#own.peek!(clientId, position, limit)
    return this.#terms.calls
      .ask(home, 's.peek', clientId, position, limit)
      .then(found => (found === null ? null : packed.readEntries(found as never)))
  }

  inspect(clientId: string): StoredSessionState | null | Promise<StoredSessionState | null> {
    const home = this.#terms.homeOf(clientId)
    if (home === this.#terms.self) return this.#own.inspect!(clientId)
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
      const page = (all[i] === self ? await this.#own.list!(given, room) : await calls.ask(all[i]!, 's.list', given, room)) as SessionPage
      sessions.push(...page.sessions)
      if (page.next !== null) return { sessions, next: `${i}:${page.next}` }
      given = null
    }
    return { sessions, next: null }
  }

  // ---- what others ask, and what all are told

  /** Another worker asks this one's part. */
  asked(from: string, verb: string, args: readonly never[]): unknown {
    switch (verb) {
      case 's.claim':
        return this.#claimHere(packed.readClaimRequest(args[0]!)).then(packed.claim)
      case 's.append':
        return this.#appendFor(from, ...(args as unknown as [Buffer, AppendTarget[], ReceivedId | null]))
      case 's.intend':
        return this.#own.lasting!.intend(...(args as unknown as [ReceivedId, string]))
      case 's.once': {
        const [body, targets, token] = args as unknown as [Buffer, AppendTarget[], string]
        return this.#appendFor(from, body, targets, null, token)
      }
      case 's.received':
        return this.#own.append(noMessage, [], args[0]!)
      case 's.through':
        return this.#own.lasting!.through(...(args as unknown as [string, string[]]))
      case 's.page':
        return Promise.resolve(this.#own.page(...(args as unknown as [SessionKey, number, number]))).then(packed.entries)
      case 's.subscribe':
        return this.#subscribeHere(...(args as unknown as [SessionKey, Subscription[]]))
      case 's.unsubscribe':
        return this.#unsubscribeHere(...(args as unknown as [SessionKey, string[]]))
      case 's.close':
        return this.#closeHere(...(args as unknown as [SessionKey, number, boolean]))
      case 's.end':
        return this.#endHere(args[0]!).then(packed.ended)
      case 's.totals':
        return this.#own.totals!()
      case 's.peek':
        return Promise.resolve(this.#own.peek!(...(args as unknown as [string, number, number]))).then(
          found => found && packed.entries(found),
        )
      case 's.inspect':
        return Promise.resolve(this.#own.inspect!(args[0]!)).then(packed.state)
      case 's.list':
        return this.#own.list!(...(args as unknown as [string | null, number]))
      case 's.sessions':
        return this.#page(from, args[0]!)
      case 's.mine':
        return this.#connectedAt(from, args[0]!)
      case 's.restore':
        return this.#restoreHere(from, packed.readSurviving(args[0]!))
      case 's.appended':
        return this.#mine.has(args[0]!) ? this.#events.appended(args[0]!) : undefined
      default: {
        const done = (this.#own[verb.slice(2) as Verb] as (...args: never[]) => Done)(...args)
        // As long a way as that of an append, so that what was called later is answered later.
        return done instanceof Promise ? done.then(() => undefined) : undefined
      }
    }
  }

  /** A worker is there: what its part does not know of the sessions whose clients are connected here is written again, or said. */
  joined({ name }: Node): void {
    const { homeOf, calls, report } = this.#terms
    if (this.#own.lasting !== undefined) {
      const mine = [...this.#mine].filter(([clientId]) => homeOf(clientId) === name)
      for (let at = 0; at < mine.length; at += sessionsPerPage) calls.tell(name, 's.mine', mine.slice(at, at + sessionsPerPage))
      // Something may have come that its worker could not tell any more.
      for (const [clientId] of mine) this.#events.appended(clientId)
      return
    }
    for (const session of this.#events.emptied?.() ?? [])
      if (homeOf(session.key.clientId) === name) calls.now(name, 's.restore', packed.surviving(session)).catch(report)
  }

  /** Another worker says whose clients are connected to it, since before this part was opened. */
  #connectedAt(from: string, sessions: readonly (readonly [clientId: string, epoch: number])[]): void {
    const { note, report } = this.#terms
    for (const [clientId, epoch] of sessions) {
      if ((this.#owners.get(clientId)?.epoch ?? 0) >= epoch) continue
      const expiryMs = this.#own.lasting!.connected({ clientId, epoch }, from)
      if (expiryMs === null) continue
      this.#owners.set(clientId, { node: from, epoch, expiryMs })
      this.#known.add(clientId)
      note(['c', clientId, epoch, from, 0]).catch(report)
    }
  }

  #restoreHere(from: string, session: SurvivingSession): void {
    const { clientId, epoch } = session.key
    if ((this.#owners.get(clientId)?.epoch ?? 0) >= epoch) return
    this.#own.restore!(session, from)
    this.#owners.set(clientId, { node: from, epoch, expiryMs: session.expiryMs })
    this.#known.add(clientId)
    const { note, report } = this.#terms
    note(['c', clientId, epoch, from, 0]).catch(report)
    note(['s', clientId, epoch, session.subscriptions]).catch(report)
  }

  /** A worker has gone: the sessions of its clients that lie in this part have no connection any more. */
  left({ name }: Node): void {
    for (const [clientId, owner] of this.#owners)
      if (owner.node === name) this.#closeHere({ clientId, epoch: owner.epoch }, owner.expiryMs, true).catch(this.#terms.report)
  }

  /** A part has told all workers of a session. */
  noted(note: SessionNote): void {
    const [kind, clientId, epoch] = note
    if (kind === 'e') this.#known.delete(clientId)
    else this.#known.add(clientId)
    if (kind === 'c' && note[3] !== this.#terms.self && epoch > (this.#mine.get(clientId) ?? epoch)) this.#mine.delete(clientId)
    // What this worker does itself it knows.
    if ((this.#mine.get(clientId) ?? -1) >= epoch || (kind === 'c' && note[3] === this.#terms.self)) return
    const { changed, gone } = this.#events
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

const sessionsPerPage = 1000
const nameOf = ({ clientId }: SessionKey, packetId: number): string => `${packetId} ${clientId}`

const keyOf = ({ clientId, epoch }: SessionKey): SessionKey => ({ clientId, epoch })
