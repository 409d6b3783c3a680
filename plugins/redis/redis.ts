import type { Broker } from '../../core/broker.ts'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { BusEvents, BusTerms } from '../kit/services/bus.ts'
import type {} from '../kit/services/state.ts'
import { RedisBus } from './bus.ts'
import { databaseOf, withFiles } from './client-options.ts'
import { Keys } from './keys.ts'
import { Link } from './link.ts'
import { redisManifest } from './manifest.ts'
import { MessagesBeforeLoad } from './messages-before-load.ts'
import { probeRedis } from './probe.ts'
import { RedisRetained } from './retained.ts'
import { missingRights, rightsError } from './rights.ts'
import { RedisSessions } from './sessions.ts'
import { SlotWriters } from './slot-writers.ts'
import { lookAtStateMs, RedisState } from './state.ts'
import { StoreCheck } from './store-check.ts'
import { lookAtTimeMs } from './store-time.ts'
import { SubscriberLookup } from './subscriber-lookup.ts'

const signOfLifeMs = 5000
const lookupSweepMs = 1000
// A database that was emptied is noticed by the next write, or so late.
const lookAtMarkMs = 2000

/** Keeps sessions and retained messages in Redis: one server, one that sentinels watch over, or a Redis Cluster. */
export const redis = definePlugin(redisManifest, ({ hooks, services, broker, clock, log, report }, given, { enableInnerCache }) => {
  const options = withFiles(given, broker.folder)
  const { waitReplicas, waitTimeout, commandTimeout } = options
  if (waitReplicas > 0 && waitTimeout >= commandTimeout) {
    throw new OperatorError(
      'ERR_CONFIG',
      'redis.waitTimeout: shorter than redis.commandTimeout, or waiting for replicas looks like a Redis that hangs',
    )
  }
  const link = new Link(options, log, clock)
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
  const retained = new RedisRetained(sessions.writes, clock, log)
  services.provide('sessions', sessions, 'redis')
  services.provide('retained', retained, 'redis')
  const state = new RedisState(sessions.writes, clock)
  state.table.onError = report
  services.provide('state', state, 'redis')
  const ownsState = services.ownerOf('state') === 'redis'
  const ownsSessions = services.ownerOf('sessions') === 'redis'
  const ownsRetained = services.ownerOf('retained') === 'redis'
  const lookup = enableInnerCache || !ownsSessions ? null : new SubscriberLookup(broker, topic => sessions.subscribersOf(topic))
  if (lookup !== null) hooks.onMatch.tapPromise('redis', (message, publisher) => lookup.before(message, publisher))
  if (ownsSessions) new MessagesBeforeLoad(broker, sessions, writers)

  const bus = new RedisBus(
    writers,
    sessions,
    ownsRetained ? retained : null,
    ownsState ? state : null,
    options,
    clock,
    log,
    String(broker.settings.brokerId),
  )
  // What brokers that share this store have to tell one another of it goes by its own line, though another plugin is the bus between nodes.
  services.provide('bus', bus, 'redis')
  const speaksForStore = services.ownerOf('bus') !== 'redis' && (ownsSessions || ownsRetained)

  const resume = (): void => {
    writers.resume()
    // What happens to sessions while they are read must be seen too: the place in the log comes first.
    bus.join().then(
      () => {
        if (ownsRetained) void retained.load()
        if (ownsState) void state.look()
        void sessions.resume()
      },
      error => log.error({ err: error as Error }, (error as Error).message),
    )
  }
  writers.time.hasOthers = () => hooks.onRoutesChanged.isUsed()
  const check = new StoreCheck(writers, options)
  check.sample = () => sessions.sample()
  check.onEmptied = isGone => {
    const { restored, lost } = sessions.emptied(isGone)
    const topics = retained.emptied(isGone)
    if (ownsState) void state.look()
    log.error(
      `redis came back empty: ${restored} sessions of connected clients are written again; ${lost} other sessions, ${topics} retained messages and all that was queued are lost`,
    )
  }
  writers.recheck = () => check.look()
  // Once a run: later, what Redis refuses is refused, and said.
  let hasRights = false
  const admit = async (): Promise<void> => {
    if (!hasRights) {
      const missing = await missingRights(
        (name, ...parts) => link.call(name, ...parts),
        options,
        keys,
        speaksForStore || hooks.onRoutesChanged.isUsed(),
      )
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
    clock.every(lookAtTimeMs, () => link.up && void writers.time.look().catch(() => {})),
    clock.every(lookAtStateMs, () => ownsState && link.up && void state.look()),
    clock.every(signOfLifeMs, () => sessions.stored.signOfLife()),
    clock.every(options.sweepInterval, () => link.up && void sessions.bodies.sweep().catch(() => {})),
  ]
  return {
    probe: async () => [await probeRedis(options, keys, speaksForStore || hooks.onRoutesChanged.isUsed())],
    async start() {
      await link.start()
      if (speaksForStore) await bus.open(storeEvents(broker), storeTerms)
      if (link.ready && ownsRetained) await retained.load()
      if (link.ready && ownsState) await state.look()
    },
    async listen() {
      if (speaksForStore) await bus.run()
      // Whoever would copy what is kept here sees from now on that a broker has it.
      sessions.stored.signOfLife()
    },
    async stop() {
      for (const timer of timers) timer.cancel()
      state.table.stop()
      await sessions.flush()
      if (ownsSessions) await sessions.stored.goodbye()
      await bus.stop()
      writers.stop()
      link.stop()
    },
  }
})

const storeTerms: BusTerms = { heartbeatMs: 1000, expiryMs: 5000, facts: () => ({}) }

/** What is heard where the bus carries nothing but what the store's brokers note for one another. */
function storeEvents(broker: Broker): BusEvents {
  const nothing = (): void => {}
  return {
    announced: nothing,
    received: nothing,
    joined: nothing,
    left: nothing,
    inherited: nothing,
    expelled: nothing,
    missed: () => broker.reloadSessions(),
    interrupted: nothing,
  }
}
