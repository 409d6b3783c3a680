import type { AnyPublisher } from '../connection/client.ts'
import type { DropReason } from '../counter-names.ts'
import type { Hooks } from '../hooks.ts'
import type { Publisher } from '../publisher.ts'
import { type PublishVerdict, toRefusal } from '../refusals.ts'
import type { Dispatcher } from '../routing/dispatcher.ts'
import { loweredQoS } from '../routing/lowered-qos.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import type { Message } from './message.ts'
import { changeFault, type PublishFaultHost, publishFault } from './publish-fault.ts'

/** What is used of the broker here. */
export interface LatePublishHost {
  readonly hooks: Hooks
  readonly capabilities: { readonly retain: boolean }
  readonly dispatcher: Dispatcher
  /** Kept beside the hooks, so that the hot path asks a field. */
  readonly matchUsed: boolean
  sessionOf(clientId: string): KnownSession | undefined
  drop(clientId: string, message: Message, reason: DropReason, reasonCode?: number): void
  report(error: Error): void
}

/** Publishes in the name of a publisher whose packet came earlier; rejects where a store could not keep the message. */
export function publishFor(
  host: LatePublishHost & PublishFaultHost,
  publisher: Publisher,
  message: Message,
): Promise<'published' | 'refused'> {
  const fault = publishFault(host, publisher, message)
  if (fault !== undefined) {
    host.drop(message.clientId, message, 'refused', fault.reasonCode)
    return Promise.resolve('refused')
  }
  return new Promise((resolve, reject) => {
    publishLate(host, publisher, message, error => (error === undefined ? resolve('published') : reject(error)))
  })
}

/**
 * Sends a message the way of a publish, from onPublish on, that no packet brings: a will, or one that was held back. Nobody waits for an acknowledgement: what
 * is refused is dropped. `settled`: everybody who has to keep it has it, or why not; refused counts as settled.
 */
export function publishLate(host: LatePublishHost, publisher: Publisher, message: Message, settled?: (error?: Error) => void): void {
  const { clientId, topic, qos, properties } = message
  if (message.retain && !host.capabilities.retain) message.retain = false
  host.hooks.onPublish.callAsync(publisher as AnyPublisher, message, (_error, verdict) => {
    const answer = (verdict as PublishVerdict | undefined) ?? changeFault(host, topic, properties, message)
    message.qos = loweredQoS(qos, message.qos)
    if (answer !== undefined) {
      if (answer === 'drop') host.drop(clientId, message, 'refused')
      else if (answer !== 'kept') host.drop(clientId, message, 'refused', toRefusal(answer).reasonCode)
      settled?.()
      return
    }
    if (!host.matchUsed) return route(host, message, settled)
    host.hooks.onMatch.callAsync(message, publisher, () => route(host, message, settled))
  })
}

function route(host: LatePublishHost, message: Message, settled?: (error?: Error) => void): void {
  const { clientId } = message
  // The No Local subscriptions of its own client do not get it [MQTT-3.8.3-3].
  const receipt = host.dispatcher.dispatch(message, host.sessionOf(clientId) ?? null, null)
  if (receipt === null) settled?.()
  else
    receipt.onSettled(error => {
      if (error !== undefined && settled === undefined) host.drop(clientId, message, 'storeFailed')
      settled?.(error)
    })
}
