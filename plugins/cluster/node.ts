// Why it is long: it is the one place where what nodes say to one another meets what it means; each kind of record is a line or two, and its parts stand in files of their own.
import type { Broker } from '../../core/broker.ts'
import type { Client, Session } from '../../core/connection/client.ts'
import { OperatorError } from '../../core/errors.ts'
import type { ForwardedMember } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { OperatorAct } from '../../core/operator-act.ts'
import type { Revoked, Rights, Whom } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import type { Route } from '../../core/routing/target.ts'
import type { StoredWill } from '../../core/sessions/session-store.ts'
import { alarmsOf } from '../kit/alarms.ts'
import type { Bus, BusEvents, Node } from '../kit/services/bus.ts'
import { decodeMessage, decodeWill, encodeWill } from '../kit/stored-message.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { ActedOn, type MarkRecord } from './acted-on.ts'
import { clusterVersion, messageFormatOf, refusalOf } from './cluster-version.ts'
import { Confirmations, type LeftOutRecord, type NumberRecord } from './confirmations.ts'
import { Fence } from './fence.ts'
import { type ConfirmFrame, packConfirm, unpack, unpackConfirm } from './frames.ts'
import { Inbox } from './inbox.ts'
import { LateMessages } from './late-messages.ts'
import { Outgoing } from './outgoing.ts'
import { OwnRoutes } from './own-routes.ts'
import { Peers } from './peers.ts'
import { Wants } from './route-rows.ts'
import { Step, type TickRecord } from './step.ts'
import { TakeOvers } from './take-overs.ts'
import { VerbQuestions } from './verb-questions.ts'
import { type ForgetAnswer, nodesForgetVerb } from './verbs.ts'
import { receiveWire } from './wire-batch.ts'

/** What nodes announce to one another. */
type NodeRecord =
  /** Rows of its routes have changed, in turn key and value. */
  | readonly ['r', ...rows: string[]]
  /** Its routes ought to look so by now. */
  | readonly ['#', count: number, hash: number]
  /** A client has connected to it: an earlier connection of that id ends. Epoch 0: its session ends with the connection. */
  | readonly ['o', clientId: string, connection: number, epoch: number, user?: string | null]
  /** That connection, of another node, came with the client id of another user's client: it is refused there. */
  | readonly ['D', node: string, clientId: string, connection: number]
  /** Somebody's rights have changed. */
  | readonly ['R', whom: Whom, rights: Rights | null]
  /** A client is to be disconnected. */
  | readonly ['K', clientId: string]
  /** A user, or a client, has been taken away. */
  | readonly ['V', whom: Revoked, keepSession: boolean]
  | NumberRecord
  | MarkRecord
  | TickRecord
  | LeftOutRecord

// A dead node that has not come back within an hour was taken away for good.
const deadMs = 3_600_000

/** The node that each broker of this process is, for tests that look inside. */
export const clusterNodes = new WeakMap<Broker, ClusterNode>()

/** This node among the others: tells them what they have to know, and does what they say. */
export class ClusterNode {
  readonly #broker: Broker
  readonly #bus: Bus
  readonly own: OwnRoutes
  readonly peers: Peers
  readonly outgoing: Outgoing
  readonly confirmations: Confirmations
  readonly step: Step
  readonly takeOvers: TakeOvers
  readonly questions: VerbQuestions
  readonly #actedOn: ActedOn
  readonly #fence: Fence
  readonly #late: LateMessages
  readonly inbox: Inbox
  readonly events: BusEvents
  // How often this node has been away, and the last time after which the others have been told that it is there.
  #awaySince = 0
  #backSince = 0
  // What is announced at the end of this turn; numbers stand behind everything else.
  #records: NodeRecord[] = []
  #numbers: NumberRecord[] = []
  // Sessions whose subscriptions are among the routes that the others know.
  readonly #counted = new Set<Session>()
  // Clients whose wills lie in the table, because their sessions are not stored, and the session store keeps no wills of such.
  readonly #wills = new Set<string>()
  readonly #connections = new Map<number, Client>()
  readonly #numberOf = new WeakMap<Client, number>()
  #connection = 0
  /** Messages that other nodes have sent to this one. */
  received = 0
  readonly #startedAt: number
  // Nodes that have died and not come back.
  readonly #dead = new Map<string, number>()

  /** `confirmTimeoutMs`: how long an answer waits for other nodes at most. */
  constructor(broker: Broker, bus: Bus, confirmTimeoutMs: number) {
    this.#broker = broker
    this.#bus = bus
    const { clock, log, services } = broker
    const timeoutMs = confirmTimeoutMs
    const announce = (record: NodeRecord): void => this.#say(record)
    this.#startedAt = broker.clock.now()
    clusterNodes.set(broker, this)
    this.own = new OwnRoutes(broker, bus)
    this.peers = new Peers(broker, bus)
    this.questions = new VerbQuestions(broker, bus)
    broker.verbs.link(this.questions)
    alarmsOf(broker).watch('nodeDead', now => {
      for (const [name, at] of this.#dead) if (now - at >= deadMs) this.#dead.delete(name)
      return this.#dead.size === 0 ? null : `dead nodes that have not come back: ${[...this.#dead.keys()].join(', ')}`
    })
    broker.verbs.add(
      defineVerb(broker, nodesForgetVerb, {
        run: (_broker, { name }) => {
          if (bus.nodes().some(node => node.name === name))
            throw new OperatorError('ERR_ARGUMENTS', `nodes forget: ${name} lives, so it is not forgotten; stop it first`)
          return { name, forgotten: this.#dead.delete(name) }
        },
        merge: (parts, missing, { name }) => ({
          name,
          forgotten: parts.some(({ answer }) => (answer as ForgetAnswer).forgotten),
          ...(missing.length > 0 ? { missing } : {}),
        }),
      }),
    )
    const outgoing = new Outgoing(broker, bus)
    this.outgoing = outgoing
    const confirmations = new Confirmations({ bus, clock, log, timeoutMs, announce })
    this.confirmations = confirmations
    const living = (): readonly string[] => confirmations.living
    const fence = new Fence({ bus, clock, outgoing, timeoutMs: timeoutMs / 4, living })
    this.#fence = fence
    const actedOn = new ActedOn({ bus, announce, retained: () => services.find('retained') })
    this.#actedOn = actedOn
    const step = new Step({
      clock,
      timeoutMs,
      announce,
      isConnected: () => bus.connected,
      hasOthers: () => confirmations.hasOthers,
      comeBack: () => this.#comeBack(),
    })
    this.step = step
    this.takeOvers = new TakeOvers({ broker, step, actedOn, fence, timeoutMs, hasOthers: () => living().length > 0 })
    this.#late = new LateMessages({ broker, step, forward: (message, receipt) => this.forwardAll(message, receipt) })
    this.inbox = new Inbox((from, frame) => this.#received(from, frame))
    this.events = {
      announced: (from, record) => this.#announced(from, record as NodeRecord),
      received: (from, frame, told = false) => this.inbox.take(from, frame, told),
      joined: node => {
        this.#dead.delete(node.name)
        this.#said(node, 'info', 'a node has joined the cluster')
        const refusal = refusalOf(node)
        if (refusal !== null) broker.log.error({ node: node.name }, refusal)
        this.confirmations.joined(node)
        this.peers.joined(node)
      },
      left: (node, died) => {
        if (died === true) this.#dead.set(node.name, clock.now())
        if (died === true) this.#said(node, 'warn', 'a node of the cluster has died: it has given no sign of life')
        else this.#said(node, 'info', `a node has left the cluster${died === false ? ' in good order' : ''}`)
        this.confirmations.left(node.name)
        this.#fence.left(node.name)
        this.outgoing.left(node.name)
        this.peers.left(node)
        this.questions.left(node.name)
      },
      inherited: node => this.#inherited(node).catch(error => broker.report(error)),
      expelled: () => this.#expelled(),
      missed: () => this.#missed(),
      interrupted: () => this.#away(),
    }
  }

  // Of the workers of this broker their supervisor says it.
  #said({ name }: Node, level: 'info' | 'warn', text: string): void {
    const { log, worker, settings } = this.#broker
    const own = worker === null ? null : String(settings.brokerId).replace(/\d+$/, '')
    log[own !== null && name.startsWith(own) ? 'debug' : level]({ node: name }, text)
  }

  /** What this node says of itself at each sign of life. */
  facts(): Node['facts'] {
    const { counters, clock, version, worker } = this.#broker
    return {
      version,
      clusterVersion,
      uptime: Math.floor((clock.now() - this.#startedAt) / 1000),
      connections: counters.connected,
      received: counters.publishReceived,
      sent: counters.publishSent,
      routes: this.own.size,
      forwarded: this.outgoing.posted + this.outgoing.told,
      ...(worker === null ? {} : { pid: process.pid }),
    }
  }

  // ---- what happens here

  /** A message of this node's clients is on its way: the other nodes have it that want it. */
  routed(message: Message, route: Route<Session>, receipt: Receipt): void {
    if (this.step.isBehind) this.#late.add(message, route, receipt)
    else this.forwardAll(message, receipt)
  }

  forwardAll(message: Message, receipt: Receipt): void {
    const { targets } = this.peers.router.route(message.topic)
    for (const { subscriber, identifiers } of targets) {
      let wants = 0
      for (const one of identifiers!) wants |= one
      receipt.matched = true
      if (message.qos > 0 && (wants & Wants.Kept) !== 0) this.outgoing.post(subscriber.clientId, message, null, receipt)
      else if ((wants & (message.qos > 0 ? Wants.Lowered : Wants.Qos0)) !== 0) this.outgoing.tell(subscriber.clientId, message, null)
    }
  }

  /** What an answer to a client waits for; undefined: nothing. */
  answering(client: Client, answer: 'connack' | 'suback' | 'unsuback'): Promise<unknown> | undefined {
    const everywhere = this.confirmations.everywhere()
    if (answer !== 'connack') return everywhere
    const { clientId } = client
    const will = this.takeOvers.before(clientId)
    if (this.confirmations.absent === 0) return will === undefined ? everywhere : Promise.all([everywhere, will])
    return Promise.all([everywhere, will]).then(() => this.#takeWills(clientId))
  }

  // The client publishes again: what it had left at a node that does not answer must not be sent after that.
  #takeWills(clientId: string): void {
    for (const node of this.#bus.nodes()) {
      if (!this.confirmations.isAbsent(node.name)) continue
      this.#bus.takeRow(node, 'wills', clientId).then(
        taken =>
          taken && this.#broker.log.debug({ clientId, node: node.name }, 'the will at a node that does not answer is not sent any more'),
        error => this.#broker.report(error),
      )
    }
  }

  /** This node comes: resolves when it may serve. */
  comes(): Promise<void> {
    this.#awaySince += 1
    return this.step.regain()
  }

  /** The others may not wait for this node any more, nor it know what they have announced. */
  #away(): void {
    this.#awaySince += 1
    this.step.lost()
  }

  async #comeBack(): Promise<boolean> {
    const awaySince = this.#awaySince
    if (this.#backSince !== awaySince) {
      const back = this.confirmations.everywhere(true)
      await back
      if ((back !== undefined && !this.confirmations.heardBack) || awaySince !== this.#awaySince) return false
      this.#backSince = awaySince
    }
    await this.peers.whenRead()
    return true
  }

  stop(): void {
    this.step.stop()
    this.takeOvers.stop()
    this.confirmations.stop()
    this.#fence.stop()
    this.#flush()
    this.outgoing.flush()
  }

  /** The member of a shared group that was picked here is connected at another node: brings it the message. */
  forward(message: Message, { clientId, group, node }: ForwardedMember, receipt: Receipt | null): void {
    const picked = { group, clientId }
    if (receipt === null) this.outgoing.tell(node, message, picked)
    else this.outgoing.post(node, message, picked, receipt)
  }

  operated(act: OperatorAct): void {
    if (act.verb === 'kick') this.#announce(['K', act.clientId])
    else if (act.verb === 'revoke') this.#announce(['V', act.whom, act.keepSession])
    else if (act.verb === 'setRights') this.#announce(['R', act.whom, act.rights])
  }

  opened(session: Session): void {
    const client = session.client!
    this.#connection += 1
    this.#connections.set(this.#connection, client)
    this.#numberOf.set(client, this.#connection)
    this.#say(['o', session.clientId, this.#connection, session.durable ? session.epoch : 0, client.username])
    this.#counted.add(session)
    for (const subscription of session.subscriptions.values()) this.own.add(session, subscription)
    this.#keepWillOf(session, client.will)
  }

  closed(session: Session): void {
    if (this.#counted.delete(session)) {
      for (const subscription of session.subscriptions.values()) this.own.remove(session, subscription)
    }
    if (this.#wills.has(session.clientId)) this.#keepWill(session.clientId, null)
  }

  routesChanged(session: Session, added: Subscription | null, removed: Subscription | null): void {
    // The program's own session has no connection that would have been opened.
    if (session.client !== null && !this.#counted.has(session)) return
    if (removed !== null) this.own.remove(session, removed)
    if (added !== null) this.own.add(session, added)
  }

  // One of the two keeps it, so that it is sent once; an older version's lies in the table.
  #keepWillOf({ clientId, durable }: Session, will: StoredWill | null): void {
    const storeKeepsIt = this.#broker.services.find('sessions')?.keepWill !== undefined
    if (will !== null && !durable && !storeKeepsIt) this.#keepWill(clientId, encodeWill(will, messageFormatOf(this.#bus)))
  }

  #keepWill(clientId: string, will: Buffer | null): void {
    if (will === null) this.#wills.delete(clientId)
    else this.#wills.add(clientId)
    this.#bus.setRow('wills', clientId, will).catch(error => this.#broker.report(error))
  }

  /** Announces it at the end of this turn, behind the routes that have changed in it. */
  #say(record: NodeRecord): void {
    if (this.#records.length === 0 && this.#numbers.length === 0) this.#broker.clock.turn(() => this.#flush())
    if (record[0] === 'n') this.#numbers.push(record)
    else this.#records.push(record)
  }

  #flush(): void {
    this.confirmations.turned()
    const records = [...this.#records, ...this.#numbers]
    this.#records = []
    this.#numbers = []
    this.own.flush()
    for (const record of records) this.#announce(record)
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
        return isOwn ? this.#heard(record[2]) : this.#connectedElsewhere(from, record)
      case 'D':
        return record[1] === this.#bus.node ? this.#refuse(record[2], record[3]) : undefined
      case 'n':
        return this.#numbered(from, isOwn, record)
      case 'm':
        if (!isOwn) this.confirmations.marked(from, record[1])
        return
      case 'l':
        if (isOwn) this.confirmations.heardWarning(record[1])
        else if (record[1] === this.#bus.node) this.#leftOut(from)
        return
      case 't':
        if (isOwn) this.step.heard(record[1])
        return
      case 'R':
        if (!isOwn) this.#broker.applyRights(record[1], record[2])
        return
      case 'V':
        if (!isOwn) this.#broker.applyRevoke(record[1], record[2])
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

  #numbered(from: string, isOwn: boolean, [, number, run, isBack]: NumberRecord): void {
    this.confirmations.numbered(from, number, run, isBack === 1)
    if (isOwn) return
    if (isBack === 1) this.#bus.tell(from, packConfirm(['b', number, run]))
    else this.peers.inOrder(from, () => this.#actedOn.upTo(from, number, run))
  }

  #connectedElsewhere(from: string, [, clientId, connection, epoch, user]: NodeRecord & { readonly 0: 'o' }): void {
    if (user !== undefined && this.#broker.belongsToAnother(clientId, user)) return this.#announce(['D', from, clientId, connection])
    // Of one that is stored the store has told, but for a session here that is not.
    const isClean = this.#broker.clientOf(clientId)?.session?.durable === false
    this.takeOvers.elsewhere(from, clientId, isClean ? 0 : epoch)
  }

  #refuse(clientId: string, connection: number): void {
    const client = this.#broker.clientOf(clientId)
    if (client !== undefined && this.#numberOf.get(client) === connection) this.#broker.refuseOwned(client)
  }

  *#received(from: string, frame: Buffer): Generator<Promise<void>> {
    try {
      const confirm = unpackConfirm(frame)
      if (confirm !== null) return this.#told(from, confirm)
      if (this.#bus.near === true) return yield* receiveWire(this.#broker, from, frame, () => void (this.received += 1))
      for (const { body, plain, picks } of unpack(from, frame)) {
        this.received += 1
        const rest = this.#broker.receive(decodeMessage(body, 'peer', this.#bus.clockShift ?? 0), plain, picks)
        if (rest !== undefined) yield rest
      }
    } catch (error) {
      // What another node sends must not end this one: a frame that cannot be read is left out, and said.
      this.#broker.report(error)
    }
  }

  #leftOut(by: string): void {
    this.#away()
    this.takeOvers.leftOut(by)
  }

  #told(from: string, frame: ConfirmFrame): void {
    switch (frame[0]) {
      case 'c':
        return this.confirmations.confirmed(from, frame[1], frame[2], frame[3])
      case 'b':
        return this.confirmations.knowsBack(from, frame[1], frame[2])
      case 'f':
        return this.#fence.asked(from, frame[1])
      case 'F':
        return this.#fence.answered(from, frame[1])
      case 'q':
        return this.questions.asked(from, frame)
      case 'a':
        return this.questions.answered(from, frame)
      case 'n':
        return this.questions.askedOn(from, frame)
      case 'x':
        return this.questions.streams.close(from, frame[1])
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
    this.#away()
    for (const { session, will } of this.#broker.clients) if (session !== null) this.#keepWillOf(session, will)
    await this.#broker.reloadSessions()
  }
}
