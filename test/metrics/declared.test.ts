import { SyncHook } from 'tapable'
import { expect, onTestFinished, test } from 'vitest'
import { Counters } from '../../core/counters.ts'
import { declareCounts } from '../../plugins/kit/declared-counts.ts'
import { Figures } from '../../plugins/kit/figures.ts'
import { createBroker, definePlugin, Message, TapError } from '../../presets/index.ts'
import { parseExposition } from '../support/prometheus.ts'
import { freePort } from '../support/redis.ts'

// What a plugin declares in its manifest is counted and shown like what core counts.

declare module '../../core/counter-names.js' {
  interface LimitCounts {
    curfew: number
  }
  interface DropCounts {
    asleep: number
  }
  interface PluginCounts {
    nightOwls: number
    sleepers: number
  }
}

test('limits, drop reasons and counters of a plugin stand at 0 before anything happens, and /metrics shows what is raised', async () => {
  const port = await freePort()
  const message = new Message({ topic: 'a', payload: Buffer.of(), qos: 0, retain: false, origin: 'server', clientId: '', receivedAt: 0 })
  const atApply: unknown[] = []
  const own = definePlugin({
    name: 'own',
    limits: ['curfew'],
    dropReasons: ['asleep'],
    counters: { nightOwls: { figure: 'night_owls_total', help: 'Clients that came at night.' }, sleepers: {} },
    apply({ broker }) {
      const { counters } = broker
      atApply.push(counters.limited.curfew, counters.dropped.asleep, counters.nightOwls, counters.sleepers)
      return {
        listen() {
          counters.limited.curfew += 1
          counters.nightOwls += 2
          broker.drop('someone', message, 'asleep')
        },
      }
    },
  })
  const running = await createBroker({ preset: 'test', log: false, socket: false, metrics: { port }, plugins: [own()] }).start()
  onTestFinished(() => running.stop())
  expect(atApply).toEqual([0, 0, 0, 0])
  expect(running.broker.counters.droppedTotal).toBe(1)
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const { types } = parseExposition(text)
  expect(types.get('mqttx_night_owls_total')).toBe('counter')
  const lines = text.split('\n')
  expect(lines).toContain('mqttx_night_owls_total 2')
  expect(lines).toContain('mqttx_limited_total{limit="curfew"} 1')
  expect(lines).toContain('mqttx_dropped_messages_total{reason="asleep"} 1')
  // Of plugins that are off, too.
  expect(lines).toContain('mqttx_dropped_messages_total{reason="bridgeFull"} 0')
  expect(lines).toContain('mqttx_limited_total{limit="memoryDropped"} 0')
  expect(lines).toContain('mqttx_tls_handshakes_failed_total 0')
  expect(lines).toContain('mqttx_auth_failed_total 0')
})

test('two plugins may count one thing', () => {
  const counters = new Counters()
  const figures = new Figures()
  const declared = { counters: { nightOwls: { figure: 'night_owls_total' } }, limits: ['curfew'] } as const
  declareCounts(counters, figures, declared)
  counters.nightOwls += 1
  counters.limited.curfew += 1
  declareCounts(counters, figures, declared)
  expect([counters.nightOwls, counters.limited.curfew, [...figures].length]).toEqual([1, 1, 1])
})

test('a tap that fails on a hook of a plugin is named and reported, and the others are called', async () => {
  const hook = new SyncHook<[string]>(['what'])
  const own = definePlugin({ name: 'own', apply: ({ guardHook }) => void guardHook('onDone', hook) })
  const running = await createBroker({ preset: 'test', log: false, socket: false, plugins: [own()] }).start()
  onTestFinished(() => running.stop())
  const heard: unknown[] = []
  running.hooks.onError.tap('test', error => void heard.push(error instanceof TapError && [error.plugin, error.hook]))
  hook.tap('broken', () => {
    throw new Error('no')
  })
  hook.tap('other', what => void heard.push(what))
  expect(hook.isUsed()).toBe(true)
  hook.call('it')
  expect(heard).toEqual([['broken', 'onDone'], 'it'])
})
