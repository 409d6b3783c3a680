import { SyncHook } from 'tapable'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { BridgeReport } from '../kit/services/bridge-target.ts'
import { Bridge } from './bridge.ts'
import { offerFigures } from './figures.ts'
import { messageBridgeManifest } from './manifest.ts'
import { type BridgeOptions, type Rule, readRules } from './rules.ts'

/** Sends messages on to Kafka, or to a system that a plugin adds through the service `bridge`. */
export const messageBridge = definePlugin(messageBridgeManifest, ({ hooks, services, broker, clock, log, guardHook }, options) => {
  const rulesOf = (topics: BridgeOptions['topics']) => readRules(topics, options.ack ?? (services.has('queue') ? 'local' : 'kafka'))
  const rules = rulesOf(options.topics)
  const bridge = new Bridge(broker, options, guardHook('onBridged', new SyncHook<[BridgeReport]>(['report'])))
  services.provide('bridge', bridge, 'messageBridge')

  hooks.onRoute.tap({ name: 'messageBridge', stage: Stage.Record }, (message, _route, receipt) => {
    // What comes from another node was bridged there.
    if (message.origin !== 'peer') bridge.offer(message, receipt)
  })

  const addKafka = async (rules: readonly Rule[]): Promise<void> => {
    if (!rules.some(({ target }) => target === 'kafka') || bridge.has('kafka')) return
    // Loaded here, so that who does not bridge does not load it.
    const { KafkaTarget } = await import('./kafka-target.ts')
    const kafka = new KafkaTarget(options, broker.folder, clock, log)
    await kafka.check()
    bridge.add(kafka)
  }
  return {
    async verify() {
      await addKafka(rules)
      bridge.check(rules, services.has('queue'))
    },
    async start() {
      if (rules.length === 0) log.warn('messageBridge: no topics are named, so nothing is bridged; set messageBridge.topics')
      bridge.start(services.find('queue'), rules)
      offerFigures(broker.figures, bridge)
    },
    // Nobody waits for it: what comes meanwhile waits in the lanes.
    listen() {
      for (const target of bridge.targets) {
        target.probe?.().then(
          line => log.info(`messageBridge: ${line}`),
          (error: Error) => log.warn(`${error.message}; messages wait for it`),
        )
      }
    },
    async probe() {
      const lines: string[] = []
      for (const target of bridge.targets) if (target.probe !== undefined) lines.push(await target.probe())
      return lines
    },
    async reload({ topics, parked }) {
      const changed = rulesOf(topics)
      await addKafka(changed)
      bridge.follow(changed)
      bridge.parks(parked)
    },
    stop: () => bridge.stop(),
  }
})
