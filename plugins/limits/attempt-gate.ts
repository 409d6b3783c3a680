import type { Client } from '../../core/connection/client.ts'
import type { PluginContext } from '../../core/context.ts'
import type { Counters } from '../../core/counters.ts'
import { Stage } from '../../core/hooks.ts'
import type { Log } from '../../core/log.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { networkOf } from '../kit/network.ts'

// The eleventh failure within a minute is the first that had to wait.
const failuresMax = 10
const windowMs = 60_000
const paceMs = 1000
/** Attempts of a slowed address that wait; more are turned away unasked. */
const slowedMax = 30
/** Attempts of any address that are looked at side by side: so many guesses may still be on their way when the tenth has failed. */
const underwayMax = 50
/** Attempts of an address that nothing is known against: a whole fleet may stand behind one. */
const waitingMax = 2000
/** Addresses of which failures are remembered: some 3 MB. */
const addressesMax = 10_000

interface WaitingAttempt {
  readonly client: Client
  resolve(asked: boolean): void
}

class Address {
  underway = 0
  /** When the last attempts failed, at most `failuresMax`, oldest first. */
  readonly failures: number[] = []
  waiting: WaitingAttempt[] = []
  timer: Timer | null = null
  warnedAt = Number.NEGATIVE_INFINITY

  isSlowed(now: number): boolean {
    return this.failures.length === failuresMax && now - this.failures[0]! < windowMs
  }

  isIdle(now: number): boolean {
    return this.underway === 0 && this.waiting.length === 0 && !(now - (this.failures.at(-1) ?? Number.NEGATIVE_INFINITY) < windowMs)
  }
}

const tooMany: Refusal = { reasonCode: ReasonCode.ConnectionRateExceeded, reasonString: 'too many failed attempts from this address' }
const tap = { name: 'limits', stage: Stage.Guard }

/**
 * Lets attempts to connect pass to authentication, and slows those of an address from which many have failed. Who guesses passwords fails often, so an address from which ten attempts have failed within a minute
 * has its next ones looked at one a second, before anybody is asked; right ones too, for that is not known yet.
 */
export class AttemptGate {
  readonly #clock: Clock
  readonly #counters: Counters
  readonly #log: Log
  readonly #addresses: Map<string, Address>

  // Those that are being asked who they are; one that is asked again and again, by an exchange, is none of them.
  readonly #asked: WeakSet<Client>

  constructor({ hooks, clock, log, broker }: PluginContext) {
    this.#clock = clock
    this.#counters = broker.counters
    this.#log = log
    this.#addresses = new Map()
    this.#asked = new WeakSet()
    hooks.onAttempt.tapPromise(tap, async (client, { properties }) => {
      const entering = this.#enter(client)
      if (entering !== true && !(await entering)) return tooMany
      // An exchange waits for its client, who must not keep others out that long.
      if (properties?.authenticationMethod !== undefined) this.#leave(client)
      else this.#asked.add(client)
      return undefined
    })
    hooks.onAttempted.tap(tap, (client, refusal) => {
      if (refusal !== null && isFailure(refusal)) this.#failed(client)
      if (this.#asked.delete(client)) this.#leave(client)
    })
  }

  /** Addresses that something is known of. */
  get size(): number {
    return this.#addresses.size
  }

  /** True when the client may be asked who it is, now or later; false: too many wait before it, or it has gone. Then `#leave`. */
  #enter(client: Client): true | Promise<boolean> {
    const name = networkOf(client.remoteAddress)
    let address = this.#addresses.get(name)
    if (address === undefined) {
      address = new Address()
      this.#makeRoom()
      this.#addresses.set(name, address)
    }
    const slowed = address.isSlowed(this.#clock.now())
    if (!slowed && address.waiting.length === 0 && address.underway < underwayMax) {
      address.underway += 1
      return true
    }
    if (slowed) this.#counters.authSlowed += 1
    if (address.waiting.length >= (slowed ? slowedMax : waitingMax)) {
      // Those who did not wait for their turn leave room.
      for (const { resolve } of address.waiting.filter(waiting => !isThere(waiting))) resolve(false)
      address.waiting = address.waiting.filter(isThere)
      if (address.waiting.length >= (slowed ? slowedMax : waitingMax)) {
        this.#counters.authTurnedAway += 1
        return Promise.resolve(false)
      }
    }
    return new Promise(resolve => {
      address.waiting.push({ client, resolve })
      if (slowed) this.#pace(name, address)
    })
  }

  /** The answer of one that had entered is there. */
  #leave(client: Client): void {
    const name = networkOf(client.remoteAddress)
    const address = this.#addresses.get(name)
    if (address === undefined) return
    address.underway -= 1
    this.#letIn(name, address)
    if (address.isIdle(this.#clock.now())) this.#addresses.delete(name)
  }

  /** It was the wrong answer. Called before `#leave`. */
  #failed(client: Client): void {
    this.#counters.authFailed += 1
    const name = networkOf(client.remoteAddress)
    // Where nothing is known of the other end, nothing can be held against it.
    if (name === '') return
    let address = this.#addresses.get(name)
    if (address === undefined) {
      address = new Address()
      this.#makeRoom()
      this.#addresses.set(name, address)
    }
    const now = this.#clock.now()
    address.failures.push(now)
    if (address.failures.length > failuresMax) address.failures.shift()
    if (!address.isSlowed(now)) return
    for (const { resolve } of address.waiting.splice(slowedMax)) {
      this.#counters.authTurnedAway += 1
      resolve(false)
    }
    if (now - address.warnedAt < windowMs) return
    address.warnedAt = now
    this.#log.warn({ address: name }, `${failuresMax} attempts to connect from this address have failed within a minute; it is slowed`)
  }

  #letIn(name: string, address: Address): void {
    if (address.isSlowed(this.#clock.now())) {
      if (address.waiting.length > 0) this.#pace(name, address)
      return
    }
    while (address.waiting.length > 0 && address.underway < underwayMax) this.#next(address)
  }

  // The first that is still there.
  #next(address: Address): void {
    for (let waiting = address.waiting.shift(); waiting !== undefined; waiting = address.waiting.shift()) {
      if (!isThere(waiting)) {
        waiting.resolve(false)
        continue
      }
      address.underway += 1
      waiting.resolve(true)
      return
    }
  }

  #pace(name: string, address: Address): void {
    address.timer ??= this.#clock.after(paceMs, () => {
      address.timer = null
      this.#next(address)
      this.#letIn(name, address)
      if (address.isIdle(this.#clock.now()) && this.#addresses.get(name) === address) this.#addresses.delete(name)
    })
  }

  // The longest known go first; one at which something is under way is not forgotten, and connections bound how many those are.
  #makeRoom(): void {
    if (this.#addresses.size < addressesMax) return
    let looked = 0
    for (const [name, { underway, waiting }] of this.#addresses) {
      if (underway === 0 && waiting.length === 0) this.#addresses.delete(name)
      if (++looked >= 16) return
    }
  }
}

function isThere({ client }: WaitingAttempt): boolean {
  return !client.closed
}

// Not the trouble of those who are asked, which is no fault of the client.
function isFailure({ reasonCode, blameless }: Refusal): boolean {
  if (blameless === true) return false
  return reasonCode === ReasonCode.BadUserNameOrPassword || reasonCode === ReasonCode.NotAuthorized || reasonCode === ReasonCode.Banned
}
