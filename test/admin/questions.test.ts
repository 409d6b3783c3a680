import { join } from 'node:path'
import { expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { TestCa } from '../support/test-ca.ts'
import { type Typed, typed } from './typed.ts'

// Goal: each question that somebody has who runs a broker is answered by one command. One broker, whose clients have come into all kinds of trouble; the
// commands are typed, and what they print is looked at. What has changed in the config, and what another one would change, is asked in test/process/verbs.test.ts.

test('twenty questions, each answered by one command', async () => {
  const folder = await folderWith()
  const socket = join(folder, 'a.sock')
  const ca = await TestCa.create(folder)
  await ca.issue('server', 'localhost', { to: 20 })
  const { broker, open, connect, hooks } = await startBroker({
    allowAnonymous: true,
    admin: { socket, recent: 1000 },
    ssl: { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') },
    ban: true,
    metrics: { port: 0 },
    mqtt: { queueMessagesMax: 3 },
    topicSecurity: {
      withoutRights: 'pass',
      rules: [{ deny: 'publish', topics: ['secret/#'], clientIds: ['meter'] }],
    },
  })
  const type = (line: string | string[]): Promise<Typed> => typed(line, { env: { MQTTX_SOCKET: socket } })

  const meter = open(5, '10.1.2.3')
  await meter.connect({ clientId: 'meter', username: 'anna', version: 5, properties: { receiveMaximum: 1 } })
  await meter.subscribe('plant/+/set', 1)
  const away = await connect({ clientId: 'away', version: 5, properties: { sessionExpiry: 100 } })
  await away.subscribe('plant/#', 1)
  away.drop()
  await settled()
  // Their acknowledgements are kept back while queues are long.
  for (let i = 0; i < 5; i++) void broker.publish({ topic: 'plant/1/set', payload: 'x', qos: 1 })
  await meter.publish('secret/1', 'x', { qos: 1 })
  const writer = await connect({ clientId: 'writer' })
  await writer.publish('plant/7/state', 'on', { qos: 1, retain: true })
  await connect({ clientId: 'twin' })
  await connect({ clientId: 'twin' })
  await connect({ clientId: 'victim' })
  await settled()

  // Who is connected from this address?
  expect((await type('clients --address 10.1.2.3')).text).toMatch(/^id .*\nmeter +anna +10\.1\.2\.3 /)
  // Is this device connected, since when, as whom?
  const device = await type('client meter')
  expect([device.code, device.text]).toEqual([0, expect.stringMatching(/user +anna[\s\S]*connectedAt +2020-09-18T/)])
  expect((await type('client away')).code).toBe(3)
  // Why does this client get nothing?
  const nothing = await type('why meter receive plant/1/state')
  expect([nothing.code, nothing.text]).toEqual([3, expect.stringContaining('none of its subscriptions matches: plant/+/set')])
  expect((await type('why away receive plant/1/set')).text).toContain('QoS 1 and 2 wait in its queue')
  // Why was this publish refused?
  const refused = await type('why meter publish secret/1')
  expect([refused.code, refused.text]).toEqual([3, expect.stringContaining('refuses it: topicSecurity.rules[0] denies secret/#')])
  // Who fills the memory?
  expect((await type('memory')).text).toMatch(/rss +\d+\.\d MiB/)
  // Which client is slow?
  expect((await type('clients --slow')).text).toMatch(/\nmeter /)
  // What waits for it, and how old is it?
  expect((await type('queue meter')).text).toMatch(/messages +4[\s\S]*oldestAt +2020-09-18T/)
  // And away with it: what is on its way to it stays.
  expect((await type('queue meter --clear')).text).toMatch(/known +yes\ncleared +3/)
  expect((await type('queue meter')).text).toMatch(/messages +1\n/)
  // Who was kicked by whom?
  await type('kick victim')
  expect((await type('kick victim')).code).toBe(3)
  expect((await type('audit')).text).toMatch(/kick +id=victim/)
  // Who subscribes to this topic?
  expect((await type('subscribers plant/1/set')).text).toMatch(/away +plant\/# +1 +no\nmeter +plant\/\+\/set +1 +yes/)
  // Who may publish to it?
  const may = await type('publishers secret/1')
  expect([may.text.includes('writer'), may.text.includes('meter')]).toEqual([true, false])
  // What was dropped in the last hour, and why?
  expect((await type('drops --since 1h')).text).toMatch(/dropped +queueFull \d+, refused 1[\s\S]*meter +secret\/1 +refused/)
  // Which retained messages lie under this filter?
  expect((await type(['retained', 'plant/#'])).text).toMatch(/plant\/7\/state +2 +1 /)
  // Who keeps taking over whom?
  expect((await type('takeovers')).text).toMatch(/twin +1 /)
  // Which node has this client?
  expect((await type('client meter --json')).json).toMatchObject({ node: '1' })
  // Is the store well, and what it depends on?
  const status = await type('status')
  expect([status.code, status.text]).toEqual([0, expect.stringMatching(/serving +yes[\s\S]*messages were dropped/)])
  expect((await type('alarms')).text).toMatch(/\ndrops +messages were dropped/)
  // When does the certificate expire?
  expect((await type('certificates')).text).toMatch(/^at +.*expiresAt[\s\S]*\nssl .*CN=localhost/)
  // What did this client send in the last minute?
  const sent = await type('recent writer --since 60s')
  expect([sent.code, sent.text]).toEqual([
    0,
    expect.stringMatching(/messages +1\nbytes +2\n\nat .*\n2020-09-18T.* writer +plant\/7\/state +1 +yes +2 +1$/),
  ])
  expect((await type('recent meter')).text).toMatch(/messages +0/)
  // Who may not connect, and who said so?
  await type('ban nuisance --for 1h')
  expect((await type('bans')).text).toMatch(/\nid +nuisance /)
  // Which plugin costs most?
  expect((await type('plugins')).text).toMatch(/topicSecurity +onAuthorize /)
  expect(hooks.onAuthorize.isUsed()).toBe(true)
})
