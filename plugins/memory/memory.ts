import { definePlugin } from '../../core/plugin.ts'
import { memoryManifest } from './manifest.ts'
import { MemoryRetained } from './memory-retained.ts'
import { MemorySessions } from './memory-sessions.ts'

/** Keeps sessions and retained messages in this process: durable by no definition, fast by every one. */
export const memory = definePlugin(memoryManifest, ({ services, clock }) => {
  services.provide('sessions', new MemorySessions(clock), 'memory')
  services.provide('retained', new MemoryRetained(clock), 'memory')
})
