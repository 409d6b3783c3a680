import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Timer } from '../../core/time/clock.ts'
import type {} from '../kit/services/bus.ts'
import type { RetainedCursor } from '../kit/services/retained.ts'

/** What a retained state says for those who correct it, whatever its payload is. */
export interface KeptState {
  readonly clientId: string
  readonly node: string
  readonly isOnline: boolean
}

const property = { client: 'presence-client', node: 'presence-node', state: 'presence-state' } as const
const pageSize = 100
// Another node that is there was heard of by then.
const strangersMs = 30_000
const nodesMs = 1000

/** The user properties of a state. */
export function stateProperties({ clientId, node, isOnline }: KeptState): [string, string][] {
  return [
    [property.client, clientId],
    [property.node, node],
    [property.state, isOnline ? 'online' : 'offline'],
  ]
}

/** What a message says as a state; null: it is none. */
export function stateOf(message: Message): KeptState | null {
  const said = new Map(message.properties?.userProperties ?? [])
  const [clientId, node, state] = [said.get(property.client), said.get(property.node), said.get(property.state)]
  return clientId === undefined || node === undefined ? null : { clientId, node, isOnline: state === 'online' }
}

/** Finds states that are not true any more, because a node was killed or a client got lost between two, and has them corrected. */
export class KeptStates {
  readonly #broker: Broker
  readonly #node: string
  readonly #filter: string
  readonly #correct: (state: KeptState, message: Message) => void
  readonly #timers: Set<Timer>
  #known: Set<string>
  #isStopped: boolean

  /** `correct`: what is retained says online, and the client is not. */
  constructor(broker: Broker, node: string, filter: string, correct: (state: KeptState, message: Message) => void) {
    this.#broker = broker
    this.#node = node
    this.#filter = filter
    this.#correct = correct
    this.#timers = new Set()
    this.#known = new Set()
    this.#isStopped = false
  }

  /** What an earlier run of this node has left; then, and whenever a node has gone, what that one has. */
  start(): void {
    this.#seek(state => state.node === this.#node)
    const bus = this.#broker.services.find('bus')
    if (bus === undefined) return
    const { clock } = this.#broker
    const names = () => new Set(bus.nodes().map(({ name }) => name))
    this.#known = names()
    // One of them is enough: what all say is the same.
    const isFirst = (living: ReadonlySet<string>) => [...living].sort()[0] === bus.node
    this.#timers.add(
      clock.every(nodesMs, () => {
        if (!bus.connected) return
        const living = names()
        const gone = [...this.#known].filter(name => !living.has(name))
        this.#known = living
        if (gone.length > 0 && isFirst(living)) this.#seek(({ node }) => gone.includes(node))
      }),
    )
    this.#timers.add(
      clock.after(strangersMs, () => {
        const living = names()
        if (bus.connected && isFirst(living)) this.#seek(({ node }) => !living.has(node))
      }),
    )
  }

  /** Looks after a while whether what is retained of one client is true: another node has taken it over, and may not have kept it. */
  lookAgain(filter: string, ms: number): void {
    const timer = this.#broker.clock.after(ms, () => {
      this.#timers.delete(timer)
      this.#seek(({ node }) => node === this.#node, filter)
    })
    this.#timers.add(timer)
  }

  /** All that is retained for a filter, a page in each turn of the event loop. */
  async each(filter: string, look: (state: KeptState, message: Message) => void): Promise<void> {
    const cursor: RetainedCursor = this.#broker.services.get('retained').match(filter)
    for (;;) {
      const { messages, done } = await cursor.next(pageSize)
      if (this.#isStopped) return
      for (const message of messages) {
        const state = stateOf(message)
        if (state !== null) look(state, message)
      }
      if (done) return
      await this.#broker.turns.next()
    }
  }

  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers) timer.cancel()
  }

  #seek(concerns: (state: KeptState) => boolean, filter = this.#filter): void {
    this.each(filter, (state, message) => {
      if (!state.isOnline || !concerns(state)) return
      if (this.#broker.clientOf(state.clientId) === undefined) this.#correct(state, message)
    }).catch(error => this.#broker.report(error))
  }
}
