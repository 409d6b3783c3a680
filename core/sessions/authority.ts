import { answer } from '../answers.ts'
import type { Connection } from '../connection/connection.ts'
import { filtersPerTurn, inTurns, type Turns } from '../connection/turns.ts'
import type { Hooks } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { Publisher, Rights, Whom } from '../publisher.ts'
import { isGranted } from '../refusals.ts'
import type { Subscription } from '../routing/subscription.ts'
import { ownName, parseShare } from '../routing/topic.ts'
import type { KnownSession } from './known-session.ts'

/** What is used of the broker here. */
export interface AuthorityHost {
  readonly hooks: Hooks
  readonly turns: Turns
  readonly clients: Iterable<Connection>
  sessionOf(clientId: string): KnownSession | undefined
  readonly knownSessions: Iterable<KnownSession>
  /** Takes subscriptions away. */
  takeAway(session: KnownSession, filters: readonly string[]): void
}

/**
 * Sees to it that what sessions hold is what their clients may have: `onAuthorize` is asked again where something was granted
 * in the past, by rights that may have gone since.
 */
export class Authority {
  readonly #host: AuthorityHost
  /** Rises with each change of anybody's rights: who has waited for something sees by it that it has to ask again. */
  changes = 0

  constructor(host: AuthorityHost) {
    this.#host = host
  }

  /** Gives other rights to connected clients and known sessions; returns to how many sessions. */
  setRights(whom: Whom, rights: Rights | null): number {
    checkRights(rights)
    const matches = matcher(whom)
    const host = this.#host
    this.changes += 1
    // A client that is still connecting has no session yet.
    for (const client of host.clients) if (client.session === null && matches(client)) client.rights = rights
    const found = sessionsOf(host, whom)
    for (const session of found) {
      session.rights = rights
      const { client } = session
      if (client !== null) {
        client.rights = rights
        if (client.will !== null) client.will = { ...client.will, rights }
      }
    }
    for (const session of found) if (host.sessionOf(session.clientId) === session) this.recheck(session)
    return found.length
  }

  /** The client of a connected session has been admitted anew, perhaps with other rights. */
  admittedAgain(session: KnownSession): void {
    const client = session.client!
    this.changes += 1
    session.username = client.username
    session.rights = client.rights
    if (client.will !== null) client.will = { ...client.will, username: client.username, rights: client.rights }
    this.recheck(session)
  }

  /** Asks again about all sessions whose clients this broker has seen, a slice in each turn of the event loop. */
  async recheckAll(): Promise<void> {
    const host = this.#host
    this.changes += 1
    let asked = 0
    for (const session of [...host.knownSessions]) {
      if (!session.seen || host.sessionOf(session.clientId) !== session) continue
      asked += session.subscriptions.size
      if (asked > filtersPerTurn) {
        asked = 0
        await host.turns.next()
      }
      await this.recheck(session)
    }
  }

  /** Which of these filters a client may not subscribe to; at once where they are few, else a slice in each turn of the event loop. */
  denied(publisher: Publisher, subscriptions: readonly Subscription[]): string[] | Promise<string[]> {
    if (!this.#host.hooks.onAuthorize.isUsed()) return []
    return subscriptions.length <= filtersPerTurn ? this.#deniedOf(publisher, subscriptions) : this.#deniedOfMany(publisher, subscriptions)
  }

  /** Whether a message that waited for a session may still go to its client. */
  mayReceive(session: KnownSession, message: Message, group: string | null): boolean {
    const { onAuthorize } = this.#host.hooks
    if (!onAuthorize.isUsed()) return true
    const share = group === null ? null : parseShare(group)
    // The right to subscribe to just this topic, in the way in which it came.
    const topic = ownName(message.topic, session.mountPoint)
    const filter = share === null ? topic : `$share/${share.group}/${topic}`
    return isGranted(onAuthorize.call(session.client ?? session, 'subscribe', filter))
  }

  /** Something has been granted by rights that have changed since: what the session holds is asked about again. */
  recheck(session: KnownSession): void | Promise<void> {
    const denied = this.denied(session.client ?? session, [...session.subscriptions.values()])
    if (!(denied instanceof Promise)) return this.#revoke(session, denied)
    session.recheck()
    return denied.then(filters => this.#revoke(session, filters))
  }

  #revoke(session: KnownSession, filters: readonly string[]): void {
    this.#host.takeAway(session, filters)
    session.recheck()
  }

  #deniedOf(publisher: Publisher, subscriptions: readonly Subscription[]): string[] {
    const { onAuthorize } = this.#host.hooks
    const denied = subscriptions.filter(({ filter, requested = filter }) => !isGranted(onAuthorize.call(publisher, 'subscribe', requested)))
    return denied.map(({ filter }) => filter)
  }

  async #deniedOfMany(publisher: Publisher, subscriptions: readonly Subscription[]): Promise<string[]> {
    const denied: string[] = []
    await inTurns(this.#host.turns, subscriptions, slice => void denied.push(...this.#deniedOf(publisher, slice)))
    return denied
  }
}

function matcher(whom: Whom): (publisher: Pick<Publisher, 'clientId' | 'username'>) => boolean {
  if (typeof whom === 'string') return ({ clientId }) => clientId === whom
  if ('clientId' in whom) return ({ clientId }) => clientId === whom.clientId
  return ({ username }) => username === whom.username
}

// Of one that nobody has taken up since the start only the filters are known; it is asked about when somebody does.
function sessionsOf(host: AuthorityHost, whom: Whom): KnownSession[] {
  if (typeof whom === 'object' && 'username' in whom) {
    return [...host.knownSessions].filter(({ seen, username }) => seen && username === whom.username)
  }
  const session = host.sessionOf(typeof whom === 'string' ? whom : whom.clientId)
  return session?.seen === true ? [session] : []
}

// Whoever calls is a plugin, perhaps in plain JavaScript, and a slip of the pen must not pass for rights.
function checkRights(rights: Rights | null): void {
  if (rights === null || (rights !== undefined && answer.areRights(rights))) return
  throw new TypeError('setRights: rights are { authorizedPub, authorizedSub }, each a list of topic filters, or null')
}
