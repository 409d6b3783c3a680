import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import { LoopBusy } from '../../plugins/admin/loop-busy.ts'
import { alarmsOf } from '../../plugins/kit/alarms.ts'
import { filesCheck } from '../../plugins/kit/verbs/checks.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'
import { TestCa } from '../support/test-ca.ts'

async function started(config: object = {}) {
  const { lines, plugin } = keptLog()
  const kit = await startBroker({ log: false, allowAnonymous: true, plugins: [plugin], admin: { socket: false }, ...config })
  const { broker } = kit
  return {
    ...kit,
    lines,
    /** The names of the alarms that are on. */
    on: async () => (await broker.inspect('alarms')).rows.map(({ name }) => name),
    figure: (alarm: string) =>
      [...broker.figures]
        .find(({ name }) => name === 'alarm')!
        .read()
        .find(({ labels }) => labels?.alarm === alarm),
  }
}

test('an alarm has a beginning and an end: in status, the log, the figures and $SYS', async () => {
  const { broker, advance, lines, on, figure, connect } = await started({ sysTopic: { interval: '10s' } })
  const store = broker.sessions as { trouble?: () => Error | null }
  const watcher = await connect({ clientId: 'watcher' })
  await watcher.subscribe('$SYS/broker/alarms/storeAway')
  store.trouble = () => new Error('no power')
  await advance(5000)
  expect(await on()).toEqual(['storeAway'])
  expect(figure('storeAway')).toEqual({ value: 1, labels: { alarm: 'storeAway' }, sys: 'alarms/storeAway' })
  expect(await broker.inspect('status')).toMatchObject({ well: false, problems: ['the store does not answer: no power'] })
  await advance(5000)
  store.trouble = () => null
  await advance(5000)
  expect(await on()).toEqual([])
  expect(figure('storeAway')?.value).toBe(0)
  expect(
    lines.filter(({ fields }) => fields.alarm === 'storeAway').map(({ level, message, fields }) => [level, message, fields.seconds]),
  ).toEqual([
    ['warn', 'alarm: the store does not answer: no power', undefined],
    ['info', 'alarm is over: the store does not answer: no power', 10],
  ])
  await advance(5000)
  const values = watcher.heard.flatMap(packet => ('topic' in packet ? [String((packet as { payload: Buffer }).payload)] : []))
  expect([values[0], values.includes('1'), values.at(-1)]).toEqual(['0', true, '0'])
})

test('storeFull', async () => {
  const { broker, on } = await started()
  const store = broker.sessions as { trouble?: () => Error | null }
  store.trouble = () => new StoreFullError('full')
  expect(await on()).toEqual(['storeFull'])
  store.trouble = () => null
  expect(await on()).toEqual([])
})

test('drops, for five minutes; what somebody asked to be dropped is none', async () => {
  const { broker, connect, clock, on } = await started({ mqtt: { queueMessagesMax: 1 } })
  const reader = await connect({ clientId: 'reader', version: 5, properties: { receiveMaximum: 1, sessionExpiry: 0 } })
  await reader.subscribe('t', 1)
  broker.drop('nobody', { topic: 't' } as never, 'offline')
  expect(await on()).toEqual([])
  for (let i = 0; i < 4; i++) void broker.publish({ topic: 't', payload: 'x', qos: 1 })
  expect((await broker.inspect('alarms')).rows[0]?.text).toBe('messages were dropped in the last 5 minutes: 2 queueFull')
  clock.advance(7 * 60_000)
  expect(await on()).toEqual([])
})

test('flapping', async () => {
  const { connect, clock, on } = await started()
  for (let i = 0; i < 4; i++) await connect({ clientId: 'twin' })
  await settled()
  expect(await on()).toEqual(['flapping'])
  clock.advance(61_000)
  expect(await on()).toEqual([])
})

test('clockStepped', async () => {
  const { clock, advance, on } = await started()
  clock.step(3_600_000)
  await advance(1000)
  expect(await on()).toEqual(['clockStepped'])
  await advance(10 * 60_000)
  expect(await on()).toEqual([])
})

test('openFiles and loopBusy', () => {
  let open = 90
  const files = filesCheck({ max: 100, count: () => open })
  expect(files(0)).toContain('90 files are open, of 100')
  open = 89
  expect(files(0)).toBeNull()
  expect(filesCheck({ max: Number.POSITIVE_INFINITY, count: () => 0 })(0)).toBeNull()
  let used = { idle: 0, active: 0 }
  const busy = new LoopBusy(0, () => used)
  used = { idle: 10, active: 990 }
  busy.look(1000)
  expect(busy.said).toBe('the event loop is busy for 99 % of the time')
  used = { idle: 990, active: 1010 }
  busy.look(2000)
  expect(busy.said).toBeNull()
  // A clock that stands still, or runs ahead, says nothing of the process.
  used = { idle: 990, active: 9000 }
  busy.look(2001)
  expect(busy.said).toBeNull()
})

test('certificateExpires; when that is, is told', async () => {
  const folder = await folderWith()
  const ca = await TestCa.create(folder)
  await ca.issue('soon', 'localhost', { to: 1 })
  await ca.issue('later', 'localhost', { to: 300 })
  const start = (name: string) => started({ ssl: { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) } })
  const soon = await start('soon')
  expect(await soon.on()).toEqual(['certificateExpires'])
  const later = await start('later')
  expect(await later.on()).toEqual([])
  const { rows } = await later.broker.inspect('certificates')
  expect(rows).toMatchObject([{ at: 'ssl', subject: expect.stringContaining('CN=localhost') }])
  expect(Math.round((rows[0]!.expiresAt - Date.now()) / 86_400_000)).toBe(300)
  const figure = [...later.broker.figures].find(({ name }) => name === 'certificate_expiry_seconds')!
  expect(Math.round(figure.read()[0]!.value / 86_400)).toBe(300)
})

test("a plugin's own alarm; a check that fails says nothing, and harms no other", async () => {
  const { broker, on } = await started()
  alarmsOf(broker).watch('broken', () => {
    throw new Error('oh')
  })
  let level = 5
  const away = alarmsOf(broker).watch('tankEmpty', () => (level < 10 ? 'the tank is nearly empty' : null))
  expect(await on()).toEqual(['tankEmpty'])
  level = 50
  expect(await on()).toEqual([])
  level = 5
  await on()
  away()
  expect(await on()).toEqual([])
})

test('docs/operating.md lists all alarms, and docs/alerts.yml asks for figures that there are', async () => {
  const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8')
  const { broker } = await started()
  for (const name of [...alarmsOf(broker).names, 'nodeDead', 'configRefused', 'certificateExpires']) expect(page).toContain(`\`${name}\``)
  const rules = readFileSync(new URL('../../docs/alerts.yml', import.meta.url), 'utf8')
  const asked = [...rules.matchAll(/^ +expr: .*?(mqttx_\w+)/gm)].map(([, name]) => name)
  const own = ['mqttx_alarm', 'mqttx_store_up', 'mqttx_certificate_expiry_seconds']
  const ofMetrics = ['mqttx_store_free_bytes', 'mqttx_connect_seconds_bucket', 'mqttx_delivery_seconds_bucket']
  expect(asked.sort()).toEqual([...own, ...ofMetrics].sort())
})
