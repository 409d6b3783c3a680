import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import { isTopicFilter, isTopicName } from '../../core/routing/topic.ts'
import { TopicTemplate } from '../kit/topic-template.ts'
import type { mqttBridgeManifest } from './manifest.ts'

export type MqttBridgeOptions = OptionsOf<typeof mqttBridgeManifest.options>
export type ConnectionOptions = MqttBridgeOptions['connections'][number]
type TopicOptions = ConnectionOptions['topics'][number]
/** What a publisher's acknowledgement waits for. */
export type AckMode = NonNullable<TopicOptions['ack']>

/** One direction of one rule. */
export interface BridgeRule {
  /** Where it stands in the config: `mqttBridge.connections[0].topics[2]`. */
  readonly at: string
  /** Matches topic names where messages come from: here for those that go out, there for those that come in. */
  readonly filter: string
  /** The highest QoS. */
  readonly qos: QoS
  /** Messages of QoS 2 arrive once, whatever happens to either broker. */
  readonly once: boolean
  readonly ack: AckMode
  readonly retained: boolean
  /** Matches the topic names that come of it at the other end. */
  readonly lands: string
  /** The topic name at the other end; null where none can be made. */
  nameOf(topic: string, clientId: string): string | null
}

/** The rules of one connection, by direction. */
export interface BridgeRules {
  readonly out: readonly BridgeRule[]
  readonly in: readonly BridgeRule[]
}

/** Reads the rules of a connection. `at`: where the connection stands in the config; `hasQueue`: there is a queue on disk. All that is wrong is thrown at once. */
export function readRules({ topics }: ConnectionOptions, at: string, hasQueue: boolean): BridgeRules {
  const problems: string[] = []
  const rules = { out: [] as BridgeRule[], in: [] as BridgeRule[] }
  for (const [index, topic] of topics.entries()) {
    const where = `${at}.topics[${index}]`
    const fault = faultOf(topic, hasQueue)
    if (fault !== null) {
      problems.push(`${where}${fault}`)
      continue
    }
    const { filter, direction, localPrefix, remotePrefix, to } = topic
    const ack = topic.ack ?? (hasQueue ? 'local' : 'remote')
    const rule = (from: string, toPrefix: string): BridgeRule => ({
      at: where,
      filter: from + filter,
      qos: topic.qos as QoS,
      once: topic.delivery === 'exactlyOnce',
      ack,
      retained: topic.retained,
      lands: to === undefined ? toPrefix + filter : `${fixedLevels(to)}#`,
      nameOf: namer(from, toPrefix, to === undefined ? null : TopicTemplate.parse(to, filter)),
    })
    if (direction !== 'in') rules.out.push(rule(localPrefix, remotePrefix))
    if (direction !== 'out') rules.in.push(rule(remotePrefix, localPrefix))
  }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return rules
}

/** The levels before the first placeholder. */
function fixedLevels(template: string): string {
  const [text] = template.split('{', 1) as [string]
  return text.slice(0, text.lastIndexOf('/') + 1)
}

function namer(prefix: string, toPrefix: string, template: TopicTemplate | null): BridgeRule['nameOf'] {
  if (template !== null) return (topic, clientId) => template.topicName(topic.slice(prefix.length), clientId)
  if (prefix === toPrefix) return topic => topic
  return topic => {
    const name = toPrefix + topic.slice(prefix.length)
    return isTopicName(name) ? name : null
  }
}

/** What is wrong with a rule, to be said behind where it stands; null: nothing. */
function faultOf({ filter, direction, localPrefix, remotePrefix, to, ack, qos, delivery }: TopicOptions, hasQueue: boolean): string | null {
  for (const [name, prefix] of [
    ['localPrefix', localPrefix],
    ['remotePrefix', remotePrefix],
  ] as const) {
    if (prefix !== '' && !isTopicName(prefix))
      return `.${name}: ${JSON.stringify(prefix)} is no beginning of a topic name; write it without wildcards`
    const whole = prefix + filter
    if (!isTopicFilter(whole) || whole.startsWith('$share/'))
      return `.filter: ${JSON.stringify(whole)} is no topic filter; wildcards stand alone in their level, # only in the last`
  }
  if (ack === 'local' && !hasQueue) return ': ack local needs a queue on disk; add the section diskQueue, or set ack: remote'
  if (delivery === 'exactlyOnce' && qos < 2) return `.delivery: exactlyOnce needs QoS 2; set qos: 2, or delivery: atLeastOnce`
  if (to === undefined) return null
  if (direction === 'both') return '.to: it cannot be undone on the way back; make two rules of it, one out and one in'
  try {
    const template = TopicTemplate.parse(to, filter)
    if (template.byClient && direction === 'in') return '.to: nobody knows the client id of what comes in; leave {clientId} out'
    return null
  } catch (error) {
    return `.to: ${(error as Error).message}`
  }
}
