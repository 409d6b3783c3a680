import { createHash } from 'node:crypto'
import type { Client } from '../../core/connection/client.ts'
import type { PluginContext } from '../../core/context.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { LimitLog } from './limit-log.ts'
import type { limitsManifest } from './manifest.ts'

export type FlappingOptions = OptionsOf<typeof limitsManifest.options>['flapping']

/** Client ids whose connections are counted: some 2 MB. Beyond it those that came longest ago are forgotten. */
export const idsMax = 10_000
/** So many clients wait for their CONNACK; more are refused. */
export const waitingMax = 1000
// Whoever has many client ids flap is banned no faster than this, so that operators' bans find room.
const bansMax = 100
const bansMs = 60_000
// A client may have an id of 65,535 bytes.
const nameMax = 100

const tooMany: Refusal = { reasonCode: ReasonCode.ConnectionRateExceeded, reasonString: 'this client id connects too often' }

/**
 * Client ids that connect again and again: two devices with one id that throw each other out, a client that gives up at once. Only who got a CONNACK counts, so nobody who is not let in has another one slowed or
 * banned.
 */
export class Flapping {
  #options: FlappingOptions
  readonly #context: PluginContext
  readonly #log: LimitLog
  // Those that connected longest ago first.
  readonly #seen = new Map<string, { count: number; since: number }>()
  #waiting = 0
  #bans = 0
  #bansSince = Number.NEGATIVE_INFINITY

  constructor(options: FlappingOptions, context: PluginContext, log: LimitLog) {
    this.#options = options
    this.#context = context
    this.#log = log
  }

  change(options: FlappingOptions): void {
    this.#options = options
  }

  /** Client ids that are remembered, for tests. */
  get size(): number {
    return this.#seen.size
  }

  /** `onConnect`: one that flaps waits, and goes on when it is still there. */
  async connect(client: Client): Promise<Refusal | undefined> {
    const { max, delay } = this.#options
    const known = this.#known(client.clientId)
    if (max === null || known === undefined || known.count < max) return undefined
    if (this.#waiting >= waitingMax) return tooMany
    this.#waiting += 1
    await new Promise<void>(done => this.#context.clock.after(delay, done))
    this.#waiting -= 1
    return undefined
  }

  /** `onConnected`. */
  connected({ clientId, remoteAddress: address }: Client): void {
    const { max, within, ban } = this.#options
    if (max === null) return
    const name = nameOf(clientId)
    const known = this.#known(clientId)
    const entry = known ?? { count: 0, since: this.#context.clock.now() }
    entry.count += 1
    this.#seen.delete(name)
    if (this.#seen.size >= idsMax) this.#seen.delete(this.#seen.keys().next().value!)
    this.#seen.set(name, entry)
    if (entry.count < max) return
    const what = `${entry.count} connections of one client id within ${Math.round(within / 1000)} s`
    const isBanned = entry.count === max && ban !== null && this.#mayBan()
    this.#log.hit('flapping', `${what}; it is ${isBanned ? 'banned' : 'slowed'}`, () => ({ clientId, address }))
    if (isBanned) this.#ban(clientId, ban, what)
  }

  #known(clientId: string): { count: number; since: number } | undefined {
    const known = this.#seen.get(nameOf(clientId))
    return known !== undefined && this.#context.clock.now() - known.since < this.#options.within ? known : undefined
  }

  #mayBan(): boolean {
    const now = this.#context.clock.now()
    if (now - this.#bansSince >= bansMs) [this.#bans, this.#bansSince] = [0, now]
    this.#bans += 1
    return this.#bans <= bansMax
  }

  // As an operator would, so that guards are asked and the audit has it. Where that is refused, the client is slowed all the same.
  #ban(id: string, ms: number, reason: string): void {
    const { broker, log } = this.#context
    broker.operate({ name: 'limits', via: 'program' }, 'ban' as string, { id, for: ms, reason }).then(
      // The ban keeps it out: it is refused at once, and counted anew afterwards.
      () => void this.#seen.delete(nameOf(id)),
      (error: Error) => log.warn({ clientId: id, err: error }, `a client id that flaps could not be banned: ${error.message}`),
    )
  }
}

function nameOf(clientId: string): string {
  return clientId.length <= nameMax ? clientId : createHash('sha256').update(clientId).digest('base64')
}
