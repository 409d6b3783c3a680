import type { Session } from '../../core/connection/client.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Member, ShareGroup } from '../../core/routing/share-group.ts'
import type {} from '../kit/services/outage.ts'
import { offerFigures } from './figures.ts'
import { clusterManifest } from './manifest.ts'
import { ClusterNode } from './node.ts'

const checkEveryMs = 5000

/** Makes one broker of all that share a Redis: routes between them, one owner for each session, and what a dead one leaves. */
export const cluster = definePlugin(clusterManifest, ({ hooks, services, broker, clock, log }, options) => {
  const { heartbeat, expiry, confirmTimeout, onRedisLoss, preferLocal } = options
  const { brokerId } = broker.settings
  if (Buffer.byteLength(String(brokerId)) > 100) {
    throw new OperatorError('ERR_CONFIG', 'brokerId: in a cluster it has at most 100 bytes; give this node a shorter one')
  }
  if (expiry < heartbeat * 3) throw new OperatorError('ERR_CONFIG', 'cluster.expiry: at least three times cluster.heartbeat')
  if (confirmTimeout >= broker.settings.mqtt.verdictTimeout)
    throw new OperatorError('ERR_CONFIG', 'cluster.confirmTimeout: shorter than mqtt.verdictTimeout, which is the time that a plugin has')
  const bus = services.get('bus')
  const node = new ClusterNode(broker, bus, confirmTimeout)
  services.provide('outage', { servesClean: onRedisLoss === 'serve-clean' }, 'cluster')

  hooks.onSessionOpened.tap('cluster', session => node.opened(session))
  hooks.onRoutesChanged.tap('cluster', (session, added, removed) => node.routesChanged(session, added, removed))
  hooks.onForward.tap('cluster', (message, member, receipt) => node.forward(message, member, receipt))
  hooks.onSessionClosed.tap('cluster', session => node.closed(session))
  hooks.onOperated.tap('cluster', act => node.operated(act))

  hooks.onRoute.tap({ name: 'cluster', stage: Stage.Record }, (message, route, receipt) => {
    if (message.origin !== 'peer' && !message.topic.startsWith('$SYS/')) node.routed(message, route, receipt)
  })
  hooks.onWill.tap({ name: 'cluster', stage: Stage.Observe }, ({ clientId }) => node.takeOvers.willSent(clientId))
  hooks.onAnswer.tapPromise('cluster', async (client, answer) => void (await node.answering(client, answer)))

  if (preferLocal) {
    // Before shareTopic's own tap, which then picks among these.
    hooks.onShare.tap({ name: 'cluster', stage: Stage.Guard, look: (group: ShareGroup<Session>) => lookLocal(group) }, group =>
      pickLocal(group),
    )
  }

  if (onRedisLoss === 'refuse') {
    hooks.onConnect.tap({ name: 'cluster', stage: Stage.Guard }, () =>
      bus.connected ? undefined : { reasonCode: ReasonCode.ServerUnavailable, reasonString: 'this node is cut off from its cluster' },
    )
  }

  let wasConnected = true
  const timers = [
    clock.every(checkEveryMs, () => bus.connected && node.own.check()),
    clock.every(heartbeat, () => {
      const { connected } = bus
      if (onRedisLoss === 'refuse' && wasConnected && !connected) {
        log.warn('this node is cut off from its cluster, so it closes all connections, as cluster.onRedisLoss says')
        for (const client of [...broker.clients]) client.close(ReasonCode.ServerBusy, 'this node is cut off from its cluster')
      }
      wasConnected = connected
    }),
  ]
  return {
    async start() {
      await bus.open(node.events, { heartbeatMs: heartbeat, expiryMs: expiry, facts: () => node.facts() })
      offerFigures(broker.figures, bus, node)
      if (bus.nodes().length === 0) return
      const key = options.innerCacheConsistancyKey ?? options.innerCacheConsistencyKey
      const enableInnerCache = services.get('sessions').looksUpSubscribers !== true
      const agreed = await bus.agree(key, String(enableInnerCache))
      if (agreed !== String(enableInnerCache)) {
        throw new OperatorError(
          'ERR_CACHE_DIFFERS',
          `enableInnerCache: it is ${enableInnerCache} here and ${agreed} in this cluster; set it so here, or stop all nodes and DEL ${key} in Redis`,
        )
      }
    },
    // All stored sessions are known by now; what has happened to them since comes.
    async listen() {
      await bus.run()
      await node.comes()
    },
    stop() {
      for (const timer of timers) timer.cancel()
      node.stop()
    },
  }
})

const turns = new WeakMap<ShareGroup<Session>, number>()

/** One of the members that are connected here, in turn; no opinion where there is none. */
function pickLocal(group: ShareGroup<Session>): Member<Session> | undefined {
  const member = lookLocal(group)
  if (member !== undefined) turns.set(group, (turns.get(group) ?? -1) + 1)
  return member
}

/** The one whose turn is next. */
function lookLocal(group: ShareGroup<Session>): Member<Session> | undefined {
  const local = group.members.filter(({ subscriber }) => subscriber.client !== null)
  return local[((turns.get(group) ?? -1) + 1) % local.length]
}
