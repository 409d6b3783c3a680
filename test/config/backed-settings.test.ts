import { expect, test } from 'vitest'
import { resolveConfig } from '../../core/config/config.ts'
import { catalogue } from '../../presets/index.ts'

test.each([
  ['enableTopicSubPubSecure', true, /^enableTopicSubPubSecure: .*topicSecurity.*onAuthorize/],
  ['enableInnerCache', false, /^enableInnerCache: .*Redis.*leave it true/],
])('%s: %s is refused where no plugin carries it out', async (key, value, message) => {
  const resolved = resolveConfig(catalogue, { object: { preset: 'test', [key]: value } })
  await expect(resolved).rejects.toMatchObject({ code: 'ERR_CONFIG', problems: [expect.stringMatching(message)] })
})
