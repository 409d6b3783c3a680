import { createHash, createHmac } from 'node:crypto'
import type { Client } from '../../core/connection/client.ts'
import type { PluginContext } from '../../core/context.ts'
import type { Counters } from '../../core/counters.ts'
import { Stage } from '../../core/hooks.ts'
import type { Log } from '../../core/log.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { Clock } from '../../core/time/clock.ts'
import { networkOf } from '../kit/network.ts'
import { AttemptLine, type AttemptPace, windowMs } from './attempt-line.ts'

// The eleventh failure of a user within a minute is the first that had to wait.
const ofUser: AttemptPace = { failuresMax: 10, paceMs: 1000, slowedMax: 30, waitingMax: 2000, underwayMax: 50 }
// Whoever tries many names, a few passwords each, is slowed too; those whose users are slowed already do not count again.
const ofAddress: AttemptPace = { failuresMax: 100, paceMs: 200, slowedMax: 150, waitingMax: 2000, underwayMax: 50 }
/** Addresses, and users of addresses, of which failures are remembered: some 3 MB and 6 MB. */
const addressesMax = 10_000
const usersMax = 20_000
/** Passwords that were right, each from its address: some 10 MB. */
const provenMax = 100_000
// A client may give itself a name of 65,535 bytes.
const nameMax = 100

const tooMany: Refusal = { reasonCode: ReasonCode.ConnectionRateExceeded, reasonString: 'too many failed attempts' }
const tap = { name: 'limits', stage: Stage.Guard }

/** An attempt that is being looked at. */
interface Attempt {
  /** What stands for address, user and password together; null: there is no password that could be told again. */
  readonly proof: string | null
  /** Where it has entered, and has to leave. */
  readonly lines: readonly AttemptLine[]
}

/**
 * Lets attempts to connect pass to authentication, and slows those who guess. Guesses count for each user name and address: where ten have failed within a
 * minute, the next ones of that name from there are looked at one a second, before anybody is asked. Where a hundred have failed from an address, all
 * from there that are not proven take turns, five a second. Who comes with a password that was right before, from the same address, is asked at once:
 * a wrong password behind a shared address keeps nobody else out.
 */
export class AttemptGate {
  readonly #clock: Clock
  readonly #counters: Counters
  readonly #log: Log
  readonly #addresses = new Map<string, AttemptLine>()
  readonly #users = new Map<string, AttemptLine>()
  // Keyed hashes of what was right, those that were used longest ago first.
  readonly #proven = new Set<string>()
  readonly #secret: Buffer
  readonly #attempts = new WeakMap<Client, Attempt>()

  constructor({ hooks, clock, log, broker }: PluginContext) {
    this.#clock = clock
    this.#secret = clock.random(32)
    this.#counters = broker.counters
    this.#log = log
    hooks.onAttempt.tapPromise(tap, async (client, { password, properties }) => {
      const exchange = properties?.authenticationMethod !== undefined
      const proof = exchange ? null : this.#proofOf(client, password)
      const lines = await (proof !== null && this.#proven.has(proof) ? this.#enterProven(client) : this.#enter(client))
      if (lines === null) {
        if (!client.closed) this.#counters.authTurnedAway += 1
        return tooMany
      }
      // An exchange waits for its client, who must not keep others out that long.
      if (exchange) for (const line of lines) line.leave()
      this.#attempts.set(client, { proof, lines: exchange ? [] : lines })
      return undefined
    })
    hooks.onAttempted.tap(tap, (client, refusal) => {
      const attempt = this.#attempts.get(client)
      this.#attempts.delete(client)
      const proof = attempt?.proof ?? null
      if (refusal === null && proof !== null) this.#prove(proof)
      else if (refusal !== null && isFailure(refusal)) this.#failed(client, proof)
      for (const line of attempt?.lines ?? []) line.leave()
    })
  }

  /** Addresses that something is known of. */
  get size(): number {
    return this.#addresses.size
  }

  /** User names of addresses that something is known of. */
  get users(): number {
    return this.#users.size
  }

  /** Passwords that were right and are remembered, by their hashes. */
  get proven(): number {
    return this.#proven.size
  }

  /** The lines in which it has had its turn; null: too many wait before it, or it has gone. */
  async #enter(client: Client): Promise<AttemptLine[] | null> {
    const network = networkOf(client.remoteAddress)
    const entered: AttemptLine[] = []
    let slowed = false
    for (const find of [() => this.#lineOfUser(network, client), () => this.#lineOfAddress(network)]) {
      const line = find()
      if (line.slowed && !slowed) this.#counters.authSlowed += 1
      slowed ||= line.slowed
      const entering = line.enter(client)
      if (entering !== true && !(await entering)) {
        for (const other of entered) other.leave()
        return null
      }
      entered.push(line)
    }
    return entered
  }

  /** Whoever is proven is slowed by nobody, but a whole fleet that comes back takes its turns at authentication. */
  async #enterProven(client: Client): Promise<AttemptLine[] | null> {
    const line = this.#lineOfAddress(networkOf(client.remoteAddress))
    const entering = line.enterProven(client)
    return entering === true || (await entering) ? [line] : null
  }

  #failed(client: Client, proof: string | null): void {
    this.#counters.authFailed += 1
    const address = networkOf(client.remoteAddress)
    // Where nothing is known of the other end, nothing can be held against it.
    if (address === '') return
    // What was right is no longer.
    if (proof !== null) this.#proven.delete(proof)
    const user = this.#lineOfUser(address, client)
    const all = this.#lineOfAddress(address)
    if (!user.slowed) all.failed()
    user.failed()
    const now = this.#clock.now()
    if (now - all.warnedAt < windowMs) return
    if (all.slowed)
      this.#log.warn(
        { address },
        `${ofAddress.failuresMax} attempts to connect from this address have failed within a minute; it is slowed`,
      )
    else if (user.slowed) {
      const username = client.username?.slice(0, nameMax) ?? null
      const what = `${ofUser.failuresMax} attempts to connect from this address under this user name have failed within a minute; they are slowed`
      this.#log.warn({ address, username }, what)
    } else return
    all.warnedAt = now
  }

  #prove(proof: string): void {
    this.#proven.delete(proof)
    this.#proven.add(proof)
    if (this.#proven.size <= provenMax) return
    for (const oldest of this.#proven) {
      this.#proven.delete(oldest)
      return
    }
  }

  #lineOfAddress(network: string): AttemptLine {
    return lineOf(this.#addresses, network, addressesMax, this.#clock, ofAddress)
  }

  #lineOfUser(network: string, client: Client): AttemptLine {
    return lineOf(this.#users, `${network} ${whoIs(client)}`, usersMax, this.#clock, ofUser)
  }

  // Only this process knows the key, so that what is remembered tells nobody a password.
  #proofOf(client: Client, password: Buffer | undefined): string | null {
    if (password === undefined && client.transport.peerCertificate?.verified !== true) return null
    const who = `${networkOf(client.remoteAddress)} ${whoIs(client)}`
    const hash = createHmac('sha256', this.#secret).update(`${who.length} ${who}`)
    if (password !== undefined) hash.update(password)
    return hash.digest('base64').slice(0, 16)
  }
}

function lineOf(lines: Map<string, AttemptLine>, name: string, max: number, clock: Clock, pace: AttemptPace): AttemptLine {
  let line = lines.get(name)
  if (line !== undefined) return line
  if (lines.size >= max) makeRoom(lines)
  const made = new AttemptLine(clock, pace, () => {
    if (lines.get(name) === made) lines.delete(name)
  })
  line = made
  lines.set(name, line)
  return line
}

// The longest known go first; one at which something is under way is not forgotten, and connections bound how many those are.
function makeRoom(lines: Map<string, AttemptLine>): void {
  let looked = 0
  for (const [name, { busy }] of lines) {
    if (!busy) lines.delete(name)
    if (++looked >= 16) return
  }
}

/** Who an attempt says that it is: the certificate that was checked, if there is one, and the user name. */
function whoIs({ transport, username }: Client): string {
  const { peerCertificate } = transport
  const certificate = peerCertificate?.verified === true ? peerCertificate.fingerprint : ''
  const name =
    username === null ? '-' : username.length <= nameMax ? `=${username}` : `#${createHash('sha256').update(username).digest('base64')}`
  return `${certificate} ${name}`
}

// Not the trouble of those who are asked, which is no fault of the client.
function isFailure({ reasonCode, blameless }: Refusal): boolean {
  if (blameless === true) return false
  return reasonCode === ReasonCode.BadUserNameOrPassword || reasonCode === ReasonCode.NotAuthorized || reasonCode === ReasonCode.Banned
}
