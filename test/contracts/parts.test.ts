import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RetainedStore } from '../../core/routing/retained.ts'
import type { Due, QueueLimits, SessionStore, SessionStoreEvents } from '../../core/sessions/session-store.ts'
import { type Clock, SystemClock } from '../../core/time/clock.ts'
import type { BusEvents } from '../../plugins/kit/services/bus.ts'
import type { State } from '../../plugins/kit/services/state.ts'
import { LocalBus } from '../../plugins/local-bus/bus.ts'
import { WorkerParts } from '../../plugins/local-bus/parts.ts'
import { Sequencer } from '../../plugins/local-bus/sequencer.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'
import { stateContract } from './state.ts'

const real = new SystemClock()
const nothing = (): void => {}
const noEvents: BusEvents = {
  announced: nothing,
  received: nothing,
  joined: nothing,
  left: nothing,
  inherited: nothing,
  expelled: nothing,
  missed: nothing,
  interrupted: nothing,
}

/** Two workers of one broker, in this process, with a part each. */
class Workers {
  readonly folder = mkdtempSync(join(tmpdir(), 'mqttx-parts-'))
  readonly sequencer = new Sequencer(real)
  readonly buses: LocalBus[] = []
  readonly sessions: SessionStore[] = []
  readonly retained: RetainedStore[] = []
  readonly states: State[] = []
  readonly #tables: MemoryState[] = []

  static async start(clock: Clock): Promise<Workers> {
    const workers = new Workers()
    await workers.sequencer.listen(workers.folder)
    for (const name of ['1/1', '1/2']) await workers.#begin(name, clock)
    return workers
  }

  async #begin(name: string, clock: Clock): Promise<void> {
    const bus = new LocalBus(this.folder, name, real)
    const parts = new WorkerParts(bus, ['1/1', '1/2'], real, error => {
      throw error
    })
    bus.stores = parts
    const state = new MemoryState(clock)
    this.#tables.push(state)
    this.buses.push(bus)
    this.sessions.push(parts.sessions(new MemorySessions(clock)))
    this.retained.push(parts.retained(new MemoryRetained(clock)))
    this.states.push(parts.state(state, state.table))
    await bus.open(noEvents, { heartbeatMs: 1000, expiryMs: 60_000, facts: () => ({}) })
    for await (const _ of this.sessions.at(-1)!.sessions()) throw new Error('nothing is stored yet')
    await bus.run()
  }

  /** The store as the second worker has it; what comes due does so at both. */
  get store(): SessionStore {
    const [first, second] = this.sessions as [SessionStore, SessionStore]
    return Object.assign(Object.create(second) as SessionStore, bound(second), {
      async open(events: SessionStoreEvents, limits: QueueLimits) {
        await first.open(events, limits)
        await second.open(events, limits)
      },
      async expire(now: number, limit: number): Promise<readonly Due[]> {
        const due = await first.expire(now, limit)
        return [...due, ...(due.length < limit ? await second.expire(now, limit - due.length) : [])]
      },
    })
  }

  async stop(): Promise<void> {
    for (const bus of this.buses) await bus.stop()
    for (const { table } of this.#tables) table.stop()
    this.sequencer.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Its verbs, for an object that stands before it. */
function bound(store: SessionStore): Partial<SessionStore> {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(store)).filter(name => name !== 'constructor')
  return Object.fromEntries(names.map(name => [name, (store[name as 'flush'] as () => void).bind(store)]))
}

const all = new Map<object, Workers>()

function owner<S extends object>(of: (workers: Workers) => S) {
  return {
    async create(clock: Clock): Promise<S> {
      const workers = await Workers.start(clock)
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
const retained = owner(workers => workers.retained[1]!)
const state = owner(workers => workers.states[1]!)
sessionsContract('in memory, in the parts of two workers', sessions.create, { lacks: ['keepWill'], dispose: sessions.dispose })
retainedContract('in memory, at each of two workers', retained.create, { dispose: retained.dispose })
stateContract('in memory, at each of two workers', state.create, { dispose: state.dispose })
