import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import type { Transport } from '../../core/connection/transport.ts'
import type { LimitName } from '../../core/counter-names.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import { networkOf } from '../kit/network.ts'
import { type AddressEntry, AddressTable } from './address-table.ts'
import type { LimitLog } from './limit-log.ts'
import type { limitsManifest } from './manifest.ts'
import type { MemoryWatch } from './memory-watch.ts'
import { type Rate, rateOf } from './rate.ts'
import { TokenBucket } from './token-bucket.ts'

// So many refused connections at once are kept until their CONNECT has come, to be told why; the others are just closed.
export const toldMax = 256

/** How many connections there are, from where and of whom, and how fast they come. */
export class ConnectionLimits {
  #options: OptionsOf<typeof limitsManifest.options>
  readonly #log: LimitLog
  readonly #broker: Broker
  readonly #memory: MemoryWatch | null
  #rate: TokenBucket | null
  readonly #addresses: AddressTable
  readonly #open: Map<Transport, AddressEntry>
  readonly #told: Set<Transport>
  readonly #users: Map<string, number>
  readonly #userOf: Map<Client, string>

  constructor(options: OptionsOf<typeof limitsManifest.options>, broker: Broker, log: LimitLog, memory: MemoryWatch | null) {
    this.#options = options
    this.#broker = broker
    this.#log = log
    this.#memory = memory
    this.#rate = bucketOf(broker, options)
    this.#addresses = new AddressTable(broker, rateOfAddress(options))
    this.#open = new Map()
    this.#told = new Set()
    this.#users = new Map()
    this.#userOf = new Map()
  }

  /** Whether any of it is asked for. */
  get used(): boolean {
    const { maxConnections, maxConnectionsPerAddress, connectsPerSecond, connectsPerSecondPerAddress } = this.#options
    return (
      this.#memory !== null ||
      maxConnections !== null ||
      maxConnectionsPerAddress !== null ||
      connectsPerSecond !== null ||
      connectsPerSecondPerAddress !== null
    )
  }

  /** Other limits from now on, by which nobody who is there has to go. */
  change(options: OptionsOf<typeof limitsManifest.options>): void {
    const before = this.#options
    this.#options = options
    const changed = (...names: readonly (keyof typeof options)[]): boolean => names.some(name => before[name] !== options[name])
    if (changed('connectsPerSecond', 'connectBurst')) this.#rate = bucketOf(this.#broker, options)
    if (changed('connectsPerSecondPerAddress', 'connectBurstPerAddress')) this.#addresses.changeRate(rateOfAddress(options))
    // Those who came while nobody counted.
    for (const client of this.#broker.clients) this.#count(client)
  }

  #count(client: Client): void {
    const { transport, username } = client
    if (this.used && !this.#open.has(transport)) {
      const entry = this.#addresses.find(networkOf(transport.remoteAddress, this.#options.ipv6Prefix))
      this.#addresses.enter(entry)
      this.#open.set(transport, entry)
    }
    if (this.#options.maxConnectionsPerUser === null || username === null || this.#userOf.has(client) || client.state !== 'connected')
      return
    this.#users.set(username, (this.#users.get(username) ?? 0) + 1)
    this.#userOf.set(client, username)
  }

  /** Addresses that are remembered, for tests. */
  get addresses(): number {
    return this.#addresses.size
  }

  /** Clients that are counted under a user name, for tests. */
  get users(): number {
    return this.#userOf.size
  }

  /** `onAccept`. */
  accept(transport: Transport): Refusal | false | undefined {
    const entry = this.#addresses.find(networkOf(transport.remoteAddress, this.#options.ipv6Prefix))
    const refusal = this.#refusal(transport, entry)
    if (refusal === null) {
      this.#addresses.enter(entry)
      this.#open.set(transport, entry)
      return undefined
    }
    if (this.#told.size >= toldMax) return false
    this.#told.add(transport)
    return refusal
  }

  #refusal(transport: Transport, entry: AddressEntry): Refusal | null {
    const { maxConnections, maxConnectionsPerAddress } = this.#options
    const refuse = (limit: LimitName, reasonCode: ReasonCode, reasonString: string): Refusal => {
      const { remoteAddress: address, listener } = transport
      this.#log.hit(limit, `connections are refused: ${reasonString}`, () => ({ address, listener }))
      return { reasonCode, reasonString }
    }
    if (this.#memory?.refuses === true) return refuse('memoryRefused', ReasonCode.QuotaExceeded, 'the broker is short of memory')
    if (maxConnections !== null && this.#open.size >= maxConnections)
      return refuse('connections', ReasonCode.QuotaExceeded, 'the broker has as many connections as it takes')
    if (maxConnectionsPerAddress !== null && entry.connections >= maxConnectionsPerAddress)
      return refuse('connectionsPerAddress', ReasonCode.QuotaExceeded, 'too many connections from this address')
    // Whoever comes too fast by itself takes nothing from what all have together.
    if (entry.bucket?.open === false)
      return refuse('connectRatePerAddress', ReasonCode.ConnectionRateExceeded, 'connections come too fast from this address')
    if (this.#rate?.tryTake(1) === false) return refuse('connectRate', ReasonCode.ConnectionRateExceeded, 'connections come too fast')
    entry.bucket?.take(1)
    return null
  }

  /** `onClosed`. */
  closed(transport: Transport): void {
    this.#told.delete(transport)
    const entry = this.#open.get(transport)
    if (entry === undefined) return
    this.#open.delete(transport)
    this.#addresses.leave(entry)
  }

  /** `onConnect`: memory may have run short since the connection was accepted, and now it is known whose it is. */
  connect(client: Client): Refusal | undefined {
    const { clientId, username } = client
    if (this.#memory?.refuses === true) {
      this.#log.hit('memoryRefused', 'clients are refused: the broker is short of memory', () => ({
        clientId,
        address: client.remoteAddress,
      }))
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString: 'the broker is short of memory' }
    }
    const { maxConnectionsPerUser } = this.#options
    if (maxConnectionsPerUser === null || username === null) return undefined
    const count = this.#users.get(username) ?? 0
    // The connection that this one takes over is as good as gone.
    const before = this.#broker.clientOf(clientId)
    const replaced = before !== undefined && this.#userOf.get(before) === username ? 1 : 0
    if (count - replaced >= maxConnectionsPerUser) {
      this.#log.hit('connectionsPerUser', 'clients are refused: too many connections of one user', () => ({ clientId, username }))
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString: 'too many connections of this user' }
    }
    this.#users.set(username, count + 1)
    this.#userOf.set(client, username)
    return undefined
  }

  /** `onDisconnect`. */
  disconnected(client: Client): void {
    const username = this.#userOf.get(client)
    if (username === undefined) return
    this.#userOf.delete(client)
    const count = this.#users.get(username)! - 1
    if (count === 0) this.#users.delete(username)
    else this.#users.set(username, count)
  }
}

type Options = OptionsOf<typeof limitsManifest.options>

function bucketOf(broker: Broker, { connectsPerSecond, connectBurst }: Options): TokenBucket | null {
  const rate = rateOf(connectsPerSecond, connectBurst)
  return rate === null ? null : new TokenBucket(broker, rate.perSecond, rate.burst)
}

function rateOfAddress({ connectsPerSecondPerAddress, connectBurstPerAddress }: Options): Rate | null {
  return rateOf(connectsPerSecondPerAddress, connectBurstPerAddress)
}
