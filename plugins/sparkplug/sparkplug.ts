import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { isTopicName } from '../../core/routing/topic.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import { KnownCertificates } from './known-certificates.ts'
import { LatestPublish } from './latest-publish.ts'
import { sparkplugManifest } from './manifest.ts'
import { Mounted } from './mounted.ts'
import { withTimestamp } from './payload-timestamp.ts'
import { certificates, isBirth, isCertificate, isNodeDeath } from './topics.ts'

/** What Sparkplug 3.0 asks of an aware server, beside what it asks of each MQTT server. */
export const sparkplug = definePlugin(sparkplugManifest, ({ hooks, services, broker, clock, log }, options) => {
  let { ndeathTimestamp } = options
  const known = new KnownCertificates({ clock, log, turns: broker.turns, store: () => services.get('retained') }, options)
  const latest = new LatestPublish(message => broker.publish(message))
  const mounted = new Mounted(hooks)
  const lines = new LineThrottle(clock, { everyMs: 10_000 })
  const counts = { births: 0, ndeaths: 0, ndeathsUnread: 0 }
  const offer = (name: string, type: 'gauge' | 'counter', help: string, sys: string, value: () => number) =>
    broker.figures.add({ name, type, help, read: () => [{ value: value(), sys: `sparkplug/${sys}` }] })
  offer('sparkplug_certificates', 'gauge', 'Births that are retained, as this node knows.', 'certificates', () => known.count)
  offer('sparkplug_certificate_bytes', 'gauge', 'Bytes of these.', 'bytes/certificates', () => known.bytes)
  offer('sparkplug_births_total', 'counter', 'NBIRTH and DBIRTH messages that were kept.', 'births', () => counts.births)
  offer('sparkplug_ndeaths_total', 'counter', 'NDEATH messages that got the time of their sending.', 'ndeaths', () => counts.ndeaths)
  offer(
    'sparkplug_unread_ndeaths_total',
    'counter',
    'NDEATH messages that went out as they came, because their payload is no Sparkplug payload.',
    'ndeaths/unread',
    () => counts.ndeathsUnread,
  )

  // Whoever could write there could give an edge node a birth that it never had.
  hooks.onAuthorize.tap({ name: 'sparkplug', stage: Stage.Guard, pure: true }, (_publisher, action, topic) =>
    action === 'publish' && isCertificate(topic) ? false : undefined,
  )

  // Behind all that gives a message another topic name or payload.
  hooks.onPublish.tap({ name: 'sparkplug', stage: Stage.Record }, ({ mountPoint }, message) => {
    const { topic } = message
    if (isCertificate(topic)) return ReasonCode.NotAuthorized
    const own = mounted.ownName(topic, mountPoint)
    if (ndeathTimestamp && isNodeDeath(own)) stamp(message)
    if (own !== topic && isBirth(own)) mounted.note(message)
    return undefined
  })

  hooks.onRoute.tap({ name: 'sparkplug', stage: Stage.Record }, (message, _route, receipt) => {
    const { topic } = message
    if (isCertificate(topic)) {
      // Another node's certificates, too, where somebody here gets them, and what an operator takes away.
      if (message.retain) known.note(topic, message.payloadLength)
    } else if (message.origin !== 'peer' && (isBirth(topic) || mounted.isBirth(message))) keep(message, receipt)
  })

  function stamp(message: Message): void {
    // One with the retain flag and no payload deletes a retained message.
    if (message.payloadLength === 0) return
    const payload = withTimestamp(message.payload, clock.moment().wall)
    if (payload === null) {
      counts.ndeathsUnread += 1
      say('unread', message, 'an NDEATH has no Sparkplug payload, and goes out as it is; have the edge node send one')
      return
    }
    message.payload = payload
    counts.ndeaths += 1
  }

  function keep({ topic, payload, payloadLength, qos, properties, clientId }: Message, receipt: Receipt): void {
    const name = certificates + topic
    const isTooLong = !isTopicName(name)
    if (isTooLong || (payloadLength > 0 && !known.fits(name, payloadLength))) {
      broker.counters.limited.birthCertificates += 1
      const cure = isTooLong
        ? 'its topic name is too long'
        : 'raise sparkplug.certificatesMax or bytesMax, or take old ones away: mqttx-broker retained rm TOPIC'
      say('full', { clientId, topic }, `a birth is delivered and not kept; ${cure}`)
      // An older birth would be taken for the last one.
      if (!known.has(name) && services.get('retained').has?.(name) !== true) return
      payload = Buffer.alloc(0)
      payloadLength = 0
    }
    if (payloadLength > 0) counts.births += 1
    known.note(name, payloadLength)
    // The certificate stands until the next birth, whatever the message's own time limit.
    const { messageExpiry: _expiry, ...others } = properties ?? {}
    latest.publish({ topic: name, payload, qos, retain: true, properties: others }, receipt.hold('sparkplug'))
  }

  function say(kind: string, { clientId, topic }: { clientId: string; topic: string }, line: string): void {
    const times = lines.pass(`${kind} ${clientId}`)
    if (times > 0) log.warn({ clientId, topic, times }, `sparkplug: ${line}`)
  }

  return {
    verify() {
      if (!broker.capabilities.retain)
        throw new OperatorError('ERR_CONFIG', 'sparkplug: the certificates are retained messages; turn the plugin retain on: retain: {}')
    },
    start() {
      known.lookThrough()
    },
    stop() {
      known.end()
    },
    reload(changed) {
      known.limits = changed
      ndeathTimestamp = changed.ndeathTimestamp
    },
  }
})
