import { defineManifest } from '../kit/define-manifest.ts'

/** Makes one broker of all that use the same Redis. */
export const clusterManifest = defineManifest({
  name: 'cluster',
  requires: ['bus'],
  offInTestMode: true,
  goesWithItsServices: true,
  options: {
    /** How often this node gives a sign of life. */
    heartbeat: { type: 'duration', default: '1s', minimum: 100 },
    /** A node that has given no sign of life for so long counts as dead: its clean sessions are gone and its durable ones run out or go on elsewhere. At least three heartbeats. */
    expiry: { type: 'duration', default: '5s', minimum: 300 },
    /**
     * How long CONNACK, SUBACK and UNSUBACK wait at most until all living nodes have confirmed that they act on them. A node that has not confirmed in
     * this time is left out of the waiting until it has. Shorter than `mqtt.verdictTimeout`.
     */
    confirmTimeout: { type: 'duration', default: '1s', minimum: 10 },
    /**
     * What a node does that is cut off from Redis: `serve-clean` serves sessions that end with their connection among its own clients, and keeps
     * back the acknowledgement of what others must have; `refuse` closes all connections and lets nobody in.
     */
    onRedisLoss: { type: 'string', enum: ['serve-clean', 'refuse'], default: 'serve-clean' },
    /** Prefers the members of a shared group that are connected to the node that a message came to. */
    preferLocal: { type: 'boolean', default: false },
    /** The key at which the nodes see whether all have the same `enableInnerCache`. */
    innerCacheConsistencyKey: { type: 'string', default: 'mqttx:cache_consistence', minLength: 1 },
    /** The Java mqttx's spelling of `innerCacheConsistencyKey`; counts where it is set. */
    innerCacheConsistancyKey: { type: 'string', minLength: 1 },
  },
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** `enableInnerCache` is not the same on all nodes. */
    ERR_CACHE_DIFFERS: true
    /** Another node sent something of a version that this one does not read. */
    ERR_CLUSTER_VERSION: true
  }
}
