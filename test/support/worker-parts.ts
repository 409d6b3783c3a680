import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../core/log.ts'
import type { Due, QueueLimits, SessionStore, SessionStoreEvents } from '../../core/sessions/session-store.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'
import type { BusEvents } from '../../plugins/kit/services/bus.ts'
import type { RetainedStore } from '../../plugins/kit/services/retained.ts'
import type { State } from '../../plugins/kit/services/state.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { LocalBus } from '../../plugins/local-bus/bus.ts'
import { WorkerParts } from '../../plugins/local-bus/parts.ts'
import { Sequencer } from '../../plugins/local-bus/sequencer.ts'

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

/** What one worker keeps. */
export interface WorkerStores {
  readonly sessions: SessionStore
  readonly retained: RetainedStore
  readonly state: State
  /** Called when its bus has gone. */
  close(): Promise<void>
}

/** Makes the stores of one worker, in its parts. */
export type MakeStores = (parts: WorkerParts, place: WorkerPlace) => WorkerStores | Promise<WorkerStores>

interface TestWorker extends WorkerStores {
  readonly bus: LocalBus
}

/** Several workers of one broker, in this process, with a part each. */
export class TestWorkers {
  readonly folder = mkdtempSync(join(tmpdir(), 'mqttx-parts-'))
  readonly #sequencer = new Sequencer(real)
  readonly #make: MakeStores
  readonly #names: readonly string[]
  readonly workers: TestWorker[] = []

  private constructor(make: MakeStores, count: number) {
    this.#make = make
    this.#names = Array.from({ length: count }, (_, i) => `1/${i + 1}`)
  }

  static async start(make: MakeStores, count = 2): Promise<TestWorkers> {
    const all = new TestWorkers(make, count)
    await all.#sequencer.listen(all.folder)
    await all.#begin(all.#names.map((_, i) => i))
    return all
  }

  /** They wait for one another. */
  async #begin(numbers: readonly number[]): Promise<void> {
    for (const i of numbers) {
      const bus = new LocalBus(this.folder, this.#names[i]!, real, silentLog)
      const parts = new WorkerParts(bus, this.#names, real, error => {
        throw error
      })
      bus.stores = parts
      const stores = await this.#make(parts, { number: i + 1, count: this.#names.length })
      this.workers[i] = { ...stores, bus }
      await bus.open(noEvents, { heartbeatMs: 1000, expiryMs: 60_000, facts: () => ({}) })
    }
    await Promise.all(numbers.map(i => this.#load(this.workers[i]!)))
  }

  async #load({ sessions, bus }: TestWorker): Promise<void> {
    for await (const _ of sessions.sessions()) nothing()
    await bus.run()
  }

  /** All of them end without a word, and begin again. */
  async restart(): Promise<void> {
    await this.#end(true)
    await this.#begin(this.#names.map((_, i) => i))
  }

  /** One of them ends without a word: `number`, from 1 on. */
  async kill(number: number): Promise<void> {
    const { bus, close } = this.workers[number - 1]!
    await bus.stop(true)
    await close()
  }

  /** One that was killed begins again, and is told `events`. */
  async revive(number: number): Promise<void> {
    await this.#begin([number - 1])
  }

  async #end(crash: boolean): Promise<void> {
    for (const { bus } of this.workers) await bus.stop(crash)
    for (const { close } of this.workers) await close()
  }

  /** The store as the last worker has it; what comes due does so at all. */
  get store(): SessionStore {
    const all = this.workers.map(({ sessions }) => sessions)
    const last = all.at(-1)!
    return Object.assign(Object.create(last) as SessionStore, bound(last), {
      async open(events: SessionStoreEvents, limits: QueueLimits) {
        for (const store of all) await store.open(events, limits)
      },
      async expire(now: number, limit: number): Promise<readonly Due[]> {
        const due: Due[] = []
        for (const store of all) if (due.length < limit) due.push(...(await store.expire(now, limit - due.length)))
        return due
      },
    })
  }

  async stop(): Promise<void> {
    await this.#end(false)
    this.#sequencer.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Its verbs, for an object that stands before it. */
function bound(store: SessionStore): Partial<SessionStore> {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(store)).filter(name => name !== 'constructor')
  return Object.fromEntries(names.map(name => [name, (store[name as 'flush'] as () => void).bind(store)]))
}
