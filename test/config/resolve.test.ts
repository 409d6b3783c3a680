import { expect, expectTypeOf, test, vi } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import type { ConfigInput } from '../../presets/shell/catalogue.ts'
import { catalogue, names, problems, resolve, resolveObject } from './sample.ts'

const set = (text: string) => {
  const [path, value] = text.split('=') as [string, string]
  return { keys: path.split('.'), text: value, who: '--set' }
}
const options = async (object: object, name: string) => (await resolveObject(object)).plugins.find(plugin => plugin.name === name)?.options

test('begins with the default preset and its order where nothing is said', async () => {
  const config = await resolve({})
  expect(config.preset).toBe('standalone')
  expect(config.plugins.map(plugin => plugin.name)).toEqual(['log', 'memory', 'retain', 'socket'])
  expect(config.settings).toMatchObject({ brokerId: 1, heartbeat: 60_000, host: '0.0.0.0', soBacklog: 512, mqtt: { receiveMaximum: 1000 } })
  expect(config.settings.allowAnonymous).toBeUndefined()
  expect(config.settings.mqtt.maximumPacketSize).toBe(2 * 1024 * 1024)
})

test('turns a plugin on by naming its section, where the catalogue has it', async () => {
  expect(await names({ sysTopic: {} })).toEqual(['log', 'memory', 'retain', 'sysTopic', 'socket'])
  expect(await names({ shareTopic: true })).toEqual(['log', 'memory', 'retain', 'shareTopic', 'socket'])
  expect(await names({ shareTopic: undefined })).toEqual(['log', 'memory', 'retain', 'socket'])
})

test('turns a plugin off by false and by enable: false', async () => {
  expect(await names({ socket: false })).toEqual(['log', 'memory', 'retain'])
  expect(await names({ socket: { enable: false, port: 1 } })).toEqual(['log', 'memory', 'retain'])
  expect(await names({ sysTopic: { enable: true } })).toContain('sysTopic')
})

test('lays a section over the options of the preset, key by key', async () => {
  expect(await options({ preset: 'dev', sysTopic: { qos: 1 } }, 'sysTopic')).toEqual({ interval: 5000, qos: 1 })
})

// As Kubernetes puts them into a pod beside the service mqttx, and beside mqttx-metrics.
const serviceLinks = {
  MQTTX_PORT: 'tcp://10.0.0.1:1883',
  MQTTX_SERVICE_HOST: '10.0.0.1',
  MQTTX_SERVICE_PORT: '1883',
  MQTTX_SERVICE_PORT_MQTT: '1883',
  MQTTX_PORT_1883_TCP: 'tcp://10.0.0.1:1883',
  MQTTX_PORT_1883_TCP_PROTO: 'tcp',
  MQTTX_PORT_1883_TCP_PORT: '1883',
  MQTTX_PORT_1883_TCP_ADDR: '10.0.0.1',
  MQTTX_METRICS_SERVICE_HOST: 'fd00::1',
  MQTTX_METRICS_PORT: 'udp://[fd00::1]:9464',
  MQTTX_METRICS_PORT_9464_UDP: 'udp://[fd00::1]:9464',
}

test('passes over what Kubernetes says of a service called mqttx, in one line with the cure; options are still read', async () => {
  const config = await resolve({ env: { ...serviceLinks, MQTTX_SOCKET__PORT: '2883' } })
  expect(config.plugins.find(({ name }) => name === 'socket')?.options).toMatchObject({ port: 2883 })
  expect(config.warnings).toEqual([
    expect.stringMatching(/^MQTTX_METRICS_PORT, .* and 8 more in the environment: .*enableServiceLinks: false/),
  ])
})

test.each([
  ['MQTTX_SOKET__PORT', 'tcp://10.0.0.1:1883'],
  ['MQTTX_SOKET_PORT', '1883'],
  ['MQTTX_SERVICE_PORT', 'abc'],
  ['MQTTX_SERVICE_HOST', 'localhost'],
  ['MQTTX_PORT_1883_TCP_PROTO', 'quic'],
])('%s=%s is no such variable, but an error', async (name, text) => {
  expect(await problems(resolve({ env: { ...serviceLinks, [name]: text } }))).toEqual([expect.stringContaining(`${name}: unknown`)])
})

test('gives a service to the owner that is named, in place of the preset’s', async () => {
  expect(await names({ redis: { url: 'redis://cache:6379' } })).toEqual(['log', 'redis', 'retain', 'socket'])
  const own = definePlugin({ name: 'mine', provides: ['sessions', 'retained'], apply() {} })
  expect(await names({ plugins: [own()] })).toEqual(['mine', 'log', 'retain', 'socket'])
})

test('chooses an owner service by service, and says who gives way', async () => {
  const own = (name: string, ...provides: string[]) => definePlugin({ name, provides, apply() {} })()
  const owners = async (object: object) => {
    const { plugins, notes, warnings } = await resolveObject(object)
    return {
      owners: Object.fromEntries(plugins.filter(one => one.provides.length > 0).map(one => [one.name, one.provides])),
      notes,
      warnings,
    }
  }
  // A store keeps what nobody else owns.
  expect(await owners({ plugins: [own('mine', 'retained')] })).toEqual({
    owners: { mine: ['retained'], memory: ['sessions'] },
    notes: ['memory: owns sessions only, because mine owns retained'],
    warnings: [],
  })
  // So does one that is named in the config: what is the user's own comes first.
  expect((await owners({ redis: {}, plugins: [own('mine', 'retained')] })).owners).toEqual({ mine: ['retained'], redis: ['sessions'] })
  expect(await owners({ redis: {}, plugins: [own('mine', 'sessions', 'retained')] })).toEqual({
    owners: { mine: ['sessions', 'retained'] },
    notes: ['memory: left out, because mine owns sessions and retained', 'redis: left out, because mine owns sessions and retained'],
    warnings: [],
  })
  // A built-in store that is named takes the place of the preset's, with all that it has.
  expect(await owners({ redis: {} })).toMatchObject({
    owners: { redis: ['sessions', 'retained'] },
    notes: [expect.stringMatching(/^memory: left out/)],
  })
  // In a list of one's own, too, the own plugin comes before the built-in one.
  expect((await owners({ preset: () => ['redis', own('mine', 'retained')] })).owners).toEqual({ redis: ['sessions'], mine: ['retained'] })
  expect(await problems(resolveObject({ plugins: [own('a', 'retained'), own('b', 'retained')] }))).toEqual([
    'a and b both provide service "retained"; turn one off: a: false or b: false',
  ])
})

test('names both owners of one service, and the cure', async () => {
  expect(await problems(resolveObject({ redis: {}, memory: {} }))).toEqual([
    'memory and redis both provide service "sessions"; turn one off: memory: false or redis: false',
    'memory and redis both provide service "retained"; turn one off: memory: false or redis: false',
  ])
})

test('names two plugins of one name, and the cure; several listeners are none', async () => {
  const mine = definePlugin({ name: 'mine', apply() {} })
  const retain = definePlugin({ name: 'retain', requires: ['retained'], apply() {} })
  expect(await problems(resolveObject({ plugins: [mine(), mine(), retain()] }))).toEqual([
    'mine: two plugins have this name; leave one out, or give one of them another name',
    'retain: two plugins have this name; leave one out of plugins, give your own another name, or turn the built-in one off: retain: false',
  ])
  expect(await names({ retain: false, plugins: [retain()], socket: [{}, { port: 2 }] })).toEqual([
    'log',
    'memory',
    'socket',
    'socket',
    'retain',
  ])
})

test('names the built-in plugins that provide a missing service', async () => {
  expect(await problems(resolveObject({ memory: false }))).toEqual([
    'retain requires service "retained"; turn on memory or redis (memory: true), or add a plugin of your own that provides it',
  ])
})

test('puts any preset into memory by enableTestMode, without the cluster', async () => {
  const config = await resolveObject({ preset: 'prod', enableTestMode: true })
  expect(config.plugins.map(plugin => plugin.name)).toEqual(['log', 'memory', 'retain', 'shareTopic', 'sysTopic', 'socket'])
  expect(config).toMatchObject({ testMode: true, warnings: [] })
})

test('warns where test mode turns off what was asked for', async () => {
  const config = await resolveObject({ preset: 'test', cluster: {}, redis: {} })
  expect(config.plugins.map(plugin => plugin.name)).not.toContain('cluster')
  expect(config.plugins.map(plugin => plugin.name)).not.toContain('redis')
  expect(config.warnings).toEqual([expect.stringMatching(/^redis: off in test mode/), expect.stringMatching(/^cluster: off in test mode/)])
})

test('opens one listener for each element of a list', async () => {
  const config = await resolveObject({ socket: [{ port: 1 }, { port: 2, enable: false }, { host: '::1' }] })
  expect(config.plugins.filter(plugin => plugin.name === 'socket').map(plugin => plugin.options)).toEqual([
    { port: 1 },
    { port: 1883, host: '::1' },
  ])
  expect(await problems(resolveObject({ socket: [{ prot: 1 }] }))).toEqual(['socket[0].prot: unknown; did you mean port?'])
  expect(await problems(resolveObject({ sysTopic: [{}] }))).toEqual(['sysTopic: must be true, false or an object of options, got a list'])
})

test('takes a list of its own as a preset, with sections laid over it', async () => {
  const hand = { name: 'hand', apply() {} }
  const socket = definePlugin({ name: 'socket', options: catalogue.plugins.socket.manifest.options, apply() {} })
  const config = await resolveObject({ preset: () => [hand, socket({ port: 7 }), 'memory'], socket: { host: 'here' } })
  expect(config.preset).toBe('custom')
  expect(config.plugins.map(plugin => [plugin.name, plugin.options])).toEqual([
    ['hand', {}],
    ['socket', { port: 7, host: 'here' }],
    ['memory', {}],
  ])
  expect(await config.plugins[0]!.create()).toBe(hand)
})

test('applies the user’s own plugins last, in their order, and checks their options', async () => {
  const own = (name: string) => definePlugin({ name, options: { perSecond: { type: 'integer', default: 1 } }, apply() {} })
  expect(await names({ plugins: [own('b')(), own('a')()] })).toEqual(['log', 'memory', 'retain', 'socket', 'b', 'a'])
  // @ts-expect-error the option does not exist: that is the point
  expect(await problems(resolveObject({ plugins: [own('b')({ perSecnd: 2 })] }))).toEqual(['b.perSecnd: unknown; did you mean perSecond?'])
})

test('says what to do with a factory that was not called', async () => {
  const own = definePlugin({ name: 'own', apply() {} })
  expect(await problems(resolveObject({ plugins: [own] }))).toEqual(['plugins[0]: is the factory own, not a plugin; call it: own()'])
})

test('lists every problem, each with its path and cure', async () => {
  const found = await problems(
    resolveObject({
      'share-topic': {},
      socket: { prot: 1, port: 'abc' },
      heartbeat: 'soon',
      sysTopc: {},
      mqtt: { queueFull: 'x' },
      zzzzzz: 1,
    }),
  )
  expect([...found].sort()).toEqual([
    `heartbeat: must be a duration: '60s', '500ms', '1m', '2h', '1d' or a number of milliseconds, at least 1ms, got "soon"`,
    `mqtt.queueFull: must be 'dropNewest', 'dropOldest' or 'disconnect', got "x"`,
    'share-topic: unknown; did you mean shareTopic?',
    'socket.port: must be an integer from 0 to 65535, got "abc"',
    'socket.prot: unknown; did you mean port?',
    'sysTopc: unknown; did you mean sysTopic?',
    'zzzzzz: unknown; no option and no plugin has this name',
  ])
})

test('checks the section of a plugin that is off, but does not ask for what it would need', async () => {
  expect(await problems(resolveObject({ needy: { enable: false, ulr: 'x' } }))).toEqual(['needy.ulr: unknown; did you mean url?'])
  expect(await problems(resolveObject({ needy: {} }))).toEqual(['needy.url: required; it is a string'])
  expect(await problems(resolveObject({ needy: { enable: 'no', url: '' } }))).toEqual(['needy.enable: must be true or false, got "no"'])
})

test('suggests a preset', async () => {
  expect(await problems(resolveObject({ preset: 'porduction' }))).toEqual([
    `preset: no preset is "porduction"; there are test, dev, prod, standalone, or your own () => Plugin[]`,
  ])
  expect(await problems(resolveObject({ preset: 'pord' }))).toEqual([`preset: no preset is "pord"; did you mean prod?`])
})

test('lets file, environment and command line win in this order, key by key, and remembers who', async () => {
  const config = await resolve({
    file: { path: '/somewhere/mqttx.config.json', values: { preset: 'dev', brokerId: 'file', socket: { port: 1, host: 'file' } } },
    env: { MQTTX_SOCKET__PORT: '2', MQTTX_SYS_TOPIC__QOS: '1', PATH: 'ignored' },
    assignments: [set('socket.port=3')],
  })
  const { provenance, plugins, settings } = config
  expect(settings.brokerId).toBe('file')
  expect(plugins.find(plugin => plugin.name === 'socket')?.options).toEqual({ port: 3, host: 'file' })
  expect(Object.fromEntries(provenance)).toEqual({
    preset: 'mqttx.config.json',
    brokerId: 'mqttx.config.json',
    'socket.port': '--set',
    'socket.host': 'mqttx.config.json',
    'sysTopic.qos': 'MQTTX_SYS_TOPIC__QOS',
    'sysTopic.interval': 'preset dev',
  })
})

test.each([
  ['MQTTX_SYS_TOPIC__INTERVAL', '10s', { preset: 'dev' }, 'sysTopic', { interval: 10_000 }],
  ['MQTTX_SYSTOPIC__interval', '2500', {}, 'sysTopic', { interval: 2500 }],
  ['MQTTX_REDIS__NODES', '["a:1","b:2"]', {}, 'redis', { nodes: ['a:1', 'b:2'] }],
  ['MQTTX_REDIS__PASSWORD', '12345', {}, 'redis', { password: '12345' }],
  ['MQTTX_REDIS__PREFIXES__topicSet', 'x', {}, 'redis', { prefixes: { topicSet: 'x' } }],
  ['MQTTX_REDIS', '{"url":"redis://a"}', {}, 'redis', { url: 'redis://a' }],
  ['MQTTX_SOCKET__0__PORT', '9', { socket: [{ host: 'a' }] }, 'socket', { port: 9, host: 'a' }],
] as const)('reads %s=%s by the schema', async (name, value, values, plugin, expected) => {
  const config = await resolve({ file: { path: '/x/mqttx.config.ts', values }, env: { [name]: value } })
  expect(config.plugins.find(({ name }) => name === plugin)?.options).toMatchObject(expected)
})

test('reads root options and whole sections from the environment', async () => {
  const { settings, preset, plugins } = await resolve({
    env: {
      MQTTX_PRESET: 'dev',
      MQTTX_SYS_TOPIC: 'false',
      MQTTX_BROKER_ID: '7',
      MQTTX_MQTT__SESSION_EXPIRY_MAX: 'null',
      MQTTX_ALLOW_ANONYMOUS: 'true',
    },
  })
  expect(preset).toBe('dev')
  expect(plugins.map(plugin => plugin.name)).not.toContain('sysTopic')
  expect(settings).toMatchObject({ brokerId: 7, allowAnonymous: true, mqtt: { sessionExpiryMax: null } })
})

test('names the variable or argument that is wrong, and what was meant', async () => {
  const found = await problems(
    resolve({
      env: {
        MQTTX_SOCKET__PROT: '1',
        MQTTX_SYS_TOPPIC__QOS: '1',
        MQTTX_REDIS__NODES: 'a,b',
        MQTTX_SOCKET__PORT: 'abc',
        MQTTX_SYS_TOPIC__QOS__X: '1',
      },
      assignments: [set('share-topic.enable=true')],
    }),
  )
  expect(found).toEqual([
    'redis.nodes: must be a list, each a string, written as JSON, got "a,b" (MQTTX_REDIS__NODES)',
    'MQTTX_SOCKET__PROT: unknown; did you mean MQTTX_SOCKET__PORT?',
    'MQTTX_SYS_TOPIC__QOS__X: unknown; there are no options here',
    'MQTTX_SYS_TOPPIC__QOS: unknown; did you mean MQTTX_SYS_TOPIC__QOS?',
    'share-topic.enable: unknown; did you mean shareTopic.enable? (--set)',
    'socket.port: must be an integer from 0 to 65535, got "abc" (MQTTX_SOCKET__PORT)',
  ])
})

test('never shows a password in a message', async () => {
  const [problem] = await problems(resolveObject({ redis: { password: { plain: 'hunter2' }, url: 5 } }))
  expect(problem).not.toContain('hunter2')
})

test('imports a built-in plugin only when it is created', async () => {
  const load = vi.spyOn(catalogue.plugins.socket, 'load')
  const { plugins } = await resolveObject({})
  expect(load).not.toHaveBeenCalled()
  expect((await plugins.at(-1)!.create()).name).toBe('socket')
  load.mockRestore()
})

test('freezes what it gives', async () => {
  const { settings, plugins } = await resolveObject({ preset: 'dev' })
  expect(Object.isFrozen(settings.mqtt)).toBe(true)
  expect(plugins.every(plugin => Object.isFrozen(plugin.options))).toBe(true)
})

test('refuses a key that would reach the prototype', async () => {
  expect(await problems(resolveObject(JSON.parse('{"__proto__": {"a": 1}}')))).toEqual(['__proto__: unknown; remove it'])
  expect(await problems(resolve({ assignments: [set('__proto__.polluted=1')] }))).toHaveLength(1)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('types a config after the catalogue', () => {
  type Config = ConfigInput<typeof catalogue>
  expectTypeOf<Config['preset']>().extract<string>().toEqualTypeOf<'test' | 'dev' | 'prod' | 'standalone'>()
  const config: Config = { preset: 'dev', socket: [{ port: 1 }], sysTopic: { interval: '5s', enable: true }, shareTopic: false }
  // @ts-expect-error an option that does not exist
  const wrong: Config = { socket: { prot: 1 } }
  // @ts-expect-error only a listener may be a list
  const list: Config = { sysTopic: [{}] }
  expect([config, wrong, list]).toHaveLength(3)
})
