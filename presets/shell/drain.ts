import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { Timer } from '../../core/time/clock.ts'
import { type Draining, setDraining } from '../../plugins/kit/draining.ts'
import type { VerbWork } from '../../plugins/kit/verbs/define-verb.ts'
import type { PluginHost } from './plugin-host.ts'
import type { DrainAnswer, drainVerb, UndrainAnswer, undrainVerb } from './shell-verb-declarations.ts'

// Clients go in steps of so many milliseconds.
const stepMs = 100
// A client whose publishes are not acknowledged by then (a store that is away) is sent away all the same, and sends them again elsewhere.
const patienceMs = 5000
const name = 'drain'

/**
 * Empties a node before it is stopped: listeners close, health checks fail, and clients are sent away at a pace that the other nodes can take. No publish fails by that: of a client whose
 * turn has come nothing more is read, what was read is acknowledged, and then it is told to go. What it sent beyond, it sends again where it comes next.
 */
export class Drain {
  readonly #broker: Broker
  readonly #host: PluginHost
  #state: Draining | null = null
  #code: ReasonCode = ReasonCode.ServerShuttingDown
  #timer: Timer | null = null
  #clients: Iterator<Client> | null = null
  // Of whom nothing more is read, and until when their acknowledgements are waited for.
  readonly #leaving = new Map<Client, number>()
  // The pace holds from here on.
  #pacedAt = 0
  #paced = 0
  #tapped = false
  #isOver = false

  constructor(broker: Broker, host: PluginHost) {
    this.#broker = broker
    this.#host = host
  }

  /** `drain`. */
  readonly begin: VerbWork<typeof drainVerb.takes> = {
    run: async (_broker, { rate: asked, reference, moved }): Promise<DrainAnswer> => {
      if (moved && reference === null) throw new OperatorError('ERR_ARGUMENTS', 'drain: --moved says where to: add --reference HOST')
      const { clock, log, counters, worker } = this.#broker
      // The workers of a broker keep the pace together.
      const rate = worker === null ? asked : Math.ceil(asked / worker.count)
      const now = clock.now()
      const isNew = this.#state === null
      this.#code = reference === null ? ReasonCode.ServerShuttingDown : moved ? ReasonCode.ServerMoved : ReasonCode.UseAnotherServer
      this.#set({ since: this.#state?.since ?? Math.round(now), rate, reference, sent: this.#state?.sent ?? 0 })
      this.#pacedAt = now
      this.#paced = 0
      this.#isOver = false
      this.#tap()
      if (isNew) {
        await this.#host.unlisten()
        log.info({ rate, reference }, `draining: no client is let in, and ${rate} a second are sent away`)
      }
      this.#timer ??= clock.every(stepMs, () => this.#step())
      const clients = counters.connected
      return { clients, rate: asked, reference, endsAt: Math.round(now + (clients / rate) * 1000) }
    },
    merge: (parts, missing) => {
      const answers = parts.map(({ answer }) => answer as DrainAnswer)
      const clients = answers.reduce((sum, answer) => sum + answer.clients, 0)
      const endsAt = Math.max(...answers.map(answer => answer.endsAt))
      return { ...answers[0], clients, endsAt, ...(missing.length > 0 ? { missing } : {}) }
    },
  }

  /** `undrain`. */
  readonly end: VerbWork<typeof undrainVerb.takes> = {
    run: async (): Promise<UndrainAnswer> => {
      if (this.#state === null) return { undrained: false, listeners: [] }
      this.#timer?.cancel()
      this.#timer = null
      this.#clients = null
      for (const client of this.#leaving.keys()) client.resumeReading(name)
      this.#leaving.clear()
      const listeners = await this.#host.relisten()
      this.#set(null)
      this.#broker.log.info('no longer draining: clients are let in again')
      for (const line of listeners) this.#broker.log.info(line)
      return { undrained: true, listeners }
    },
    merge: (parts, missing) => {
      const answers = parts.map(({ answer }) => answer as UndrainAnswer)
      const listeners = [...new Set(answers.flatMap(answer => answer.listeners))]
      return { undrained: answers.some(({ undrained }) => undrained), listeners, ...(missing.length > 0 ? { missing } : {}) }
    },
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #set(state: Draining | null): void {
    this.#state = state
    setDraining(this.#broker, state)
  }

  // Those that were accepted before the listeners closed, and those that a program brings by itself.
  #tap(): void {
    if (this.#tapped) return
    this.#tapped = true
    const { hooks } = this.#broker
    const refuse = (): Refusal | undefined => this.#refusal()
    hooks.onAccept.tap({ name, stage: Stage.Guard }, refuse)
    hooks.onConnect.tap({ name, stage: Stage.Guard }, refuse)
  }

  #refusal(): Refusal | undefined {
    if (this.#state === null) return undefined
    const { reference } = this.#state
    const reasonString = 'this node is being drained'
    if (reference === null) return { reasonCode: ReasonCode.ServerUnavailable, reasonString }
    return { reasonCode: this.#code, reasonString, serverReference: reference }
  }

  #step(): void {
    const { clock, counters, log } = this.#broker
    const state = this.#state!
    const now = clock.now()
    for (const [client, until] of this.#leaving) if (client.closed || client.unanswered === 0 || now >= until) this.#close(client)
    const due = Math.floor(((now - this.#pacedAt) / 1000) * state.rate) - this.#paced
    for (let i = 0; i < due; i++) {
      const client = this.#next()
      if (client === undefined) break
      this.#paced += 1
      client.pauseReading(name)
      if (client.unanswered === 0) this.#close(client)
      else this.#leaving.set(client, now + patienceMs)
    }
    if (this.#isOver || counters.connected > 0) return
    this.#isOver = true
    log.info(
      { sent: this.#state!.sent, seconds: Math.round((now - state.since) / 1000) },
      'drained: no client is connected any more; the node can be stopped',
    )
  }

  // Those that came in between stand at the end of the set; whoever was in its handshake is found by the next walk.
  #next(): Client | undefined {
    for (let walks = 0; walks < 2; ) {
      this.#clients ??= this.#broker.clients[Symbol.iterator]()
      const { value: client, done } = this.#clients.next()
      if (done === true) {
        this.#clients = null
        walks += 1
      } else if (client.state === 'connected' && !client.closed && !this.#leaving.has(client)) return client
    }
    return undefined
  }

  #close(client: Client): void {
    this.#leaving.delete(client)
    if (client.closed) return
    const { reference, sent } = this.#state!
    client.close(this.#code, 'this node is being drained', reference ?? undefined)
    this.#set({ ...this.#state!, sent: sent + 1 })
  }
}
