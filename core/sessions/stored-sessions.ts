import type { Connection } from '../connection/connection.ts'
import type { Hooks } from '../hooks.ts'
import type { Settings } from '../options/settings.ts'
import { ReasonCode } from '../reason.ts'
import type { Router } from '../routing/router.ts'
import { matches, parseShare } from '../routing/topic.ts'
import type { KnownSession } from './known-session.ts'
import type { SessionRoster } from './session-roster.ts'
import { type SessionChange, type SessionKey, SessionOwnedError, type SessionStore, type StoredSubscriber } from './session-store.ts'

/** What is used of the broker here. */
export interface StoredSessionsHost {
  readonly settings: Settings
  readonly hooks: Hooks
  readonly router: Router<KnownSession>
  readonly roster: SessionRoster
  readonly sessions: SessionStore
  readonly entry: { isByUser(client: Connection): boolean }
  report(error: unknown): void
}

/** Stored sessions as the store tells of them: at start, when other nodes that share it have done something to them, and when it was looked up. */
export class StoredSessions {
  readonly #host: StoredSessionsHost

  constructor(host: StoredSessionsHost) {
    this.#host = host
  }

  /** Takes up what is stored: subscriptions route from now on, though nobody has connected yet. */
  async load(): Promise<void> {
    for await (const subscriber of this.#host.sessions.sessions()) this.found(subscriber)
  }

  /** One stored session; where a connection has its client id by now, that one's session is the newer. */
  found({ clientId, subscriptions, node = null, epoch = 0 }: StoredSubscriber): void {
    const { roster, sessions } = this.#host
    if (sessions.looksUpSubscribers === true || roster.get(clientId) !== undefined) return
    const session = this.#add(clientId)
    session.moved(node, epoch)
    for (const subscription of subscriptions) roster.subscribe(session, subscription)
  }

  #add(clientId: string): KnownSession {
    const session = this.#host.roster.add(clientId)
    session.durable = true
    return session
  }

  /** Reads all stored sessions anew: what other nodes have done to them may have been missed. */
  async reload(): Promise<void> {
    const { roster, sessions } = this.#host
    const before = new Set<KnownSession>()
    for (const session of roster.all()) if (session.durable && session.client === null) before.add(session)
    for await (const subscriber of sessions.sessions()) {
      const { clientId, subscriptions, node = null, epoch = 0 } = subscriber
      const known = roster.get(clientId)
      if (known !== undefined) before.delete(known)
      if (known === undefined) this.found(subscriber)
      else if (known.client !== null) this.changed({ clientId, epoch, node })
      else if (epoch >= known.epoch) {
        known.moved(node, epoch)
        roster.reconcile(known, subscriptions)
      }
    }
    for (const session of before) this.pass(session)
  }

  /** What the store says of the durable subscribers of a topic: those who are not connected here hold exactly that. Returns them. */
  refresh(topic: string, found: readonly StoredSubscriber[]): KnownSession[] {
    const { roster, router } = this.#host
    const isAsked = (filter: string): boolean => matches(parseShare(filter)?.filter ?? filter, topic)
    const absent: KnownSession[] = []
    const named = new Set<string>()
    for (const { clientId, subscriptions, node = null, epoch = 0 } of found) {
      named.add(clientId)
      const known = roster.get(clientId)
      if (known?.client != null) this.changed({ clientId, epoch, node })
      const session = roster.get(clientId) ?? this.#add(clientId)
      if (session.client !== null) continue
      if (epoch >= session.epoch) session.moved(node, epoch)
      roster.reconcile(session, subscriptions, isAsked)
      absent.push(session)
    }
    const { targets, groups } = router.route(topic)
    const stale = [...targets, ...groups.flatMap(({ members }) => members)].map(({ subscriber }) => subscriber)
    for (const session of new Set(stale)) {
      if (session.client === null && session.durable && !named.has(session.clientId)) roster.reconcile(session, [], isAsked)
    }
    return absent
  }

  /** A session without a connection is needed no longer. */
  pass(session: KnownSession): void {
    const { roster } = this.#host
    if (session.client === null && roster.get(session.clientId) === session) roster.forget(session)
  }

  /** Another node has done something to a stored session. */
  changed({ clientId, epoch, node, subscribed, unsubscribed }: SessionChange): void {
    const { roster, sessions, hooks, entry } = this.#host
    let session = roster.get(clientId)
    if (session?.client != null) {
      if (session.durable ? epoch <= session.epoch : node === undefined || node === null) return
      if (!session.durable && !session.announced) {
        // Its connection is the later one, and a clean one: nothing stays stored under its name.
        this.#endStored(session.client)
        return
      }
      // Whose the other one is, its node says: see `belongsToAnother`.
      if (!session.durable && hooks.onSessionOpened.isUsed() && entry.isByUser(session.client)) return
      roster.lose(session)
      session = roster.get(clientId)
    }
    // Where it is looked up when it is needed, nothing is kept of it.
    if (session === undefined && sessions.looksUpSubscribers === true) return
    session ??= this.#add(clientId)
    if (epoch < session.epoch) return
    if (node !== undefined) session.moved(node, epoch)
    for (const filter of unsubscribed ?? []) roster.unsubscribe(session, filter)
    for (const subscription of subscribed ?? []) roster.subscribe(session, subscription)
  }

  #endStored(client: Connection): void {
    const { roster, sessions, settings, entry } = this.#host
    const { clientId, username: user } = client
    const userOnly = entry.isByUser(client)
    const request = { clientId, user, userOnly, node: settings.brokerId, cleanStart: true, expiryMs: 0, will: null }
    void Promise.resolve(sessions.claim(request)).then(
      ({ ended }) => ended !== null && roster.ended(ended, null),
      error => {
        // It came in while the store was away and could not say whose this client id is.
        if (error instanceof SessionOwnedError) client.close(ReasonCode.NotAuthorized, 'this client id belongs to another user')
        else this.#host.report(error)
      },
    )
  }

  /** A stored session has ended at another node, or by its hand. */
  gone({ clientId, epoch }: SessionKey): void {
    const { roster } = this.#host
    const session = roster.get(clientId)
    if (session === undefined || !session.durable || epoch < session.epoch) return
    if (session.client !== null) roster.lose(session)
    this.pass(session)
  }
}
