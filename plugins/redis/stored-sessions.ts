import type { Log } from '../../core/log.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import type { SessionKey, SessionStoreEvents, StoredSubscriber, StoreTotals } from '../../core/sessions/session-store.ts'
import type { CleanWills } from './clean-wills.ts'
import { KnownSessions } from './known-sessions.ts'
import { type LoadedSession, Loader } from './loader.ts'
import { type Note, readNotes } from './notes.ts'
import { decodeSubscription } from './subscriptions.ts'
import { add, type Totals } from './totals.ts'
import type { Writes } from './writes.ts'

/** What is told of stored sessions, by this node's own reading and by what the other nodes note. */
export interface StoredSessionEvents extends Pick<SessionStoreEvents, 'found' | 'changed' | 'gone'> {
  /** The epoch with which this node owns the session; undefined: it does not. */
  ownEpoch(clientId: string): number | undefined
  /** This node does not own it any more. */
  notOwned(clientId: string): void
  /** Nobody is to have it any more. */
  endLater(clientId: string): void
  /** The stored sessions could not be handed over at start. */
  unloaded(): void
  /** All stored sessions have been handed over after all. */
  loaded(): void
}

// So many clean sessions may begin while it is not known yet which are stored.
const cleanMeanwhileMax = 1_000_000
// So many sessions of a dead node are seen to at once.
const orphansMax = 1000

/** Which sessions are stored: read at start, or when Redis comes, and kept up to date by what the nodes of a cluster note. */
export class StoredSessions {
  readonly known = new KnownSessions()
  readonly #node: string
  readonly #log: Log
  readonly #writes: Writes
  readonly #loader: Loader
  readonly #totals: Totals
  readonly #cleanWills: CleanWills
  readonly #events: StoredSessionEvents
  readonly #cleanMeanwhile = new Set<string>()
  #loading = false
  #isLoaded = false

  constructor(writes: Writes, totals: Totals, cleanWills: CleanWills, log: Log, node: string, events: StoredSessionEvents) {
    this.#writes = writes
    this.#totals = totals
    this.#cleanWills = cleanWills
    this.#log = log
    this.#node = node
    this.#events = events
    this.#loader = new Loader(writes, node)
  }

  /** All stored sessions are known, so routing misses none. */
  get isLoaded(): boolean {
    return this.#isLoaded
  }

  /** Reads all of them, at start. */
  async *read(): AsyncIterable<StoredSubscriber> {
    if (!this.#writes.writers.link.ready) return this.#events.unloaded()
    this.#loading = true
    try {
      yield* this.#load(!this.#isLoaded, false)
      this.#isLoaded = true
    } catch (error) {
      this.#log.warn({ err: error as Error }, 'redis went away while its sessions were read; the rest follows when it is back')
      this.#events.unloaded()
    } finally {
      this.#loading = false
    }
  }

  /** Redis is there: what could not be read at start is read now. */
  async resume(): Promise<void> {
    if (this.#isLoaded || this.#loading) return
    this.#loading = true
    try {
      for await (const subscriber of this.#load(true, true)) {
        // A clean session has begun under its client id, which was its end.
        if (this.#cleanMeanwhile.has(subscriber.clientId)) this.#events.endLater(subscriber.clientId)
        else this.#events.found?.(subscriber)
      }
      this.#isLoaded = true
      this.#cleanMeanwhile.clear()
      this.#events.loaded()
    } catch (error) {
      this.#log.debug({ err: error as Error }, 'redis went away while its sessions were read')
    } finally {
      this.#loading = false
    }
  }

  /** `newOnly`: those that are known already are not told again. */
  async *#load(atStart: boolean, newOnly: boolean): AsyncIterable<LoadedSession> {
    const before = await this.#totals.readEach()
    const found = new Map<string, { -readonly [K in keyof StoreTotals]: number }>()
    const seen = new Set<string>()
    for await (const session of this.#loader.sessions(atStart)) {
      const { clientId, node, epoch = 0 } = session
      // Where keys move about meanwhile, Redis may name one twice.
      if (seen.has(clientId)) continue
      seen.add(clientId)
      const isNew = !this.known.has(clientId)
      this.known.add(clientId, node === null || node === this.#node ? null : { node, epoch })
      await this.#count(session, found)
      if (isNew || !newOnly) yield session
    }
    await this.#cleanWills.look(() => true)
    await this.#totals.correct(before, found)
  }

  async #count({ clientId, isCounted, queued }: LoadedSession, found: Map<string, { sessions: number; messages: number; bytes: number }>) {
    const { writers } = this.#writes
    const key = writers.keys.session(clientId)
    await this.#totals.register(key)
    // What an older version stored is counted as it is migrated.
    if (!isCounted)
      return void this.#loader.migrate(clientId).catch(error => this.#log.warn({ err: error as Error }, 'a session could not be migrated'))
    const tag = writers.tagOf(key)
    let sum = found.get(tag)
    if (sum === undefined) found.set(tag, (sum = { sessions: 0, messages: 0, bytes: 0 }))
    add(sum, { sessions: 1, ...queued })
  }

  /** Takes note of a clean session that begins while it is not known yet which are stored; false: there are too many. */
  beginsClean(clientId: string): boolean {
    if (this.#cleanMeanwhile.size >= cleanMeanwhileMax) return false
    this.#cleanMeanwhile.add(clientId)
    return true
  }

  /** Said now and then: should this broker end without a word, the clocks of its sessions start here. */
  signOfLife(): void {
    if (this.#isLoaded && this.#writes.writers.link.up) this.#loader.sign().catch(() => {})
  }

  /** This broker is stopped in order, and has closed its sessions. Never rejects. */
  async goodbye(): Promise<void> {
    if (this.#isLoaded && this.#writes.writers.link.up) await this.#loader.unsign().catch(() => {})
  }

  /** What another node's writes, or this one's, have done to stored sessions; all nodes see it in the same order. */
  noted(from: string, said: string): void {
    for (const note of readNotes(said, this.#writes.writers.keys)) if (from !== this.#node) this.#noted(from, note)
  }

  #noted(from: string, { kind, clientId, epoch, more }: Note): void {
    const own = this.#events.ownEpoch(clientId)
    // Whoever ends a session does so in its owner's time, and everything else comes from a later owner.
    if (own !== undefined && (kind === 'e' ? own > epoch : own >= epoch)) return
    if (kind === 'e') {
      this.#events.notOwned(clientId)
      this.known.delete(clientId)
      this.#events.gone?.({ clientId, epoch } satisfies SessionKey)
      return
    }
    if (kind === 'c') {
      this.#events.notOwned(clientId)
      this.known.add(clientId, { node: from, epoch })
      this.#events.changed?.({ clientId, epoch, node: from })
      return
    }
    this.known.add(clientId, kind === 'p' ? null : (this.known.placeOf(clientId) ?? null))
    if (kind === 'p') {
      this.#events.changed?.({ clientId, epoch, node: null })
    } else if (kind === 's') {
      const subscribed: Subscription[] = []
      for (let i = 0; i < more.length; i += 2) subscribed.push(decodeSubscription(more[i]!, more[i + 1]!))
      this.#events.changed?.({ clientId, epoch, subscribed })
    } else if (kind === 'u') {
      this.#events.changed?.({ clientId, epoch, unsubscribed: more })
    }
  }

  /** Lets the clocks run of sessions whose nodes have died, and looks for the wills that those kept. */
  async parkOrphans(isLiving: (node: string) => boolean): Promise<void> {
    const now = this.#writes.writers.time.now()
    const orphans = [...this.known.elsewhere].filter(([, { node }]) => !isLiving(node)).slice(0, orphansMax)
    await Promise.all(
      orphans.map(async ([clientId, place]) => {
        await this.#loader.park(clientId, place, now)
        // It may have been claimed meanwhile, by a node that came back.
        if (this.known.placeOf(clientId) === place) this.known.add(clientId, null)
      }),
    )
    await this.#cleanWills.look(isLiving)
  }
}
