import type { Broker } from '../../../core/broker.ts'
import type { Client } from '../../../core/connection/client.ts'
import { OperatorError } from '../../../core/errors.ts'
import type { QoS } from '../../../core/protocol/constants.ts'
import { isTopicFilter } from '../../../core/routing/topic.ts'
import { reasonName } from '../reason-name.ts'
import type {} from '../services/bus.ts'
import type { queueClearVerb, subscribeVerb, unsubscribeVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import type { MissingNode, VerbPart } from './verbs.ts'

/** What `queue clear` has done. */
export interface ClearAnswer {
  /** The client id. */
  readonly id: string
  /** There is such a session. */
  readonly known: boolean
  /** Messages that were taken out. */
  readonly cleared: number
  /** Nodes that have not answered. */
  readonly missing?: readonly MissingNode[]
}

/** Takes out what waits for a session: at the node that has its client; of one without a connection, at the first of the nodes. */
export const queueClear: VerbWork<typeof queueClearVerb.takes> = {
  async run(broker, { id }): Promise<ClearAnswer> {
    const session = broker.sessionOf(id)
    if (session === undefined) return { id, known: false, cleared: 0 }
    const isOurs = session.client !== null || (session.node === null && isFirst(broker))
    try {
      return { id, known: true, cleared: isOurs ? ((await broker.clearQueue(id)) ?? 0) : 0 }
    } catch (error) {
      throw new OperatorError('ERR_STORE_AWAY', `queue clear: ${(error as Error).message}; say it again`, { cause: error })
    }
  },
  merge(parts, missing, { id }): ClearAnswer {
    const answers = parts.map(({ answer }) => answer as ClearAnswer)
    const cleared = answers.reduce((sum, one) => sum + one.cleared, 0)
    return { id, known: answers.some(({ known }) => known), cleared, ...(missing.length > 0 ? { missing } : {}) }
  },
}

// Of several nodes that could do it one does; which, all know.
function isFirst({ services, verbs }: Broker): boolean {
  const names =
    services
      .find('bus')
      ?.nodes()
      .map(({ name }) => name) ?? []
  return names.every(name => verbs.node <= name)
}

interface OnBehalfAnswer {
  /** The client id. */
  readonly id: string
  /** The topic filter. */
  readonly filter: string
  /** The client is connected; else nothing was done. */
  readonly connected: boolean
  /** What the client would have been told: the name of the reason code, as in MQTT 5; null: nothing was done. */
  readonly answer: string | null
  /** Nodes that have not answered. */
  readonly missing?: readonly MissingNode[]
}

/** What `subscribe` has done. */
export interface SubscribeAnswer extends OnBehalfAnswer {
  /** The client has this subscription now. */
  readonly granted: boolean
}

/** What `unsubscribe` has done. */
export interface UnsubscribeAnswer extends OnBehalfAnswer {
  /** The client had this subscription, and has it no more. */
  readonly removed: boolean
}

/** Subscribes a client as if it had sent a SUBSCRIBE. */
export const subscribe: VerbWork<typeof subscribeVerb.takes> = {
  async run(broker, { id, filter, qos }): Promise<SubscribeAnswer> {
    const client = clientFor('subscribe', broker, id, filter)
    if (client === null) return { id, filter, connected: false, granted: false, answer: null }
    const code = await done('subscribe', broker.subscribeClient(client, filter, qos as QoS))
    return { id, filter, connected: true, granted: code < 0x80, answer: code < 0x80 ? `GrantedQoS${code}` : reasonName(code) }
  },
  merge: theConnected,
}

/** The same for an UNSUBSCRIBE. */
export const unsubscribe: VerbWork<typeof unsubscribeVerb.takes> = {
  async run(broker, { id, filter }): Promise<UnsubscribeAnswer> {
    const client = clientFor('unsubscribe', broker, id, filter)
    if (client === null) return { id, filter, connected: false, removed: false, answer: null }
    const code = await done('unsubscribe', broker.unsubscribeClient(client, filter))
    return { id, filter, connected: true, removed: code === 0, answer: code === 0 ? 'Success' : reasonName(code) }
  },
  merge: theConnected,
}

function clientFor(verb: string, broker: Broker, id: string, filter: string): Client | null {
  if (!isTopicFilter(filter))
    throw new OperatorError('ERR_ARGUMENTS', `${verb}: ${filter} is no topic filter; + and # stand alone between slashes`)
  const client = broker.clientOf(id)
  return client?.state === 'connected' ? client : null
}

async function done(verb: string, doing: Promise<number>): Promise<number> {
  try {
    return await doing
  } catch (error) {
    throw new OperatorError('ERR_STORE_AWAY', `${verb}: ${(error as Error).message}; say it again`, { cause: error })
  }
}

// The node that has the client has done it.
function theConnected(parts: readonly VerbPart[], missing: readonly MissingNode[]): object {
  const answers = parts.map(({ answer }) => answer as OnBehalfAnswer)
  const best = answers.find(({ connected }) => connected) ?? answers[0]!
  return { ...best, ...(missing.length > 0 ? { missing } : {}) }
}
