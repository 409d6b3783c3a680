import { adminManifest } from './admin/manifest.ts'
import { authCertificateManifest } from './auth-certificate/manifest.ts'
import { authFileManifest } from './auth-file/manifest.ts'
import { authHttpManifest } from './auth-http/manifest.ts'
import { banManifest } from './ban/manifest.ts'
import { clusterManifest } from './cluster/manifest.ts'
import { delayManifest } from './delay/manifest.ts'
import { diskQueueManifest } from './disk/disk-queue-manifest.ts'
import { diskManifest } from './disk/manifest.ts'
import { dropLogManifest } from './drop-log/manifest.ts'
import type { ListedPlugin } from './kit/listed-plugin.ts'
import { limitsManifest, limitsNothing } from './limits/manifest.ts'
import { logManifest } from './log/manifest.ts'
import { memoryManifest } from './memory/manifest.ts'
import { messageBridgeManifest } from './message-bridge/manifest.ts'
import { metricsManifest } from './metrics/manifest.ts'
import { mountpointManifest } from './mountpoint/manifest.ts'
import { redisManifest } from './redis/manifest.ts'
import { retainManifest } from './retain/manifest.ts'
import { rewriteManifest } from './rewrite/manifest.ts'
import { schemaManifest } from './schema/manifest.ts'
import { shareTopicManifest } from './share-topic/manifest.ts'
import { socketManifest } from './socket/manifest.ts'
import { sslManifest } from './ssl/manifest.ts'
import { sysTopicManifest } from './sys-topic/manifest.ts'
import { topicSecurityManifest } from './topic-security/manifest.ts'
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
  topicSecurity: { manifest: topicSecurityManifest, load: async () => (await import('./topic-security/topic-security.ts')).topicSecurity },
  schema: { manifest: schemaManifest, load: async () => (await import('./schema/schema.ts')).schema },
  rewrite: { manifest: rewriteManifest, load: async () => (await import('./rewrite/rewrite.ts')).rewrite },
  mountpoint: { manifest: mountpointManifest, load: async () => (await import('./mountpoint/mountpoint.ts')).mountpoint },
  delay: { manifest: delayManifest, load: async () => (await import('./delay/delay.ts')).delay },
  retain: { manifest: retainManifest, load: async () => (await import('./retain/retain.ts')).retain },
  messageBridge: { manifest: messageBridgeManifest, load: async () => (await import('./message-bridge/message-bridge.ts')).messageBridge },
  shareTopic: { manifest: shareTopicManifest, load: async () => (await import('./share-topic/share-topic.ts')).shareTopic },
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
  readonly log: ListedPlugin<typeof logManifest>
  readonly dropLog: ListedPlugin<typeof dropLogManifest>
  readonly limits: ListedPlugin<typeof limitsManifest>
  readonly disk: ListedPlugin<typeof diskManifest>
  readonly redis: ListedPlugin<typeof redisManifest>
  readonly memory: ListedPlugin<typeof memoryManifest>
  readonly diskQueue: ListedPlugin<typeof diskQueueManifest>
  readonly ban: ListedPlugin<typeof banManifest>
  readonly cluster: ListedPlugin<typeof clusterManifest>
  readonly authCertificate: ListedPlugin<typeof authCertificateManifest>
  readonly authFile: ListedPlugin<typeof authFileManifest>
  readonly authHttp: ListedPlugin<typeof authHttpManifest>
  readonly topicSecurity: ListedPlugin<typeof topicSecurityManifest>
  readonly schema: ListedPlugin<typeof schemaManifest>
  readonly rewrite: ListedPlugin<typeof rewriteManifest>
  readonly mountpoint: ListedPlugin<typeof mountpointManifest>
  readonly delay: ListedPlugin<typeof delayManifest>
  readonly retain: ListedPlugin<typeof retainManifest>
  readonly messageBridge: ListedPlugin<typeof messageBridgeManifest>
  readonly shareTopic: ListedPlugin<typeof shareTopicManifest>
  readonly sysTopic: ListedPlugin<typeof sysTopicManifest>
  readonly metrics: ListedPlugin<typeof metricsManifest>
  readonly admin: ListedPlugin<typeof adminManifest>
  readonly ssl: ListedPlugin<typeof sslManifest>
  readonly socket: ListedPlugin<typeof socketManifest>
  readonly websocket: ListedPlugin<typeof websocketManifest>
}
