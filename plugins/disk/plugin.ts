import { definePlugin } from '../../core/plugin.ts'
import { diskOptions } from './options.ts'
import { DiskStore } from './store.ts'

/** Keeps sessions, queues, retained messages and wills in a folder: durable on one machine, with no server beside it. */
export const disk = definePlugin({
  name: 'disk',
  provides: ['sessions', 'retained'],
  options: diskOptions,
  apply({ services, clock, log }, options) {
    const store = new DiskStore(options, clock, log)
    services.provide('sessions', store.sessions, 'disk')
    services.provide('retained', store.retained, 'disk')
    return { start: () => store.open(), stop: () => store.close() }
  },
})
