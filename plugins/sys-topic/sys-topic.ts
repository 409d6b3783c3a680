import type { Client } from '../../core/connection/client.ts'
import { Stage } from '../../core/hooks.ts'
import { Message } from '../../core/messages/message.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { SubscriptionAttempt } from '../../core/routing/subscription.ts'
import { matches, parseShare } from '../../core/routing/topic.ts'
import { asTopicLevel } from '../kit/topics.ts'
import { sysTopicManifest } from './manifest.ts'
import { dashboard, localTime, oneShots, statusOf } from './status.ts'

/** `$SYS`: one-shot answers, the status at an interval, clients that come and go, and mosquitto's names for dashboards. */
export const sysTopic = definePlugin(sysTopicManifest, ({ hooks, broker, clock }, options) => {
  const { interval } = options
  const sysQos = options.qos as QoS
  const startedAt = clock.now()
  const node = `$SYS/broker/${asTopicLevel(String(broker.settings.brokerId))}`

  const publish = (topic: string, text: string) => {
    broker.publish({ topic, payload: text, qos: sysQos }).catch(error => broker.report(error))
  }
  const answer = (client: Client, subscription: Readonly<SubscriptionAttempt>, topic: string, text: string, retain: boolean) => {
    const message = new Message({
      topic,
      payload: Buffer.from(text),
      qos: sysQos,
      retain: false,
      origin: 'server',
      clientId: '',
      receivedAt: clock.now(),
    })
    const qos = Math.min(sysQos, subscription.qos) as QoS
    broker.deliver(client, message, qos, retain, subscription.identifier > 0 ? [subscription.identifier] : null)
  }

  // Nothing of $SYS is stored: a one-shot is answered and forgotten, the rest goes with the connection.
  hooks.onSubscribe.tap({ name: 'sysTopic', stage: Stage.Record, pure: true }, (_client, subscription) => {
    const filter = plain(subscription.filter)
    if (oneShots.has(filter)) subscription.lifetime = 'none'
    else if (filter.startsWith('$SYS/')) subscription.lifetime = 'connection'
  })

  hooks.onSubscribed.tap('sysTopic', (client, subscription) => {
    const filter = plain(subscription.filter)
    if (!filter.startsWith('$SYS/')) return
    const field = oneShots.get(filter)
    if (field !== undefined) {
      answer(client, subscription, filter, JSON.stringify({ [field]: statusOf(broker, startedAt)[field] }), false)
      return
    }
    // A dashboard sees the present values at once, as it would retained ones; a group would not.
    if (filter !== subscription.filter) return
    if (subscription.retainHandling === 2 || (subscription.retainHandling === 1 && subscription.existed)) return
    for (const [topic, text] of dashboard(broker, startedAt)) if (matches(filter, topic)) answer(client, subscription, topic, text, true)
  })

  hooks.onConnected.tap({ name: 'sysTopic', stage: Stage.Observe }, client => {
    publish(`${node}/clients/${asTopicLevel(client.clientId)}/connected`, localTime(clock.moment().wall))
  })
  hooks.onDisconnect.tap({ name: 'sysTopic', stage: Stage.Observe }, client => {
    if (client.session !== null) publish(`${node}/clients/${asTopicLevel(client.clientId)}/disconnected`, localTime(clock.moment().wall))
  })

  let timer: { cancel(): void } | undefined
  return {
    start() {
      timer = clock.every(interval, () => {
        const status = JSON.stringify(statusOf(broker, startedAt))
        publish('$SYS/broker/status', status)
        publish(`${node}/status`, status)
        for (const [topic, text] of dashboard(broker, startedAt)) publish(topic, text)
      })
    },
    stop: () => timer?.cancel(),
  }
})

/** The filter itself, where a group shares it. */
function plain(filter: string): string {
  return parseShare(filter)?.filter ?? filter
}
