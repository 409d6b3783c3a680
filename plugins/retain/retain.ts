import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Subscriber } from '../../core/routing/subscription.ts'
import { retainManifest } from './manifest.ts'
import { Replay } from './replay.ts'
import { Replays } from './replays.ts'

/** Keeps the last message with the retain flag of each topic and sends it to new subscriptions. */
export const retain = definePlugin(retainManifest, ({ hooks, services, broker }, { pageSize }) => {
  broker.capabilities.retain = true
  const replays = new WeakMap<Subscriber, Replay>()
  const all = new Replays(broker, () => services.find('memoryPressure'))

  hooks.onRoute.tap({ name: 'retain', stage: Stage.Record }, (message, { targets }, receipt) => {
    if (!message.retain) return
    for (const { subscriber } of targets) replays.get(subscriber)?.overtake(message.topic)
    // What a peer routes, the peer has kept.
    if (message.origin === 'peer') return
    const done = services.get('retained').set(message)
    if (done === undefined) return
    receipt.hold()
    done.then(
      () => receipt.release(),
      error => receipt.release(error),
    )
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
})
