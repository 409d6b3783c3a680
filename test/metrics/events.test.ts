import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { Exposition } from '../../plugins/metrics/exposition.ts'
import { type Config, catalogue, createBroker, definePlugin, ReasonCode, type RunningBroker } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { LiveConfig } from '../../presets/shell/live-config.ts'
import { startOnRedis } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { connect, measured } from './measured.ts'

// What is counted by reason, and what takes how long.

const guard = definePlugin({
  name: 'guard',
  apply({ hooks }) {
    hooks.onAuthorize.tap('guard', (_publisher, action, topic) => (topic.startsWith(`no/${action}`) ? false : undefined))
    hooks.onPublish.tap('guard', (_publisher, { topic }) => (topic === 'too/much' ? ReasonCode.QuotaExceeded : undefined))
  },
})

const figureOf = ({ broker }: RunningBroker, name: string): number | undefined =>
  [...broker.figures].find(figure => figure.name === name)!.read()[0]?.value

test('connections that end are counted by who ended them and why', async () => {
  const { running, scrape } = await measured()
  const before = await scrape()
  expect(before('mqttx_disconnects_total', { by: 'server', reason: 'sessionTakenOver' })).toBe(0)
  await (await connect(running, { protocolVersion: 5 })).endAsync()
  const first = await connect(running, { clientId: 'twice', protocolVersion: 5 })
  const thrownOut = new Promise<void>(resolve => first.once('close', () => resolve()))
  const second = await connect(running, { clientId: 'twice', protocolVersion: 5 })
  await thrownOut
  second.stream.destroy()
  const kicked = await connect(running, { clientId: 'kicked', protocolVersion: 5 })
  const gone = new Promise<void>(resolve => kicked.once('close', () => resolve()))
  running.broker.kick('kicked')
  await gone
  await eventually(async () => (await scrape())('mqttx_disconnects_total', { by: 'network' }) === 1)
  const value = await scrape()
  const ended = (by: string, reason: string) => value('mqttx_disconnects_total', { by, reason })
  expect(ended('client', 'normalDisconnection')).toBe(1)
  expect(ended('server', 'sessionTakenOver')).toBe(1)
  expect(ended('server', 'administrativeAction')).toBe(1)
})

test('what rights and plugins refuse is counted by reason code', async () => {
  const { running, scrape } = await measured({ plugins: [guard()] })
  const client = await connect(running, { protocolVersion: 5 })
  const before = await scrape()
  expect(before('mqttx_subscriptions_refused_total', { reason: 'notAuthorized' })).toBe(0)
  await client.subscribeAsync(['no/subscribe/1', 'no/subscribe/2', 'yes']).catch(() => {})
  for (const topic of ['no/publish', 'too/much', 'too/much']) await client.publishAsync(topic, 'x', { qos: 1 }).catch(() => {})
  await client.publishAsync('yes', 'x', { qos: 1 })
  const value = await scrape()
  expect(value('mqttx_subscriptions_refused_total', { reason: 'notAuthorized' })).toBe(2)
  expect(value('mqttx_refused_publishes_total', { reason: 'notAuthorized' })).toBe(1)
  expect(value('mqttx_refused_publishes_total', { reason: 'quotaExceeded' })).toBe(2)
  expect(value('mqttx_refused_publishes_total', { reason: 'storeFull' })).toBe(0)
})

test('CONNECT is timed until CONNACK, a publish until it is written to its subscriber, with what it waits for', async () => {
  const slow = definePlugin({
    name: 'slow',
    apply({ hooks, clock }) {
      const wait = () => new Promise<void>(resolve => void clock.after(30, resolve))
      hooks.onConnect.tapPromise('slow', wait)
      hooks.onPublish.tapPromise('slow', wait)
    },
  })
  const { running, scrape } = await measured({ plugins: [slow()] })
  const reader = await connect(running)
  await reader.subscribeAsync('a')
  await reader.publishAsync('a', 'x', { qos: 1 })
  const timed = async () => {
    const value = await scrape()
    // One that is due is timed at the next tick of the broker's clock.
    if (value('mqttx_delivery_seconds_count') === 0) await reader.publishAsync('a', 'x', { qos: 1 })
    return value('mqttx_delivery_seconds_count')! > 0
  }
  await eventually(timed)
  const value = await scrape()
  expect(value('mqttx_connect_seconds_count')).toBe(1)
  for (const name of ['connect', 'delivery']) {
    expect(value(`mqttx_${name}_seconds_bucket`, { le: '0.01' })).toBe(0)
    expect(value(`mqttx_${name}_seconds_sum`)).toBeGreaterThanOrEqual(0.029)
  }
})

test('two listeners are told apart; what is retained is counted in bytes', async () => {
  const { running, scrape } = await measured({ socket: [{ port: 0 }, { port: 0 }] } as Config)
  const [, second] = running.broker.listeners
  await connect(running)
  const other = await mqtt.connectAsync(`mqtt://127.0.0.1:${second!.port}`, { reconnectPeriod: 0 })
  onTestFinished(() => void other.end(true))
  await other.publishAsync('kept', 'x'.repeat(1000), { qos: 1, retain: true })
  const value = await scrape()
  expect(value('mqttx_connections', { listener: 'socket[0]' })).toBe(1)
  expect(value('mqttx_connections', { listener: 'socket[1]' })).toBe(1)
  expect(value('mqttx_retained_bytes')).toBeGreaterThan(1000)
})

test('lines of the log are counted by level', async () => {
  const { running, scrape } = await measured({ log: { level: 'warn' } })
  const before = (await scrape())('mqttx_log_lines_total', { level: 'warn' })!
  running.broker.log.warn('this is said by a test')
  running.broker.log.info('this is not')
  const value = await scrape()
  expect(value('mqttx_log_lines_total', { level: 'warn' })).toBe(before + 1)
  expect(value('mqttx_log_lines_total', { level: 'info' })).toBe(0)
})

test('which config is in force, and what became of its last reading', async () => {
  const config = { preset: 'test', log: false, socket: false, mqtt: { queueMessagesMax: 1000 } }
  const running = await createBroker(config as Config).start()
  onTestFinished(() => running.stop())
  let next: object = config
  const live = new LiveConfig(running, undefined, () => resolveConfig(catalogue, { object: next }))
  onTestFinished(() => live.stop())
  const figures = () =>
    ['generation', 'last_reload_successful', 'last_reload_timestamp_seconds'].map(name => figureOf(running, `config_${name}`))
  expect(figures()).toEqual([1, 1, undefined])
  next = { ...config, mqtt: { queueMessagesMax: 500 } }
  await live.reread()
  const at = figures()[2]!
  expect(figures().slice(0, 2)).toEqual([2, 1])
  expect(at).toBeGreaterThan(1.7e9)
  next = { ...config, mqtt: { queueMessagesMax: 'many' } }
  await live.reread()
  expect(figures().slice(0, 2)).toEqual([2, 0])
  expect(figures()[2]).toBeGreaterThanOrEqual(at)
  next = config
  await live.reread()
  expect(figures().slice(0, 2)).toEqual([3, 1])
})

test('each node says only what is its own; $SYS says what all do', async () => {
  const { nodes } = await startOnRedis(2)
  const [a, b] = nodes
  await b!.connect()
  await eventually(() => figureOf(a!.running, 'cluster_all_connections') === 1)
  const exposition = new Exposition(a!.broker, false)
  onTestFinished(() => exposition.stop())
  const text = await exposition.text()
  expect(text).toContain('mqttx_cluster_node_connections{node="n1"} 0')
  expect(text).not.toContain('node="n2"')
  expect(text).not.toContain('mqttx_cluster_all_')
  expect(text).toContain('mqttx_cluster_nodes 2')
})
