import { defineOptions, type OptionsInput, type OptionsOf } from './options.ts'

/** The broker's own options, at the root of the config. All plugins see them; none owns them. */
export const settingsSchema = defineOptions({
  /** Names this node: in logs, in `$SYS` and to the other nodes of a cluster, where each needs its own. */
  brokerId: { oneOf: [{ type: 'integer' }, { type: 'string', minLength: 1 }], default: 1 },
  /** The time that a new connection has until its whole CONNECT is read, and that an exchange of AUTH packets has until it is over; then the connection is closed. */
  heartbeat: { type: 'duration', default: '60s', minimum: 1 },
  /** Processes that serve clients as one broker, on one port a listener: a number, or `auto`, which is the CPU quota of the cgroup or the cores of the machine, whichever is less. 1: everything is in one process. */
  workers: {
    oneOf: [
      { type: 'integer', minimum: 1, maximum: 1024 },
      { type: 'string', enum: ['auto'] },
    ],
    default: 1,
  },
  /** The address that listeners bind to. While anybody may connect and nobody said that this is meant (`allowAnonymous`), they bind to loopback instead. */
  host: { type: 'string', default: '0.0.0.0', minLength: 1 },
  /** Connections that the system keeps waiting until the broker accepts them: `listen`'s backlog. */
  soBacklog: { type: 'integer', default: 512, minimum: 1, maximum: 65535 },
  /** The system asks a client that has been silent for so long whether it is still there (SO_KEEPALIVE), so that one whose host has vanished goes, whatever its keep-alive. `true`: 5 minutes; `false` or 0: never. */
  tcpKeepAlive: { oneOf: [{ type: 'boolean' }, { type: 'duration', maximum: '32767s' }], default: '5m' },
  /** Puts any preset into the state of preset `test`: everything in memory, cluster off. */
  enableTestMode: { type: 'boolean', default: false },
  /** Lets in clients on whom no authentication plugin has an opinion. Not set and no such plugin: listeners bind to loopback only. */
  allowAnonymous: { type: 'boolean' },
  /** Refuses to start while anybody may connect and nobody said that this is meant; preset `prod` sets it. Otherwise listeners bind to loopback then. */
  requireAuthentication: { type: 'boolean', default: false },
  /** How often the config file is looked at, and read again where it has changed; SIGHUP has it read too. `null`: never. */
  checkConfigEvery: { type: 'duration', default: '5s', minimum: '100ms', nullable: true },
  /** Limits and choices of the protocol, the same for every listener. */
  mqtt: {
    type: 'object',
    properties: {
      /** The largest packet that a client may send; MQTT 5 clients are told so in CONNACK, where it is less than the 256 MiB of MQTT itself. */
      maximumPacketSize: { type: 'bytes', default: '2MiB', minimum: 20, maximum: 268_435_460 },
      /** The largest CONNECT, and AUTH before the client is let in; `maximumPacketSize` where that is less. What a client sends behind its CONNECT before it is let in is read up to this. */
      connectSizeMax: { type: 'bytes', default: '128KiB', minimum: 128, maximum: 268_435_460 },
      /** User properties that one packet may hold; one with more closes its connection. */
      userPropertiesMax: { type: 'integer', default: 1000, minimum: 0 },
      /** QoS 1 and 2 messages that a client may have on the way to the broker at once. */
      receiveMaximum: { type: 'integer', default: 1000, minimum: 1, maximum: 65535 },
      /** The highest QoS that a client may publish with, and its will may have; MQTT 5 clients are told so, and whoever goes beyond it is disconnected (0x9B). */
      maximumQoS: { type: 'integer', enum: [0, 1, 2], default: 2 },
      /** QoS 1 and 2 messages on the way to a client at once, at most; its own Receive Maximum may be lower. */
      inflightMax: { type: 'integer', default: 1000, minimum: 1, maximum: 65535, live: true },
      /** Messages that wait for one session, at most. */
      queueMessagesMax: { type: 'integer', default: 100_000, minimum: 1, live: true },
      /** Bytes that wait for one session, at most. */
      queueBytesMax: { type: 'bytes', default: '64MiB', minimum: 1, live: true },
      /** What happens when a session's queue is full: the new message is dropped, the oldest one is, or the session is disconnected. */
      queueFull: { type: 'string', enum: ['dropNewest', 'dropOldest', 'disconnect'], default: 'dropNewest', live: true },
      /** Keeps QoS 0 messages too for sessions that are offline. */
      queueQoS0: { type: 'boolean', default: false, live: true },
      /** Topic aliases that a client may use towards the broker. 0 allows none. */
      topicAliasMaximum: { type: 'integer', default: 32, minimum: 0, maximum: 65535 },
      /** Topic aliases that the broker uses towards one client, at most; the client's own maximum may be lower. */
      topicAliasOutMax: { type: 'integer', default: 32, minimum: 0, maximum: 65535 },
      /** Levels that a topic or filter may have. */
      topicLevelsMax: { type: 'integer', default: 128, minimum: 1, maximum: 65535, live: true },
      /** Characters that a topic name or filter may have. */
      topicLengthMax: { type: 'integer', default: 65_535, minimum: 1, maximum: 65_535, live: true },
      /** What happens to a client whose topic name or filter is beyond the two above: the packet is refused, or the client is disconnected. */
      overTopicMax: { type: 'string', enum: ['refuse', 'disconnect'], default: 'refuse', live: true },
      /** Lets clients publish to `$SYS/broker/connection/NAME/state`, where bridges of mosquitto say whether they are connected. */
      bridgeStates: { type: 'boolean', default: false, live: true },
      /** Filters that one session may hold; `null` sets no limit. Preset `prod` has 1,000. */
      subscriptionsMax: { type: 'integer', default: 10_000, minimum: 1, nullable: true, live: true },
      /** Shared subscriptions, `$share/…`, that one session may hold, of the above; `null` sets no limit. Each group gets its own copy of a message. */
      sharedSubscriptionsMax: { type: 'integer', default: 1000, minimum: 1, nullable: true, live: true },
      /** Who may take up a session: the user that it belongs to, or any client that gives its client id. `user` lets nobody else take a client id while its session is connected or stored: the client is refused (0x85; 2 before MQTT 5). Not set: `user` where a plugin authenticates clients, else `anyone`. */
      clientIdOwner: { type: 'string', enum: ['user', 'anyone'], default: null, live: true },
      /** The client ids that there are, so that no user takes those of another: `%u` stands for the user name, `#` at the end for whatever follows. `['%u', '%u-#']` leaves each user its own name and what begins with it and a hyphen; choose what follows `%u` so that no user name holds it. Empty: any. */
      clientIds: { type: 'list', default: [], items: { type: 'string', minLength: 1 } },
      /** Lets in clients that give no client id: the broker makes one up. `false` refuses them. */
      emptyClientIds: { type: 'boolean', default: true },
      /** What stands before a client id that the broker makes up. */
      assignedIdPrefix: { type: 'string', default: 'auto-' },
      /** Which client id counts: what CONNECT says, or the user name in its place; a client without one is refused then (0x87; 5 before MQTT 5). */
      clientIdFrom: { type: 'string', enum: ['connect', 'username'], default: 'connect' },
      /** The longest that a session may outlive its connection; a client that asks for more gets this. `null` sets no limit. Preset `prod` has 30 days. */
      sessionExpiryMax: { type: 'duration', default: null, maximum: 4_294_967_295_000, live: true },
      /** The keep-alive that every MQTT 5 client is told to use, in whole seconds. `null` leaves it to the client. */
      serverKeepAlive: { type: 'duration', default: null, maximum: '65535s', live: true },
      /** Bytes that may wait to be written to one connection before its client counts as a slow reader. */
      writeBufferMax: { type: 'bytes', default: '1MiB', minimum: 1024, live: true },
      /** What happens to QoS 0 messages for a slow reader: they are dropped, it is disconnected, or those who publish to it are slowed. */
      slowReader: { type: 'string', enum: ['drop', 'disconnect', 'slowPublishers'], default: 'drop', live: true },
      /** The time that plugins have to decide on one message or client; then the answer is a refusal that names the plugin. */
      verdictTimeout: { type: 'duration', default: '5s', minimum: 1 },
      /** The time for which an acknowledgement is kept back while a store or a plugin still has to keep the message; then its publisher is disconnected, so that it sends it again. */
      receiptTimeout: { type: 'duration', default: '30s', minimum: 1, live: true },
      /** What a 3.1 or 3.1.1 publisher gets when its message is refused: an acknowledgement and nothing else, or a closed connection. */
      deniedPublish: { type: 'string', enum: ['ack', 'close'], default: 'ack', live: true },
      /** Whether MQTT 5 publishers are told that nobody has subscribed to what they published (0x10): `always`, in PUBACK alone, as mosquitto does, or `never`. */
      tellUnmatched: { type: 'string', enum: ['always', 'puback', 'never'], default: 'always', live: true },
      /** Which faults an MQTT 5 client is told of by CONNACK or DISCONNECT before its connection is closed: `all`; or, as mosquitto does, those of its `requests` only (PUBLISH, SUBSCRIBE, UNSUBSCRIBE), and not a malformed or second CONNECT, an acknowledgement that fits nothing or a packet of servers. */
      tellFaults: { type: 'string', enum: ['all', 'requests'], default: 'all' },
      /** Tells MQTT 5 clients in words, too, why something is refused. `false` tells them reason codes only. */
      reasonStrings: { type: 'boolean', default: true },
      /** Checks that a payload which says that it is UTF-8 text is such text. */
      validatePayloadFormat: { type: 'boolean', default: false, live: true },
      /** What MQTT 5 clients that ask for it are told as a basis for their response topics. `null` tells them nothing. */
      responseInformation: { type: 'string', default: null, live: true },
    },
  },
})

/** The broker's own options: checked, complete, frozen. */
export type Settings = OptionsOf<typeof settingsSchema>

/** The broker's own options as a user writes them. */
export type SettingsInput = OptionsInput<typeof settingsSchema>
