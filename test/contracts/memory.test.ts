import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'
import { later } from '../support/later-store.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'
import { stateContract } from './state.ts'

sessionsContract('in memory', clock => new MemorySessions(clock))
sessionsContract('in memory, answering later', clock => later(new MemorySessions(clock)))
retainedContract('in memory', clock => new MemoryRetained(clock))
stateContract('in memory', clock => new MemoryState(clock))
