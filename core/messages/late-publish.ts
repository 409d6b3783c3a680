import type { Broker } from '../broker.ts'
import type { Publisher, PublishVerdict } from '../hooks.ts'
import { loweredQoS } from '../routing/lowered-qos.ts'
import type { Message } from './message.ts'
import { changeFault } from './publish-fault.ts'

/**
 * Sends a message the way of a publish, from onPublish on, that no packet brings: a will, or one that was held back. Nobody waits for an acknowledgement: what
 * is refused is dropped. `settled`: everybody who has to keep it has it, or why not; refused counts as settled.
 */
export function publishLate(broker: Broker, publisher: Publisher, message: Message, settled?: (error?: Error) => void): void {
  const { clientId, topic, qos, properties } = message
  if (message.retain && !broker.capabilities.retain) message.retain = false
  broker.hooks.onPublish.callAsync(publisher, message, (_error, verdict) => {
    const answer = (verdict as PublishVerdict | undefined) ?? changeFault(broker, topic, properties, message)
    message.qos = loweredQoS(qos, message.qos)
    if (answer !== undefined) {
      if (answer !== 'kept') broker.drop(clientId, message, 'refused')
      settled?.()
      return
    }
    if (broker.lookup === null) route(broker, message, settled)
    else void broker.lookup.before(publisher, message, () => route(broker, message, settled))
  })
}

function route(broker: Broker, message: Message, settled?: (error?: Error) => void): void {
  const { clientId } = message
  // The No Local subscriptions of its own client do not get it [MQTT-3.8.3-3].
  const { receipt } = broker.dispatch(message, broker.roster.get(clientId) ?? null, null)
  if (receipt === null) settled?.()
  else
    receipt.onSettled(error => {
      if (error !== undefined && settled === undefined) broker.drop(clientId, message, 'storeFailed')
      settled?.(error)
    })
}
