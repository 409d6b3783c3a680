import { authCertificateManifest } from './auth-certificate/manifest.ts'
import { authFileManifest } from './auth-file/manifest.ts'
import { authHttpManifest } from './auth-http/manifest.ts'
import { clusterManifest } from './cluster/manifest.ts'
import { delayManifest } from './delay/manifest.ts'
import { diskQueueManifest } from './disk/disk-queue-manifest.ts'
import { diskManifest } from './disk/manifest.ts'
import { listPlugins } from './kit/listed-plugin.ts'
import { limitsManifest, limitsNothing } from './limits/manifest.ts'
import { logManifest } from './log/manifest.ts'
import { memoryManifest } from './memory/manifest.ts'
import { messageBridgeManifest } from './message-bridge/manifest.ts'
import { metricsManifest } from './metrics/manifest.ts'
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
export const plugins = listPlugins(
  { manifest: logManifest, load: async () => (await import('./log/log.ts')).log },
  {
    manifest: limitsManifest,
    load: async options =>
      limitsNothing(options as Parameters<typeof limitsNothing>[0])
        ? (await import('./limits/attempts-only.ts')).attemptsOnly
        : (await import('./limits/limits.ts')).limits,
  },
  { manifest: diskManifest, load: async () => (await import('./disk/disk.ts')).disk },
  { manifest: redisManifest, load: async () => (await import('./redis/redis.ts')).redis },
  { manifest: memoryManifest, load: async () => (await import('./memory/memory.ts')).memory },
  { manifest: diskQueueManifest, load: async () => (await import('./disk/disk-queue.ts')).diskQueue },
  { manifest: clusterManifest, load: async () => (await import('./cluster/cluster.ts')).cluster },
  { manifest: authCertificateManifest, load: async () => (await import('./auth-certificate/auth-certificate.ts')).authCertificate },
  { manifest: authFileManifest, load: async () => (await import('./auth-file/auth-file.ts')).authFile },
  { manifest: authHttpManifest, load: async () => (await import('./auth-http/auth-http.ts')).authHttp },
  { manifest: topicSecurityManifest, load: async () => (await import('./topic-security/topic-security.ts')).topicSecurity },
  { manifest: schemaManifest, load: async () => (await import('./schema/schema.ts')).schema },
  { manifest: rewriteManifest, load: async () => (await import('./rewrite/rewrite.ts')).rewrite },
  { manifest: delayManifest, load: async () => (await import('./delay/delay.ts')).delay },
  { manifest: retainManifest, load: async () => (await import('./retain/retain.ts')).retain },
  { manifest: messageBridgeManifest, load: async () => (await import('./message-bridge/message-bridge.ts')).messageBridge },
  { manifest: shareTopicManifest, load: async () => (await import('./share-topic/share-topic.ts')).shareTopic },
  { manifest: sysTopicManifest, load: async () => (await import('./sys-topic/sys-topic.ts')).sysTopic },
  { manifest: metricsManifest, load: async () => (await import('./metrics/metrics.ts')).metrics },
  {
    manifest: sslManifest,
    load: async () => (await import('./ssl/ssl.ts')).ssl,
    standIn: async () => (await import('./ssl/ssl.ts')).sslForListeners,
  },
  { manifest: socketManifest, load: async () => (await import('./socket/socket.ts')).socket },
  { manifest: websocketManifest, load: async () => (await import('./websocket/websocket.ts')).websocket },
)
