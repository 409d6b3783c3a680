import { join } from 'node:path'
import { expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { startNodes } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { typed } from './typed.ts'

const op = { name: 'night shift', via: 'program' }

test('an operator subscribes a client as if it had asked: rights are asked, retained messages come, the session keeps it', async () => {
  const folder = await folderWith()
  const socket = join(folder, 'a.sock')
  const { broker, connect } = await startBroker({
    allowAnonymous: true,
    admin: { socket },
    topicSecurity: { withoutRights: 'pass', rules: [{ deny: 'subscribe', topics: ['secret/#'] }] },
  })
  const type = (line: string | string[]) => typed(line, { env: { MQTTX_SOCKET: socket } })
  await broker.publish({ topic: 'plant/1', payload: 'kept', qos: 1, retain: true })
  for (const version of [4, 5] as const) {
    const clientId = `c${version}`
    const options = { clientId, version, cleanStart: false, properties: version === 5 ? { sessionExpiry: 100 } : undefined } as const
    const client = await connect(options as never)
    const done = await type(['subscribe', clientId, 'plant/+', '--qos', '1'])
    expect([done.code, done.text]).toEqual([0, expect.stringMatching(/granted +yes\nanswer +GrantedQoS1/)])
    expect(String((await client.receive()).payload)).toBe('kept')
    expect(client.heard.filter(({ type: kind }) => kind === 9)).toEqual([])
    const denied = await type(['subscribe', clientId, 'secret/x'])
    expect([denied.code, denied.text]).toEqual([3, expect.stringContaining('NotAuthorized')])
    // The session has it, though its client goes and comes back.
    client.drop()
    await settled()
    await broker.publish({ topic: 'plant/2', payload: 'later', qos: 1 })
    const back = await connect(options as never)
    expect(String((await back.receive()).payload)).toBe('later')
    expect((await type(['unsubscribe', clientId, 'plant/+'])).code).toBe(0)
    const none = await type(['unsubscribe', clientId, 'plant/+'])
    expect([none.code, none.text]).toEqual([3, expect.stringContaining('NoSubscriptionExisted')])
    expect(broker.sessionOf(clientId)?.subscriptions.size).toBe(0)
  }
  expect((await type(['subscribe', 'nobody', 'a'])).text).toMatch(/connected +no\nstored +no\ngranted +no/)
  expect((await type(['subscribe', 'c5', 'a/#/b'])).errors).toContain('a/#/b is no topic filter')
})

const away = { clientId: 'away', version: 5, cleanStart: false, properties: { sessionExpiry: 100 } } as const

test('the stored session of a client that is away is subscribed without a take-over: what comes waits, and is there with the subscription when it connects', async () => {
  const folder = await folderWith()
  const socket = join(folder, 'a.sock')
  const { broker, connect } = await startBroker({
    allowAnonymous: true,
    admin: { socket },
    sysTopic: true,
    mqtt: { subscriptionsMax: 2 },
    topicSecurity: { withoutRights: 'pass', rules: [{ deny: 'subscribe', topics: ['secret/#'] }] },
  })
  const type = (line: string | string[]) => typed(line, { env: { MQTTX_SOCKET: socket } })
  const client = await connect(away)
  client.drop()
  await settled()
  const { epoch } = broker.sessionOf('away')!
  const done = await type('subscribe away plant/+ --qos 1')
  expect([done.code, done.text]).toEqual([0, expect.stringMatching(/connected +no\nstored +yes\ngranted +yes\nanswer +GrantedQoS1/)])
  expect([broker.sessionOf('away')!.epoch, broker.clientOf('away')]).toEqual([epoch, undefined])
  await broker.publish({ topic: 'plant/1', payload: 'waited', qos: 1 })
  const back = await connect(away)
  expect(String((await back.receive()).payload)).toBe('waited')
  await broker.publish({ topic: 'plant/2', payload: 'comes', qos: 1 })
  expect(String((await back.receive()).payload)).toBe('comes')
  back.drop()
  await settled()
  // Its rights are known since it was here, and so is how much it holds.
  expect((await type('subscribe away secret/x')).text).toMatch(/stored +yes\ngranted +no\nanswer +NotAuthorized/)
  expect((await type('subscribe away b')).code).toBe(0)
  expect((await type('subscribe away c')).text).toContain('QuotaExceeded')
  expect((await type('subscribe away $SYS/broker/uptime')).errors).toContain('goes with a connection')
  expect((await type('unsubscribe away plant/+')).code).toBe(0)
  expect((await type('unsubscribe away plant/+')).text).toMatch(/removed +no\nanswer +NoSubscriptionExisted/)
  broker.hooks.onSubscribe.tap('guard', () => undefined)
  expect(await type('subscribe away d')).toMatchObject({ code: 1, errors: expect.stringContaining('plugin guard decides') })
  expect([...broker.sessionOf('away')!.subscriptions.keys()]).toEqual(['b'])
  const { rows } = await broker.inspect('audit')
  expect(rows.filter(({ verb }) => verb.endsWith('subscribe')).length).toBe(8)
})

test('of a client that was not here since the start no rights are known: those that it connects with decide about the subscription and what waits', async () => {
  const folder = await folderWith()
  const config = {
    allowAnonymous: true,
    memory: false,
    disk: { path: join(folder, 'data') },
    admin: { socket: false },
    topicSecurity: { withoutRights: 'pass', rules: [{ deny: 'subscribe', topics: ['secret/#'] }] },
  } as const
  const first = await startBroker(config)
  await first.connect(away)
  await first.running.stop()
  const { broker, connect } = await startBroker(config)
  expect(await broker.operate(op, 'queue clear', { id: 'away' })).toEqual({ id: 'away', known: true, cleared: 0 })
  for (const filter of ['secret/x', 'plant'])
    expect(await broker.operate(op, 'subscribe', { id: 'away', filter, qos: 1 })).toMatchObject({ stored: true, granted: true })
  for (const topic of ['secret/x', 'plant']) await broker.publish({ topic, payload: topic, qos: 1 })
  expect((await broker.inspect('queue', { id: 'away' })).messages).toBe(2)
  const back = await connect(away)
  expect(String((await back.receive()).payload)).toBe('plant')
  expect([...broker.sessionOf('away')!.subscriptions.keys()]).toEqual(['plant'])
  expect(broker.counters.dropped.notAuthorized).toBe(1)
})

test('a queue is cleared: what waits goes, what is on its way stays, each is a drop with its reason', async () => {
  const { broker, connect } = await startBroker({ allowAnonymous: true })
  const drops: string[] = []
  broker.hooks.onDrop.tap('test', (clientId, { payload }, reason) => void drops.push(`${clientId} ${payload} ${reason}`))
  const stored = { clientId: 'stored', version: 5, cleanStart: false, properties: { receiveMaximum: 1, sessionExpiry: 100 } } as const
  const clean = { clientId: 'clean', version: 5, properties: { receiveMaximum: 1 } } as const
  for (const options of [stored, clean]) {
    const client = await connect(options)
    await client.subscribe('t', 1)
  }
  for (let i = 0; i < 150; i++) void broker.publish({ topic: 't', payload: String(i), qos: 1 })
  await settled()
  for (const id of ['stored', 'clean']) {
    expect(await broker.operate(op, 'queue clear', { id })).toEqual({ id, known: true, cleared: 149 })
    expect((await broker.inspect('queue', { id })).messages).toBe(1)
  }
  expect(broker.counters.dropped.cleared).toBe(298)
  expect([drops[0], drops.length]).toEqual(['stored 1 cleared', 298])
  // What comes next comes.
  const reader = broker.clientOf('stored')!
  expect(reader.inFlight).toBe(1)
  void broker.publish({ topic: 't', payload: 'new', qos: 1 })
  await settled()
  reader.transport.destroy()
  await settled()
  // A session without a connection.
  expect(await broker.operate(op, 'queue clear', { id: 'stored' })).toMatchObject({ known: true, cleared: 1 })
  void broker.publish({ topic: 't', payload: 'newer', qos: 1 })
  await settled()
  const back = await connect(stored)
  expect([String((await back.receive()).payload), String((await back.receive()).payload)]).toEqual(['0', 'newer'])
  expect(await broker.operate(op, 'queue clear', { id: 'nobody' })).toEqual({ id: 'nobody', known: false, cleared: 0 })
})

test('in a cluster it is done where the client is; a queue without a client is cleared once; a dead node is forgotten', async () => {
  const [one, two] = await startNodes(2, { admin: { socket: false } })
  const client = await two.connect({ clientId: 'c', version: 5, cleanStart: false, properties: { receiveMaximum: 1, sessionExpiry: 100 } })
  expect(await one.broker.operate(op, 'subscribe', { id: 'c', filter: 't', qos: 1 })).toMatchObject({ connected: true, granted: true })
  for (let i = 0; i < 5; i++) void two.broker.publish({ topic: 't', payload: String(i), qos: 1 })
  await eventually(async () => (await one.broker.inspect('queue', { id: 'c' })).messages === 5)
  expect(await one.broker.operate(op, 'queue clear', { id: 'c' })).toEqual({ id: 'c', known: true, cleared: 4 })
  client.drop()
  await eventually(() => one.broker.sessionOf('c')?.online === false && two.broker.sessionOf('c')?.online === false)
  void two.broker.publish({ topic: 't', payload: 'more', qos: 1 })
  await eventually(async () => (await one.broker.inspect('queue', { id: 'c' })).messages === 2)
  // What was in flight waits for its client, who may have it.
  expect(await two.broker.operate(op, 'queue clear', { id: 'c' })).toMatchObject({ known: true, cleared: 1 })
  expect((await one.broker.inspect('queue', { id: 'c' })).messages).toBe(1)

  // All nodes know what is subscribed for a client that is away, whichever is asked.
  expect(await two.broker.operate(op, 'subscribe', { id: 'c', filter: 'u', qos: 1 })).toMatchObject({ stored: true, granted: true })
  await eventually(() => [one, two].every(({ broker }) => broker.sessionOf('c')?.subscriptions.has('u')))
  for (const { broker } of [one, two]) await broker.publish({ topic: 'u', payload: 'waits', qos: 1 })
  expect((await one.broker.inspect('queue', { id: 'c' })).messages).toBe(3)
  expect(await two.broker.operate(op, 'unsubscribe', { id: 'c', filter: 'u' })).toMatchObject({ stored: true, removed: true })
  await eventually(() => [one, two].every(({ broker }) => broker.sessionOf('c')?.subscriptions.has('u') === false))

  await expect(one.broker.operate(op, 'nodes forget', { name: 'n2' })).rejects.toThrow('n2 lives')
  expect(await one.broker.operate(op, 'nodes forget', { name: 'n9' })).toEqual({ name: 'n9', forgotten: false })
})
