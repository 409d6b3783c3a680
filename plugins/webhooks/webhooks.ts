import { resolve } from 'node:path'
import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import { definePlugin } from '../../core/plugin.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { ByTopic } from '../kit/by-topic.ts'
import { KeptFirst } from '../kit/kept-first.ts'
import type { ParkedMessages } from '../kit/services/bridge-target.ts'
import { Endpoint } from './endpoint.ts'
import { eventJson } from './event-json.ts'
import { tapEvents } from './event-taps.ts'
import { offerFigures } from './figures.ts'
import { webhooksManifest } from './manifest.ts'
import { probeEndpoint } from './probe-endpoint.ts'
import { type EventName, placeOf, verifyEndpoints } from './rules.ts'

/** The service `webhooks`. */
export interface Webhooks {
  /** What the server of an endpoint refused though it was acknowledged; null where there is no such endpoint, or no queue on disk keeps it. From `start` on. */
  parked(endpoint: string): ParkedMessages | null
}

declare module '../../core/service-map.js' {
  interface ServiceMap {
    /** What became of events that were posted: `webhooks` owns it. */
    webhooks: Webhooks
  }
}

interface Rule {
  readonly filter: string
  readonly index: number
}

/** Posts messages, and what happens to clients and sessions, to HTTP servers. */
export const webhooks = definePlugin(webhooksManifest, ({ hooks, services, broker, clock, log }, options) => {
  const { endpoints: given, stopTimeout } = options
  const locate = (file: string): string => resolve(broker.folder, file)
  const node = String(broker.settings.brokerId)
  let endpoints: readonly Endpoint[] = []
  services.provide('webhooks', { parked: name => endpoints.find(endpoint => endpoint.name === name)?.parked ?? null }, 'webhooks')

  // An id names the run and the event in it, so that a repeat is known over restarts too.
  const run = clock.random(8).toString('hex')
  let count = 0
  const nextId = (): string => `${run}-${(count++).toString(36)}`

  const rules = given.flatMap(({ filters }, index) => filters.map((filter): Rule => ({ filter, index })))
  if (rules.length > 0) {
    const byTopic = new ByTopic<Rule>(rules)
    addCache(broker, 'webhooks', () => byTopic)
    const endpointsOf = (message: Message): readonly Endpoint[] => {
      // What comes from another node was posted there.
      const found = message.origin === 'peer' ? [] : byTopic.of(message.topic)
      if (found.length < 2) return found.map(({ index }) => endpoints[index]!)
      return [...new Set(found.map(({ index }) => index))].map(index => endpoints[index]!)
    }
    const keptFirst = given.some(({ filters, ack }) => filters.length > 0 && ack !== 'none')
      ? new KeptFirst(hooks, clock, 'webhooks', message => {
          const kept = endpointsOf(message).flatMap(endpoint => endpoint.keepFirst(nextId(), message) ?? [])
          if (kept.length === 0) return null
          return { kept: Promise.all(kept.map(one => one.kept)), acknowledged: Promise.all(kept.map(one => one.acknowledged)) }
        })
      : null
    hooks.onRoute.tap({ name: 'webhooks', stage: Stage.Record }, (message, _route, receipt) => {
      const found = endpointsOf(message)
      if (found.length === 0) return
      const held = keptFirst?.holds(message, receipt) === true
      for (const endpoint of found) if (!held || endpoint.ack === 'none') endpoint.offer(nextId(), message, receipt)
    })
  }

  const wanted = new Set<EventName>(given.flatMap(({ events }) => events))
  const untap = tapEvents(broker, wanted, (event, clientId, fields) => {
    const id = nextId()
    const at = clock.now()
    const json = eventJson(id, event, at, node, fields)
    for (const endpoint of endpoints) if (endpoint.wants(event)) endpoint.tell(id, clientId, json, at)
  })

  return {
    verify: () => verifyEndpoints(options, services.has('queue'), locate),
    start() {
      const queues = services.find('queue')
      endpoints = given.map((endpoint, index) => new Endpoint({ broker, queues, node, locate }, endpoint, placeOf(index)))
      offerFigures(broker.figures, endpoints)
      const names = new Set(given.map(({ name }) => name))
      for (const queue of queues?.names() ?? []) {
        const [kind, name] = queue.split(' ')
        if (kind === 'webhook' && !names.has(name!))
          log.warn(`webhooks: events may wait on disk for ${name}, which is no endpoint any more; name it again`)
      }
    },
    async probe() {
      return await Promise.all(given.map((endpoint, index) => probeEndpoint(endpoint, placeOf(index), clock, locate)))
    },
    async stop() {
      untap()
      await Promise.all(endpoints.map(endpoint => endpoint.stop(stopTimeout)))
    },
  }
})
