import type { Settings } from '../../core/options/settings.ts'
import type { Problem } from '../../core/options/validation.ts'
import type { ResolvedPlugin } from './resolved-config.ts'

/** Settings of the broker's own that mean nothing unless a plugin carries them out: one that nobody does must not pass in silence. */
export function unbackedSettings(settings: Settings, plugins: readonly ResolvedPlugin[]): Problem[] {
  const problems: Problem[] = []
  const has = (name: string): boolean => plugins.some(plugin => plugin.name === name)
  if (settings.enableTopicSubPubSecure && !has('topicSecurity')) {
    problems.push({
      path: 'enableTopicSubPubSecure',
      text: 'topicSecurity is off, so nobody would check rights; leave topicSecurity: false out, or enableTopicSubPubSecure, and check them in a plugin of your own that taps onAuthorize',
    })
  }
  if (!settings.enableInnerCache && !has('redis')) {
    problems.push({
      path: 'enableInnerCache',
      text: 'false looks subscribers up in Redis, and redis does not keep the sessions here; leave it true',
    })
  }
  return problems
}
