import type { Client } from '../../core/connection/client.ts'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Timer } from '../../core/time/clock.ts'
import { checkLimits } from './check-options.ts'
import { ClientRates } from './client-rates.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { LimitLog } from './limit-log.ts'
import { memoryMax, memoryUse } from './memory-use.ts'
import { MemoryWatch } from './memory-watch.ts'
import { limitsOptions } from './options.ts'
import { PacketWatch } from './packet-watch.ts'
import { PausedClients } from './paused-clients.ts'
import { rateOf } from './rate.ts'
import { TopicRates } from './topic-rates.ts'

const tap = { name: 'limits', stage: Stage.Guard }

/** Limits on what comes from many clients and over time. A limit that is off taps nothing and costs nothing. */
export const limits = definePlugin({
  name: 'limits',
  options: limitsOptions,
  apply({ hooks, broker, clock }, options) {
    checkLimits(options)
    const log = new LimitLog(broker)
    const paused = new PausedClients(clock)
    const every: { ms: number; look: () => void }[] = []

    const { memory: memoryOptions, packetTimeout, maxKeepAlive, maxConnectionsPerUser, topicRates, overRate } = options
    let memory: MemoryWatch | null = null
    if (memoryOptions.max !== null) {
      const max = typeof memoryOptions.max === 'number' ? memoryOptions.max : memoryMax()
      const watch = new MemoryWatch(memoryOptions, broker, log, () => memoryUse(max, broker.clients.size))
      memory = watch
      every.push({ ms: memoryOptions.interval, look: () => watch.look() })
    }

    const connections = new ConnectionLimits(options, broker, log, memory)
    if (connections.used) {
      hooks.onAccept.tap(tap, transport => connections.accept(transport))
      hooks.onClosed.tap(tap, transport => connections.closed(transport))
    }
    if (memory !== null || maxConnectionsPerUser !== null) {
      hooks.onConnect.tap(tap, client => connections.connect(client))
      hooks.onDisconnect.tap(tap, client => connections.disconnected(client))
    }

    if (maxKeepAlive !== null) {
      const seconds = Math.floor(maxKeepAlive / 1000)
      hooks.onConnect.tap(tap, client => shortenKeepAlive(client, seconds))
    }

    const messages = rateOf(options.messagesPerSecond, options.messageBurst)
    const bytes = rateOf(options.bytesPerSecond, options.byteBurst)
    const rates = new ClientRates(broker, messages, bytes, { overRate, paused, memory, log })
    if (rates.used) {
      hooks.onConnect.tap(tap, client => rates.connect(client))
      hooks.onDisconnect.tap(tap, client => rates.disconnected(client))
    }
    if (topicRates.length > 0) {
      const topics = new TopicRates(broker, topicRates, paused, log)
      hooks.onPublish.tap(tap, (publisher, message) => topics.judge(publisher, message))
    }

    if (packetTimeout !== null) {
      const watch = new PacketWatch(broker, packetTimeout, log)
      every.push({ ms: watch.everyMs, look: () => watch.look() })
    }

    let timers: Timer[] = []
    return {
      start() {
        timers = every.map(({ ms, look }) => clock.every(ms, look))
      },
      stop() {
        for (const timer of timers) timer.cancel()
        paused.stop()
      },
    }
  },
})

/** MQTT 5 clients are told by CONNACK, because it is not what they asked for [MQTT-3.1.2-21]. */
function shortenKeepAlive(client: Client, seconds: number): void {
  if (client.keepAlive > 0 && client.keepAlive <= seconds) return
  client.keepAlive = seconds
  client.broker.counters.limited.keepAlive += 1
}
