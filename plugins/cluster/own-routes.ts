import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/connection/client.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import type { Bus } from '../kit/services/bus.ts'
import { memberKey, memberValue, Wants } from './route-rows.ts'
import { rowHash } from './row-hash.ts'

/** How many of this node's connections have a filter: of sessions that end with them and of durable ones, at QoS 0 and above. */
interface Counts {
  clean0: number
  clean1: number
  durable0: number
  durable1: number
}

// So many rows go into one announcement.
const rowsPerRecord = 500

/** A change of rows as it is announced: key and value in turn; no value: the row is gone. */
export type RowsRecord = readonly ['r', ...string[]]
/** A node's whole table as it ought to look to the others by now. */
export type CheckRecord = readonly ['#', count: number, hash: number]

/** What this node's connections have subscribed to, as the other nodes have to know it; what has changed in a turn goes out together. */
export class OwnRoutes {
  readonly #bus: Bus
  readonly #broker: Broker
  readonly #counts = new Map<string, Counts>()
  /** As announced. */
  readonly #rows = new Map<string, string>()
  readonly #changed = new Map<string, string>()
  #hash = 0

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
  }

  /** Rows in the table. */
  get size(): number {
    return this.#rows.size
  }

  add(session: Session, subscription: Subscription): void {
    this.#count(session, subscription, 1)
  }

  remove(session: Session, subscription: Subscription): void {
    this.#count(session, subscription, -1)
  }

  #count(session: Session, subscription: Subscription, by: 1 | -1): void {
    const { filter } = subscription
    // Each node has its own.
    if (filter.startsWith('$SYS/')) return
    if (filter.startsWith('$share/')) {
      // All nodes know the members that the store knows.
      if (!session.durable) this.#set(memberKey(filter, session.clientId), by === 1 ? memberValue(subscription) : '')
      return
    }
    let counts = this.#counts.get(filter)
    if (counts === undefined) this.#counts.set(filter, (counts = { clean0: 0, clean1: 0, durable0: 0, durable1: 0 }))
    counts[`${session.durable ? 'durable' : 'clean'}${subscription.qos === 0 ? 0 : 1}`] += by
    const { clean0, clean1, durable0, durable1 } = counts
    if (clean0 + clean1 + durable0 + durable1 === 0) {
      this.#counts.delete(filter)
      this.#set(filter, '')
      return
    }
    const value = Wants.Qos0 + (clean1 > 0 ? Wants.Kept : 0) + (clean0 + durable0 > 0 ? Wants.Lowered : 0)
    this.#set(filter, String(value))
  }

  #set(key: string, value: string): void {
    if ((this.#rows.get(key) ?? '') === value && !this.#changed.has(key)) return
    if (this.#changed.size === 0) this.#broker.clock.turn(() => this.flush())
    this.#changed.set(key, value)
  }

  /** Tells the others what has changed. */
  flush(): void {
    if (this.#changed.size === 0) return
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const [key, value] of changed) this.#apply(key, value)
    this.#send(changed)
  }

  #apply(key: string, value: string): void {
    const before = this.#rows.get(key)
    if (before !== undefined) this.#hash = (this.#hash ^ rowHash(key, before)) >>> 0
    if (value === '') {
      this.#rows.delete(key)
    } else {
      this.#rows.set(key, value)
      this.#hash = (this.#hash ^ rowHash(key, value)) >>> 0
    }
  }

  // The rows first: who hears of a change and then reads the table must find it there.
  #send(changed: readonly (readonly [key: string, value: string])[]): void {
    for (let from = 0; from < changed.length; from += rowsPerRecord) {
      const slice = changed.slice(from, from + rowsPerRecord)
      for (const [key, value] of slice) this.#watch(this.#bus.setRow('routes', key, value === '' ? null : Buffer.from(value)))
      this.#watch(this.#bus.announce(['r', ...slice.flat()] satisfies RowsRecord))
    }
  }

  /** All rows anew: the others do not have them any more. */
  resend(): void {
    this.flush()
    this.#send([...this.#rows])
  }

  /** Lets the others see whether they have what they should. */
  check(): void {
    this.flush()
    this.#watch(this.#bus.announce(['#', this.#rows.size, this.#hash] satisfies CheckRecord))
  }

  #watch(done: Promise<void>): void {
    done.catch(error => this.#broker.report(error))
  }
}
