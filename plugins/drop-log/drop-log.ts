import type { DropReason } from '../../core/counter-names.ts'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { type ClientEvent, ClientLines } from '../kit/client-lines.ts'
import type { DropRow } from '../kit/services/drops.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { DropRecord } from './drop-record.ts'
import { type DropsAnswer, dropsVerb } from './drops-verb.ts'
import { dropLogManifest } from './manifest.ts'

// What somebody has asked for: a QoS 0 message that nobody waits for, an expiry, a plugin that filters. Of interest only to who looks for it.
const asked: ReadonlySet<DropReason> = new Set(['offline', 'expired', 'filtered'])
// A decision about the message or its receiver, by rights or by MQTT's own rules.
const decided: ReadonlySet<DropReason> = new Set(['refused', 'notAuthorized', 'noMember', 'sessionEnded', 'cleared'])

/** Says in the log which client's messages were dropped or refused, and why: a bounded number of lines, however many messages. */
export const dropLog = definePlugin(dropLogManifest, ({ hooks, services, broker, clock }, { every, linesPerSecond }) => {
  const lines = new ClientLines(clock, broker.log, { everyMs: every, linesPerSecond })
  const record = new DropRecord(() => clock.now())
  services.provide('drops', record, 'dropLog')
  const drops = new Map<DropReason, ClientEvent>()
  const publishes = new Map<number, ClientEvent>()
  const subscriptions = new Map<number, ClientEvent>()

  hooks.onDrop.tap({ name: 'dropLog', stage: Stage.Observe }, (clientId, message, reason, reasonCode) => {
    const event = reasonCode === undefined ? eventOf(drops, reason, dropOf) : eventOf(publishes, reasonCode, refusedPublish)
    lines.say(event, clientId, message.topic)
    record.add(clientId, message.topic, reason, reasonCode)
  })

  hooks.onSubscribeRefused.tap({ name: 'dropLog', stage: Stage.Observe }, ({ clientId }, { filter }, reasonCode) => {
    lines.say(eventOf(subscriptions, reasonCode, refusedSubscription), clientId, filter)
    record.add(clientId, filter, 'subscriptionRefused', reasonCode)
  })

  broker.verbs.add(
    defineVerb(broker, dropsVerb, {
      run: (_broker, { id, since, limit }): DropsAnswer => ({
        dropped: id === null ? record.within(since) : (record.of(id) ?? {}),
        rows: record.last(limit, id ?? undefined).filter(({ at }) => at >= clock.now() - since),
      }),
      merge(parts, missing, { limit }): DropsAnswer {
        const answers = parts.map(({ answer }) => answer as DropsAnswer)
        const dropped: Record<string, number> = {}
        for (const one of answers)
          for (const [reason, count] of Object.entries(one.dropped)) dropped[reason] = (dropped[reason] ?? 0) + count
        const rows: DropRow[] = answers.flatMap(one => one.rows).sort((a, b) => b.at - a.at)
        return { dropped, rows: rows.slice(0, limit), ...(missing.length > 0 ? { missing } : {}) }
      },
    }),
  )

  return { stop: () => lines.flush() }
})

function eventOf<K>(events: Map<K, ClientEvent>, key: K, make: (key: K) => ClientEvent): ClientEvent {
  let event = events.get(key)
  if (event === undefined) events.set(key, (event = make(key)))
  return event
}

function dropOf(reason: DropReason): ClientEvent {
  const level = asked.has(reason) ? 'debug' : decided.has(reason) ? 'info' : 'warn'
  return { level, text: 'message dropped', who: 'clientId', about: 'topic', fields: { reason } }
}

function refusedPublish(reasonCode: number): ClientEvent {
  // Whoever set a quota says in the log itself, at a pace of its own, that it was exceeded.
  const level = reasonCode === ReasonCode.QuotaExceeded ? 'debug' : 'info'
  return { level, text: 'publish refused', who: 'clientId', about: 'topic', fields: { reason: 'refused', reasonCode } }
}

function refusedSubscription(reasonCode: number): ClientEvent {
  return { level: 'info', text: 'subscription refused', who: 'clientId', about: 'filter', fields: { reasonCode } }
}
