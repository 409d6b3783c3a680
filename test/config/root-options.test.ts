import { expect, expectTypeOf, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { type Config, catalogue } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { RunningBroker } from '../../presets/shell/running-broker.ts'
import { listPlugins } from './list-plugins.ts'

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

test('a plugin is handed its options at the root; the broker itself does not have them', async () => {
  const seen: unknown[] = []
  const own = definePlugin(
    {
      name: 'own',
      rootOptions: { ownRate: { type: 'integer', default: 3 } },
      rootOptionsWhenOff: { ownRate: 'nobody there' },
      turnedOnBy: 'ownRate',
    },
    (_context, _options, root) => {
      expectTypeOf(root).toEqualTypeOf<{ readonly ownRate: number }>()
      seen.push(root)
    },
  )
  const extended = { ...catalogue, plugins: { ...catalogue.plugins, ...listPlugins({ manifest: own.manifest, load: async () => own }) } }
  const config = await resolveConfig(extended, {
    object: { preset: 'test', own: {}, socket: false },
    assignments: [{ keys: ['ownRate'], text: '7', who: '--set' }],
  })
  expect(config.settings).not.toHaveProperty('ownRate')
  expect(config.provenance.get('ownRate')).toBe('--set')
  await (await RunningBroker.start(extended, config)).stop()
  expect(seen).toEqual([{ ownRate: 7 }])
  await expect(resolveConfig(extended, { object: { preset: 'test', ownRate: 7 } })).rejects.toMatchObject({
    problems: ['ownRate: nobody there'],
  })
  own().apply({ checkOptions } as never)
  expect(seen[1]).toEqual({ ownRate: 3 })
})

test('an option at the root that a plugin has is typed, and named where it was mistyped', async () => {
  const config: Config = { enableInnerCache: true, enableTopicSubPubSecure: false }
  // @ts-expect-error it is true or false
  const wrong: Config = { enableInnerCache: 'no' }
  expect([config, wrong]).toHaveLength(2)
  await expect(resolveConfig(catalogue, { object: { enableInerCache: true } })).rejects.toThrow(
    'enableInerCache: unknown; did you mean enableInnerCache?',
  )
})
