import { definePlugin } from '../../core/plugin.ts'
import { memoryOptions } from './options.ts'
import { MemoryRetained } from './retained.ts'
import { MemorySessions } from './sessions.ts'

/** Keeps sessions and retained messages in this process: durable by no definition, fast by every one. */
export const memory = definePlugin({
  name: 'memory',
  provides: ['sessions', 'retained'],
  options: memoryOptions,
  apply({ services, clock }) {
    services.provide('sessions', new MemorySessions(clock), 'memory')
    services.provide('retained', new MemoryRetained(clock), 'memory')
  },
})
