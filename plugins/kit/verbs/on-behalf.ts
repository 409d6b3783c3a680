import type { Broker } from '../../../core/broker.ts'
import type { Client, Session } from '../../../core/connection/client.ts'
import { OperatorError } from '../../../core/errors.ts'
import type { QoS } from '../../../core/protocol/constants.ts'
import { ReasonCode } from '../../../core/reason.ts'
import type { SubscribeRefusal } from '../../../core/refusals.ts'
import type { Subscription, SubscriptionAttempt } from '../../../core/routing/subscription.ts'
import { isTopicFilter } from '../../../core/routing/topic.ts'
import { reasonName } from '../reason-name.ts'
import type {} from '../services/bus.ts'
import type { queueClearVerb, subscribeVerb, unsubscribeVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { lookAtTaps } from './pure-taps.ts'
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
    if (session === undefined) {
      if (isFirst(broker)) await refuseUnseen('queue clear', broker, id)
      return { id, known: false, cleared: 0 }
    }
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
  /** The client is connected. */
  readonly connected: boolean
  /** The client is not connected, and it was done to its stored session. */
  readonly stored: boolean
  /** What the client would have been told: the name of the reason code, as in MQTT 5; null: there is neither client nor stored session, and nothing was done. */
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

/** Subscribes a client as if it had sent a SUBSCRIBE, or its stored session. */
export const subscribe: VerbWork<typeof subscribeVerb.takes> = {
  async run(broker, { id, filter, qos }): Promise<SubscribeAnswer> {
    checkFilter('subscribe', filter)
    const client = connectedAs(broker, id)
    const session = client === null ? await storedAs('subscribe', broker, id) : null
    if (client === null && session === null) return { id, filter, connected: false, stored: false, granted: false, answer: null }
    const code = await done(
      'subscribe',
      client === null ? subscribeStored(broker, session!, filter, qos as QoS) : broker.subscribeClient(client, filter, qos as QoS),
    )
    const granted = code < 0x80
    return {
      id,
      filter,
      connected: client !== null,
      stored: client === null,
      granted,
      answer: granted ? `GrantedQoS${code}` : reasonName(code),
    }
  },
  merge: whereItIs,
}

/** The same for an UNSUBSCRIBE. */
export const unsubscribe: VerbWork<typeof unsubscribeVerb.takes> = {
  async run(broker, { id, filter }): Promise<UnsubscribeAnswer> {
    checkFilter('unsubscribe', filter)
    const client = connectedAs(broker, id)
    const session = client === null ? await storedAs('unsubscribe', broker, id) : null
    if (client === null && session === null) return { id, filter, connected: false, stored: false, removed: false, answer: null }
    const code = await done(
      'unsubscribe',
      client === null ? broker.unsubscribeSession(session!, filter) : broker.unsubscribeClient(client, filter),
    )
    return {
      id,
      filter,
      connected: client !== null,
      stored: client === null,
      removed: code === 0,
      answer: code === 0 ? 'Success' : reasonName(code),
    }
  },
  merge: whereItIs,
}

function checkFilter(verb: string, filter: string): void {
  if (!isTopicFilter(filter))
    throw new OperatorError('ERR_ARGUMENTS', `${verb}: ${filter} is no topic filter; + and # stand alone between slashes`)
}

function connectedAs(broker: Broker, id: string): Client | null {
  const client = broker.clientOf(id)
  return client?.state === 'connected' ? client : null
}

/** The stored session of a client that is connected nowhere, where this node is the one that sees to it; null: there is none. */
async function storedAs(verb: string, broker: Broker, id: string): Promise<Session | null> {
  if (!isFirst(broker)) return null
  const session = broker.sessionOf(id)
  if (session !== undefined) return session.durable && !session.online ? session : null
  await refuseUnseen(verb, broker, id)
  return null
}

/** Throws where a session is stored of which this node knows nothing, because no client of it is connected. */
async function refuseUnseen(verb: string, { services }: Broker, id: string): Promise<void> {
  const store = services.find('sessions')
  if (store?.looksUpSubscribers !== true) return
  const found = await store.inspect?.(id)
  if (found == null || found.node !== null) return
  throw new OperatorError(
    'ERR_OPERATE_REFUSED',
    `${verb}: the session of ${id} has no connection, and with redis.enableInnerCache: false a node knows no such session; say it again when its client is connected`,
  )
}

/** What a tap would change cannot be known without a connection, so all that decide have to be pure. */
async function subscribeStored(broker: Broker, session: Session, filter: string, qos: QoS): Promise<number> {
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 } as const
  const attempt: SubscriptionAttempt = {
    requested: filter,
    filter,
    qos,
    ...options,
    existed: session.subscriptions.has(filter),
    lifetime: 'session',
  }
  for await (const { name, asked, said } of lookAtTaps(broker.hooks.onSubscribe, session, attempt)) {
    if (!asked)
      throw new OperatorError(
        'ERR_OPERATE_REFUSED',
        `subscribe: ${session.clientId} is not connected, and plugin ${name} decides about subscriptions of connected clients only (its tap of onSubscribe is not pure); say it again when it is`,
      )
    if (said !== undefined) return codeOf(said as SubscribeRefusal)
  }
  if (attempt.lifetime !== 'session')
    throw new OperatorError('ERR_OPERATE_REFUSED', `subscribe: ${filter} goes with a connection, and ${session.clientId} has none`)
  const renamed = attempt.filter === filter ? {} : { requested: filter }
  return await broker.subscribeSession(session, { filter: attempt.filter, qos: attempt.qos, ...options, ...renamed })
}

function codeOf(refusal: SubscribeRefusal): number {
  if (typeof refusal === 'object') return refusal.reasonCode
  return refusal === false ? ReasonCode.NotAuthorized : refusal
}

async function done(verb: string, doing: Promise<number>): Promise<number> {
  try {
    return await doing
  } catch (error) {
    if (error instanceof OperatorError) throw error
    throw new OperatorError('ERR_STORE_AWAY', `${verb}: ${(error as Error).message}; say it again`, { cause: error })
  }
}

// The node that has the client has done it, or that which sees to stored sessions.
function whereItIs(parts: readonly VerbPart[], missing: readonly MissingNode[]): object {
  const answers = parts.map(({ answer }) => answer as OnBehalfAnswer)
  const best = answers.find(({ connected }) => connected) ?? answers.find(({ stored }) => stored) ?? answers[0]!
  return { ...best, ...(missing.length > 0 ? { missing } : {}) }
}

declare module '../../../core/broker.js' {
  interface Broker {
    /**
     * Subscribes a stored session whose client is connected nowhere, by the right of whoever asks: the limits of a session are kept, `onAuthorize` is asked where this node knows the client, and no
     * retained messages come. What its client may have decides when it connects, as about every stored subscription and all that waits. Resolves as `subscribeClient` does; rejects with
     * `SessionLostError` where the client has connected meanwhile, and as the store does.
     */
    subscribeSession(session: Session, subscription: Subscription): Promise<number>
    /** The same for an UNSUBSCRIBE; `filter` is the client's own name for it. */
    unsubscribeSession(session: Session, filter: string): Promise<number>
  }
}
