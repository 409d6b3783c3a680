import type { Message, OwnSubscription } from '../index.ts'
import type { Deliver } from './mq.ts'
import { acceptedPacket } from './packets.ts'
import type { Wiring } from './wiring.ts'

/** What the program itself has subscribed to, by function and topic filter. */
export class OwnSubscriptions {
  readonly #wiring: Wiring
  readonly #held = new Map<Deliver, Map<string, readonly OwnSubscription[]>>()

  constructor(wiring: Wiring) {
    this.#wiring = wiring
  }

  /** Subscribes a function. The same one for the same filter again is the same subscription. */
  add(filter: string, deliver: Deliver): void {
    let byFilter = this.#held.get(deliver)
    if (byFilter === undefined) this.#held.set(deliver, (byFilter = new Map()))
    if (byFilter.has(filter)) return
    const handler = (message: Message): void | Promise<void> => this.#deliver(deliver, message)
    byFilter.set(
      filter,
      [filter, ...sysTwin(filter)].map(one => this.#wiring.broker.subscribe(one, handler)),
    )
  }

  /** Ends it. */
  remove(filter: string, deliver: Deliver): void {
    const byFilter = this.#held.get(deliver)
    for (const own of byFilter?.get(filter) ?? []) own.unsubscribe()
    byFilter?.delete(filter)
    if (byFilter?.size === 0) this.#held.delete(deliver)
  }

  #deliver(deliver: Deliver, message: Message): void | Promise<void> {
    let called = false
    let resolve: (() => void) | undefined
    deliver(acceptedPacket(this.#wiring, message, undefined), () => {
      called = true
      resolve?.()
    })
    if (called) return undefined
    return new Promise(done => {
      resolve = done
    })
  }
}

/** A program's `#` and `+/…` match `$SYS/…` in aedes, and by the rules of MQTT they do not: what is subscribed to besides. */
function sysTwin(filter: string): string[] {
  if (filter === '#') return ['$SYS/#']
  return filter.startsWith('+/') ? [`$SYS${filter.slice(1)}`] : []
}
