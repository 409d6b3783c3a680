import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { isReservedTopic } from '../../core/routing/topic.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { ByTopic } from '../kit/by-topic.ts'
import { TopicTemplate } from '../kit/topic-template.ts'
import { ruleFilterFault } from '../kit/topics.ts'
import { rewriteManifest } from './manifest.ts'

interface Rule {
  readonly filter: string
  readonly to: TopicTemplate
}

/** Gives messages of clients, and their wills, other topic names. */
export const rewrite = definePlugin(rewriteManifest, ({ hooks, broker }, options) => {
  let rules = new ByTopic(readRules(options.rules))
  let { authorise } = options
  addCache(broker, 'rewrite', () => rules)
  let rewritten = 0
  broker.figures.add({
    name: 'rewritten_messages_total',
    type: 'counter',
    help: 'Messages that got another topic name.',
    read: () => [{ value: rewritten, sys: 'messages/rewritten' }],
  })

  // Behind those who judge what the client said, before those who work with what is delivered.
  hooks.onPublish.tap({ name: 'rewrite', stage: Stage.Transform }, (publisher, message) => {
    const [rule] = rules.of(message.topic)
    if (rule === undefined) return undefined
    // A client chooses its id, and with it parts of the name.
    const topic = rule.to.topicName(message.topic, publisher.clientId)
    if (topic === null) return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: 'the topic name that it is rewritten to is none' }
    message.topic = topic
    rewritten += 1
    return authorise ? broker.publishFault(publisher, message) : undefined
  })

  return {
    reload(changed) {
      rules = new ByTopic(readRules(changed.rules))
      authorise = changed.authorise
    },
  }
})

function readRules(given: OptionsOf<typeof rewriteManifest.options>['rules']): Rule[] {
  const problems: string[] = []
  const rules: Rule[] = []
  for (const [index, { filter, to }] of given.entries()) {
    const at = `rewrite.rules[${index}]`
    const wrongFilter = ruleFilterFault(filter)
    if (wrongFilter !== null) {
      problems.push(`${at}.filter: ${wrongFilter}`)
      continue
    }
    try {
      const template = TopicTemplate.parse(to, filter)
      const wrong = template.texts.find(text => /[+#\0]/.test(text))
      if (wrong !== undefined) problems.push(`${at}.to: a topic name has no wildcards, got ${JSON.stringify(to)}; leave them out`)
      else if (isReservedTopic(to)) problems.push(`${at}.to: clients cannot publish to ${JSON.stringify(to)}; choose another name`)
      rules.push({ filter, to: template })
    } catch (error) {
      problems.push(`${at}.to: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return rules
}
