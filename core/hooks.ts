import { AsyncParallelHook, AsyncSeriesBailHook, SyncBailHook, SyncHook } from 'tapable'
import type { Actor } from './actor.ts'
import { answer } from './answers.ts'
import type { AnyPublisher, Client, Session } from './connection/client.ts'
import type { DisconnectReason } from './connection/disconnect-reason.ts'
import type { Transport } from './connection/transport.ts'
import type { DropReason } from './counter-names.ts'
import type { Delivery } from './messages/delivery.ts'
import type { Message } from './messages/message.ts'
import type { Receipt } from './messages/receipt.ts'
import type { OperatorAct } from './operator-act.ts'
import type { QoS } from './protocol/constants.ts'
import type { AuthPacket, ConnectPacket, Packet } from './protocol/packets.ts'
import type { Publisher } from './publisher.ts'
import { ReasonCode } from './reason.ts'
import type { Admission, AuthStep, ConnectRefusal, PublishRefusal, PublishVerdict, Refusal, SubscribeRefusal } from './refusals.ts'
import type { Member, ShareGroup } from './routing/share-group.ts'
import type { Subscription, SubscriptionAttempt, Unsubscription } from './routing/subscription.ts'
import type { Route } from './routing/target.ts'
import { guardTaps, type TapError, type TapGuardOptions, type TapPolicy } from './taps.ts'

/** Order within a hook: lower runs first; within a stage, the order of the plugin list. */
export const Stage = { Guard: -200, Transform: -100, Default: 0, Record: 100, Observe: 200 } as const

/** What a tap of a deciding hook may say of itself where it is tapped, beside its name and stage, for whoever asks why something is as it is. */
export interface TapFacts {
  /** It changes nothing, itself included, and gives the same answer again: whoever wants to know what would happen may ask it. Default: false. */
  readonly pure?: boolean
  /** Says in a few words, and without changing anything, by what the tap would answer as it does: a rule, a list. It gets what the tap gets. */
  readonly explain?: (...asked: never[]) => string | undefined
  /** Of a tap that is not pure: what it would answer now, without changing anything. It gets what the tap gets. */
  readonly look?: (...asked: never[]) => unknown
}

// A tap without a return statement has no opinion, and must type-check.
type Opinion<T> = T | undefined | void

const refuse = (plugin: string): Refusal => ({
  reasonCode: ReasonCode.ImplementationSpecificError,
  reasonString: `plugin ${plugin} failed`,
})
const no = () => false

// What a hook makes of its taps' answers. A deciding hook fails closed: a tap that fails stands for a refusal.
const refusal: TapPolicy = { kind: 'decideAsync', accepts: answer.isRefusal, passes: answer.isYes, refusal: refuse }
const refusalAtOnce: TapPolicy = { kind: 'decide', accepts: answer.isRefusal, passes: answer.isYes, refusal: no }
const admission: TapPolicy = { kind: 'decideAsync', accepts: answer.isAdmissionOrRefusal, refusal: refuse }
const authStep: TapPolicy = { kind: 'decideAsync', accepts: answer.isAuthStep, refusal: refuse }
const verdict: TapPolicy = { kind: 'decideAsync', accepts: answer.isVerdict, passes: answer.isYes, refusal: refuse }
const permission: TapPolicy = { kind: 'decide', accepts: answer.isPermission, refusal: no }
const member: TapPolicy = { kind: 'decide', accepts: answer.isMember }
const loading: TapPolicy = { kind: 'decideAsync', accepts: answer.isError, patient: true }
const veto: TapPolicy = { kind: 'decide', accepts: answer.isFalse, passes: answer.isYes, refusal: no }

/**
 * Everything that happens in a broker, in the order in which it happens to a client: the contract on one screen.
 * `onSubscribe` decides, `onSubscribed` has happened. `undefined` is no opinion, in every hook.
 */
export function createHooks(options: TapGuardOptions) {
  const policies = new Map<object, TapPolicy>()
  const kept = <H extends object>(hook: H, policy: TapPolicy): H => {
    policies.set(hook, policy)
    return hook
  }
  const decides = <A extends unknown[], R>(args: Names, policy: TapPolicy) =>
    kept(new SyncBailHook<A, Opinion<R>, TapFacts>(args as never), policy)
  const decidesLater = <A extends unknown[], R>(args: Names, policy: TapPolicy) =>
    kept(new AsyncSeriesBailHook<A, Opinion<R>, TapFacts>(args as never), policy)
  const happened = <A extends unknown[]>(...args: Names) => kept(new SyncHook<A>(args as never), { kind: 'observe' })
  const happenedLater = <A extends unknown[]>(...args: Names) => kept(new AsyncParallelHook<A>(args as never), { kind: 'observeAsync' })
  const connect = ['client', 'connect']

  const hooks = {
    /** A new connection, before a byte is read. `false` closes it; a refusal is what its CONNECT is answered with, and nobody is asked about that. */
    onAccept: decides<[transport: Transport], ConnectRefusal>(['transport'], refusalAtOnce),
    /** A client is about to be asked who it is, where `onAuthenticate` or `onAuth` has a tap. A refusal refuses it unasked; an answer may take any time. */
    onAttempt: decidesLater<[client: Client, connect: Readonly<ConnectPacket>], ConnectRefusal>(connect, { ...refusal, patient: true }),
    /** Who is this? The first opinion wins; with taps and no opinion at all the client is refused, unless `allowAnonymous`. */
    onAuthenticate: decidesLater<[client: Client, connect: Readonly<ConnectPacket>], Admission | ConnectRefusal | true>(connect, admission),
    /** An AUTH packet, or a CONNECT with an Authentication Method: enhanced authentication and re-authentication (MQTT 5, 4.12). */
    onAuth: decidesLater<[client: Client, auth: Readonly<AuthPacket>], AuthStep>(['client', 'auth'], authStep),
    /** What became of the attempt, once for each `onAttempt`: `null`, authentication lets the client in, or why it does not. */
    onAttempted: happened<[client: Client, refusal: Readonly<Refusal> | null]>('client', 'refusal'),
    /** The client is admitted, CONNACK is not yet sent: anyone may still refuse, nobody can admit. Load here what is needed later. */
    onConnect: decidesLater<[client: Client, connect: Readonly<ConnectPacket>], ConnectRefusal>(connect, refusal),
    /** A client has got its session and is about to get CONNACK, which `onAnswer` may keep back: who connects nodes tells them here. */
    onSessionOpened: happened<[session: Session]>('session'),
    /** CONNACK, SUBACK or UNSUBACK is about to leave, and waits for the promises that taps give: until what it says holds at all nodes, say. */
    onAnswer: happenedLater<[client: Client, answer: 'connack' | 'suback' | 'unsuback']>('client', 'answer'),
    /** CONNACK is written. */
    onConnected: happened<[client: Client, sessionPresent: boolean]>('client', 'sessionPresent'),
    /** May this publisher publish to, or subscribe to, this topic? Hot and synchronous; the first opinion wins. */
    onAuthorize: decides<[publisher: Publisher, action: 'publish' | 'subscribe', topic: string], boolean | PublishRefusal>(
      ['publisher', 'action', 'topic'],
      permission,
    ),
    /** Once for each filter of a SUBSCRIBE; may lower `qos`, and put another filter in its place. */
    onSubscribe: decidesLater<[client: Client, subscription: SubscriptionAttempt], SubscribeRefusal>(['client', 'subscription'], refusal),
    /** SUBACK is written. */
    onSubscribed: happened<[client: Client, subscription: Readonly<SubscriptionAttempt>]>('client', 'subscription'),
    /** SUBACK is written: once for each filter that was refused, with the reason code, 0x80 or above, that MQTT 5 clients are told. */
    onSubscribeRefused: happened<[client: Client, subscription: Readonly<SubscriptionAttempt>, reasonCode: number]>(
      'client',
      'subscription',
      'reasonCode',
    ),
    /** Once for each filter of an UNSUBSCRIBE: a refusal leaves the client subscribed; may put another filter in its place. */
    onUnsubscribe: decides<[client: Client, unsubscription: Unsubscription], SubscribeRefusal>(['client', 'unsubscription'], {
      ...refusalAtOnce,
      refusal: refuse,
    }),
    /** UNSUBACK is written. */
    onUnsubscribed: happened<[client: Client, subscription: Readonly<Unsubscription>]>('client', 'subscription'),
    /** A session with a connection here has one subscription more (`removed` null), one less (`added` null), or one in place of another. */
    onRoutesChanged: happened<[session: Session, added: Subscription | null, removed: Subscription | null]>('session', 'added', 'removed'),
    /** Once for each message from a client or its will, before routing and acknowledgement; may change the message. */
    onPublish: decidesLater<[publisher: AnyPublisher, message: Message], PublishVerdict>(['publisher', 'message'], verdict),
    /** A message is about to be matched with subscriptions: what has to be known of its subscribers is loaded here, however long it takes. An error says why it cannot be, where `publisher` is null: nobody waits for it. */
    onMatch: decidesLater<[message: Message, publisher: Publisher | null], Error>(['message', 'publisher'], loading),
    /** Every accepted message once, after matching. `receipt.hold()` keeps the publisher's acknowledgement back. */
    onRoute: happened<[message: Message, targets: Route<Session>, receipt: Receipt]>('message', 'targets', 'receipt'),
    /** Picks the member of a shared group that gets the message; asked where there are several. */
    onShare: decides<[group: ShareGroup<Session>, message: Message], Member<Session>>(['group', 'message'], member),
    /** The member that was picked is connected at another node (`member.node`), which is to have the message; `receipt` is null at QoS 0. */
    onForward: happened<[message: Message, member: ForwardedMember, receipt: Receipt | null]>('message', 'member', 'receipt'),
    /** One subscriber, at each sending: a repeat too (`delivery.repeat`) goes as it is made now. `false` leaves it out; `delivery` may be changed. */
    onDeliver: decides<[client: Client, delivery: Delivery], false>(['client', 'delivery'], veto),
    /** The PUBLISH is written to the connection. */
    onDelivered: happened<[client: Client, message: Message]>('client', 'message'),
    /** The handshake of a QoS 1 or 2 delivery is over. */
    onAcked: happened<[client: Client, message: Message]>('client', 'message'),
    /** A message did not reach a subscriber, and why; with `refused`, the reason code of the refusal where there is one. Every drop is counted too. */
    onDrop: happened<[clientId: string, message: Message, reason: DropReason, reasonCode: number | undefined]>(
      'clientId',
      'message',
      'reason',
      'reasonCode',
    ),
    /** A will is due, before it goes the way of a publish. `false` withholds it. */
    onWill: decides<[publisher: Publisher, message: Message], false>(['publisher', 'message'], veto),
    /** The connection of a session has ended; the session is parked or ends with it. */
    onSessionClosed: happened<[session: Session]>('session'),
    /** Once for each client whose onConnect began. Nobody waits for it but `stop()`. */
    onDisconnect: happenedLater<[client: Client, reason: DisconnectReason]>('client', 'reason'),
    /** A connection is no more: it has closed, or `onAccept` said `false`. Once for each that `onAccept` was asked about. */
    onClosed: happened<[transport: Transport]>('transport'),
    /** A session has ended, by expiry or for good. */
    onSessionExpired: happened<[clientId: string]>('clientId'),
    /** Somebody is about to change something by `broker.operate`: which verb, and what it is given. A refusal refuses it; other nodes are not asked again. */
    onOperate: decides<[actor: Actor, verb: string, target: object], ConnectRefusal>(['actor', 'verb', 'target'], refusalAtOnce),
    /** An operator, or a plugin in its place, has done something here that concerns all nodes: a client was sent away, rights were changed. */
    onOperated: happened<[act: OperatorAct]>('act'),
    /** A tap failed, or something in the broker that no client is to blame for. */
    onError: happened<[error: Error | TapError]>('error'),
    /** Packets of traced clients only, inbound. */
    onPacketReceived: happened<[client: Client, packet: Readonly<Packet>]>('client', 'packet'),
    /** Packets of traced clients only, outbound. */
    onPacketSent: happened<[client: Client, packet: Readonly<Packet>]>('client', 'packet'),
  }
  for (const [name, hook] of Object.entries(hooks)) guardTaps(hook, name, policies.get(hook)!, options)
  return Object.freeze(hooks)
}

// The names of a hook's arguments, for tapable.
type Names = string[]

/** The frozen record of all hooks. */
export type Hooks = ReturnType<typeof createHooks>

/** The member of a shared group that was picked for a message, connected at another node. */
export interface ForwardedMember {
  /** The client id of the member. */
  readonly clientId: string
  /** The whole filter, `$share/{name}/{filter}`. */
  readonly group: string
  /** The node that its client is connected to. */
  readonly node: string
  /** The QoS of this delivery. */
  readonly qos: QoS
}
