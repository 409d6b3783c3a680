import type { Broker } from '../../core/broker.ts'
import type { Timer } from '../../core/time/clock.ts'
import type { ActedOn } from './acted-on.ts'
import type { Fence } from './fence.ts'
import type { Step } from './step.ts'

export interface TakeOverTerms {
  readonly broker: Broker
  readonly step: Step
  readonly actedOn: ActedOn
  readonly fence: Fence
  /** Milliseconds that a CONNACK waits at most. */
  readonly timeoutMs: number
  /** Somebody waits for this node, or it for others. */
  hasOthers(): boolean
}

/**
 * A client that connects while it has a connection elsewhere: that one ends, and its will is everywhere before the new one is answered, so that what the client publishes
 * then comes behind it, as on one broker.
 */
export class TakeOvers {
  readonly #terms: TakeOverTerms
  /** Client ids whose wills were sent here lately: in this period, and in the one before. */
  #sent = new Set<string>()
  #sentBefore = new Set<string>()
  /** Nodes that have left this one out while it was away. */
  readonly #leftOutBy = new Set<string>()
  readonly #timer: Timer

  constructor(terms: TakeOverTerms) {
    this.#terms = terms
    this.#timer = terms.broker.clock.every(terms.timeoutMs, () => {
      this.#sentBefore = this.#sent
      if (this.#sent.size > 0) this.#sent = new Set()
    })
  }

  /** The will of a client is about to be published here. */
  willSent(clientId: string): void {
    if (this.#terms.hasOthers()) this.#sent.add(clientId)
  }

  /** A client has connected to another node. Epoch 0: its session ends with the connection; of those that are stored the store has told. */
  elsewhere(node: string, clientId: string, epoch: number): void {
    const { broker, step, actedOn } = this.#terms
    const client = broker.clientOf(clientId)
    if (client === undefined || client.will === null || !step.isOutOfStep) {
      const settled = this.#take(clientId, epoch, false)
      if (settled !== undefined) actedOn.begun(settled)
      return
    }
    // Whether the client has had its answer meanwhile will have been heard when this node is in step.
    actedOn.begun(new Promise(resolve => step.whenInStep(() => resolve(this.#take(clientId, epoch, this.#leftOutBy.has(node))))))
  }

  /** Another node has answered its clients without waiting for this one. */
  leftOut(by: string): void {
    const { step } = this.#terms
    if (!step.isOutOfStep) return
    this.#leftOutBy.add(by)
    step.whenInStep(() => queueMicrotask(() => this.#leftOutBy.clear()))
  }

  /** What the CONNACK of a client waits for because its will was sent here; undefined: nothing. */
  before(clientId: string): Promise<void> | undefined {
    return this.#sent.has(clientId) || this.#sentBefore.has(clientId) ? this.#settled(clientId) : undefined
  }

  #take(clientId: string, epoch: number, withoutWill: boolean): Promise<void> | undefined {
    if (epoch === 0) this.#terms.broker.connectedElsewhere(clientId, withoutWill)
    return this.before(clientId)
  }

  // Not for ever: a bridge, or a slow reader, may hold the will up.
  async #settled(clientId: string): Promise<void> {
    const { broker, fence, timeoutMs } = this.#terms
    const kept = broker.willKept(clientId)
    if (kept !== undefined) {
      await new Promise<void>(resolve => {
        const timer = broker.clock.after(timeoutMs / 4, resolve)
        void kept.then(() => {
          timer.cancel()
          resolve()
        })
      })
    }
    await fence.pass()
  }

  stop(): void {
    this.#timer.cancel()
  }
}
