import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { ByTopic } from '../kit/by-topic.ts'
import type { Figures } from '../kit/figures.ts'
import { schemaManifest } from './manifest.ts'
import { readRules } from './rules.ts'

// A reason string is for people, and may hold what the payload held.
const reasonMax = 200

/** Lets pass, of clients' messages and wills, what fits its JSON Schema. */
export const schema = definePlugin(schemaManifest, ({ hooks, broker, log }, options) => {
  let given = options.rules
  let rules = new ByTopic(readRules(given, broker.folder))
  addCache(broker, 'schema', () => rules)
  const valid = countsByFilter(broker.figures, 'schema_valid_messages_total', 'Messages that fitted the schema of their topic.')
  const invalid = countsByFilter(broker.figures, 'schema_invalid_messages_total', 'Messages that did not fit the schema of their topic.')

  hooks.onPublish.tap({ name: 'schema', stage: Stage.Guard }, ({ clientId }, message) => {
    const matching = rules.of(message.topic)
    // An empty retained message deletes one, and has no payload to check.
    if (matching.length === 0 || (message.retain && message.payloadLength === 0)) return undefined
    let value: unknown
    let broken: string | null = null
    try {
      value = JSON.parse(message.payload.toString())
    } catch {
      broken = 'the payload is not JSON'
    }
    for (const rule of matching) {
      const fault = broken ?? rule.fault(value)
      if (fault === null) {
        valid(rule.filter)
        continue
      }
      invalid(rule.filter)
      const reasonString = fault.slice(0, reasonMax)
      log.debug({ clientId, topic: message.topic, fault: reasonString }, 'a payload does not fit its schema')
      if (rule.onInvalid === 'drop') return 'drop'
      const topic = rule.onInvalid === 'quarantine' ? rule.quarantine.topicName(message.topic, clientId) : null
      if (topic === null) return { reasonCode: ReasonCode.PayloadFormatInvalid, reasonString }
      const before = message.properties?.userProperties ?? []
      message.properties = { ...message.properties, userProperties: [...before, ['schema-error', reasonString]] }
      message.topic = topic
      // What is wrong must not take the place of what was right.
      message.retain = false
      return undefined
    }
    return undefined
  })

  const follow = (): void => {
    rules = new ByTopic(readRules(given, broker.folder))
  }
  return {
    reload(changed) {
      const before = given
      given = changed.rules
      try {
        follow()
      } catch (error) {
        given = before
        throw error
      }
    },
    reread() {
      try {
        follow()
      } catch (error) {
        log.error({ err: error }, `the schemas were read again and are not taken up: ${(error as Error).message}`)
      }
    },
  }
})

/** Offers a figure, and returns what counts one for a filter. Rules come and go, their counts stay. */
function countsByFilter(figures: Figures, name: string, help: string): (filter: string) => void {
  const counts = new Map<string, number>()
  figures.add({ name, help, type: 'counter', read: () => [...counts].map(([filter, value]) => ({ value, labels: { filter } })) })
  return filter => void counts.set(filter, (counts.get(filter) ?? 0) + 1)
}
