import { defineCatalogue } from '../presets/shell/catalogue.ts'
import { authCertificateOptions } from './auth-certificate/options.ts'
import { authFileOptions } from './auth-file/options.ts'
import { authHttpOptions } from './auth-http/options.ts'
import { clusterOptions } from './cluster/options.ts'
import { delayOptions } from './delay/options.ts'
import { diskOptions } from './disk/options.ts'
import { diskQueueOptions } from './disk/queue-options.ts'
import { listenerNeeds } from './kit/listening/listener-tls.ts'
import { limitsOptions } from './limits/options.ts'
import { logOptions } from './log/options.ts'
import { memoryOptions } from './memory/options.ts'
import { messageBridgeOptions } from './message-bridge/options.ts'
import { metricsOptions } from './metrics/options.ts'
import { redisOptions } from './redis/options.ts'
import { retainOptions } from './retain/options.ts'
import { rewriteOptions } from './rewrite/options.ts'
import { schemaOptions } from './schema/options.ts'
import { shareTopicOptions } from './share-topic/options.ts'
import { socketOptions } from './socket/options.ts'
import { sslOptions } from './ssl/options.ts'
import { sysTopicOptions } from './sys-topic/options.ts'
import { topicSecurityOptions } from './topic-security/options.ts'
import { websocketOptions } from './websocket/options.ts'

/**
 * The built-in plugins: names and option schemas. An implementation is imported only when a preset or a config uses it,
 * for the sake of start-up. The order is that of plugins which a preset does not name.
 */
export const plugins = defineCatalogue({
  version: '',
  presets: {},
  plugins: {
    log: { options: logOptions, provides: ['log'], load: async () => (await import('./log/log.ts')).log },
    limits: { options: limitsOptions, load: async () => (await import('./limits/limits.ts')).limits },
    disk: { options: diskOptions, provides: ['sessions', 'retained'], load: async () => (await import('./disk/disk.ts')).disk },
    redis: {
      options: redisOptions,
      provides: ['sessions', 'retained', 'bus'],
      load: async () => (await import('./redis/redis.ts')).redis,
    },
    memory: { options: memoryOptions, provides: ['sessions', 'retained'], load: async () => (await import('./memory/memory.ts')).memory },
    diskQueue: { options: diskQueueOptions, provides: ['queue'], load: async () => (await import('./disk/disk-queue.ts')).diskQueue },
    cluster: {
      options: clusterOptions,
      requires: ['bus'],
      offInTestMode: true,
      goesWithItsServices: true,
      load: async () => (await import('./cluster/cluster.ts')).cluster,
    },
    authCertificate: {
      options: authCertificateOptions,
      load: async () => (await import('./auth-certificate/auth-certificate.ts')).authCertificate,
    },
    authFile: { options: authFileOptions, load: async () => (await import('./auth-file/auth-file.ts')).authFile },
    authHttp: { options: authHttpOptions, load: async () => (await import('./auth-http/auth-http.ts')).authHttp },
    topicSecurity: {
      options: topicSecurityOptions,
      turnedOnBy: 'enableTopicSubPubSecure',
      load: async () => (await import('./topic-security/topic-security.ts')).topicSecurity,
    },
    schema: { options: schemaOptions, load: async () => (await import('./schema/schema.ts')).schema },
    rewrite: { options: rewriteOptions, load: async () => (await import('./rewrite/rewrite.ts')).rewrite },
    delay: { options: delayOptions, load: async () => (await import('./delay/delay.ts')).delay },
    retain: { options: retainOptions, requires: ['retained'], load: async () => (await import('./retain/retain.ts')).retain },
    messageBridge: {
      options: messageBridgeOptions,
      provides: ['bridge'],
      load: async () => (await import('./message-bridge/message-bridge.ts')).messageBridge,
    },
    shareTopic: { options: shareTopicOptions, load: async () => (await import('./share-topic/share-topic.ts')).shareTopic },
    sysTopic: { options: sysTopicOptions, load: async () => (await import('./sys-topic/sys-topic.ts')).sysTopic },
    metrics: { options: metricsOptions, load: async () => (await import('./metrics/metrics.ts')).metrics },
    ssl: {
      options: sslOptions,
      provides: ['tls'],
      load: async () => (await import('./ssl/ssl.ts')).ssl,
      standIn: async () => (await import('./ssl/ssl.ts')).sslForListeners,
    },
    socket: { options: socketOptions, listener: true, needs: listenerNeeds, load: async () => (await import('./socket/socket.ts')).socket },
    websocket: {
      options: websocketOptions,
      provides: ['http'],
      listener: true,
      needs: listenerNeeds,
      load: async () => (await import('./websocket/websocket.ts')).websocket,
    },
  },
}).plugins
