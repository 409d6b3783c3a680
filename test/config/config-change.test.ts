import { describe, expect, test } from 'vitest'
import { defineOptions } from '../../core/options/options.ts'
import { definePlugin, type Plugin } from '../../core/plugin.ts'
import { memory } from '../../plugins/memory/memory.ts'
import { defineCatalogue } from '../../presets/shell/catalogue.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { compareConfigs } from '../../presets/shell/config-change.ts'
import { RunningBroker } from '../../presets/shell/running-broker.ts'
import { listPlugins } from './list-plugins.ts'

const seen: string[] = []
let refuses = false

const gateOptions = defineOptions({
  rate: { type: 'integer', default: 1, live: true },
  port: { type: 'integer', default: 1 },
  inner: { type: 'object', properties: { soft: { type: 'integer', default: 1, live: true }, hard: { type: 'integer', default: 1 } } },
  judge: { type: 'any' },
})
const gate = definePlugin({
  name: 'gate',
  options: gateOptions,
  listener: true,
  apply: () => ({ reload: options => void seen.push(`gate ${options.rate} ${options.port} ${options.inner.soft}`) }),
})
const doorOptions = defineOptions({ rate: { type: 'integer', default: 1, live: true } })
const door = definePlugin({
  name: 'door',
  options: doorOptions,
  apply: () => ({
    async reload({ rate }) {
      seen.push(`door ${rate}`)
      if (refuses && rate > 1) throw new Error('not so many')
    },
  }),
})
const ways = {
  type: 'list',
  default: [],
  items: {
    type: 'object',
    properties: {
      name: { type: 'string', required: true },
      speed: { type: 'integer', default: 1, live: true },
      width: { type: 'integer', default: 1 },
    },
  },
} as const
const roadsOptions = defineOptions({ ways: { ...ways, live: true }, fixed: ways })
const roads = definePlugin({ name: 'roads', options: roadsOptions, apply: () => ({ reload() {} }) })
const deafOptions = defineOptions({ rate: { type: 'integer', default: 1, live: true } })
const deaf = definePlugin({ name: 'deaf', options: deafOptions, apply() {} })

const catalogue = defineCatalogue({
  version: '1.2.3',
  plugins: listPlugins(
    { manifest: gate.manifest, load: async () => gate },
    { manifest: door.manifest, load: async () => door },
    { manifest: deaf.manifest, load: async () => deaf },
    { manifest: roads.manifest, load: async () => roads },
    { manifest: memory.manifest, load: async () => memory },
  ),
  presets: { standalone: () => ['gate', 'door', 'memory'] },
})
const resolve = (object: object) => resolveConfig(catalogue, { object })

async function changes(before: object, after: object, takes = true) {
  const { taken, later, plugins } = compareConfigs(await resolve(before), await resolve(after), () => takes)
  return { taken, later, told: plugins.map(({ options }) => options) }
}

describe('what a config that was read again brings', () => {
  test('nothing where nothing differs', async () => {
    expect(await changes({ gate: { rate: 2 } }, { gate: { rate: 2 } })).toEqual({ taken: [], later: [], told: [] })
  })

  test('options that are live are taken, the others wait, also within one', async () => {
    const found = await changes({}, { gate: { rate: 2, port: 3, inner: { soft: 4, hard: 5 } } })
    expect(found.taken).toEqual(['gate.rate', 'gate.inner.soft'])
    expect(found.later).toEqual(['gate.port', 'gate.inner.hard'])
    expect(found.told).toEqual([{ rate: 2, port: 1, inner: { soft: 4, hard: 1 } }])
  })

  test('items of a list that have names are compared by them, whatever their order; whether they may come and go the list says', async () => {
    const before = [{ name: 'a' }, { name: 'b', speed: 2 }, { name: 'c' }]
    const after = [{ name: 'd' }, { name: 'b', speed: 3, width: 3 }, { name: 'a' }]
    const found = await changes({ roads: { ways: before, fixed: before } }, { roads: { ways: after, fixed: after } })
    expect([...found.taken].sort()).toEqual(
      ['roads.ways[1].speed', 'roads.ways[0] (added)', 'roads.ways[2] (taken out)', 'roads.fixed[1].speed'].sort(),
    )
    expect(found.later).toEqual(['roads.ways[1].width', 'roads.fixed[0] (added)', 'roads.fixed[1].width', 'roads.fixed[2] (taken out)'])
    const [b, a] = [
      { name: 'b', speed: 3, width: 1 },
      { name: 'a', speed: 1, width: 1 },
    ]
    expect(found.told).toEqual([{ ways: [{ name: 'd', speed: 1, width: 1 }, b, a], fixed: [b, a, { ...a, name: 'c' }] }])
    expect(await changes({ roads: { ways: before } }, { roads: { ways: before } })).toEqual({ taken: [], later: [], told: [] })
  })

  test('a listener of a list is known by its place', async () => {
    const found = await changes({ gate: [{ rate: 1 }, { rate: 1 }] }, { gate: [{ rate: 1 }, { rate: 5 }] })
    expect(found).toEqual({ taken: ['gate[1].rate'], later: [], told: [expect.objectContaining({ rate: 5 })] })
  })

  test('plugins that come or go wait, and so does another preset', async () => {
    expect((await changes({}, { deaf: {}, door: false })).later).toEqual(['door (taken out)', 'deaf (added)'])
    expect((await changes({}, { preset: () => ['gate', 'door', 'memory'] })).later).toEqual(['preset'])
  })

  test('a plugin that takes nothing while it runs waits', async () => {
    expect(await changes({}, { gate: { rate: 2 } }, false)).toEqual({ taken: [], later: ['gate.rate'], told: [] })
  })

  test("the broker's own options too", async () => {
    const found = await changes({}, { heartbeat: '5s', mqtt: { topicLevelsMax: 3, receiveMaximum: 7 } })
    expect(found).toMatchObject({ taken: ['mqtt.topicLevelsMax'], later: ['heartbeat', 'mqtt.receiveMaximum'] })
  })

  test('a function that says the same is the same', async () => {
    const config = (text: string) => ({ gate: { judge: new Function(`return ${text}`) } })
    expect((await changes(config('1'), config('1'))).later).toEqual([])
    expect((await changes(config('1'), config('2'))).later).toEqual(['gate.judge'])
  })

  test('plugins of one’s own are known by their names', async () => {
    const own = (name: string, rate: number): Plugin => definePlugin({ name, options: doorOptions, apply() {} })({ rate })
    const found = await changes({ plugins: [own('one', 1), own('two', 2)] }, { plugins: [own('one', 1), own('two', 3)] })
    expect(found.taken).toEqual(['two.rate'])
  })
})

test('all take it up, or where one refuses none has changed', async () => {
  const running = await RunningBroker.start(catalogue, await resolve({ allowAnonymous: true }))
  seen.length = 0
  expect(await running.reconfigure(await resolve({ gate: { rate: 2, port: 9 } }))).toEqual({
    taken: ['gate.rate'],
    later: ['allowAnonymous', 'gate.port'],
  })
  expect(seen.splice(0)).toEqual(['gate 2 1 1'])
  refuses = true
  const next = await resolve({ gate: { rate: 3 }, door: { rate: 3 }, mqtt: { topicLevelsMax: 3 } })
  await expect(running.reconfigure(next)).rejects.toThrow('not so many')
  // Back to where they were, the last told first.
  expect(seen.splice(0)).toEqual(['gate 3 1 1', 'door 3', 'door 1', 'gate 2 1 1'])
  expect(running.broker.settings.mqtt.topicLevelsMax).toBe(128)
  refuses = false
  // What waits is named again.
  expect(await running.reconfigure(next)).toEqual({
    taken: ['mqtt.topicLevelsMax', 'gate.rate', 'door.rate'],
    later: ['allowAnonymous'],
  })
  expect(running.broker.settings.mqtt.topicLevelsMax).toBe(3)
  await running.stop()
})
