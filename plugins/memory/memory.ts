import { definePlugin } from '../../core/plugin.ts'
import type {} from '../kit/services/parts.ts'
import type {} from '../kit/services/state.ts'
import { memoryManifest } from './manifest.ts'
import { MemoryRetained } from './memory-retained.ts'
import { MemorySessions } from './memory-sessions.ts'
import { MemoryState } from './memory-state.ts'

/** Keeps sessions and retained messages in this process: durable by no definition, fast by every one. */
export const memory = definePlugin(memoryManifest, ({ services, clock, report }) => {
  const state = new MemoryState(clock)
  state.table.onError = report
  const parts = services.find('parts')
  // A worker that takes the place of another one must not give epochs again that are known, and the machine's uptime is the clock that nobody sets back.
  const sessions = new MemorySessions(clock, parts === undefined ? 0 : Math.floor(clock.moment().uptime) * 1000)
  const retained = new MemoryRetained(clock)
  services.provide('sessions', parts?.sessions(sessions) ?? sessions, 'memory')
  services.provide('retained', parts?.retained(retained) ?? retained, 'memory')
  services.provide('state', parts?.state(state, state.table) ?? state, 'memory')
  return { stop: () => state.table.stop() }
})
