import { definePlugin } from '../../core/plugin.ts'
import { statePath } from '../kit/state-path.ts'
import { diskQueueManifest } from './disk-queue-manifest.ts'
import { DiskQueues } from './disk-queues.ts'
import { Folder } from './folder.ts'

/** Keeps queues in a folder, whatever keeps the sessions: what a bridge could not send yet outlives the broker. */
export const diskQueue = definePlugin(diskQueueManifest, ({ services, broker, clock, log }, options) => {
  const path = statePath(broker.folder, options.path)
  const queues = new DiskQueues({ ...options, path }, log, clock)
  services.provide('queue', queues, 'diskQueue')
  return { verify: () => Folder.verify({ plugin: 'diskQueue', path }), start: () => queues.start(), stop: () => queues.stop() }
})
