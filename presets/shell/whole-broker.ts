import type { Actor } from '../../core/actor.ts'
import type { Broker, BrokerTotals } from '../../core/broker.ts'
import { BrokerCore } from '../../core/broker-core.ts'
import type { Client, Session } from '../../core/connection/client.ts'
import type { Connection } from '../../core/connection/connection.ts'
import type { DisconnectReason } from '../../core/connection/disconnect-reason.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Settings } from '../../core/options/settings.ts'
import type { ProtocolVersion, QoS } from '../../core/protocol/constants.ts'
import type { Revoked, Rights, Whom } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import { isGranted } from '../../core/refusals.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { ownName } from '../../core/routing/topic.ts'
import type { KnownSession } from '../../core/sessions/known-session.ts'
import type { SessionStoreEvents } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'
import { Figures } from '../../plugins/kit/figures.ts'
import { KeptWills } from '../../plugins/kit/kept-wills.ts'
import type { ListenerAddress } from '../../plugins/kit/listening/listener-addresses.ts'
import { type MessageHandler, type OwnSubscription, OwnSubscriptions } from '../../plugins/kit/own-subscriptions.ts'
import { type Answered, type Given, type VerbName, Verbs } from '../../plugins/kit/verbs/verbs.ts'
import { WallWatch } from '../../plugins/kit/wall-watch.ts'
import type { WireSource } from '../../plugins/kit/wire-source.ts'
import { clearQueue } from './clear-queue.ts'
import { ConnectionLines } from './connection-lines.ts'
import { MeasuredTimings } from './measured-timings.ts'
import { subscribeFor, subscribeStored, unsubscribeFor, unsubscribeStored } from './on-behalf.ts'
import { RemoteMembers } from './remote-members.ts'
import { WireReader } from './wire-reader.ts'

// Who asks where nobody says who it is.
const program: Actor = { name: 'program', via: 'program' }

/** The broker that plugins and programs are handed: the core, and what every broker has beside it. */
export class WholeBroker extends BrokerCore implements Broker {
  readonly version: string
  readonly folder: string
  readonly worker: WorkerPlace | null
  readonly listeners: ListenerAddress[] = []
  readonly figures = new Figures()
  readonly verbs: Verbs
  readonly #own: OwnSubscriptions
  readonly #wills: KeptWills
  readonly #wallWatch: WallWatch
  readonly #members = new RemoteMembers(this)
  #wire: WireReader | null = null
  readonly #lines: ConnectionLines

  constructor(settings: Settings, clock: Clock, version: string, folder = process.cwd(), worker: WorkerPlace | null = null) {
    const timings = new MeasuredTimings(clock)
    super(settings, clock, timings)
    this.version = version
    this.folder = folder
    this.worker = worker
    this.verbs = new Verbs(this.hooks, String(settings.brokerId), worker)
    this.#own = new OwnSubscriptions(this)
    this.#wills = new KeptWills(this)
    this.#wallWatch = new WallWatch(this)
    this.#lines = new ConnectionLines(this)
    for (const figure of timings.figures) this.figures.add(figure)
    const steps = () => [{ value: this.#wallWatch.steps }]
    this.figures.add({ name: 'clock_steps_total', type: 'counter', help: "How often the machine's clock was set.", read: steps })
  }

  override async load(): Promise<void> {
    await super.load()
    this.#own.load()
  }

  protected override storeEvents(): SessionStoreEvents {
    const events = super.storeEvents()
    const emptied = () => {
      this.#wills.again()
      return events.emptied?.()
    }
    return { ...events, emptied }
  }

  override connected(connection: Connection, sessionPresent: boolean): void {
    super.connected(connection, sessionPresent)
    this.#lines.connected(connection, sessionPresent)
  }

  override ended(connection: Connection, reason: DisconnectReason, wasConnected: boolean, publishWill: boolean): void {
    this.#lines.ended(connection, reason, wasConnected)
    super.ended(connection, reason, wasConnected, publishWill)
  }

  protected override tick(): void {
    if (this.#wallWatch.look()) for (const client of this.clients) client.wallSet()
    super.tick()
  }

  protected override sweep(): void {
    this.#wills.retry()
    super.sweep()
  }

  override reloadSessions(): Promise<void> {
    this.#wills.again()
    return super.reloadSessions()
  }

  get totals(): BrokerTotals {
    return {
      sessions: this.roster.size,
      subscriptions: this.router.size,
      slowedSessions: this.slowedSessions.size,
      withholdingClients: this.withholding.size,
    }
  }

  inspect<V extends VerbName>(verb: V, given: Given<V> = {} as Given<V>): Promise<Answered<V>> {
    return this.verbs.inspect(verb, given as object, program) as Promise<Answered<V>>
  }

  operate<V extends VerbName>(actor: Actor, verb: V, given: Given<V> = {} as Given<V>): Promise<Answered<V>> {
    return this.verbs.operate(actor, verb, given as object) as Promise<Answered<V>>
  }

  subscribe(filter: string, handler: MessageHandler): OwnSubscription {
    return this.#own.add(filter, handler)
  }

  readWire(bytes: Buffer, start: number, end: number, version: ProtocolVersion, from: WireSource): Message {
    this.#wire ??= new WireReader(this.topics)
    return this.#wire.read(bytes, start, end, version, from)
  }

  receive(message: Message, plain: boolean, picked: readonly PickedMember[]): Promise<void> | undefined {
    this.dispatcher.receive(message, plain, picked)
    return this.router.spent ? this.turns.next() : undefined
  }

  memberJoined(node: string, clientId: string, subscription: Subscription): void {
    this.#members.joined(node, clientId, subscription)
  }

  memberLeft(node: string, clientId: string, filter: string): void {
    this.#members.left(node, clientId, filter)
  }

  nodeLeft(node: string): void {
    this.#members.nodeLeft(node)
    for (const session of this.roster.all()) if (session.node === node) session.node = null
  }

  connectionKnown(client: Client): void {
    const { session } = client as Connection
    if (session?.client === client) session.announced = true
  }

  belongsToAnother(clientId: string, user: string | null): boolean {
    const session = this.roster.get(clientId)
    return session?.client != null && session.announced && session.owner !== user && this.entry.isByUser(session.client)
  }

  refuseOwned(client: Client): void {
    const connection = client as Connection
    const refusal = this.entry.owned(connection)
    connection.leaveNothing()
    if (connection.state === 'connected') connection.close(ReasonCode.NotAuthorized, refusal.reasonString!)
    else connection.refuse(refusal)
  }

  connectedElsewhere(clientId: string, withoutWill?: boolean): void {
    const session = this.roster.get(clientId)
    if (session?.client != null && session.announced) this.roster.lose(session, withoutWill)
  }

  /** Whoever has the client id now and is another user is somebody else. */
  mayStillPublish({ clientId, username, topic }: Message): boolean {
    const { onAuthorize } = this.hooks
    const source = this.roster.get(clientId)
    if (!onAuthorize.isUsed() || source === undefined || !source.seen) return true
    if (username !== undefined && username !== source.username) return true
    return isGranted(onAuthorize.call(source.client ?? source, 'publish', ownName(topic, source.mountPoint)))
  }

  trace(clientId: string | true, on = true): void {
    if (clientId === true) {
      this.tracesAll = on
      return
    }
    if (on) this.tracedIds.add(clientId)
    else this.tracedIds.delete(clientId)
    const client = this.clientOf(clientId)
    if (client !== undefined) client.traced = on
  }

  unguarded(allowAnonymous = this.settings.allowAnonymous): boolean {
    return allowAnonymous === undefined && !this.hooks.onAuthenticate.isUsed()
  }

  addressesFor(host: string, allowAnonymous?: boolean): string[] {
    return this.unguarded(allowAnonymous) ? ['127.0.0.1', '::1'] : [host]
  }

  listening(address: ListenerAddress): void {
    const isSame = ({ name, host, port }: ListenerAddress): boolean =>
      name === address.name && host === address.host && port === address.port
    if (!this.listeners.some(isSame)) this.listeners.push(address)
  }

  subscribeClient(client: Client, filter: string, qos: QoS): Promise<number> {
    return subscribeFor(this, client as Connection, filter, qos)
  }

  unsubscribeClient(client: Client, filter: string): Promise<number> {
    return unsubscribeFor(this, client as Connection, filter)
  }

  subscribeSession(session: Session, subscription: Subscription): Promise<number> {
    return subscribeStored(this, session as KnownSession, subscription)
  }

  unsubscribeSession(session: Session, filter: string): Promise<number> {
    return unsubscribeStored(this, session as KnownSession, filter)
  }

  setRights(whom: Whom, rights: Rights | null): number {
    const count = this.applyRights(whom, rights)
    this.hooks.onOperated.call({ verb: 'setRights', whom, rights })
    return count
  }

  kick(clientId: string): boolean {
    const client = this.clientOf(clientId)
    client?.close(ReasonCode.AdministrativeAction, 'disconnected by an operator')
    if (client === undefined) this.hooks.onOperated.call({ verb: 'kick', clientId })
    return client !== undefined
  }

  applyRevoke(whom: Revoked, keepSession: boolean): number {
    const found = [...this.clients].filter(
      ({ state, username, clientId }) =>
        state !== 'new' && state !== 'closed' && ('username' in whom ? username === whom.username : clientId === whom.clientId),
    )
    for (const client of found) {
      if (!keepSession) client.leaveNothing()
      client.close(ReasonCode.NotAuthorized, 'may no longer be connected')
    }
    return found.length
  }

  async clearQueue(clientId: string): Promise<number | null> {
    const session = this.roster.get(clientId)
    return session === undefined ? null : await clearQueue(this, session)
  }
}
