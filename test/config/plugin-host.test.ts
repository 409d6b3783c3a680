import { expect, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import type { Plugin, RunningPlugin } from '../../core/plugin.ts'
import { PluginHost, type PluginHostOptions } from '../../presets/shell/plugin-host.ts'

const context = {} as ReturnType<PluginHostOptions['context']>
const host = (options: Partial<PluginHostOptions> = {}) => new PluginHost({ context: () => context, ...options })

function recorded(log: string[], name: string, parts: Partial<RunningPlugin> = {}): Plugin {
  const say = (what: string) => () => void log.push(`${name} ${what}`)
  return {
    name,
    apply() {
      log.push(`${name} apply`)
      return { start: say('start'), stop: say('stop'), ...parts }
    },
  }
}

test('applies, starts and listens in order, and stops in reverse', async () => {
  const log: string[] = []
  const plugins = host()
  plugins.apply([
    recorded(log, 'a', { listen: () => ['a at 1', 'a at 2'] }),
    recorded(log, 'b'),
    recorded(log, 'c', { listen: async () => ['c at 3'] }),
  ])
  await plugins.start()
  expect(await plugins.listen()).toEqual(['a at 1', 'a at 2', 'c at 3'])
  expect(await plugins.stop()).toEqual([])
  expect(log).toEqual(['a apply', 'b apply', 'c apply', 'a start', 'b start', 'c start', 'c stop', 'b stop', 'a stop'])
})

test('keeps the warnings of those who verify, once however often they are asked', async () => {
  const plugins = host()
  plugins.apply([
    recorded([], 'a', { verify: () => ['a.path: mind'] }),
    recorded([], 'b', { verify: async () => {} }),
    recorded([], 'c', { verify: async () => ['c: too'] }),
  ])
  await plugins.verify()
  await plugins.verify()
  expect(plugins.warnings).toEqual(['a.path: mind', 'c: too'])
})

test('has all plugins verify what their options name before any starts, and says all that is wrong at once', async () => {
  const log: string[] = []
  const wrong = (text: string) => () => Promise.reject(new OperatorError('ERR_FILE', text))
  const plugins = host()
  plugins.apply([recorded(log, 'a', { verify: wrong('a.path: no') }), recorded(log, 'b', { verify: wrong('b.path: no') })])
  const starting = plugins.start()
  await expect(starting).rejects.toMatchObject({ code: 'ERR_FILE', problems: ['a.path: no', 'b.path: no'] })
  await plugins.stop()
  expect(log).toEqual(['a apply', 'b apply'])
})

test('a plugin that refuses new options is named, and so is one that does not take back those that it had', async () => {
  const refusing = (text: string) => ({ reload: () => Promise.reject(new Error(text)) })
  const plugins = host()
  plugins.apply([recorded([], 'a', { reload: () => {} }), recorded([], 'b', refusing('out of range'))])
  await plugins.start()
  const changes = [0, 1].map(index => ({ index, options: {}, before: {} }))
  await expect(plugins.reloadAll(changes)).rejects.toMatchObject({
    code: 'ERR_PLUGIN',
    problems: ['b: reload failed: out of range', 'b does not take back the options that it had (out of range); start the broker anew'],
  })
})

test('stops after a failed start only what began to start', async () => {
  const log: string[] = []
  const plugins = host()
  const failing = () => Promise.reject(new Error('no route'))
  plugins.apply([recorded(log, 'a'), recorded(log, 'b', { start: failing }), recorded(log, 'c')])
  await expect(plugins.start()).rejects.toThrow('b: start failed: no route')
  await plugins.stop()
  expect(log).toEqual(['a apply', 'b apply', 'c apply', 'a start', 'b stop', 'a stop'])
})

test('passes an operator’s error on as it is', async () => {
  const plugins = host()
  const inUse = new OperatorError('ERR_PORT_IN_USE', 'socket.port: 1883 is in use')
  plugins.apply([
    {
      name: 'socket',
      apply: () => ({
        listen() {
          throw inUse
        },
      }),
    },
  ])
  await plugins.start()
  await expect(plugins.listen()).rejects.toBe(inUse)
})

test('collects what goes wrong while stopping, and skips nobody', async () => {
  const log: string[] = []
  const plugins = host({ stopTimeoutMs: 5 })
  plugins.apply([
    recorded(log, 'a'),
    recorded(log, 'b', {
      stop() {
        throw new Error('broken')
      },
    }),
    recorded(log, 'c', { stop: () => new Promise<void>(() => {}) }),
  ])
  await plugins.start()
  expect((await plugins.stop()).map(error => error.message)).toEqual([
    'c: stop failed: not done after 5 ms; going on without it',
    'b: stop failed: broken',
  ])
  expect(log).toContain('a stop')
  expect(await plugins.stop()).toEqual([])
})

test('refuses an apply that returns a promise, without leaving its rejection behind', () => {
  const plugin = { name: 'slow', apply: (() => Promise.reject(new Error('late'))) as unknown as Plugin['apply'] }
  expect(() => host().apply([plugin])).toThrow('slow: apply returned a promise; move what takes time to start()')
})

test('names the plugin whose apply threw', () => {
  const plugin: Plugin = {
    name: 'broken',
    apply() {
      throw new TypeError('x is undefined')
    },
  }
  expect(() => host().apply([plugin])).toThrow('broken: apply failed: x is undefined')
})

test('names who requires a missing service and which built-in plugins provide it', () => {
  const kafka: Plugin = { name: 'kafka', requires: ['sessions'], apply() {} }
  expect(() => host({ providersOf: () => ['memory', 'redis'] }).apply([kafka])).toThrow(
    'kafka requires service "sessions"; turn on memory or redis (memory: true), or add a plugin of your own that provides it',
  )
  expect(() => host().apply([kafka])).toThrow('kafka requires service "sessions"; add a plugin that provides it')
  host({ has: service => service === 'sessions' }).apply([kafka])
  host().apply([kafka, { name: 'store', provides: ['sessions'], apply() {} }])
})

test('names both owners of one service', () => {
  const owner = (name: string): Plugin => ({ name, provides: ['sessions'], apply() {} })
  expect(() => host().apply([owner('a'), owner('b')])).toThrow(
    'a and b both provide service "sessions"; turn one off: a: false or b: false',
  )
})

test('hands new options to the plugin that takes them while running', async () => {
  const taken: unknown[] = []
  const plugins = host()
  plugins.apply([
    { name: 'a', apply: () => ({ reload: options => void taken.push(options) }) },
    { name: 'b', apply() {} },
  ])
  expect(await plugins.reload('a', { x: 1 })).toBe(true)
  expect(await plugins.reload('b', {})).toBe(false)
  expect(taken).toEqual([{ x: 1 }])
})
