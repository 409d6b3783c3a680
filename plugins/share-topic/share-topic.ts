import { definePlugin } from '../../core/plugin.ts'
import { shareTopicOptions } from './options.ts'
import { strategies } from './strategies.ts'

/** Shared subscriptions, `$share/{name}/{filter}`: each message goes to one member of the group. For 3.1.1 clients too. */
export const shareTopic = definePlugin({
  name: 'shareTopic',
  options: shareTopicOptions,
  apply({ hooks, broker }, { shareSubStrategy }) {
    broker.capabilities.sharedSubscriptions = true
    const pick = strategies[shareSubStrategy]()
    hooks.onShare.tap('shareTopic', (group, message) => pick(group, message))
  },
})
