import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { Member } from '../../core/routing/share-group.ts'
import type { Route, Target } from '../../core/routing/target.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import { type AppendTarget, StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Step } from './step.ts'

export interface LateMessageTerms {
  readonly broker: Broker
  readonly step: Step
  /** Sends a message to the nodes that want it. */
  forward(message: Message, receipt: Receipt): void
}

/**
 * Messages that come while this node does not know all that others have subscribed to: its own clients have them at once, and those who are found to have subscribed
 * meanwhile when the node is in step. Until then they are not acknowledged.
 */
export class LateMessages {
  readonly #terms: LateMessageTerms

  constructor(terms: LateMessageTerms) {
    this.#terms = terms
  }

  add(message: Message, { targets, groups }: Route<Session>, receipt: Receipt): void {
    const { broker, step, forward } = this.#terms
    const served = new Set<Session | string>()
    for (const { subscriber } of targets) served.add(subscriber)
    for (const { key } of groups) served.add(key)
    message.own()
    const release = receipt.hold('cluster')
    const waits = step.when(queuedBytes(message), () => {
      forward(message, receipt)
      this.#serve(message, served, receipt)
      release()
    })
    if (waits) return
    release(new StoreAwayError('too many messages wait until this node knows again what the others have subscribed to'))
    // Nobody will send it again.
    if (message.qos === 0) broker.drop(message.clientId, message, 'refused')
  }

  // Stored sessions, and shared groups, of which this node has heard since.
  #serve(message: Message, served: ReadonlySet<Session | string>, receipt: Receipt): void {
    const { broker } = this.#terms
    const found: AppendTarget[] = []
    const { targets, groups } = broker.routeOf(message.topic)
    for (const target of targets) {
      const { subscriber, noLocal } = target
      const isOwn = subscriber.client !== null || (noLocal && subscriber.clientId === message.clientId)
      if (subscriber.durable && !isOwn && !served.has(subscriber)) found.push(entryOf(message, subscriber.clientId, target, null))
    }
    for (const group of groups) {
      if (served.has(group.key)) continue
      const picked = broker.hooks.onShare.call(group, message) as Member<Session> | undefined
      const { subscriber, subscription } = picked ?? group.members.find(member => member.subscriber.online) ?? group.members[0]!
      const { clientId, node, durable } = subscriber
      const identifiers = subscription.identifier > 0 ? [subscription.identifier] : null
      const entry = entryOf(message, clientId, { ...subscription, identifiers }, group.key)
      if (node !== null && (entry.qos === 0 || !durable)) {
        const { qos } = entry
        broker.hooks.onForward.call(message, { clientId, group: group.key, node, qos }, qos === 0 ? null : receipt)
      } else if (durable && subscriber.client === null) {
        found.push(entry)
      }
    }
    this.#append(message, found, receipt)
  }

  #append(message: Message, found: readonly AppendTarget[], receipt: Receipt): void {
    // At QoS 0 only those get it who are connected, and their nodes have it.
    const kept = found.filter(({ qos }) => qos > 0)
    if (kept.length === 0) return
    const release = receipt.hold('cluster')
    Promise.resolve(this.#terms.broker.services.get('sessions').append(message, kept, null)).then(
      () => release(),
      error => release(error as Error),
    )
  }
}

function entryOf(
  message: Message,
  clientId: string,
  { qos, retainAsPublished, identifiers }: Pick<Target<Session>, 'qos' | 'retainAsPublished' | 'identifiers'>,
  group: string | null,
): AppendTarget {
  const lower = Math.min(qos, message.qos) as QoS
  return { clientId, qos: lower, retain: retainAsPublished && message.retain, identifiers, group, packetId: 0, epoch: 0 }
}
