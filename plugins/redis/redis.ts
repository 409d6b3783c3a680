import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import { RedisBus } from './bus.ts'
import { databaseOf } from './client-options.ts'
import { Keys } from './keys.ts'
import { Link } from './link.ts'
import { redisManifest } from './manifest.ts'
import { MessagesBeforeLoad } from './messages-before-load.ts'
import { probeRedis } from './probe.ts'
import { RedisRetained } from './retained.ts'
import { missingRights, rightsError } from './rights.ts'
import { RedisSessions } from './sessions.ts'
import { SlotWriters } from './slot-writers.ts'
import { StoreCheck } from './store-check.ts'
import { SubscriberLookup } from './subscriber-lookup.ts'

const signOfLifeMs = 5000
const lookupSweepMs = 1000
// A database that was emptied is noticed by the next write, or so late.
const lookAtMarkMs = 2000

/** Keeps sessions and retained messages in Redis: one server, one that sentinels watch over, or a Redis Cluster. */
export const redis = definePlugin(redisManifest, ({ hooks, services, broker, clock, log }, options, { enableInnerCache }) => {
  const { waitReplicas, waitTimeout, commandTimeout } = options
  if (waitReplicas > 0 && waitTimeout >= commandTimeout) {
    throw new OperatorError(
      'ERR_CONFIG',
      'redis.waitTimeout: shorter than redis.commandTimeout, or waiting for replicas looks like a Redis that hangs',
    )
  }
  const link = new Link(options, log)
  const keys = new Keys({ ...options, database: databaseOf(options) })
  const writers = new SlotWriters(link, keys, clock, options, log)
  broker.figures.add({
    name: 'store_clock_difference_seconds',
    help: "By how much this machine's clock is ahead of Redis'; below 0: behind.",
    type: 'gauge',
    read: () => (writers.time.differenceMs === null ? [] : [{ value: writers.time.differenceMs / 1000 }]),
  })
  broker.figures.add({
    name: 'store_clock_steps_total',
    help: "How often Redis' clock was set, or a Redis whose clock differs took over.",
    type: 'counter',
    read: () => [{ value: writers.time.steps }],
  })
  const sessions = new RedisSessions(writers, clock, log, broker.settings.brokerId)
  sessions.looksUpSubscribers = !enableInnerCache
  const lookup = enableInnerCache ? null : new SubscriberLookup(broker, topic => sessions.subscribersOf(topic))
  if (lookup !== null) hooks.onMatch.tapPromise('redis', (message, publisher) => lookup.before(message, publisher))
  const retained = new RedisRetained(sessions.writes, clock, log)
  new MessagesBeforeLoad(broker, sessions, writers)
  services.provide('sessions', sessions, 'redis')
  services.provide('retained', retained, 'redis')

  const bus = new RedisBus(writers, sessions, retained, options, clock, log, String(broker.settings.brokerId))
  services.provide('bus', bus, 'redis')

  const resume = (): void => {
    writers.resume()
    // What happens to sessions while they are read must be seen too: the place in the log comes first.
    bus.join().then(
      () => {
        void retained.load()
        void sessions.resume()
      },
      error => log.error({ err: error as Error }, (error as Error).message),
    )
  }
  const check = new StoreCheck(writers, options)
  check.sample = () => sessions.sample()
  check.onEmptied = isGone => {
    const { restored, lost } = sessions.emptied(isGone)
    const topics = retained.emptied(isGone)
    log.error(
      `redis came back empty: ${restored} sessions of connected clients are written again; ${lost} other sessions, ${topics} retained messages and all that was queued are lost`,
    )
  }
  writers.recheck = () => check.look()
  // Once a run: later, what Redis refuses is refused, and said.
  let hasRights = false
  const admit = async (): Promise<void> => {
    if (!hasRights) {
      const missing = await missingRights(link.client, options, keys, hooks.onRoutesChanged.isUsed())
      if (missing.length > 0) throw rightsError(options, missing)
      hasRights = true
    }
    await check.look()
    await writers.time.look()
  }
  link.use({ admit, ready: resume, interrupted: error => writers.interrupted(error) })
  broker.figures.add({
    name: 'store_refused_total',
    type: 'counter',
    help: 'Single writes and records that the session store refused while it took others, by reason.',
    read: () => Object.entries(writers.refusals.counts).map(([reason, value]) => ({ value, labels: { reason } })),
  })
  const timers = [
    clock.every(lookAtMarkMs, () => link.ready && void check.look().catch(() => {})),
    clock.every(lookupSweepMs, () => lookup?.sweep()),
    clock.every(signOfLifeMs, () => link.up && void writers.time.look().catch(() => {})),
    clock.every(signOfLifeMs, () => sessions.stored.signOfLife()),
    clock.every(options.sweepInterval, () => link.up && void sessions.bodies.sweep().catch(() => {})),
  ]
  return {
    probe: async () => [await probeRedis(options, keys, hooks.onRoutesChanged.isUsed())],
    async start() {
      await link.start()
      if (link.ready) await retained.load()
    },
    async stop() {
      for (const timer of timers) timer.cancel()
      await sessions.flush()
      await bus.stop()
      writers.stop()
      link.stop()
    },
  }
})
