import type { Client } from '../../core/connection/client.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Properties } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { isTopicName, parseShare } from '../../core/routing/topic.ts'
import { mountpointManifest } from './manifest.ts'

const placeholder = /\{([^{}]*)\}/g

const names: Readonly<Record<string, (client: Client) => string | null | undefined>> = {
  username: client => client.username,
  clientId: client => client.clientId,
  commonName: ({ transport: { peerCertificate } }) => (peerCertificate?.verified === true ? peerCertificate.commonName : undefined),
  listener: client => client.transport.listener,
}

/** Behind those who judge and change what the client said, by its own names; before those who work with what is delivered. */
const behindOwnNames = Stage.Default - 1

/** Gives each client a part of the topic tree of its own. */
export const mountpoint = definePlugin(mountpointManifest, ({ hooks, log }, { prefix, listeners, except, sys }) => {
  const byListener = new Map(Object.entries(listeners))
  if (prefix === null && byListener.size === 0)
    throw new OperatorError('ERR_CONFIG', "mountpoint.prefix: required; add prefix: 'tenants/{username}/'")
  if (prefix !== null) checkPrefix(prefix, 'mountpoint.prefix')
  for (const [name, one] of byListener) checkPrefix(one, `mountpoint.listeners.${name}`)
  const excepted = new Set(except)
  const isShown = (topic: string): boolean => sys && topic.startsWith('$SYS/')

  hooks.onConnect.tap({ name: 'mountpoint', stage: Stage.Guard }, client => {
    if (client.username !== null && excepted.has(client.username)) return undefined
    const own = byListener.get(client.transport.listener) ?? prefix
    if (own === null) return undefined
    const mountPoint = mountPointOf(own, client)
    if (typeof mountPoint !== 'string') return mountPoint
    client.mountPoint = mountPoint
    return undefined
  })

  hooks.onSubscribe.tap({ name: 'mountpoint', stage: behindOwnNames }, ({ mountPoint }, subscription) => {
    const share = parseShare(subscription.filter)
    const filter = share?.filter ?? subscription.filter
    if (mountPoint === '' || isShown(filter)) return undefined
    subscription.filter = share === null ? mountPoint + filter : `$share/${share.group}/${mountPoint}${filter}`
    return undefined
  })

  // A will and a message that was held back come here too, from what is left of their client.
  hooks.onPublish.tap({ name: 'mountpoint', stage: behindOwnNames }, ({ mountPoint = '' }, message) => {
    if (mountPoint === '') return undefined
    const topic = mountPoint + message.topic
    // In its own part of the tree, too, a filter that begins with a wildcard matches no topic that begins with $ [MQTT-4.7.2-1].
    if (message.topic.startsWith('$') || !isTopicName(topic)) return ReasonCode.TopicNameInvalid
    message.topic = topic
    if (message.properties?.responseTopic !== undefined)
      message.properties = { ...message.properties, responseTopic: mountPoint + message.properties.responseTopic }
    return undefined
  })

  hooks.onDeliver.tap({ name: 'mountpoint', stage: Stage.Transform }, ({ mountPoint }, delivery) => {
    const { topic, properties } = delivery
    if (mountPoint === '' || isShown(topic)) return undefined
    // It came by a subscription of another time, when the session had no mount point or another one.
    if (!topic.startsWith(mountPoint) || topic.length === mountPoint.length) return false
    delivery.topic = topic.slice(mountPoint.length)
    if (properties?.responseTopic !== undefined) delivery.properties = withOwnResponseTopic(properties, mountPoint)
    return undefined
  })

  return {
    start() {
      if ([prefix ?? '', ...byListener.values()].some(one => /\{(username|clientId)\}/.test(one)) && !hooks.onAuthenticate.isUsed())
        log.warn(
          'mountpoint: no plugin authenticates clients, so each chooses its mount point by itself; add authFile, authHttp or authCertificate',
        )
    },
  }
})

/** A response topic that the client cannot publish to is none. */
function withOwnResponseTopic({ responseTopic, ...others }: Properties, mountPoint: string): Properties {
  const own = responseTopic!.startsWith(mountPoint) ? responseTopic!.slice(mountPoint.length) : ''
  return own === '' ? others : { ...others, responseTopic: own }
}

/** The mount point of a client, or why it gets none: names that two clients could make alike would give one the other's topics. */
function mountPointOf(prefix: string, client: Client): string | { reasonCode: ReasonCode; reasonString: string } {
  let missing = ''
  const mountPoint = prefix.replace(placeholder, (_all, name: string) => {
    const value = names[name]!(client) ?? ''
    if (value === '' || /[+#/\0]/.test(value) || !isTopicName(value)) missing = name
    return value
  })
  if (missing === '' && !mountPoint.startsWith('$')) return mountPoint
  return { reasonCode: ReasonCode.NotAuthorized, reasonString: `a ${missing || 'name'} that makes a topic level is required here` }
}

function checkPrefix(prefix: string, at: string): void {
  const problems: string[] = []
  const say = (problem: string): void => void problems.push(`${at}: ${problem}, got ${JSON.stringify(prefix)}`)
  for (const [, name] of prefix.matchAll(placeholder))
    if (!Object.hasOwn(names, name!))
      say(
        `{${name}} stands for nothing; there are ${Object.keys(names)
          .map(one => `{${one}}`)
          .join(', ')}`,
      )
  const levels = prefix.split('/')
  if (!prefix.endsWith('/') || levels.length < 2) say('it has to end with /, as tenants/{username}/ does')
  if (levels.some(level => level.split('{').length > 2))
    say('a level holds one name in braces; with two, different names could make the same level')
  if (prefix.startsWith('$') || prefix.startsWith('/') || /[+#\0]/.test(prefix)) say('it has no wildcards and begins with neither $ nor /')
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
}
