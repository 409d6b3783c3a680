import { expect, test } from 'vitest'
import type { ListedPlugin } from '../../plugins/kit/listed-plugin.ts'
import { validateOptions } from '../../plugins/kit/options/validation.ts'
import { type Config, catalogue } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'

const namesOf = async (config: Config) => (await resolveConfig(catalogue, { object: config })).plugins.map(({ name }) => name)

test('preset prod has all that several brokers on one Redis need', async () => {
  const names = await namesOf({ preset: 'prod', allowAnonymous: true })
  expect(names).toEqual([
    'log',
    'dropLog',
    'limits',
    'redis',
    'ban',
    'cluster',
    'retain',
    'shareTopic',
    'sysTopic',
    'metrics',
    'admin',
    'socket',
    'websocket',
  ])
})

test('where another owner takes the place of redis, preset prod goes without the cluster, unless that is asked for', async () => {
  expect(await namesOf({ preset: 'prod', allowAnonymous: true, disk: {} })).not.toContain('cluster')
  const { notes, warnings } = await resolveConfig(catalogue, { object: { preset: 'prod', allowAnonymous: true, disk: {} } })
  expect(notes).toEqual(['redis: left out, because disk owns sessions and retained and state, nobody owns bus'])
  expect(warnings).toEqual([
    'cluster: left out, because no plugin provides the service bus; add redis or a plugin of your own, or say cluster: false',
  ])
  await expect(namesOf({ preset: 'prod', allowAnonymous: true, disk: {}, cluster: {} })).rejects.toThrow(
    'cluster requires service "bus"; turn on redis (redis: true), or add a plugin of your own that provides it',
  )
  expect(await namesOf({ preset: 'prod', allowAnonymous: true, cluster: false })).not.toContain('cluster')
})

test.each(Object.entries(catalogue.plugins))(
  '%s is made of the manifest that the catalogue lists',
  async (name, { manifest, load }: ListedPlugin) => {
    expect(manifest.name).toBe(name)
    expect((await load(validateOptions(manifest.options ?? {}, {}, name).options)).manifest).toBe(manifest)
  },
)
