import { defineCatalogue } from '../core/config/catalogue.ts'
import { authCertificateOptions } from './auth-certificate/options.ts'
import { authFileOptions } from './auth-file/options.ts'
import { authHttpOptions } from './auth-http/options.ts'
import { clusterOptions } from './cluster/options.ts'
import { delayOptions } from './delay/options.ts'
import { diskOptions } from './disk/options.ts'
import { diskQueueOptions } from './disk/queue-options.ts'
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
    log: { options: logOptions, provides: ['log'], load: async () => (await import('./log/plugin.ts')).log },
    limits: { options: limitsOptions, load: async () => (await import('./limits/plugin.ts')).limits },
    disk: { options: diskOptions, provides: ['sessions', 'retained'], load: async () => (await import('./disk/plugin.ts')).disk },
    redis: {
      options: redisOptions,
      provides: ['sessions', 'retained', 'bus'],
      load: async () => (await import('./redis/plugin.ts')).redis,
    },
    memory: { options: memoryOptions, provides: ['sessions', 'retained'], load: async () => (await import('./memory/plugin.ts')).memory },
    diskQueue: { options: diskQueueOptions, provides: ['queue'], load: async () => (await import('./disk/queue-plugin.ts')).diskQueue },
    cluster: {
      options: clusterOptions,
      requires: ['bus'],
      offInTestMode: true,
      goesWithItsServices: true,
      load: async () => (await import('./cluster/plugin.ts')).cluster,
    },
    authCertificate: {
      options: authCertificateOptions,
      load: async () => (await import('./auth-certificate/plugin.ts')).authCertificate,
    },
    authFile: { options: authFileOptions, load: async () => (await import('./auth-file/plugin.ts')).authFile },
    authHttp: { options: authHttpOptions, load: async () => (await import('./auth-http/plugin.ts')).authHttp },
    topicSecurity: {
      options: topicSecurityOptions,
      turnedOnBy: 'enableTopicSubPubSecure',
      load: async () => (await import('./topic-security/plugin.ts')).topicSecurity,
    },
    schema: { options: schemaOptions, load: async () => (await import('./schema/plugin.ts')).schema },
    rewrite: { options: rewriteOptions, load: async () => (await import('./rewrite/plugin.ts')).rewrite },
    delay: { options: delayOptions, load: async () => (await import('./delay/plugin.ts')).delay },
    retain: { options: retainOptions, requires: ['retained'], load: async () => (await import('./retain/plugin.ts')).retain },
    messageBridge: {
      options: messageBridgeOptions,
      provides: ['bridge'],
      load: async () => (await import('./message-bridge/plugin.ts')).messageBridge,
    },
    shareTopic: { options: shareTopicOptions, load: async () => (await import('./share-topic/plugin.ts')).shareTopic },
    sysTopic: { options: sysTopicOptions, load: async () => (await import('./sys-topic/plugin.ts')).sysTopic },
    metrics: { options: metricsOptions, load: async () => (await import('./metrics/plugin.ts')).metrics },
    ssl: { options: sslOptions, provides: ['tls'], load: async () => (await import('./ssl/plugin.ts')).ssl },
    socket: { options: socketOptions, listener: true, load: async () => (await import('./socket/plugin.ts')).socket },
    websocket: {
      options: websocketOptions,
      provides: ['http'],
      listener: true,
      load: async () => (await import('./websocket/plugin.ts')).websocket,
    },
  },
}).plugins
