import type { Client } from '../../core/connection/client.ts'
import type { DisconnectReason } from '../../core/connection/disconnect-reason.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { UserProperty } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { ByTopic } from '../kit/by-topic.ts'
import { KeptStates, stateOf, stateProperties } from './kept-states.ts'
import { presenceManifest } from './manifest.ts'
import { MergedChanges } from './merged-changes.ts'
import { type PresenceFacts, payloadOf } from './presence-payload.ts'
import { PresenceTemplate } from './presence-template.ts'

/** What has become of a client: it is there (`end` null), or it has gone, and for good where its session ends with the connection. */
interface Change {
  readonly client: Client
  readonly sessionPresent: boolean
  readonly end: DisconnectReason | null
  readonly isFinal: boolean
}

// Whoever has taken a client over has said so by then.
const takenOverMs = 10_000

/** Says who comes and goes, and who is there. */
export const presence = definePlugin(presenceManifest, ({ hooks, broker, services, clock, report }, options) => {
  const node = String(broker.settings.brokerId)
  const { offlineFor, interval } = options
  const qos = options.qos as QoS
  const templates = readTemplates(options)
  // The connection that counts for each client id, from its session on.
  const present = new Map<string, Client>()

  const publish = (
    topic: string,
    payload: string,
    retain = false,
    properties?: { userProperties?: UserProperty[]; messageExpiry?: number },
  ): void => {
    broker.publish({ topic, payload, qos, retain, ...(properties === undefined ? {} : { properties }) }).catch(report)
  }

  /** The state of a client that is not connected: for so long, or for ever (`isFinal` false) as its session lasts. */
  const sayOffline = (topic: string, facts: PresenceFacts, isFinal: boolean): void => {
    const { clientId } = facts
    const userProperties = stateProperties({ clientId, node: facts.node, isOnline: false })
    const expires = isFinal && offlineFor > 0 ? { messageExpiry: Math.ceil(offlineFor / 1000) } : {}
    publish(topic, payloadOf(options.offlinePayload, facts), true, { userProperties, ...expires })
    if (isFinal && offlineFor === 0) publish(topic, '', true)
  }

  const say = (clientId: string, { client, sessionPresent, end, isFinal }: Change): void => {
    const { username, remoteAddress, acceptedAt, version, keepAlive } = client
    const whom = { clientId, username, node }
    const time = Math.trunc(clock.moment().wall)
    const more =
      end === null
        ? { version, keepAlive, sessionPresent }
        : { connectedAt: Math.trunc(acceptedAt), by: end.by, reasonCode: end.code, reason: end.message }
    const event = end === null ? 'connected' : 'disconnected'
    const facts = { event, ...whom, time, address: remoteAddress, ...more } satisfies PresenceFacts
    const template = templates[event]
    const topic = template?.fill(whom)
    const stateTopic = templates.state?.fill(whom)
    if (topic === null || stateTopic === null) broker.counters.presenceUnnamed += 1
    if (typeof topic === 'string') publish(topic, payloadOf(options[`${event}Payload`], facts))
    if (typeof stateTopic !== 'string') return
    if (end === null) {
      const userProperties = stateProperties({ ...whom, isOnline: true })
      publish(stateTopic, payloadOf(options.onlinePayload, { ...facts, event: 'online' }), true, { userProperties })
    } else sayOffline(stateTopic, { ...facts, event: 'offline' }, isFinal)
  }
  const changes = new MergedChanges<Change>(clock, interval, say, () => {
    broker.counters.presenceMerged += 1
  })

  const states =
    templates.state === null
      ? null
      : new KeptStates(broker, node, templates.state.filter, ({ clientId }, { topic }) => {
          broker.counters.presenceCorrected += 1
          const time = Math.trunc(clock.moment().wall)
          const isFinal = broker.sessionOf(clientId) === undefined
          const why = { reasonCode: ReasonCode.UnspecifiedError, reason: 'its node has ended', by: 'server' }
          sayOffline(topic, { event: 'offline', clientId, username: null, node, time, address: null, ...why }, isFinal)
        })

  const tap = { name: 'presence', stage: Stage.Observe }
  hooks.onSessionOpened.tap(tap, ({ clientId, client }) => {
    if (client !== null) present.set(clientId, client)
  })
  hooks.onConnected.tap(tap, (client, sessionPresent) => {
    changes.add(client.clientId, { client, sessionPresent, end: null, isFinal: false })
  })
  hooks.onDisconnect.tap(tap, (client, end) => {
    const { clientId, session } = client
    // Another connection has its place, here or elsewhere, and says so itself.
    if (present.get(clientId) !== client) return
    present.delete(clientId)
    if (end.code === ReasonCode.SessionTakenOver) {
      if (templates.state !== null) states!.lookAgain(templates.state.filterOf({ clientId }), takenOverMs)
      return
    }
    changes.add(clientId, { client, sessionPresent: false, end, isFinal: session?.durable !== true })
  })
  if (states !== null) {
    hooks.onSessionExpired.tap(tap, clientId => {
      // A new session has begun with the end of the old one.
      if (present.has(clientId)) return
      states
        .each(templates.state!.filterOf({ clientId }), (state, { topic }) => {
          if (state.clientId !== clientId || present.has(clientId)) return
          const time = Math.trunc(clock.moment().wall)
          const why = { reasonCode: 0, reason: 'its session has ended', by: 'server' }
          sayOffline(topic, { event: 'offline', clientId, username: null, node, time, address: null, ...why }, true)
        })
        .catch(report)
    })
  }

  guardTopics()

  /** Nobody but the broker says who is there. Under `$SYS` no client may publish anyway. */
  function guardTopics(): void {
    const open = Object.values(templates).flatMap(template => (template === null || template.filter.startsWith('$SYS/') ? [] : [template]))
    if (open.length === 0) return
    const byTopic = new ByTopic(open)
    addCache(broker, 'presence', () => byTopic)
    hooks.onPublish.tap({ name: 'presence', stage: Stage.Guard, pure: true }, (_publisher, { topic }) =>
      byTopic.of(topic).length > 0
        ? { reasonCode: ReasonCode.NotAuthorized, reasonString: 'only the broker says who is there' }
        : undefined,
    )
  }

  return {
    verify() {
      if (states !== null && !services.has('retained'))
        throw new OperatorError(
          'ERR_CONFIG',
          'presence.state: there are no retained messages here; add the plugin retain, or leave state out',
        )
    },
    listen() {
      if (states === null) return []
      // Another node that takes a client for gone, by what it knew before, is set right by the one that has it.
      if (services.has('bus')) {
        broker.subscribe(templates.state!.filter, message => {
          if (message.origin !== 'peer') return
          const state = stateOf(message)
          const client = state === null || state.isOnline ? undefined : present.get(state.clientId)
          if (client?.state === 'connected') changes.add(state!.clientId, { client, sessionPresent: true, end: null, isFinal: false })
        })
      }
      states.start()
      return []
    },
    stop() {
      changes.flush()
      states?.stop()
    },
  }
})

interface Templates {
  readonly connected: PresenceTemplate | null
  readonly disconnected: PresenceTemplate | null
  readonly state: PresenceTemplate | null
}

function readTemplates(options: { connected: string; disconnected: string; state?: string | undefined }): Templates {
  const problems: string[] = []
  const read = (name: keyof Templates): PresenceTemplate | null => {
    const source = options[name]
    if (source === undefined || source === '') return null
    try {
      return new PresenceTemplate(source, name === 'state' ? { node: 'a client is at one node or another, and has one state' } : {})
    } catch (error) {
      problems.push(`presence.${name}: ${(error as Error).message}`)
      return null
    }
  }
  const templates = { connected: read('connected'), disconnected: read('disconnected'), state: read('state') }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return templates
}
