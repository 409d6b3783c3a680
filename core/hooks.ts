import { AsyncParallelHook, AsyncSeriesBailHook, SyncBailHook, SyncHook } from 'tapable'
import { answer } from './answers.ts'
import type { Client } from './connection/client.ts'
import type { Transport } from './connection/transport.ts'
import type { DropReason } from './counter-names.ts'
import type { Delivery } from './messages/delivery.ts'
import type { Message } from './messages/message.ts'
import type { Receipt } from './messages/receipt.ts'
import type { QoS } from './protocol/constants.ts'
import type { AuthPacket, ConnectPacket, Packet, UserProperty } from './protocol/packets.ts'
import { ReasonCode } from './reason.ts'
import type { Member, Route, ShareGroup } from './routing/router.ts'
import type { Session } from './sessions/session.ts'
import { guardTaps, type TapError, type TapGuardOptions, type TapPolicy } from './taps.ts'

/** Order within a hook: lower runs first; within a stage, the order of the plugin list. */
export const Stage = { Guard: -200, Transform: -100, Default: 0, Record: 100, Observe: 200 } as const

/** What a client may publish and subscribe to, as topic filters. Plugin `topicSecurity` asks for them: there, what is left out is nothing. */
export interface Rights {
  readonly authorizedPub?: readonly string[]
  readonly authorizedSub?: readonly string[]
}

/** Lets a client in. Any part may be left out. */
export interface Admission {
  /** Replaces the user name that the client gave. */
  username?: string | null
  rights?: Rights
  /** Milliseconds since the Unix epoch at which the admission ends and the client is disconnected (0x87). */
  expiresAt?: number
}

/** Says no. A bare reason code does the same; the string and the reference reach MQTT 5 clients. */
export interface Refusal {
  reasonCode: ReasonCode
  reasonString?: string
  /** For `UseAnotherServer` and `ServerMoved`. */
  serverReference?: string
  userProperties?: UserProperty[]
  /** From `onAuthenticate`: trouble that the client is not to blame for, so no failed attempt of its address. */
  blameless?: boolean
}

/** A reason code from 0x80 on, a refusal with more to say, or `false` for 0x87 NotAuthorized. */
export type ConnectRefusal = ReasonCode | Refusal | false
/** Why a subscription is not granted: a reason code from 0x80 on, a refusal with more to say, or `false` for 0x87 NotAuthorized (0x80 before MQTT 5). */
export type SubscribeRefusal = ReasonCode | Refusal | false
/** A refusal; `'drop'`: accepted and acknowledged, but goes nowhere; `'kept'`: the same, because the plugin has it now, so it counts as no drop. */
export type PublishVerdict = ReasonCode | Refusal | 'drop' | 'kept' | false

/** The answer to an AUTH packet: go on with the exchange, finish it, or refuse. */
export type AuthStep =
  | { continue: true; data?: Buffer; reasonString?: string }
  | { admission: Admission; data?: Buffer }
  | Refusal
  | ReasonCode
  | false

/** Who publishes: a client, or what is left of one when its will is due. */
export interface Publisher {
  readonly clientId: string
  readonly username: string | null
  readonly rights: Rights | null
}

/** One subscription as `onSubscribe` sees it; a plugin may lower `qos`. */
export interface SubscriptionAttempt {
  readonly filter: string
  qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0: none. */
  readonly identifier: number
  /** The session already held this filter: it is replaced. */
  readonly existed: boolean
  /**
   * `session` (default): as long as the session; `connection`: never stored, gone with the connection; `none`: answered
   * with success, but nothing stays subscribed, because the plugin serves it by itself in `onSubscribed`.
   */
  lifetime: 'session' | 'connection' | 'none'
}

// A tap without a return statement has no opinion, and must type-check.
type Opinion<T> = T | undefined | void

const observe: TapPolicy = { kind: 'observe' }
const refuse = (plugin: string): Refusal => ({
  reasonCode: ReasonCode.ImplementationSpecificError,
  reasonString: `plugin ${plugin} failed`,
})

/**
 * Everything that happens in a broker, in the order in which it happens to a client: the contract on one screen.
 * `onSubscribe` decides, `onSubscribed` has happened. `undefined` is no opinion, in every hook.
 */
export function createHooks(options: TapGuardOptions) {
  const guard = <H extends object>(name: string, hook: H, policy: TapPolicy): H => {
    guardTaps(hook, name, policy, options)
    return hook
  }
  return Object.freeze({
    /**
     * A new socket, before a byte is read. `false` closes it; a refusal is what its CONNECT is answered with, without anybody being
     * asked about it.
     */
    onAccept: guard('onAccept', new SyncBailHook<[Transport], Opinion<ConnectRefusal>>(['transport']), {
      kind: 'decide',
      accepts: answer.isRefusal,
      passes: answer.isYes,
      refusal: () => false,
    }),
    /** Who is this? The first opinion wins; with taps and no opinion at all the client is refused, unless `allowAnonymous`. */
    onAuthenticate: guard(
      'onAuthenticate',
      new AsyncSeriesBailHook<[Client, Readonly<ConnectPacket>], Opinion<Admission | ConnectRefusal | true>>(['client', 'connect']),
      { kind: 'decideAsync', accepts: answer.isAdmissionOrRefusal, refusal: refuse },
    ),
    /** An AUTH packet, or a CONNECT with an Authentication Method: enhanced authentication and re-authentication (MQTT 5, 4.12). */
    onAuth: guard('onAuth', new AsyncSeriesBailHook<[Client, Readonly<AuthPacket>], Opinion<AuthStep>>(['client', 'auth']), {
      kind: 'decideAsync',
      accepts: answer.isAuthStep,
      refusal: refuse,
    }),
    /** Admitted, before CONNACK: anyone may still refuse, nobody can admit. Load what is needed here. */
    onConnect: guard(
      'onConnect',
      new AsyncSeriesBailHook<[Client, Readonly<ConnectPacket>], Opinion<ConnectRefusal>>(['client', 'connect']),
      {
        kind: 'decideAsync',
        accepts: answer.isRefusal,
        passes: answer.isYes,
        refusal: refuse,
      },
    ),
    /** CONNACK is written. */
    onConnected: guard('onConnected', new SyncHook<[Client, boolean]>(['client', 'sessionPresent']), observe),
    /** May this publisher publish to, or subscribe to, this topic? Hot and synchronous; the first opinion wins. */
    onAuthorize: guard(
      'onAuthorize',
      new SyncBailHook<[Publisher, 'publish' | 'subscribe', string], Opinion<boolean>>(['publisher', 'action', 'topic']),
      { kind: 'decide', accepts: answer.isBoolean, refusal: () => false },
    ),
    /** Once for each filter of a SUBSCRIBE; may lower `qos`. */
    onSubscribe: guard(
      'onSubscribe',
      new AsyncSeriesBailHook<[Client, SubscriptionAttempt], Opinion<SubscribeRefusal>>(['client', 'subscription']),
      { kind: 'decideAsync', accepts: answer.isRefusal, passes: answer.isYes, refusal: refuse },
    ),
    /** SUBACK is written. */
    onSubscribed: guard('onSubscribed', new SyncHook<[Client, Readonly<SubscriptionAttempt>]>(['client', 'subscription']), observe),
    /** UNSUBACK is written. */
    onUnsubscribed: guard('onUnsubscribed', new SyncHook<[Client, { readonly filter: string }]>(['client', 'subscription']), observe),
    /** Once for each message from a client or its will, before routing and acknowledgement; may change the message. */
    onPublish: guard('onPublish', new AsyncSeriesBailHook<[Publisher, Message], Opinion<PublishVerdict>>(['publisher', 'message']), {
      kind: 'decideAsync',
      accepts: answer.isVerdict,
      passes: answer.isYes,
      refusal: refuse,
    }),
    /** Every accepted message once, after matching. `receipt.hold()` keeps the publisher's acknowledgement back. */
    onRoute: guard('onRoute', new SyncHook<[Message, Route<Session>, Receipt]>(['message', 'targets', 'receipt']), observe),
    /** Picks the member of a shared group that gets the message. */
    onShare: guard('onShare', new SyncBailHook<[ShareGroup<Session>, Message], Opinion<Member<Session>>>(['group', 'message']), {
      kind: 'decide',
      accepts: answer.isMember,
    }),
    /** One subscriber, at the first sending, never again for a repeat. `false` leaves it out; `delivery` may be changed. */
    onDeliver: guard('onDeliver', new SyncBailHook<[Client, Delivery], Opinion<false>>(['client', 'delivery']), {
      kind: 'decide',
      accepts: answer.isFalse,
      passes: answer.isYes,
      refusal: () => false,
    }),
    /** The PUBLISH is written to the connection. */
    onDelivered: guard('onDelivered', new SyncHook<[Client, Message]>(['client', 'message']), observe),
    /** The handshake of a QoS 1 or 2 delivery is over. */
    onAcked: guard('onAcked', new SyncHook<[Client, Message]>(['client', 'message']), observe),
    /** A message did not reach a subscriber, and why. Every drop is counted too. */
    onDrop: guard('onDrop', new SyncHook<[string, Message, DropReason]>(['clientId', 'message', 'reason']), observe),
    /** A will is due, before it goes the way of a publish. `false` withholds it. */
    onWill: guard('onWill', new SyncBailHook<[Publisher, Message], Opinion<false>>(['publisher', 'message']), {
      kind: 'decide',
      accepts: answer.isFalse,
      passes: answer.isYes,
      refusal: () => false,
    }),
    /** Once for each client whose onConnect began. Nobody waits for it but `stop()`. */
    onDisconnect: guard('onDisconnect', new AsyncParallelHook<[Client, DisconnectReason]>(['client', 'reason']), { kind: 'observeAsync' }),
    /** A connection is no more: it has closed, or `onAccept` said `false`. Once for each that `onAccept` was asked about. */
    onClosed: guard('onClosed', new SyncHook<[Transport]>(['transport']), observe),
    /** A session has ended, by expiry or for good. */
    onSessionExpired: guard('onSessionExpired', new SyncHook<[string]>(['clientId']), observe),
    /** A tap failed, or something in the broker that no client is to blame for. */
    onError: guard('onError', new SyncHook<[Error | TapError]>(['error']), observe),
    /** Packets of traced clients only. */
    onPacketReceived: guard('onPacketReceived', new SyncHook<[Client, Readonly<Packet>]>(['client', 'packet']), observe),
    onPacketSent: guard('onPacketSent', new SyncHook<[Client, Readonly<Packet>]>(['client', 'packet']), observe),
  })
}

/** The frozen record of all hooks. */
export type Hooks = ReturnType<typeof createHooks>

/** How a connection ended. */
export interface DisconnectReason {
  /** The reason code that either side gave, or the one that fits best. */
  readonly code: number
  /** A sentence for the log. */
  readonly message: string
  /** Who ended it. */
  readonly by: 'client' | 'server' | 'network'
}
