import type { Broker } from '../../core/broker.ts'

/** Something that is wrong for a while, and somebody should see to. */
export interface Alarm {
  /** What it is called, in `status`, in the log, at `$SYS/broker/alarms/NAME` and in `/metrics`: `storeFull`. */
  readonly name: string
  /** What is wrong, in one line. */
  readonly text: string
  /** Since when: milliseconds since the Unix epoch. */
  readonly since: number
}

/** Looks whether something is wrong: what, in one line, or null. It changes nothing, answers at once, and is asked every few seconds. */
export type AlarmCheck = (now: number) => string | null

/** What has begun and what is over since the last look. */
export interface AlarmChanges {
  /** Alarms that have begun. */
  readonly raised: readonly Alarm[]
  /** Alarms that are over. */
  readonly cleared: readonly Alarm[]
}

/** The alarms of one broker: whoever knows of something that can be wrong adds a check. */
export class Alarms {
  readonly #now: () => number
  readonly #checks = new Map<string, AlarmCheck>()
  readonly #active = new Map<string, Alarm>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** Adds a check; returns what takes it away again. Of several of one name the last counts. */
  watch(name: string, check: AlarmCheck): () => void {
    this.#checks.set(name, check)
    return () => {
      if (this.#checks.get(name) !== check) return
      this.#checks.delete(name)
      this.#active.delete(name)
    }
  }

  /** All that there can be. */
  get names(): readonly string[] {
    return [...this.#checks.keys()]
  }

  /** Those that are on, as of the last look. */
  get active(): readonly Alarm[] {
    return [...this.#active.values()]
  }

  /** Asks all checks. One that fails itself says nothing. */
  look(): AlarmChanges {
    const now = this.#now()
    const raised: Alarm[] = []
    const cleared: Alarm[] = []
    for (const [name, check] of this.#checks) {
      const text = answerOf(check, now)
      const known = this.#active.get(name)
      if (text === null) {
        if (known === undefined) continue
        this.#active.delete(name)
        cleared.push(known)
      } else {
        const alarm = { name, text, since: known?.since ?? Math.round(now) }
        this.#active.set(name, alarm)
        if (known === undefined) raised.push(alarm)
      }
    }
    return { raised, cleared }
  }
}

function answerOf(check: AlarmCheck, now: number): string | null {
  try {
    return check(now)
  } catch {
    return null
  }
}

const alarmsByBroker = new WeakMap<Broker, Alarms>()

/** The alarms of a broker. */
export function alarmsOf(broker: Broker): Alarms {
  let alarms = alarmsByBroker.get(broker)
  if (alarms === undefined) alarmsByBroker.set(broker, (alarms = new Alarms(() => broker.clock.now())))
  return alarms
}
