import type { Broker } from '../broker.ts'
import { filtersPerTurn } from '../connection/turns.ts'
import type { Publisher, Rights } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { Subscription } from '../routing/subscription.ts'
import { parseShare } from '../routing/topic.ts'
import type { Session } from './session.ts'

/** Whose rights change: a client id, or all clients of a user. */
export type Whom = string | { readonly clientId: string } | { readonly username: string }

/**
 * Sees to it that what sessions hold is what their clients may have: `onAuthorize` is asked again where something was granted
 * in the past, by rights that may have gone since.
 */
export class Authority {
  readonly #broker: Broker
  /** Rises with each change of anybody's rights: who has waited for something sees by it that it has to ask again. */
  changes: number

  constructor(broker: Broker) {
    this.#broker = broker
    this.changes = 0
  }

  /** Gives other rights to connected clients and known sessions; returns to how many sessions. */
  setRights(whom: Whom, rights: Rights | null): number {
    checkRights(rights)
    const matches = matcher(whom)
    const { clients, roster } = this.#broker
    this.changes += 1
    // One that is still at the door has no session yet.
    for (const client of clients) if (client.session === null && matches(client)) client.rights = rights
    const found = sessionsOf(this.#broker, whom, matches)
    for (const session of found) {
      session.rights = rights
      const { client } = session
      if (client !== null) {
        client.rights = rights
        if (client.will !== null) client.will = { ...client.will, rights }
      }
    }
    for (const session of found) if (roster.get(session.clientId) === session) this.#recheck(session)
    return found.length
  }

  /** The client of a connected session has been admitted anew, perhaps with other rights. */
  admittedAgain(session: Session): void {
    const client = session.client!
    this.changes += 1
    session.username = client.username
    session.rights = client.rights
    if (client.will !== null) client.will = { ...client.will, username: client.username, rights: client.rights }
    this.#recheck(session)
  }

  /** Something has been granted by rights that have changed since. */
  recheck(session: Session): void {
    this.#recheck(session)
  }

  /** Asks again about all sessions whose clients this broker has seen, a slice in each turn of the event loop. */
  async recheckAll(): Promise<void> {
    const { roster, turns } = this.#broker
    this.changes += 1
    let asked = 0
    for (const session of [...roster.sessions()]) {
      if (!session.seen || roster.get(session.clientId) !== session) continue
      asked += session.subscriptions.size
      if (asked > filtersPerTurn) {
        asked = 0
        await turns.next()
      }
      await this.#recheck(session)
    }
  }

  /** Which of these filters a client may not subscribe to; at once where they are few, else a slice in each turn of the event loop. */
  denied(publisher: Publisher, subscriptions: readonly Subscription[]): string[] | Promise<string[]> {
    if (!this.#broker.hooks.onAuthorize.isUsed()) return []
    const filters = subscriptions.map(({ filter }) => filter)
    return filters.length <= filtersPerTurn ? this.#deniedOf(publisher, filters) : this.#deniedOfMany(publisher, filters)
  }

  /** Whether a message that waited for a session may still go to its client. */
  mayReceive(session: Session, message: Message, group: string | null): boolean {
    const { onAuthorize } = this.#broker.hooks
    if (!onAuthorize.isUsed()) return true
    const share = group === null ? null : parseShare(group)
    // The right to subscribe to just this topic, in the way in which it came.
    const filter = share === null ? message.topic : `$share/${share.group}/${message.topic}`
    return onAuthorize.call(session.client ?? session, 'subscribe', filter) !== false
  }

  /** Whether he who published a retained message may still publish to its topic, as far as this broker knows him. */
  mayStillPublish({ clientId, topic }: Message): boolean {
    const { hooks, roster } = this.#broker
    if (!hooks.onAuthorize.isUsed()) return true
    const source = roster.get(clientId)
    return source === undefined || !source.seen || hooks.onAuthorize.call(source.client ?? source, 'publish', topic) !== false
  }

  #recheck(session: Session): void | Promise<void> {
    const denied = this.denied(session.client ?? session, [...session.subscriptions.values()])
    if (!(denied instanceof Promise)) return this.#revoke(session, denied)
    session.recheck()
    return denied.then(filters => this.#revoke(session, filters))
  }

  #revoke(session: Session, filters: readonly string[]): void {
    this.#broker.roster.revoke(session, filters)
    session.recheck()
  }

  #deniedOf(publisher: Publisher, filters: readonly string[]): string[] {
    const { onAuthorize } = this.#broker.hooks
    return filters.filter(filter => onAuthorize.call(publisher, 'subscribe', filter) === false)
  }

  async #deniedOfMany(publisher: Publisher, filters: readonly string[]): Promise<string[]> {
    const denied: string[] = []
    for (let from = 0; from < filters.length; from += filtersPerTurn) {
      await this.#broker.turns.next()
      denied.push(...this.#deniedOf(publisher, filters.slice(from, from + filtersPerTurn)))
    }
    return denied
  }
}

function matcher(whom: Whom): (publisher: Pick<Publisher, 'clientId' | 'username'>) => boolean {
  if (typeof whom === 'string') return ({ clientId }) => clientId === whom
  if ('clientId' in whom) return ({ clientId }) => clientId === whom.clientId
  return ({ username }) => username === whom.username
}

function sessionsOf({ roster }: Broker, whom: Whom, matches: (publisher: Session) => boolean): Session[] {
  const session = typeof whom === 'string' ? roster.get(whom) : 'clientId' in whom ? roster.get(whom.clientId) : undefined
  const found =
    typeof whom === 'object' && 'username' in whom ? [...roster.sessions()].filter(matches) : session === undefined ? [] : [session]
  // Of one that nobody has taken up since the start only the filters are known; it is asked about when somebody does.
  return found.filter(({ seen }) => seen)
}

// Whoever calls is a plugin, perhaps in plain JavaScript, and a slip of the pen must not pass for rights.
function checkRights(rights: Rights | null): void {
  const isList = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.every(one => typeof one === 'string'))
  if (rights === null || (typeof rights === 'object' && isList(rights.authorizedPub) && isList(rights.authorizedSub))) return
  throw new TypeError('setRights: rights are { authorizedPub, authorizedSub }, each a list of topic filters, or null')
}
