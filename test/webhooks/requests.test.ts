import { createHmac } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { signatureOf } from '../../plugins/webhooks/signature.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { webhookServer } from '../support/webhook-server.ts'
import { postingBroker } from '../support/webhooks.ts'

// Goal: what a server gets, by a real one.

test('a message comes as JSON, with all that is known of it', async () => {
  const server = await webhookServer()
  const broker = await postingBroker({ url: `${server.url}?x=1`, filters: ['a/#'], headers: { Authorization: 'Bearer t' } })
  const client = await broker.connect({ clientId: 'c1', username: 'u1' })
  await client.publishAsync('a/größe', 'grün', {
    qos: 1,
    retain: true,
    properties: { contentType: 'text/plain', correlationData: Buffer.from([1, 2]), userProperties: { k: 'v' } },
  })
  await client.publishAsync('a/bytes', Buffer.from([0xff, 0]), { qos: 2 })
  await client.publishAsync('b', 'elsewhere', { qos: 1 })
  await eventually(() => server.taken.length === 2)
  const [request] = server.requests
  expect(request).toMatchObject({ method: 'POST', path: '/intake?x=1', headers: { authorization: 'Bearer t' } })
  const [first, second] = server.taken
  expect(first).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{16}-0$/),
    event: 'message.published',
    time: expect.any(Number),
    node: String(broker.running.broker.settings.brokerId),
    clientId: 'c1',
    username: 'u1',
    topic: 'a/größe',
    qos: 1,
    retain: true,
    encoding: 'utf8',
    payload: 'grün',
    properties: { contentType: 'text/plain', correlationData: 'AQI=', userProperties: [['k', 'v']] },
  })
  expect(second).toMatchObject({ topic: 'a/bytes', qos: 2, encoding: 'base64', payload: '/wA=' })
  expect(second!.id).not.toBe(first!.id)
})

test('with body payload a request is one message, as it was published', async () => {
  const server = await webhookServer()
  const broker = await postingBroker({ url: server.url, filters: ['a/#'], body: 'payload', method: 'PUT' })
  const client = await broker.connect({ clientId: 'c/1' })
  await client.publishAsync('a/größe', Buffer.from([0xff, 0]), { qos: 1, properties: { contentType: 'image/png' } })
  await client.publishAsync('a/2', '', { qos: 1, properties: { contentType: 'evil\nx: y' } })
  await eventually(() => server.requests.length === 2)
  const [first, second] = server.requests
  expect(first).toMatchObject({
    method: 'PUT',
    body: Buffer.from([0xff, 0]),
    headers: {
      'content-type': 'image/png',
      'mqtt-topic': 'a%2Fgr%C3%B6%C3%9Fe',
      'mqtt-client-id': 'c%2F1',
      'mqtt-qos': '1',
      'mqtt-retain': 'false',
    },
  })
  expect(second).toMatchObject({ body: Buffer.alloc(0), headers: { 'content-type': 'application/octet-stream' } })
})

test('messages that wait go together, in order, as many as the bounds allow', async () => {
  let waits = true
  const server = await webhookServer(() => (waits ? 503 : 200))
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'none', batchMessages: 10, batchBytes: '64KiB' })
  const client = await broker.connect()
  for (let number = 0; number < 25; number++) client.publish('a', String(number), { qos: 0 })
  await eventually(() => broker.figure('waiting_messages') === 25)
  waits = false
  await eventually(() => server.taken.length === 25)
  expect(server.taken.map(({ payload }) => Number(payload))).toEqual(Array.from({ length: 25 }, (_, number) => number))
  expect(Math.max(...server.requests.map(({ events }) => events.length))).toBe(10)
  // One larger than a batch may be goes by itself.
  await client.publishAsync('a', 'x'.repeat(100_000), { qos: 1 })
  await eventually(() => server.taken.length === 26)
})

test('the signature is that of Standard Webhooks, by each line of the file, which is read again', async () => {
  // As Python's hmac has it.
  const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjNw', 'base64')
  expect(signatureOf([key], 'msg_1', 1614265330, Buffer.from('{"test": 2432232314}'))).toBe(
    'v1,Xl6Hv6f+mNxbIMCaeAF65Sshuu52lv6LiVksgW4gVtM=',
  )
  const folder = await folderWith()
  const secretFile = join(folder, 'secret')
  await writeFile(secretFile, 'old\nwhsec_bmV3\n')
  const server = await webhookServer()
  const broker = await postingBroker({ url: server.url, filters: ['a'], secretFile })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  await writeFile(secretFile, 'new')
  await client.publishAsync('a', '2', { qos: 1 })
  const expected = server.requests.map(({ headers, body }, index) =>
    (index === 0 ? ['old', 'new'] : ['new'])
      .map(secret => {
        const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
        return `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`
      })
      .join(' '),
  )
  expect(server.requests.map(({ headers }) => headers['webhook-signature'])).toEqual(expected)
  expect(Math.abs(Number(server.requests[0]!.headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(60)
})

test('one lane has one connection, which stays open; four have four at most', async () => {
  const server = await webhookServer()
  const one = await postingBroker({ url: server.url, filters: ['a'] })
  const client = await one.connect()
  for (let number = 0; number < 5; number++) await client.publishAsync('a', String(number), { qos: 1 })
  expect([server.requests.length, server.connections]).toEqual([5, 1])
  const four = await postingBroker({ url: server.url, filters: ['a'], lanes: 4 })
  const clients = await Promise.all(Array.from({ length: 20 }, (_, index) => four.connect({ clientId: `c${index}` })))
  await Promise.all(clients.flatMap(one => ['1', '2'].map(payload => one.publishAsync('a', payload, { qos: 1 }))))
  expect(server.connections).toBeLessThanOrEqual(5)
  expect(server.connections).toBeGreaterThan(1)
  // Those of one client keep their order.
  for (const { options } of clients) {
    const own = server.taken.filter(({ clientId }) => clientId === options.clientId)
    expect(own.map(({ payload }) => payload)).toEqual(['1', '2'])
  }
})
