import type { Router } from '../../core/routing/router.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { KnownSession, type SessionHost } from '../../core/sessions/known-session.ts'

/** What is used of the broker here. */
export interface RemoteMembersHost extends SessionHost {
  readonly router: Router<KnownSession>
}

interface RemoteMember {
  readonly session: KnownSession
  /** Filters of the groups that it is in. */
  readonly filters: Set<string>
}

/** Members of shared groups whose clients are connected to other nodes and whose sessions end with their connections: the store knows nothing of them. */
export class RemoteMembers {
  readonly #host: RemoteMembersHost
  /** By node and client id. */
  readonly #nodes = new Map<string, Map<string, RemoteMember>>()

  constructor(host: RemoteMembersHost) {
    this.#host = host
  }

  joined(node: string, clientId: string, subscription: Subscription): void {
    let members = this.#nodes.get(node)
    if (members === undefined) this.#nodes.set(node, (members = new Map()))
    let member = members.get(clientId)
    if (member === undefined) {
      const session = new KnownSession(this.#host, clientId)
      session.node = node
      members.set(clientId, (member = { session, filters: new Set() }))
    }
    member.filters.add(subscription.filter)
    this.#host.router.subscribe(member.session, subscription)
  }

  left(node: string, clientId: string, filter: string): void {
    const members = this.#nodes.get(node)
    const member = members?.get(clientId)
    if (members === undefined || member === undefined) return
    this.#host.router.unsubscribe(member.session, filter)
    member.filters.delete(filter)
    if (member.filters.size === 0) members.delete(clientId)
    if (members.size === 0) this.#nodes.delete(node)
  }

  nodeLeft(node: string): void {
    const members = this.#nodes.get(node)
    this.#nodes.delete(node)
    for (const { session, filters } of members?.values() ?? []) for (const filter of filters) this.#host.router.unsubscribe(session, filter)
  }
}
