import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { drainingOf } from '../../plugins/kit/draining.ts'
import { Verbs } from '../../plugins/kit/verbs/verbs.ts'
import { typed } from '../admin/typed.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { startNodes } from '../support/cluster.ts'
import { keptLog } from '../support/log.ts'

const op = { name: 'night shift', via: 'program' }

/** Whether somebody listens at a port of loopback. */
function listens(port: number): Promise<boolean> {
  return new Promise(done => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.on('error', () => done(false))
  })
}

test('2,000 clients, sent away 200 a second, publish all the while; each publish is acknowledged, at this node or the next', async () => {
  const here = await startBroker({ allowAnonymous: true })
  const next = await startBroker({ allowAnonymous: true })
  // An acknowledgement takes its time here, so there are always some on their way.
  here.hooks.onPublish.tapPromise('slow', () => new Promise<undefined>(done => void here.clock.after(70, () => done(undefined))))
  let accepted = 0
  here.hooks.onRoute.tap('count', () => void (accepted += 1))
  let [acknowledged, sent, refused] = [0, 0, 0]
  const devices = await Promise.all(
    Array.from({ length: 2000 }, async (_, i) => {
      const version = i % 2 === 0 ? 5 : 4
      const options = {
        clientId: `d${i}`,
        version,
        cleanStart: false,
        ...(version === 5 ? { properties: { sessionExpiry: 3600 } } : {}),
      } as const
      const device = { client: await here.connect(options), options, busy: false, atNext: false }
      return device
    }),
  )
  const publish = async (device: (typeof devices)[number]): Promise<void> => {
    device.busy = true
    sent += 1
    for (;;) {
      try {
        const answer = await device.client.publish('t', 'x', { qos: 1 })
        if (answer!.reasonCode >= 0x80) refused += 1
        if (!device.atNext) acknowledged += 1
        break
      } catch {
        // What was on its way when the connection went is sent again at the next node, as clients do.
        device.client = await next.connect(device.options)
        device.atNext = true
      }
    }
    device.busy = false
  }
  const begun = await here.broker.operate(op, 'drain', { rate: 200, reference: 'mqtt-2:1883' })
  expect(begun).toEqual({ clients: 2000, rate: 200, reference: 'mqtt-2:1883', endsAt: here.clock.now() + 10_000 })
  const connected: number[] = []
  for (let step = 0; step < 110; step++) {
    // Some of them in each step of 100 ms: each once in two seconds.
    for (let i = step % 20; i < devices.length; i += 20) if (!devices[i]!.busy) void publish(devices[i]!)
    await settled()
    await here.advance(100)
    if (step % 10 === 9) connected.push(here.broker.counters.connected)
  }
  for (let i = 0; i < 10 && devices.some(({ busy }) => busy); i++) await here.advance(100)
  expect(connected[0]).toBeGreaterThanOrEqual(1800)
  for (let i = 1; i < 9; i++) expect(Math.abs(connected[i - 1]! - connected[i]! - 200)).toBeLessThanOrEqual(60)
  expect(here.broker.counters.connected).toBe(0)
  expect([refused, devices.filter(({ busy }) => busy).length]).toEqual([0, 0])
  expect(sent).toBeGreaterThan(9000)
  // What this node took, it has acknowledged: nothing is there twice because of the drain.
  expect(acknowledged).toBe(accepted)
  expect(drainingOf(here.broker)).toMatchObject({ sent: 2000 })
  // Sessions stay, and know no connection.
  expect((await here.broker.inspect('sessions', { disconnected: true, limit: 200 })).rows).toHaveLength(200)
  expect(here.broker.totals.sessions).toBe(2000)
}, 60_000)

test('a node that is drained is not ready, listens no more, tells where to go, and may be taken back', async () => {
  const folder = await folderWith()
  const socket = join(folder, 'a.sock')
  const { lines, plugin } = keptLog()
  const {
    running,
    broker,
    open,
    connect: join5,
    advance,
  } = await startBroker({
    allowAnonymous: true,
    log: false,
    plugins: [plugin],
    admin: { socket },
    metrics: { port: 0, host: '127.0.0.1' },
    socket: { port: 0, host: '127.0.0.1' },
    websocket: { port: 0, host: '127.0.0.1' },
  })
  const type = (line: string) => typed(line, { env: { MQTTX_SOCKET: socket } })
  const metricsPort = Number(/:(\d+)\/metrics/.exec(lines.find(({ message }) => message.startsWith('metrics at'))!.message)![1])
  const readyz = async () => (await fetch(`http://127.0.0.1:${metricsPort}/readyz`)).status
  const ports = broker.listeners.map(({ port }) => port)
  const tcp = new TestClient(connect({ port: running.port, host: '127.0.0.1' }), 4)
  await tcp.connect({ clientId: 'tcp' })
  const five = await join5({ clientId: 'five', version: 5 })
  expect([await readyz(), (await type('status')).code]).toEqual([200, 0])

  expect((await type('drain --moved')).errors).toContain('add --reference HOST')
  const begun = await type('drain --rate 10 --reference mqtt-2.example.com')
  expect(begun.text).toMatch(/clients +2\nrate +10\nreference +mqtt-2\.example\.com/)
  expect([await listens(ports[0]!), await listens(ports[1]!), await readyz()]).toEqual([false, false, 503])
  const status = await type('status')
  expect([status.code, status.text]).toEqual([3, expect.stringContaining('the node is being drained: 2 clients are left, 10 a second go')])
  // What a program brings by itself is refused, too.
  const late = await open(5).connect({ clientId: 'late', version: 5 })
  expect([late.reasonCode, late.properties?.serverReference]).toEqual([0x9c, 'mqtt-2.example.com'])
  expect((await open(4).connect({ clientId: 'late' })).reasonCode).toBe(3)
  await advance(200)
  await Promise.all([tcp.closed, five.closed])
  expect(five.heard.at(-1)).toMatchObject({ reasonCode: 0x9c, properties: { serverReference: 'mqtt-2.example.com' } })
  expect((await type('status')).text).toContain('the node is drained')
  expect(lines.some(({ message }) => message.startsWith('drained:'))).toBe(true)

  expect((await type('undrain')).text).toMatch(/undrained +yes\nlisteners +tcp listening on 127\.0\.0\.1:/)
  expect((await type('undrain')).code).toBe(3)
  expect([await readyz(), (await type('status')).code, broker.listeners.map(({ port }) => port)]).toEqual([200, 0, ports])
  const back = new TestClient(connect({ port: running.port, host: '127.0.0.1' }), 4)
  expect((await back.connect({ clientId: 'tcp' })).reasonCode).toBe(0)
  // Without a place to go: the server is shutting down.
  const last = await join5({ clientId: 'five', version: 5 })
  await broker.operate(op, 'drain', { rate: 1000 })
  await advance(200)
  await Promise.all([back.closed, last.closed])
  expect(last.heard.at(-1)).toMatchObject({ reasonCode: 0x8b })
  expect((await broker.inspect('audit')).rows.map(({ verb }) => verb)).toEqual(['drain', 'undrain', 'undrain', 'drain', 'drain'])
})

test('a will with a delay is not sent of a client that is back in time; one without is, as at any end', async () => {
  const { broker, connect: join5, advance } = await startBroker({ allowAnonymous: true })
  const wills: string[] = []
  broker.hooks.onWill.tap('test', (_publisher, { topic }) => void wills.push(topic))
  const properties = { sessionExpiry: 3600 }
  const will = (topic: string, willDelay: number) => ({ topic, properties: { willDelay } })
  const patient = { clientId: 'patient', version: 5, cleanStart: false, properties, will: will('patient', 30) } as const
  await join5(patient)
  await join5({ clientId: 'gone', version: 5, properties, will: will('gone', 30) })
  await join5({ clientId: 'instant', version: 5, properties, will: { topic: 'instant' } })
  const polite = await join5({ clientId: 'polite', version: 5, properties, will: { topic: 'polite' } })
  polite.disconnect()
  await polite.closed
  await broker.operate(op, 'drain', { rate: 100 })
  await advance(200)
  expect([broker.counters.connected, wills]).toEqual([0, ['instant']])
  await broker.operate(op, 'undrain')
  const back = await join5(patient)
  await advance(31_000)
  expect(wills).toEqual(['instant', 'gone'])
  expect(back.isClosed).toBe(false)
})

test('undrain lets those stay whose turn has not come, and reads on of those whose turn had begun', async () => {
  const { broker, hooks, connect: join5, advance, clock } = await startBroker({ allowAnonymous: true })
  let slow = true
  hooks.onPublish.tapPromise('slow', () => new Promise<undefined>(done => void clock.after(slow ? 1000 : 1, () => done(undefined))))
  const busy = await join5({ clientId: 'busy', version: 5 })
  const other = await join5({ clientId: 'other', version: 5 })
  busy.sendPublish('t', 'x', { qos: 1 })
  await settled()
  await broker.operate(op, 'drain', { rate: 10 })
  await advance(100)
  expect([busy.isClosed, other.isClosed]).toEqual([false, false])
  await broker.operate(op, 'undrain')
  slow = false
  await advance(1000)
  const again = busy.publish('t', 'y', { qos: 1 })
  await settled()
  await advance(10)
  await again
  expect([busy.isClosed, other.isClosed, drainingOf(broker)]).toEqual([false, false, null])
})

test('the workers of a broker are drained together, other nodes of a cluster only by their names', async () => {
  const { broker } = await startBroker({ allowAnonymous: true })
  const asked: string[] = []
  const link = { others: () => ['b/2', 'b/3', 'c/1', 'b'], ask: async (node: string) => void asked.push(node) }
  const ran: string[] = []
  const of = async (node: string, isWorker: boolean, given: object) => {
    const verbs = new Verbs(broker.hooks, node, isWorker ? { number: 1, count: 3 } : null)
    verbs.link(link)
    verbs.add({ name: 'drain', changes: true, ownWorkersOnly: true, run: () => void ran.push(node), merge: parts => parts.length })
    const count = await verbs.operate(op, 'drain', given)
    return [count, asked.splice(0), ran.splice(0)]
  }
  expect(await of('b/1', true, {})).toEqual([3, ['b/2', 'b/3'], ['b/1']])
  expect(await of('b/1', true, { node: 'c/1' })).toEqual([1, ['c/1'], []])
  // A name with a slash is no worker's.
  expect(await of('b/1', false, {})).toEqual([1, [], ['b/1']])
  expect(await of('b/1', false, { node: 'b/2' })).toEqual([1, ['b/2'], []])
})

test('in a cluster the next node goes on with a session: what waited comes, and its will is not sent', async () => {
  const [one, two] = await startNodes(2, { admin: { socket: false } })
  const wills: string[] = []
  for (const { broker } of [one, two]) broker.hooks.onWill.tap('test', (_publisher, { topic }) => void wills.push(topic))
  const options = {
    clientId: 'c',
    version: 5,
    cleanStart: false,
    properties: { sessionExpiry: 100, receiveMaximum: 1 },
    will: { topic: 'gone', properties: { willDelay: 60 } },
  } as const
  const before = await one.connect(options)
  await before.subscribe('t', 1)
  for (let i = 0; i < 3; i++) await two.broker.publish({ topic: 't', payload: String(i), qos: 1 })
  await before.message()
  // Only the node that is asked: the other one serves.
  await one.broker.operate(op, 'drain', { rate: 1000, reference: 'n2' })
  await before.closed
  expect(before.heard.at(-1)).toMatchObject({ reasonCode: 0x9c, properties: { serverReference: 'n2' } })
  expect([drainingOf(one.broker) !== null, drainingOf(two.broker)]).toEqual([true, null])
  const after = two.open(5)
  expect((await after.connect(options)).sessionPresent).toBe(true)
  const came: string[] = []
  for (let i = 0; i < 3; i++) came.push(String((await after.receive()).payload))
  expect([came, wills]).toEqual([['0', '1', '2'], []])
  // From afar it is taken back.
  expect(await two.broker.operate(op, 'undrain', { node: 'n1' })).toMatchObject({ undrained: true })
  await one.connect({ clientId: 'd' })
})
