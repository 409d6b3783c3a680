import type { Broker } from '../../core/broker.ts'
import type { Client, Session } from '../../core/connection/client.ts'
import type { ForwardedMember } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { decodeMessage, decodeWill, encodeWill } from '../../core/messages/stored-message.ts'
import type { OperatorAct } from '../../core/operator-act.ts'
import type { Rights, Whom } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import type { Bus, BusEvents, Node } from '../kit/services/bus.ts'
import { clusterVersion, refusalOf } from './cluster-version.ts'
import { unpack } from './frames.ts'
import { Outgoing } from './outgoing.ts'
import { OwnRoutes } from './own-routes.ts'
import { Peers } from './peers.ts'

/** What nodes announce to one another. */
type NodeRecord =
  /** Rows of its routes have changed, in turn key and value. */
  | readonly ['r', ...rows: string[]]
  /** Its routes ought to look so by now. */
  | readonly ['#', count: number, hash: number]
  /** A client has connected to it: an earlier connection of that id ends. Epoch 0: its session ends with the connection. */
  | readonly ['o', clientId: string, connection: number, epoch: number]
  /** Somebody's rights have changed. */
  | readonly ['R', whom: Whom, rights: Rights | null]
  /** A client is to be disconnected. */
  | readonly ['K', clientId: string]

/** The node that each broker of this process is, for tests that look inside. */
export const clusterNodes = new WeakMap<Broker, ClusterNode>()

/** This node among the others: tells them what they have to know, and does what they say. */
export class ClusterNode {
  readonly #broker: Broker
  readonly #bus: Bus
  readonly own: OwnRoutes
  readonly peers: Peers
  readonly outgoing: Outgoing
  readonly events: BusEvents
  // Sessions whose subscriptions are among the routes that the others know.
  readonly #counted = new Set<Session>()
  // Clients whose wills lie in the table, because their sessions are not stored.
  readonly #wills = new Set<string>()
  readonly #connections = new Map<number, Client>()
  #connection = 0
  /** Messages that other nodes have sent to this one. */
  received = 0
  readonly #startedAt: number

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
    this.#startedAt = broker.clock.now()
    clusterNodes.set(broker, this)
    this.own = new OwnRoutes(bus, error => broker.report(error))
    this.peers = new Peers(broker, bus)
    this.outgoing = new Outgoing(broker, bus)
    this.events = {
      announced: (from, record) => this.#announced(from, record as NodeRecord),
      received: (from, frame) => this.#received(from, frame),
      joined: node => {
        broker.log.info({ node: node.name }, 'a node has joined the cluster')
        const refusal = refusalOf(node)
        if (refusal !== null) broker.log.error({ node: node.name }, refusal)
        this.peers.joined(node)
      },
      left: node => {
        broker.log.info({ node: node.name }, 'a node has left the cluster')
        this.peers.left(node)
      },
      inherited: node => this.#inherited(node),
      expelled: () => this.#expelled(),
      missed: () => this.#missed(),
      interrupted: () => {},
    }
  }

  /** What this node says of itself at each sign of life. */
  facts(): Node['facts'] {
    const { counters, clock, version } = this.#broker
    return {
      version,
      clusterVersion,
      uptime: Math.floor((clock.now() - this.#startedAt) / 1000),
      connections: counters.connected,
      received: counters.publishReceived,
      sent: counters.publishSent,
      routes: this.own.size,
      forwarded: this.outgoing.posted + this.outgoing.told,
    }
  }

  // ---- what happens here

  /** The member of a shared group that was picked here is connected at another node: brings it the message. */
  forward(message: Message, { clientId, group, node }: ForwardedMember, receipt: Receipt | null): void {
    const picked = { group, clientId }
    if (receipt === null) this.outgoing.tell(node, message, picked)
    else this.outgoing.post(node, message, picked, receipt)
  }

  operated(act: OperatorAct): void {
    this.#announce(act.verb === 'kick' ? ['K', act.clientId] : ['R', act.whom, act.rights])
  }

  opened(session: Session): void {
    const client = session.client!
    this.#connection += 1
    this.#connections.set(this.#connection, client)
    this.#announce(['o', session.clientId, this.#connection, session.durable ? session.epoch : 0])
    this.#counted.add(session)
    for (const subscription of session.subscriptions.values()) this.own.add(session, subscription)
    if (client.will !== null && !session.durable) this.#keepWill(session.clientId, encodeWill(client.will))
  }

  closed(session: Session): void {
    if (this.#counted.delete(session)) {
      for (const subscription of session.subscriptions.values()) this.own.remove(session, subscription)
    }
    if (this.#wills.has(session.clientId)) this.#keepWill(session.clientId, null)
  }

  routesChanged(session: Session, added: Subscription | null, removed: Subscription | null): void {
    if (!this.#counted.has(session)) return
    if (removed !== null) this.own.remove(session, removed)
    if (added !== null) this.own.add(session, added)
  }

  #keepWill(clientId: string, will: Buffer | null): void {
    if (will === null) this.#wills.delete(clientId)
    else this.#wills.add(clientId)
    this.#bus.setRow('wills', clientId, will).catch(error => this.#broker.report(error))
  }

  #announce(record: NodeRecord): void {
    this.#bus.announce(record).catch(error => this.#broker.report(error))
  }

  // ---- what happens elsewhere

  #announced(from: string, record: NodeRecord): void {
    const isOwn = from === this.#bus.node
    switch (record[0]) {
      case 'r':
        if (!isOwn) this.peers.changed(from, record.slice(1) as string[])
        return
      case '#':
        if (!isOwn) this.peers.checked(from, record[1], record[2])
        return
      case 'o':
        return isOwn ? this.#heard(record[2]) : this.#connectedElsewhere(record[1], record[3])
      case 'R':
        if (!isOwn) this.#broker.applyRights(record[1], record[2])
        return
      case 'K':
        if (!isOwn) this.#broker.clientOf(record[1])?.close(ReasonCode.AdministrativeAction, 'disconnected by an operator')
    }
  }

  // From here on, who connects under that id elsewhere is the later one.
  #heard(connection: number): void {
    const client = this.#connections.get(connection)
    this.#connections.delete(connection)
    if (client !== undefined) this.#broker.connectionKnown(client)
  }

  #connectedElsewhere(clientId: string, epoch: number): void {
    // Between two that are stored their epochs decide, and the store has told.
    if (epoch === 0) this.#broker.connectedElsewhere(clientId)
  }

  #received(from: string, frame: Buffer): void {
    try {
      for (const { body, plain, picks } of unpack(from, frame)) {
        this.received += 1
        this.#broker.receive(decodeMessage(body, 'peer'), plain, picks)
      }
    } catch (error) {
      // What another node sends must not end this one: a frame that cannot be read is left out, and said.
      this.#broker.report(error)
    }
  }

  async #inherited(node: Node): Promise<void> {
    for await (const [clientId, will] of this.#bus.rows(node, 'wills')) {
      if (await this.#bus.takeRow(node, 'wills', clientId)) this.#broker.publishWill(clientId, decodeWill(will))
    }
  }

  // What others took over meanwhile is theirs, and it is not known here yet what that is: whoever comes again finds out.
  #expelled(): void {
    const { log, clients } = this.#broker
    const durable = [...clients].filter(client => client.session?.durable === true)
    if (durable.length > 0) log.warn({ count: durable.length }, 'connections whose sessions others may have taken over are closed')
    for (const client of durable) client.close(ReasonCode.ServerBusy, 'this broker was away for a while; connect again')
  }

  async #missed(): Promise<void> {
    this.peers.reload()
    this.own.resend()
    for (const { session, will } of this.#broker.clients) {
      if (session !== null && !session.durable && will !== null) this.#keepWill(session.clientId, encodeWill(will))
    }
    await this.#broker.reloadSessions()
  }
}
