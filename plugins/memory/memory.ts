import { definePlugin } from '../../core/plugin.ts'
import type {} from '../kit/services/state.ts'
import { memoryManifest } from './manifest.ts'
import { MemoryRetained } from './memory-retained.ts'
import { MemorySessions } from './memory-sessions.ts'
import { MemoryState } from './memory-state.ts'

/** Keeps sessions and retained messages in this process: durable by no definition, fast by every one. */
export const memory = definePlugin(memoryManifest, ({ services, clock, report }) => {
  const state = new MemoryState(clock)
  state.table.onError = report
  services.provide('sessions', new MemorySessions(clock), 'memory')
  services.provide('retained', new MemoryRetained(clock), 'memory')
  services.provide('state', state, 'memory')
  return { stop: () => state.table.stop() }
})
