import { definePlugin } from '../../core/plugin.ts'
import { shareTopicManifest } from './manifest.ts'
import { strategies } from './strategies.ts'

/** Shared subscriptions, `$share/{name}/{filter}`: each message goes to one member of the group. For 3.1.1 clients too. */
export const shareTopic = definePlugin(shareTopicManifest, ({ hooks, broker, clock }, { shareSubStrategy }) => {
  broker.capabilities.sharedSubscriptions = true
  const { pick, look } = strategies[shareSubStrategy](clock)
  hooks.onShare.tap({ name: 'shareTopic', look, explain: () => `strategy ${shareSubStrategy}` }, (group, message) => pick(group, message))
})
