import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { webhook } from './webhook.ts'

const server = createServer()
before(() => once(server.listen(0, '127.0.0.1'), 'listening'))
after(() => {
  server.closeAllConnections()
  server.close()
})

/** The next request, answered so; resolves to its body. */
async function answer(status: number): Promise<string> {
  const [request, response] = (await once(server, 'request')) as [IncomingMessage, { writeHead(status: number): { end(): void } }]
  const body = `${request.headers['x-mqtt-topic']} ${await text(request)}`
  response.writeHead(status).end()
  return body
}

function start(path: string) {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return createTestBroker({ diskQueue: { path }, plugins: [webhook({ url, filters: ['alarms/#'] })] }, { clock: 'real' })
}

test('each message is posted in order, again where the server is in trouble, and by the next broker where this one ends', async () => {
  const path = mkdtempSync(join(tmpdir(), 'webhook-'))
  const broker = await start(path)
  const client = await broker.client('a')
  const first = answer(503)
  for (const mark of ['1', '2']) await client.publish('alarms/größe', mark, { qos: 1 })
  await client.publish('other', 'x', { qos: 1 })
  assert.equal(await first, 'alarms%2Fgr%C3%B6%C3%9Fe 1')
  assert.equal(await answer(200), 'alarms%2Fgr%C3%B6%C3%9Fe 1')
  // The second is on its way when the broker ends: no answer has come.
  await once(server, 'request')
  await broker.stop()
  const next = answer(200)
  const again = await start(path)
  assert.equal(await next, 'alarms%2Fgr%C3%B6%C3%9Fe 2')
  await again.stop()
})

test('a message that the server will never take is dropped by name, and holds nothing up', async t => {
  const broker = await start(mkdtempSync(join(tmpdir(), 'webhook-')))
  t.after(() => broker.stop())
  const drops: string[] = []
  broker.running.hooks.onDrop.tap('test', (clientId, { payload }, reason) => void drops.push(`${clientId} ${payload} ${reason}`))
  const client = await broker.client('a')
  const refused = answer(422)
  await client.publish('alarms/1', 'bad', { qos: 1 })
  await client.publish('alarms/1', 'good', { qos: 1 })
  await refused
  assert.equal(await answer(204), 'alarms%2F1 good')
  assert.deepEqual(drops, ['a bad webhookRefused'])
})
