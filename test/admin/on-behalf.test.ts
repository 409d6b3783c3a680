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
  expect((await type(['subscribe', 'nobody', 'a'])).text).toMatch(/connected +no\ngranted +no/)
  expect((await type(['subscribe', 'c5', 'a/#/b'])).errors).toContain('a/#/b is no topic filter')
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

  await expect(one.broker.operate(op, 'nodes forget', { name: 'n2' })).rejects.toThrow('n2 lives')
  expect(await one.broker.operate(op, 'nodes forget', { name: 'n9' })).toEqual({ name: 'n9', forgotten: false })
})
