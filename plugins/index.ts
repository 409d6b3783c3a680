import { adminManifest } from './admin/manifest.ts'
import { authCertificateManifest } from './auth-certificate/manifest.ts'
import { authFileManifest } from './auth-file/manifest.ts'
import { authHttpManifest } from './auth-http/manifest.ts'
import { authJwtManifest } from './auth-jwt/manifest.ts'
import { banManifest } from './ban/manifest.ts'
import { clusterManifest } from './cluster/manifest.ts'
import { delayManifest } from './delay/manifest.ts'
import { diskQueueManifest } from './disk/disk-queue-manifest.ts'
import { diskManifest } from './disk/manifest.ts'
import { dropLogManifest } from './drop-log/manifest.ts'
import type { ListedPlugin } from './kit/listed-plugin.ts'
import { limitsManifest, limitsNothing } from './limits/manifest.ts'
import { localBusManifest } from './local-bus/manifest.ts'
import { logManifest } from './log/manifest.ts'
import { memoryManifest } from './memory/manifest.ts'
import { messageBridgeManifest } from './message-bridge/manifest.ts'
import { metricsManifest } from './metrics/manifest.ts'
import { mountpointManifest } from './mountpoint/manifest.ts'
import { mqttBridgeManifest } from './mqtt-bridge/manifest.ts'
import { presenceManifest } from './presence/manifest.ts'
import { redisManifest } from './redis/manifest.ts'
import { retainManifest } from './retain/manifest.ts'
import { rewriteManifest } from './rewrite/manifest.ts'
import { schemaManifest } from './schema/manifest.ts'
import { shareTopicManifest } from './share-topic/manifest.ts'
import { socketManifest } from './socket/manifest.ts'
import { sparkplugManifest } from './sparkplug/manifest.ts'
import { sslManifest } from './ssl/manifest.ts'
import { sysTopicManifest } from './sys-topic/manifest.ts'
import { topicSecurityManifest } from './topic-security/manifest.ts'
import { webhooksManifest } from './webhooks/manifest.ts'
import { websocketManifest } from './websocket/manifest.ts'

/**
 * The built-in plugins: manifests, and where the implementations are. The order is that of plugins which a preset does not name.
 */
export const plugins: BuiltInPlugins = {
  log: { manifest: logManifest, load: async () => (await import('./log/log.ts')).log },
  dropLog: { manifest: dropLogManifest, load: async () => (await import('./drop-log/drop-log.ts')).dropLog },
  limits: {
    manifest: limitsManifest,
    load: async options =>
      limitsNothing(options as Parameters<typeof limitsNothing>[0])
        ? (await import('./limits/attempts-only.ts')).attemptsOnly
        : (await import('./limits/limits.ts')).limits,
  },
  disk: { manifest: diskManifest, load: async () => (await import('./disk/disk.ts')).disk },
  redis: { manifest: redisManifest, load: async () => (await import('./redis/redis.ts')).redis },
  localBus: { manifest: localBusManifest, load: async () => (await import('./local-bus/local-bus.ts')).localBus },
  memory: { manifest: memoryManifest, load: async () => (await import('./memory/memory.ts')).memory },
  diskQueue: { manifest: diskQueueManifest, load: async () => (await import('./disk/disk-queue.ts')).diskQueue },
  ban: { manifest: banManifest, load: async () => (await import('./ban/ban.ts')).ban },
  cluster: { manifest: clusterManifest, load: async () => (await import('./cluster/cluster.ts')).cluster },
  authCertificate: {
    manifest: authCertificateManifest,
    load: async () => (await import('./auth-certificate/auth-certificate.ts')).authCertificate,
  },
  authFile: { manifest: authFileManifest, load: async () => (await import('./auth-file/auth-file.ts')).authFile },
  authHttp: { manifest: authHttpManifest, load: async () => (await import('./auth-http/auth-http.ts')).authHttp },
  authJwt: { manifest: authJwtManifest, load: async () => (await import('./auth-jwt/auth-jwt.ts')).authJwt },
  topicSecurity: { manifest: topicSecurityManifest, load: async () => (await import('./topic-security/topic-security.ts')).topicSecurity },
  schema: { manifest: schemaManifest, load: async () => (await import('./schema/schema.ts')).schema },
  rewrite: { manifest: rewriteManifest, load: async () => (await import('./rewrite/rewrite.ts')).rewrite },
  mountpoint: { manifest: mountpointManifest, load: async () => (await import('./mountpoint/mountpoint.ts')).mountpoint },
  delay: { manifest: delayManifest, load: async () => (await import('./delay/delay.ts')).delay },
  sparkplug: { manifest: sparkplugManifest, load: async () => (await import('./sparkplug/sparkplug.ts')).sparkplug },
  retain: { manifest: retainManifest, load: async () => (await import('./retain/retain.ts')).retain },
  messageBridge: { manifest: messageBridgeManifest, load: async () => (await import('./message-bridge/message-bridge.ts')).messageBridge },
  mqttBridge: { manifest: mqttBridgeManifest, load: async () => (await import('./mqtt-bridge/mqtt-bridge.ts')).mqttBridge },
  webhooks: { manifest: webhooksManifest, load: async () => (await import('./webhooks/webhooks.ts')).webhooks },
  shareTopic: { manifest: shareTopicManifest, load: async () => (await import('./share-topic/share-topic.ts')).shareTopic },
  presence: { manifest: presenceManifest, load: async () => (await import('./presence/presence.ts')).presence },
  sysTopic: { manifest: sysTopicManifest, load: async () => (await import('./sys-topic/sys-topic.ts')).sysTopic },
  metrics: { manifest: metricsManifest, load: async () => (await import('./metrics/metrics.ts')).metrics },
  admin: { manifest: adminManifest, load: async () => (await import('./admin/admin.ts')).admin },
  ssl: {
    manifest: sslManifest,
    load: async () => (await import('./ssl/ssl.ts')).ssl,
    standIn: async () => (await import('./ssl/ssl.ts')).sslForListeners,
  },
  socket: { manifest: socketManifest, load: async () => (await import('./socket/socket.ts')).socket },
  websocket: { manifest: websocketManifest, load: async () => (await import('./websocket/websocket.ts')).websocket },
}

/** The built-in plugins by name. Each is named by its manifest, so that declarations of a config's type need not repeat all options. */
export type BuiltInPlugins = {
  /** The log: level, format, where it goes. */
  readonly log: ListedPlugin<typeof logManifest>
  /** Says whose messages were dropped or refused, and why, in a bounded number of lines. */
  readonly dropLog: ListedPlugin<typeof dropLogManifest>
  /** What may come from many clients and over time; what one packet or session may hold is in `mqtt`. */
  readonly limits: ListedPlugin<typeof limitsManifest>
  /** Keeps sessions, queues and retained messages in a folder of this machine. */
  readonly disk: ListedPlugin<typeof diskManifest>
  /** Keeps sessions, queues and retained messages in Redis, and carries what the nodes of a cluster tell each other. */
  readonly redis: ListedPlugin<typeof redisManifest>
  /** Connects the workers of a broker where no server does: it comes on by itself with `workers`. */
  readonly localBus: ListedPlugin<typeof localBusManifest>
  /** Keeps sessions, queues and retained messages in memory. */
  readonly memory: ListedPlugin<typeof memoryManifest>
  /** Queues on disk for what waits outside of sessions: messages that a bridge has to send. */
  readonly diskQueue: ListedPlugin<typeof diskQueueManifest>
  /** Who may not connect until a time: by client id, user or address, said by an operator (`ban`, `unban`, `bans`) while the broker runs, known to all nodes, kept over restarts. */
  readonly ban: ListedPlugin<typeof banManifest>
  /** Makes one broker of all that use the same Redis. */
  readonly cluster: ListedPlugin<typeof clusterManifest>
  /** Takes the user name from the client's certificate, which a listener with `ssl.clientAuth` has checked, in place of a password. */
  readonly authCertificate: ListedPlugin<typeof authCertificateManifest>
  /** User names and passwords from a file, which `npx mqttx-broker passwd FILE USER` writes. */
  readonly authFile: ListedPlugin<typeof authFileManifest>
  /** Asks an HTTP service who may connect, by the contract of the Java mqttx: POST `{clientId, username, password}`, 200 admits with `{authorizedSub, authorizedPub}`. */
  readonly authHttp: ListedPlugin<typeof authHttpManifest>
  /** JSON Web Tokens in place of passwords: who a client is and what it may do, for as long as its token is good. */
  readonly authJwt: ListedPlugin<typeof authJwtManifest>
  /** Who may publish and subscribe to what: by rules, the first that fits decides, and where none does by the rights of the authentication answer. */
  readonly topicSecurity: ListedPlugin<typeof topicSecurityManifest>
  /** Checks that payloads are JSON of the shape that a JSON Schema says, by topic filter. */
  readonly schema: ListedPlugin<typeof schemaManifest>
  /** Gives messages other topic names, by rules; the first whose filter matches decides. */
  readonly rewrite: ListedPlugin<typeof rewriteManifest>
  /** Gives clients parts of the topic tree of their own: each speaks of `lights/1`, which is `tenants/acme/lights/1` for everybody else. */
  readonly mountpoint: ListedPlugin<typeof mountpointManifest>
  /** Holds messages to `$delayed/SECONDS/TOPIC` back for so long, then publishes them to `TOPIC`. */
  readonly delay: ListedPlugin<typeof delayManifest>
  /** Sparkplug 3.0's aware server: the last birth of each edge node and device is retained, and an NDEATH says when it was sent. */
  readonly sparkplug: ListedPlugin<typeof sparkplugManifest>
  /** Retained messages. */
  readonly retain: ListedPlugin<typeof retainManifest>
  /** Sends messages on to Kafka, or to a system that a plugin of yours speaks with. */
  readonly messageBridge: ListedPlugin<typeof messageBridgeManifest>
  /** Carries messages to other MQTT brokers and from there, by rules. */
  readonly mqttBridge: ListedPlugin<typeof mqttBridgeManifest>
  /** Posts messages and what happens to clients and sessions to HTTP servers. */
  readonly webhooks: ListedPlugin<typeof webhooksManifest>
  /** Shared subscriptions, `$share/NAME/FILTER`. */
  readonly shareTopic: ListedPlugin<typeof shareTopicManifest>
  /** Publishes which clients come and go, and who is there. */
  readonly presence: ListedPlugin<typeof presenceManifest>
  /** Publishes what the broker knows of itself under `$SYS`. */
  readonly sysTopic: ListedPlugin<typeof sysTopicManifest>
  /** `/metrics` for Prometheus, `/livez` and `/readyz` for whoever watches over the process. */
  readonly metrics: ListedPlugin<typeof metricsManifest>
  /** A socket by which the broker's own user asks and steers it: `npx mqttx-broker status`, and all other verbs of the command line. */
  readonly admin: ListedPlugin<typeof adminManifest>
  /** TLS for every listener that does not say otherwise. */
  readonly ssl: ListedPlugin<typeof sslManifest>
  /** MQTT over TCP, or TLS. */
  readonly socket: ListedPlugin<typeof socketManifest>
  /** MQTT over WebSocket, and HTTP beside it. */
  readonly websocket: ListedPlugin<typeof websocketManifest>
}
