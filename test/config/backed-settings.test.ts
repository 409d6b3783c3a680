import { expect, test } from 'vitest'
import { catalogue } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'

test.each([
  [{ enableTopicSubPubSecure: true, topicSecurity: false }, /^enableTopicSubPubSecure: .*topicSecurity.*onAuthorize/],
  [{ enableInnerCache: false }, /^enableInnerCache: .*Redis.*leave it true/],
])('%j is refused where no plugin carries it out', async (object, message) => {
  const resolved = resolveConfig(catalogue, { object: { preset: 'test', ...object } })
  await expect(resolved).rejects.toMatchObject({ code: 'ERR_CONFIG', problems: [expect.stringMatching(message)] })
})

test('enableTopicSubPubSecure turns topicSecurity on, and says so', async () => {
  const config = await resolveConfig(catalogue, { env: { MQTTX_ENABLE_TOPIC_SUB_PUB_SECURE: 'true' } })
  expect(config.plugins.map(({ name }) => name)).toContain('topicSecurity')
  expect(config.provenance.get('topicSecurity')).toBe('MQTTX_ENABLE_TOPIC_SUB_PUB_SECURE')
  const off = await resolveConfig(catalogue, { object: { enableTopicSubPubSecure: false } })
  expect(off.plugins.map(({ name }) => name)).not.toContain('topicSecurity')
})
