import { resolve } from 'node:path'
import { definePlugin } from '../../core/plugin.ts'
import { diskQueueManifest } from './disk-queue-manifest.ts'
import { DiskQueues } from './disk-queues.ts'

/** Keeps queues in a folder, whatever keeps the sessions: what a bridge could not send yet outlives the broker. */
export const diskQueue = definePlugin(diskQueueManifest, ({ services, broker, clock, log }, options) => {
  const queues = new DiskQueues({ ...options, path: resolve(broker.folder, options.path) }, log, clock)
  services.provide('queue', queues, 'diskQueue')
  return { start: () => queues.start(), stop: () => queues.stop() }
})
