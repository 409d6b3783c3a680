import type { RetainedStore } from '../../core/routing/retained.ts'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Node } from '../kit/services/bus.ts'
import type { PartStore, Parts } from '../kit/services/parts.ts'
import type { State, StateEntry } from '../kit/services/state.ts'
import { fnv1a } from '../kit/text-hash.ts'
import type { LocalBus, StoreEvents } from './bus.ts'
import { PartCalls } from './part-calls.ts'
import { PartedRetained } from './parted-retained.ts'
import { PartedSessions, type PartTerms, type SessionNote } from './parted-sessions.ts'
import { PartedState, type StateNote } from './parted-state.ts'

// Who writes sessions again that this part has lost has so long.
const restoreMs = 3000
// These a worker answers while it is not ready itself.
const early = new Set(['s.restore', 's.restored', 's.appended', 's.sessions', 'r.copy', 'r.settled', 'r.page', 'k.all'])

/** The parts of this worker's stores, and those of the others. */
export class WorkerParts implements Parts, StoreEvents {
  readonly #bus: LocalBus
  readonly #clock: Clock
  readonly #terms: PartTerms
  readonly #calls: PartCalls
  #sessions: PartedSessions | null = null
  #retained: PartedRetained | null = null
  #state: PartedState | null = null
  /** Workers that have written again what this part had lost. */
  readonly #restored = new Set<string>()
  #wake: () => void = () => {}
  #isReady = false
  #ready: () => void = () => {}
  readonly #whenReady = new Promise<void>(resolve => (this.#ready = resolve))
  #loading: Promise<void> | null = null

  /** `all`: the names of all workers, by number. */
  constructor(bus: LocalBus, all: readonly string[], clock: Clock, report: (error: unknown) => void) {
    this.#bus = bus
    this.#clock = clock
    this.#calls = new PartCalls(bus, clock, (from, verb, args) => this.#serve(from, verb, args))
    this.#terms = {
      self: bus.node,
      all,
      calls: this.#calls,
      homeOf: text => all[fnv1a(text) % all.length]!,
      note: note => bus.note(note),
      load: () => this.#load(),
      report,
    }
  }

  sessions(own: PartStore): SessionStore {
    this.#sessions = new PartedSessions(own, this.#terms)
    return this.#sessions
  }

  retained(own: RetainedStore): RetainedStore {
    this.#retained = new PartedRetained(own, this.#terms)
    return this.#retained
  }

  state(own: State, change: Parameters<Parts['state']>[1]): State {
    this.#state = new PartedState(own, change, note => this.#bus.note(note))
    return this.#state
  }

  #serve(from: string, verb: string, args: readonly never[]): unknown {
    if (!this.#isReady && !early.has(verb)) return this.#whenReady.then(() => this.#serve(from, verb, args))
    if (verb === 's.restored') {
      this.#restored.add(from)
      return this.#wake()
    }
    if (verb === 'k.all') return this.#state?.entries('') ?? []
    return verb.startsWith('r.') ? this.#retained?.asked(from, verb, args) : this.#sessions?.asked(from, verb, args)
  }

  /** Once: what the others have written again, and what they all have, is here. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadAll()
    return this.#loading
  }

  async #loadAll(): Promise<void> {
    const others = (): string[] => this.#bus.nodes().flatMap(({ name }) => (name === this.#bus.node ? [] : [name]))
    const missing = (): boolean => others().some(name => !this.#restored.has(name))
    const asked = others()
    if (missing())
      await new Promise<void>(resolve => {
        const late = this.#clock.after(restoreMs, resolve)
        this.#wake = () => {
          if (missing()) return
          late.cancel()
          resolve()
        }
      })
    this.#wake = () => {}
    await this.#retained?.load(asked)
    for (const name of asked) {
      const entries = (await this.#calls.now(name, 'k.all').catch(() => null)) as StateEntry[] | null
      if (entries === null) continue
      this.#state?.take(entries)
      break
    }
    this.#isReady = true
    this.#ready()
  }

  joined(node: Node): void {
    this.#sessions?.joined(node)
    this.#calls.tell(node.name, 's.restored')
    this.#calls.joined(node)
  }

  left(node: Node): void {
    this.#calls.left(node)
    this.#sessions?.left(node)
    this.#wake()
  }

  noted(_from: string, note: never): void {
    if ((note as StateNote)[0] === 'k') this.#state?.noted(note)
    else this.#sessions?.noted(note as SessionNote)
  }

  asked(from: string, bytes: Buffer): void {
    this.#calls.heard(from, bytes)
  }
}
