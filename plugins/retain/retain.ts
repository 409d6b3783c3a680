import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Subscriber } from '../../core/routing/subscription.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import { MessageRefusedError } from '../../core/sessions/session-store.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import type { RetainedStore } from '../kit/services/retained.ts'
import { retainManifest } from './manifest.ts'
import { Replay } from './replay.ts'
import { Replays } from './replays.ts'

/** Keeps the last message with the retain flag of each topic and sends it to new subscriptions. */
export const retain = definePlugin(retainManifest, ({ hooks, services, broker, clock, log }, options) => {
  const { pageSize } = options
  let bounds: RetainedBounds = options
  broker.capabilities.retain = true
  const replays = new WeakMap<Subscriber, Replay>()
  const all = new Replays(broker, () => services.find('memoryPressure'))
  const lines = new LineThrottle(clock, { everyMs: 10_000 })

  /** A message that is too many is delivered like any other, but its publisher is told that it is not retained. */
  const refuse = (message: Message, receipt: Receipt, what: string): void => {
    broker.counters.limited.retained += 1
    const times = lines.pass('retained')
    if (times > 0) log.warn({ clientId: message.clientId, topic: message.topic, times }, `retain: ${what}; the message is not retained`)
    receipt.hold()
    receipt.release(Object.assign(new MessageRefusedError(what), { reasonCode: ReasonCode.QuotaExceeded }))
  }

  hooks.onRoute.tap({ name: 'retain', stage: Stage.Record }, (message, { targets }, receipt) => {
    if (!message.retain) return
    for (const { subscriber } of targets) replays.get(subscriber)?.overtake(message.topic)
    // What a peer routes, the peer has kept.
    if (message.origin === 'peer') return
    const store = services.get('retained')
    const full = message.origin === 'server' ? null : noRoom(store, message, bounds)
    if (full !== null) return refuse(message, receipt, full)
    const done = store.set(message)
    if (done === undefined) return
    const release = receipt.hold('retain')
    done.then(() => release(), release)
  })

  hooks.onConnected.tap('retain', client => replays.get(client.session!)?.resume(client))
  hooks.onSessionClosed.tap('retain', session => replays.get(session)?.park())

  hooks.onSubscribed.tap('retain', (client, subscription) => {
    // Not for shared subscriptions [MQTT-4.8.2], and by Retain Handling [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11].
    if (subscription.filter.startsWith('$share/') || subscription.lifetime === 'none') return
    if (subscription.retainHandling === 2 || (subscription.retainHandling === 1 && subscription.existed)) return
    const session = client.session!
    let replay = replays.get(session)
    if (replay === undefined) replays.set(session, (replay = new Replay(broker, all, services.get('retained'), client, pageSize)))
    replay.add(subscription)
  })

  return {
    reload(changed) {
      bounds = changed
    },
  }
})

interface RetainedBounds {
  readonly messagesMax: number | null
  readonly bytesMax: number | null
}

/** Which bound a message would exceed; null: none. One with an empty payload takes one away. */
function noRoom(store: RetainedStore, message: Message, { messagesMax, bytesMax }: RetainedBounds): string | null {
  if (message.payloadLength === 0) return null
  if (messagesMax !== null && store.size >= messagesMax && store.has?.(message.topic) !== true)
    return `${messagesMax} topics have a retained message, and no more may have one`
  if (bytesMax !== null && (store.bytes ?? 0) + queuedBytes(message) > bytesMax)
    return `the retained messages have ${bytesMax} bytes, and may not have more`
  return null
}
