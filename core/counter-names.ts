/**
 * The limits that are counted, by name: those that core enforces. A plugin names its own in its manifest and adds a line here:
 * `declare module 'mqttx-broker' { interface LimitCounts { … } }`.
 */
export class LimitCounts {
  /** The time until the whole CONNECT was there, or an exchange of AUTH packets was over: `heartbeat`. */
  heartbeat = 0
  /** `mqtt.userPropertiesMax`. */
  userProperties = 0
  /** `mqtt.maximumPacketSize`, `mqtt.connectSizeMax`. */
  packetSize = 0
  /** `mqtt.topicLevelsMax`. */
  topicLevels = 0
  /** `mqtt.topicLengthMax`. */
  topicLength = 0
  /** `mqtt.subscriptionsMax`. */
  subscriptions = 0
  /** `mqtt.sharedSubscriptionsMax`. */
  sharedSubscriptions = 0
  /** `mqtt.receiveMaximum`. */
  receiveMaximum = 0
  /** `mqtt.clientIdOwner`: a client came with the client id of another user's session. */
  clientIdOwner = 0
  /** `mqtt.clientIds`: a client came with an id that is none of its user's. */
  clientIds = 0
  /** A client was granted rights that nobody checks. */
  uncheckedRights = 0
}

/** The name of a limit, as `counters.limited` has it. */
export type LimitName = keyof LimitCounts

/** Why a message did not reach a subscriber: core's reasons. A plugin adds its own as it adds limits. */
export class DropCounts {
  /** The subscriber reads too slowly, and the message was QoS 0. */
  slowReader = 0
  /** The queue of the subscriber's session is full. */
  queueFull = 0
  /** The Message Expiry Interval was over before the message could be delivered. */
  expired = 0
  /** Larger than the client's Maximum Packet Size [MQTT-3.1.2-24]. */
  tooLarge = 0
  /** A plugin answered `false` in onDeliver. */
  filtered = 0
  /** A plugin answered `'drop'`, or refused the publish. */
  refused = 0
  /** QoS 0 for a session without a connection. */
  offline = 0
  /** A shared subscription's member is gone and nobody may take over [MQTT-4.8.2-5]. */
  noMember = 0
  /** The session ended with messages in its queue. */
  sessionEnded = 0
  /** An operator has cleared the queue in which the message waited. */
  cleared = 0
  /** The store refused or lost the message. */
  storeFailed = 0
  /** The message waited for a client that may no longer receive it. */
  notAuthorized = 0
}

/** Why a message did not reach a subscriber; `counters.dropped` counts each reason. */
export type DropReason = keyof DropCounts

/** Why a publish was not acknowledged as kept, of those that nobody had refused before they were to be kept. */
export class RefusedPublishCounts {
  /** A store has no room: MQTT 5 publishers are told 0x97. */
  storeFull = 0
  /** A store, or whoever else has to keep the message, cannot be reached or takes no writes. */
  storeAway = 0
  /** Whoever has to keep it refuses this very message, and would do so again. */
  messageRefused = 0
}

/** What plugins count, by its name in `counters`: empty here. A plugin names its own in its manifest and adds a line as it adds limits. */
// biome-ignore lint/suspicious/noEmptyInterface: it is filled by declaration merging.
export interface PluginCounts {}

/** A counter of a plugin's own: how `/metrics` and `$SYS` show it, where they do. */
export interface DeclaredCounter {
  /** As Prometheus names it, without the prefix `mqttx_`: `auth_failed_total`. Default: it is shown nowhere. */
  readonly figure?: string
  /** One sentence, for `/metrics`. */
  readonly help?: string
}

/** What a plugin counts beside what core does, all of it from 0 on. */
export interface DeclaredCounts {
  /** The limits that the plugin enforces: `counters.limited` has a count for each. */
  readonly limits?: readonly LimitName[]
  /** The reasons for which the plugin drops messages: `counters.dropped` has a count for each. */
  readonly dropReasons?: readonly DropReason[]
  /** What else the plugin counts: `counters` has a field for each. */
  readonly counters?: { readonly [name in keyof PluginCounts]?: DeclaredCounter }
}
