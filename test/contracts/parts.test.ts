import type { Clock } from '../../core/time/clock.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'
import { type MakeStores, TestWorkers } from '../support/worker-parts.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'
import { stateContract } from './state.ts'

const all = new Map<object, TestWorkers>()

function inMemory(clock: Clock): MakeStores {
  return parts => {
    const state = new MemoryState(clock)
    return {
      sessions: parts.sessions(new MemorySessions(clock)),
      retained: parts.retained(new MemoryRetained(clock)),
      state: parts.state(state, state.table),
      close: async () => state.table.stop(),
    }
  }
}

function owner<S extends object>(of: (workers: TestWorkers) => S) {
  return {
    async create(clock: Clock): Promise<S> {
      const workers = await TestWorkers.start(inMemory(clock))
      const store = of(workers)
      all.set(store, workers)
      return store
    },
    async dispose(store: S): Promise<void> {
      await all.get(store)!.stop()
      all.delete(store)
    },
  }
}

const sessions = owner(workers => workers.store)
const retained = owner(({ workers }) => workers[1]!.retained)
const state = owner(({ workers }) => workers[1]!.state)
sessionsContract('in memory, in the parts of two workers', sessions.create, { lacks: ['keepWill'], dispose: sessions.dispose })
retainedContract('in memory, at each of two workers', retained.create, { dispose: retained.dispose })
stateContract('in memory, at each of two workers', state.create, { dispose: state.dispose })
