import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Node } from '../kit/services/bus.ts'
import type { LastingPart, PartStore, Parts } from '../kit/services/parts.ts'
import type { RetainedStore } from '../kit/services/retained.ts'
import type { State, StateEntry } from '../kit/services/state.ts'
import type { Supervisor } from '../kit/services/supervisor.ts'
import { partOf } from '../kit/text-hash.ts'
import type { LocalBus, StoreEvents } from './bus.ts'
import { forgetNeedlessTokens } from './needless-tokens.ts'
import { PartCalls } from './part-calls.ts'
import type { PartTerms, SessionNote } from './part-terms.ts'
import { PartedRetained } from './parted-retained.ts'
import { PartedSessions } from './parted-sessions.ts'
import { PartedState, type StateNote } from './parted-state.ts'
import type { PeerRun } from './peer-links.ts'
import { RetainedAtFirst } from './retained-at-first.ts'

// Who writes sessions again that this part has lost has so long: longer than one may stand still that is not taken for dead.
const restoreMs = 15_000
// A broker that stops waits so long for the clients of all its workers to have gone.
const closingMs = 15_000
// These a worker answers while it is not ready itself.
const early = new Set([
  's.mine',
  's.leaving',
  's.restore',
  's.restored',
  's.appended',
  's.sessions',
  'r.copy',
  'r.settled',
  'r.page',
  's.tokens',
  'k.all',
])

/** The parts of this worker's stores, and those of the others. */
export class WorkerParts implements Parts, StoreEvents {
  readonly #bus: LocalBus
  readonly #clock: Clock
  readonly #terms: PartTerms
  readonly #calls: PartCalls
  #sessions: PartedSessions | null = null
  #retained: PartedRetained | null = null
  #first: RetainedAtFirst | null = null
  #state: PartedState | null = null
  /** Workers that have written again what this part had lost. */
  readonly #restored = new Set<string>()
  readonly #comers = new Map<string, (() => void)[]>()
  /** Workers whose clients have gone. */
  readonly #leaving = new Set<string>()
  #wakeLeaving: () => void = () => {}
  #lasting: LastingPart | undefined
  #wake: () => void = () => {}
  #isReady = false
  #ready: () => void = () => {}
  readonly #whenReady = new Promise<void>(resolve => (this.#ready = resolve))
  #loading: Promise<void> | null = null

  readonly #supervisor: Pick<Supervisor, 'waits' | 'left'> | undefined

  /** `all`: the names of all workers, by number. */
  constructor(
    bus: LocalBus,
    all: readonly string[],
    clock: Clock,
    report: (error: unknown) => void,
    supervisor?: Pick<Supervisor, 'waits' | 'left'>,
  ) {
    this.#bus = bus
    this.#clock = clock
    this.#supervisor = supervisor
    this.#calls = new PartCalls(bus, clock, (from, verb, args) => this.#serve(from, verb, args))
    this.#terms = {
      self: bus.node,
      all,
      clock,
      calls: this.#calls,
      homeOf: text => all[partOf(text, all.length) - 1]!,
      note: note => bus.note(note),
      load: () => this.#load(),
      there: name => this.#there(name),
      report,
    }
  }

  sessions(own: PartStore): SessionStore {
    this.#lasting = own.lasting
    this.#calls.lasting = this.#lasting !== undefined
    this.#sessions = new PartedSessions(own, this.#terms)
    return this.#sessions
  }

  retained(own: RetainedStore): RetainedStore {
    this.#retained = new PartedRetained(own, this.#terms)
    return this.#retained
  }

  retainedAtFirst(own: Parameters<Parts['retainedAtFirst']>[0]): RetainedStore {
    this.#first = new RetainedAtFirst(own, this.#terms)
    return this.#first
  }

  state(own: State, change: Parameters<Parts['state']>[1], keeps = false): State {
    const keeper = keeps ? { first: this.#terms.all[0]!, self: this.#bus.node, calls: this.#calls } : null
    this.#state = new PartedState(own, change, note => this.#bus.note(note), keeper)
    return this.#state
  }

  #there(name: string): Promise<void> {
    if (this.#bus.nodes().some(node => node.name === name)) return Promise.resolve()
    return new Promise(resolve => this.#comers.set(name, [...(this.#comers.get(name) ?? []), resolve]))
  }

  #serve(from: string, verb: string, args: readonly never[]): unknown {
    if (!this.#isReady && !early.has(verb)) return this.#whenReady.then(() => this.#serve(from, verb, args))
    if (verb === 's.restored') {
      this.#restored.add(from)
      return this.#wake()
    }
    if (verb === 's.leaving') {
      this.#leaving.add(from)
      return this.#wakeLeaving()
    }
    if (verb === 'k.all') return this.#state?.entries('') ?? []
    if (verb.startsWith('k.')) return this.#state?.asked(verb, args)
    if (verb.startsWith('r.')) return (this.#retained ?? this.#first)?.asked(from, verb, args)
    return this.#sessions?.asked(from, verb, args)
  }

  /** Once: what the others have written again, and what they all have, is here. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadAll()
    return this.#loading
  }

  async #loadAll(): Promise<void> {
    const there = (): string[] => this.#bus.nodes().flatMap(({ name }) => (name === this.#bus.node ? [] : [name]))
    // What a worker keeps on a disk is for all to know before any of them serves.
    const others = this.#lasting !== undefined ? () => this.#terms.all.filter(name => name !== this.#bus.node) : there
    const missing = (): boolean => others().some(name => !this.#restored.has(name))
    const asked = others()
    if (missing()) {
      this.#supervisor?.waits()
      await new Promise<void>(resolve => {
        const late = this.#lasting !== undefined ? null : this.#clock.after(restoreMs, resolve)
        this.#wake = () => {
          if (missing()) return
          late?.cancel()
          resolve()
        }
      })
    }
    this.#wake = () => {}
    await this.#retained?.load(asked)
    for (const name of this.#state?.sources(asked) ?? []) {
      let entries = (await this.#calls.now(name, 'k.all').catch(() => null)) as StateEntry[] | null
      while (entries === null && this.#lasting !== undefined) {
        await this.#there(name)
        entries = (await this.#calls.now(name, 'k.all').catch(() => null)) as StateEntry[] | null
      }
      if (entries === null) continue
      this.#state?.take(entries)
      break
    }
    this.#isReady = true
    this.#ready()
    if (this.#lasting !== undefined) forgetNeedlessTokens(this.#lasting, this.#terms)
  }

  /** The clients of this worker have gone: resolves when those of all others have, too, and nobody needs this part any more. */
  async closing(): Promise<void> {
    const others = (): boolean => this.#bus.nodes().some(({ name }) => name !== this.#bus.node && !this.#leaving.has(name))
    for (const name of this.#terms.all) if (name !== this.#bus.node) this.#calls.tell(name, 's.leaving')
    this.#supervisor?.left()
    if (!this.#bus.connected || !others()) return
    await new Promise<void>(resolve => {
      const late = this.#clock.after(closingMs, resolve)
      this.#wakeLeaving = () => {
        if (others()) return
        late.cancel()
        resolve()
      }
    })
  }

  joined(node: Node): void {
    this.#leaving.delete(node.name)
    for (const come of this.#comers.get(node.name) ?? []) come()
    this.#comers.delete(node.name)
    this.#sessions?.joined(node)
    this.#calls.tell(node.name, 's.restored')
    this.#calls.joined(node)
  }

  left(node: Node): void {
    this.#calls.left(node)
    this.#sessions?.left(node)
    this.#wakeLeaving()
    this.#wake()
  }

  noted(_from: string, note: never): void {
    if ((note as StateNote)[0] === 'k') this.#state?.noted(note)
    else this.#sessions?.noted(note as SessionNote)
  }

  asked(from: PeerRun, bytes: Buffer): void {
    this.#calls.heard(from, bytes)
  }
}
