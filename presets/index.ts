import { createRequire } from 'node:module'
import type { OptionsInput } from '../core/options/options.ts'
import type { Clock } from '../core/time/clock.ts'
import { plugins } from '../plugins/index.ts'
import type { ListedPlugin } from '../plugins/kit/listed-plugin.ts'
import { presets } from './presets.ts'
import { type ConfigInput, defineCatalogue, type PresetEntry } from './shell/catalogue.ts'
import { resolveConfig } from './shell/config.ts'
import type { ConfigContext } from './shell/load-config.ts'
import { RunningBroker } from './shell/running-broker.ts'

const { version } = createRequire(import.meta.url)('mqttx-broker/package.json') as { version: string }

/** The built-in plugins and presets. */
export const catalogue = defineCatalogue({
  version,
  plugins,
  presets,
  defaultPreset: 'standalone',
  commands: {
    passwd: {
      usage: 'FILE USER',
      help: 'add a user to the file of authFile, or change its password (--delete: take it out)',
      load: async () => (await import('../plugins/auth-file/passwd.ts')).passwd,
    },
    'create-plugin': {
      usage: 'NAME',
      help: 'a folder with a plugin, its test, a README and a package.json ready to be published',
      load: async () => (await import('./shell/create-plugin.ts')).createPlugin,
    },
    token: {
      usage: 'FILE NAME',
      help: 'make a token for admin.http: --role read, operate or admin (--delete: take it out)',
      load: async () => (await import('../plugins/admin/token-command.ts')).token,
    },
  },
  exports: () => import('./index.ts'),
})

/** The sections of plugins that are no built-in ones: empty here. A plugin adds its own, so that a config in TypeScript may have it: see `SectionOf`. */
// biome-ignore lint/suspicious/noEmptyInterface: it is filled by declaration merging.
export interface PluginSections {}

/** What `mqttx.config.ts` exports and `createBroker` takes. */
export type Config = ConfigInput<typeof catalogue> & { [name in keyof PluginSections]?: PluginSections[name] | undefined }

/** A config that depends on the environment, or on what is done with it. */
export type ConfigFunction = (context: ConfigContext) => Config | Promise<Config>

/** Types a config, or a function that returns one; returns it as it is. */
export function defineConfig(config: ConfigFunction): ConfigFunction
export function defineConfig(config: Config): Config
export function defineConfig(config: Config | ConfigFunction): Config | ConfigFunction {
  return config
}

/**
 * The built-in plugins, for a list of your own: `plugins: [builtIn.mountpoint({ prefix: 'tenants/{username}/' })]`, or in a preset beside those of `presets`. A section
 * of the config is laid over the options. Nothing of a plugin is loaded before the broker starts.
 */
export const builtIn = Object.fromEntries(
  Object.keys(plugins).map(name => [name, (options: object = {}) => [name, options] as const]),
) as unknown as BuiltIn

type BuiltIn = {
  readonly [name in keyof (typeof catalogue)['plugins']]: (typeof catalogue)['plugins'][name] extends ListedPlugin<infer M>
    ? (options?: OptionsInput<NonNullable<M['options']>>) => PresetEntry
    : never
}

/** A broker with its config, not yet started. */
export interface BrokerBuilder {
  /** Starts it; resolves when all listeners are open, rejects with an `OperatorError` that names the cure. */
  start(): Promise<RunningBroker>
}

/** A broker inside a program: `const broker = await createBroker({ preset: 'test', socket: { port: 0 } }).start()`. */
export function createBroker(config: Config = {}, { folder, ...options }: BrokerOptions = {}): BrokerBuilder {
  return {
    start: async () =>
      RunningBroker.start(catalogue, await resolveConfig(catalogue, { object: config, folder }), { ...options, embedded: true }),
  }
}

/** What a program says of a broker besides its config. */
export interface BrokerOptions {
  /** Time, turns of the event loop and chance. Default: the system's. */
  readonly clock?: Clock
  /** What relative paths in the config start from: plugins, certificates, the folder of `disk`. Default: the current folder. */
  readonly folder?: string
}

export type { Actor } from '../core/actor.ts'
export type { Broker, BrokerTotals, ServerMessage } from '../core/broker.ts'
export { readBuffer } from '../core/connection/buffer-pool.ts'
export { type AnyPublisher, type Client, type FormerClient, isClient, type Session } from '../core/connection/client.ts'
export type { DisconnectReason } from '../core/connection/disconnect-reason.ts'
export type { Meter } from '../core/connection/meter.ts'
export type {
  PeerCertificate,
  Proxied,
  ProxiedTls,
  Seats,
  Transport,
  TransportEvents,
  TransportRequest,
} from '../core/connection/transport.ts'
export type { PluginContext } from '../core/context.ts'
// All of it, so that a plugin may add its own: declare module 'mqttx-broker' { interface LimitCounts { … } }.
export type * from '../core/counter-names.ts'
export type { Counters } from '../core/counters.ts'
// All of it, so that a plugin may add its own: declare module 'mqttx-broker' { interface ErrorCodes { … } }.
export * from '../core/error-codes.ts'
export { MqttError, OperatorError } from '../core/errors.ts'
export { type ForwardedMember, type Hooks, Stage, type TapFacts } from '../core/hooks.ts'
export type { Log } from '../core/log.ts'
export type { PluginManifest } from '../core/manifest.ts'
export type { Delivery } from '../core/messages/delivery.ts'
export { Message } from '../core/messages/message.ts'
export type { Receipt } from '../core/messages/receipt.ts'
export type { OperatorAct } from '../core/operator-act.ts'
export { defineOptions, type OptionSchema, type OptionsInput, type OptionsOf, type OptionsSchema } from '../core/options/options.ts'
export { type AnyPluginFactory, definePlugin, type Plugin, type PluginFactory, type RunningPlugin } from '../core/plugin.ts'
export { PacketType, type ProtocolVersion, type QoS } from '../core/protocol/constants.ts'
export type { InboundPublish } from '../core/protocol/inbound-publish.ts'
export type {
  AckPacket,
  ConnackPacket,
  ConnectPacket,
  DisconnectPacket,
  Packet,
  Properties,
  PublishPacket,
  SubackPacket,
  SubscribePacket,
  UserProperty,
} from '../core/protocol/packets.ts'
export { decodeProperties, encodeProperties } from '../core/protocol/property-bytes.ts'
export type { Publisher, Revoked, Rights, Whom } from '../core/publisher.ts'
export { ReasonCode } from '../core/reason.ts'
export type { Admission, AuthStep, ConnectRefusal, PublishRefusal, PublishVerdict, Refusal, SubscribeRefusal } from '../core/refusals.ts'
export type { PickedMember } from '../core/routing/dispatcher.ts'
export { Router } from '../core/routing/router.ts'
export type { Member, ShareGroup } from '../core/routing/share-group.ts'
export type { Subscriber, Subscription, SubscriptionAttempt, Unsubscription } from '../core/routing/subscription.ts'
export type { Route, Target } from '../core/routing/target.ts'
export { covers, isReservedTopic, isTopicFilter, isTopicName, matches, parseShare } from '../core/routing/topic.ts'
// All of it, so that a plugin may add its own: declare module 'mqttx-broker' { interface ServiceMap { … } }.
export * from '../core/service-map.ts'
export type { Services } from '../core/services.ts'
export { identifierBytes, queuedBytes, roomFor } from '../core/sessions/queue-policy.ts'
// Errors and types of the store services: docs/writing-a-store.md.
export * from '../core/sessions/session-store.ts'
export { TapError } from '../core/taps.ts'
export type { Clock, Moment, Timer } from '../core/time/clock.ts'
export type { WorkerPlace } from '../core/worker-place.ts'
export type { AuditRow, TakeoverRow } from '../plugins/admin/answers.ts'
export type { DropsAnswer } from '../plugins/drop-log/drops-verb.ts'
export type { Alarm } from '../plugins/kit/alarms.ts'
export type { Figure, Figures, Sample } from '../plugins/kit/figures.ts'
export type { ListenerAddress } from '../plugins/kit/listening/listener-addresses.ts'
// Declares the limit `openFiles`, which the options of `websocket` and `limits` are typed by.
export type {} from '../plugins/kit/listening/open-files.ts'
export { passedBetween } from '../plugins/kit/moment.ts'
export type { MessageHandler, OwnSubscription } from '../plugins/kit/own-subscriptions.ts'
export { reasonName } from '../plugins/kit/reason-name.ts'
export { RetainedTree } from '../plugins/kit/retained-tree.ts'
export {
  type BridgeHeader,
  type BridgeRecord,
  type BridgeReport,
  type BridgeSender,
  type BridgeTarget,
  type BridgeTargets,
  type ParkedMessage,
  type ParkedMessages,
  RecordsRefusedError,
  type RecordsRefusedOptions,
  TargetAwayError,
  type TargetAwayOptions,
} from '../plugins/kit/services/bridge-target.ts'
export type { Bus, BusEvents, BusTerms, Node } from '../plugins/kit/services/bus.ts'
export type { HttpHandler, HttpRoutes } from '../plugins/kit/services/http-routes.ts'
export type { DurableQueue, QueuedRow, Queues } from '../plugins/kit/services/queues.ts'
export type { RetainedCursor, RetainedPage, RetainedStore } from '../plugins/kit/services/retained.ts'
export type { OwnCertificates, RenewableServer, ServerCertificates, TlsService } from '../plugins/kit/services/tls.ts'
export { decodeMessage, decodeWill, encodeMessage, encodeWill, messageFormat, StoredFormatError } from '../plugins/kit/stored-message.ts'
export { SystemClock } from '../plugins/kit/system-clock.ts'
export { Timing } from '../plugins/kit/timing.ts'
export { StreamTransport, type StreamTransportOptions } from '../plugins/kit/transports/stream-transport.ts'
// What `broker.inspect` and `broker.operate` answer.
export * from '../plugins/kit/verbs/answers.ts'
export type { Page } from '../plugins/kit/verbs/page.ts'
// All of it, so that a plugin may add its own: declare module 'mqttx-broker' { interface VerbMap { … } }.
export * from '../plugins/kit/verbs/verbs.ts'
export type { WireSource } from '../plugins/kit/wire-source.ts'
export type { PluginRow } from '../plugins/metrics/plugins-verb.ts'
export type { CertificateRow } from '../plugins/ssl/certificates-verb.ts'
export type { Attachment, AttachOptions } from '../plugins/websocket/attach-server.ts'
export { presets } from './presets.ts'
export type { Preset, PresetEntry, PresetList, SectionOf } from './shell/catalogue.ts'
export type { ConfigContext } from './shell/load-config.ts'
export type { AcceptOptions } from './shell/program-transport.ts'
export type { RunningBroker } from './shell/running-broker.ts'
export type { ConfigReading } from './shell/shell-verb-declarations.ts'
export { ManualClock } from './testing/manual-clock.ts'
