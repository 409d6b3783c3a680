import { createHmac } from 'node:crypto'
import type { Clock } from '../../core/time/clock.ts'
import { Limiter } from '../kit/limiter.ts'
import { networkOf } from '../kit/network.ts'
import { decoyHash, isPassword, type PasswordHash } from '../kit/password-hash.ts'
import type { Role } from '../kit/verbs/define-verb.ts'
import type { TokenEntry } from './token-file.ts'

/** What became of a token: whose it is, or why it lets nobody in. */
export type Checked = { readonly name: string; readonly role: Role } | 'wrong' | 'slowed' | 'busy'

// As clients that guess passwords are slowed: the eleventh failure within a minute is looked at a second later.
const failuresMax = 10
const windowMs = 60_000
const paceMs = 1000
const networksMax = 10_000
// Tokens that were right, by their keyed hashes.
const provenMax = 1000
const tokenMax = 200

/** Says whose token it is. A right one costs 0.25 s of a thread the first time, and nothing after; guesses are slowed by the address that they come from. */
export class TokenCheck {
  readonly #clock: Clock
  readonly #limiter: Limiter
  readonly #secret: Buffer
  readonly #proven = new Map<string, TokenEntry>()
  readonly #failures = new Map<string, { count: number; since: number; nextAt: number }>()
  readonly #decoy: PasswordHash
  #entries: ReadonlyMap<string, TokenEntry> = new Map()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#secret = clock.random(32)
    this.#limiter = new Limiter({ clock, concurrent: 2, waiting: 20, waitMs: 5000 })
    this.#decoy = decoyHash()
  }

  /** The tokens that count from now on; what was proven before is proven anew. */
  set entries(entries: ReadonlyMap<string, TokenEntry>) {
    this.#entries = entries
    this.#proven.clear()
  }

  /** Addresses of which failures are remembered. */
  get size(): number {
    return this.#failures.size
  }

  async check(token: string, address: string): Promise<Checked> {
    const network = networkOf(address)
    if (token.length > tokenMax) return this.#failed(network)
    const proof = createHmac('sha256', this.#secret).update(token).digest('base64')
    const proven = this.#proven.get(proof)
    if (proven !== undefined) return proven
    if (!this.#mayTry(network)) return 'slowed'
    // Where no token can be right nothing is to be learned from how soon that is said.
    if (this.#entries.size === 0) return this.#failed(network)
    if (!(await this.#limiter.enter())) return 'busy'
    const entries = this.#entries
    try {
      const dot = token.indexOf('.')
      const entry = entries.get(token.slice(0, Math.max(dot, 0)))
      // A name that there is not costs as much as one that there is.
      const isRight = await isPassword(Buffer.from(token.slice(dot + 1)), entry?.hash ?? this.#decoy)
      if (entry === undefined || !isRight) return this.#failed(network)
      // The file may have changed meanwhile.
      if (entries !== this.#entries) return this.#entries.get(entry.name)?.hash.key.equals(entry.hash.key) === true ? entry : 'wrong'
      if (this.#proven.size === provenMax) this.#proven.delete(this.#proven.keys().next().value!)
      this.#proven.set(proof, entry)
      return entry
    } finally {
      this.#limiter.leave()
    }
  }

  #mayTry(network: string): boolean {
    const known = this.#failures.get(network)
    const now = this.#clock.now()
    if (known === undefined || known.count < failuresMax || now - known.since >= windowMs) return true
    if (now < known.nextAt) return false
    known.nextAt = now + paceMs
    return true
  }

  #failed(network: string): 'wrong' {
    const now = this.#clock.now()
    const known = this.#failures.get(network)
    this.#failures.delete(network)
    if (this.#failures.size === networksMax) this.#failures.delete(this.#failures.keys().next().value!)
    const goesOn = known !== undefined && now - known.since < windowMs
    const count = goesOn ? known.count + 1 : 1
    // Counts from the last failure, so that whoever goes on guessing stays slowed.
    this.#failures.set(network, { count, since: now, nextAt: now + paceMs })
    return 'wrong'
  }
}
