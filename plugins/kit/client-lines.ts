import type { Log } from '../../core/log.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { cutText } from './cut-text.ts'

/** What can happen to a client again and again, and how it is said. Make one of each kind and use it for all clients. */
export interface ClientEvent {
  /** The level of its lines. */
  readonly level: 'debug' | 'info' | 'warn'
  /** The text of its lines. */
  readonly text: string
  /** How a line calls whom it is about: `clientId`, `address`. */
  readonly who: string
  /** How a line calls what it is about: `topic`, `path`. */
  readonly about: string
  /** What else each line says. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** How many lines are written. */
export interface ClientLinesOptions {
  /** Milliseconds in which one client gets one line for each kind of event. The default is 10,000. */
  readonly everyMs?: number
  /** Lines in a second, of all clients together; one more says what had none. The default is 20. */
  readonly linesPerSecond?: number
}

interface Entry {
  /** What the first event without a line was about. */
  about: string
  /** Events without a line. */
  count: number
  /** When the last line was written, or would have been. */
  since: number
}

const tickMs = 1000
// So many clients and kinds are told apart at a time; what is beyond is counted in the line that says what had none.
const entriesMax = 1000

/**
 * Lines about what befalls clients, at a pace that no client can raise: the first event of a kind is a line at once; what follows is counted, and
 * said in one line when its time is over. Costs an event that has no line two looks into maps.
 */
export class ClientLines {
  readonly #clock: Clock
  readonly #log: Log
  readonly #everyMs: number
  readonly #linesPerSecond: number
  readonly #kinds: Map<ClientEvent, Map<string, Entry>>
  #entries: number
  #linesLeft: number
  #timer: Timer | null
  // What had no line of its own since the last tick, by text.
  #rest: Map<string, number>

  constructor(clock: Clock, log: Log, { everyMs = 10_000, linesPerSecond = 20 }: ClientLinesOptions = {}) {
    this.#clock = clock
    this.#log = log
    this.#everyMs = everyMs
    this.#linesPerSecond = linesPerSecond
    this.#kinds = new Map()
    this.#entries = 0
    this.#linesLeft = linesPerSecond
    this.#timer = null
    this.#rest = new Map()
  }

  /** It has happened once more. `who`: the client id or address; `about`: the topic, say. */
  say(event: ClientEvent, who: string, about: string): void {
    if (!this.#log.isLevelEnabled(event.level)) return
    const entry = this.#kinds.get(event)?.get(who)
    if (entry === undefined) return this.#begin(event, who, about)
    if (entry.count === 0) entry.about = cutText(about)
    entry.count += 1
  }

  /** Says what is still to be said, and begins anew. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#linesLeft = this.#linesPerSecond
    for (const [event, entries] of this.#kinds) for (const [who, entry] of entries) this.#write(event, who, entry)
    this.#sum()
    this.#kinds.clear()
    this.#entries = 0
    this.#linesLeft = this.#linesPerSecond
  }

  #begin(event: ClientEvent, who: string, about: string): void {
    this.#timer ??= this.#clock.after(tickMs, () => this.#tick())
    const short = cutText(who)
    if (short !== who) {
      // The short form stands for all that begin so: what is kept here is bounded, whatever clients call themselves.
      if (this.#kinds.get(event)?.has(short) === true) return this.say(event, short, about)
      who = short
    }
    const entry: Entry = { about: cutText(about), count: 1, since: this.#clock.now() }
    if (this.#entries < entriesMax) {
      let entries = this.#kinds.get(event)
      if (entries === undefined) this.#kinds.set(event, (entries = new Map()))
      entries.set(who, entry)
      this.#entries += 1
    } else {
      // Not told apart, so it has no line of its own either.
      return this.#unsaid(event, 1)
    }
    this.#write(event, who, entry)
  }

  #write(event: ClientEvent, who: string, entry: Entry): void {
    const { count, about } = entry
    entry.count = 0
    if (count === 0) return
    if (this.#linesLeft === 0) return this.#unsaid(event, count)
    this.#linesLeft -= 1
    this.#log[event.level]({ [event.who]: who, [event.about]: about, ...event.fields, count }, event.text)
  }

  #unsaid({ text }: ClientEvent, count: number): void {
    this.#rest.set(text, (this.#rest.get(text) ?? 0) + count)
  }

  #tick(): void {
    this.#timer = null
    this.#linesLeft = this.#linesPerSecond
    const now = this.#clock.now()
    for (const [event, entries] of this.#kinds) {
      for (const [who, entry] of entries) {
        if (now - entry.since < this.#everyMs) continue
        entry.since = now
        if (entry.count > 0) {
          this.#write(event, who, entry)
        } else {
          entries.delete(who)
          this.#entries -= 1
        }
      }
      if (entries.size === 0) this.#kinds.delete(event)
    }
    this.#sum()
    if (this.#entries > 0) this.#timer ??= this.#clock.after(tickMs, () => this.#tick())
  }

  #sum(): void {
    if (this.#rest.size === 0) return
    const events = Object.fromEntries(this.#rest)
    this.#rest = new Map()
    this.#log.warn({ events }, 'more such lines than the log takes; these had none')
  }
}
