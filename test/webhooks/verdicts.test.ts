import { readFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pauseOf } from '../../plugins/webhooks/verdict.ts'
import { type Config, catalogue, ManualClock } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { examine } from '../../presets/shell/probe.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/redis.ts'
import { TestCa } from '../support/test-ca.ts'
import { webhookServer } from '../support/webhook-server.ts'
import { postingBroker } from '../support/webhooks.ts'

// Goal: what is a refusal and what an outage, and what becomes of each.

const refusesBad = ({ body }: { body: Buffer }, status: number) => (body.includes('"payload":"bad') ? status : 200)

test.each([400, 413, 422, 409])(
  'status %i to several refuses the one to blame, told to its publisher, and the others go on',
  async status => {
    const server = await webhookServer(request => refusesBad(request, status))
    const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote', linger: 20 })
    const client = await broker.connect()
    const sent = ['1', '2', 'bad', '4', '5'].map(payload =>
      client.publishAsync('a', payload, { qos: 1 }).then(
        () => 'taken',
        (error: { code: number }) => error.code,
      ),
    )
    expect(await Promise.all(sent)).toEqual(['taken', 'taken', 0x83, 'taken', 'taken'])
    expect(server.taken.map(({ payload }) => payload)).toEqual(['1', '2', '4', '5'])
    expect(broker.drops).toEqual([{ clientId: 'webhook:hook', reason: 'webhookRefused', payload: 'bad' }])
    const line = broker.lines.find(({ message }) => message.includes('is dropped'))
    expect(line).toMatchObject({ level: 'warn', fields: { target: 'hook', topic: 'a', reason: `HTTP_${status}` } })
  },
)

test.each([401, 403, 404, 410])(
  'status %i is about every request alike: all of them are refused, without a request for each',
  async status => {
    const server = await webhookServer(() => status)
    const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'none', linger: '1s', batchMessages: 8 })
    const client = await broker.connect()
    for (let number = 0; number < 8; number++) client.publish('a', String(number))
    await eventually(() => broker.figure('dropped_refused_events_total') === 8)
    expect(server.requests).toHaveLength(1)
  },
)

test('what was acknowledged before it was refused is parked, over a restart too, and sent once more where the config says so', async () => {
  let refuses = true
  const server = await webhookServer(request => (refuses ? refusesBad(request, 422) : 200))
  const endpoint = { url: server.url, filters: ['a'] }
  const diskQueue = { path: await folderWith() }
  const first = await postingBroker(endpoint, { diskQueue })
  const client = await first.connect()
  for (const payload of ['bad 1', '2', 'bad 3']) await client.publishAsync('a', payload, { qos: 1 })
  client.publish('a', 'bad, and QoS 0')
  const parked = first.running.broker.services.get('webhooks').parked('hook')!
  await eventually(() => parked.page(0, 10).length === 2 && first.drops.length === 1)
  expect(parked.page(0, 10).map(({ mqttTopic, payload, why }) => [mqttTopic, String(payload), why])).toEqual(
    ['bad 1', 'bad 3'].map(payload => ['a', payload, 'HTTP_422: the server answers 422']),
  )
  await first.running.stop()
  refuses = false
  const second = await postingBroker({ ...endpoint, parked: 'resend' }, { diskQueue })
  await eventually(() => server.taken.length === 3)
  expect(server.taken.map(({ payload }) => payload)).toEqual(['2', 'bad 1', 'bad 3'])
  expect(second.figure('parked_events')).toBe(0)
})

test.each([
  ['408', 408, {}],
  ['425', 425, {}],
  ['429', 429, {}],
  ['500', 500, {}],
  ['503', 503, {}],
  ['one that the config names', 404, { retryStatuses: [404] }],
] as const)('status %s is an outage: nothing is refused, the same is sent again with the same ids', async (_what, status, more) => {
  let times = 0
  const server = await webhookServer(() => (++times <= 2 ? status : 200))
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote', ...more, retryStatuses: [408, 425, 429, 404] })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  expect(new Set(server.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect(new Set(server.requests.map(({ events }) => events[0]!.id)).size).toBe(1)
  expect(broker.drops).toEqual([])
})

test('Retry-After counts, in seconds and as a date, up to its bound; and the pauses grow up to theirs', async () => {
  const clock = new ManualClock()
  const second = 1000
  const answers = ['300', new Date(clock.now() + 1200 * second).toUTCString(), '99999999', undefined, undefined, undefined]
  const times: number[] = []
  const server = await webhookServer((_request, response) => {
    const after = answers[times.length]
    times.push(clock.now())
    if (after !== undefined) response.setHeader('retry-after', after)
    return times.length <= answers.length ? 503 : 200
  })
  const broker = await postingBroker(
    { url: server.url, filters: ['a'], ack: 'remote', linger: 0, retryMin: '20s', retryMax: '100s', retryAfterMax: '30m', timeout: '10d' },
    { mqtt: { receiptTimeout: '10d' } },
    clock,
  )
  const client = await broker.connect({ keepalive: 0 })
  const published = client.publishAsync('a', '1', { qos: 1 })
  // Time passes while the broker waits, and stands still while it asks.
  const step = 10 * second
  await eventually(() => {
    if (broker.figure('failed_requests_total') === times.length) clock.advance(times.length === 0 ? 1 : step)
    return broker.figure('sent_events_total') === 1
  })
  await published
  const pauses = times.slice(1).map((at, index) => (at - times[index]!) / second)
  const between = [
    [300, 310],
    [1200 - 320, 1210 - 300],
    [1800, 1810],
    // The fourth and the fifth are doubled ones, and a quarter of each is chance.
    [75, 110],
    [75, 110],
    [75, 110],
  ]
  expect(
    pauses.map((pause, index) => pause >= between[index]![0]! && pause <= between[index]![1]!),
    String(pauses),
  ).not.toContain(false)
})

test('a Retry-After that is neither a number nor a date asks for nothing', () => {
  expect(['', 'soon', '-5', '1.5', undefined, '0'].map(text => pauseOf(text, 1_000_000_000_000))).toEqual([
    0,
    0,
    0,
    expect.any(Number),
    0,
    0,
  ])
  expect(pauseOf('Thu, 01 Jan 1970 00:00:00 GMT', 1000)).toBe(0)
  expect(pauseOf('7', 0)).toBe(7000)
})

test('a redirect is not followed', async () => {
  const other = await webhookServer()
  let times = 0
  const server = await webhookServer((_request, response) => {
    if (++times > 2) return 200
    response.writeHead(308, { location: other.url }).end()
    return undefined
  })
  const broker = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote' })
  const client = await broker.connect()
  await client.publishAsync('a', '1', { qos: 1 })
  expect(other.connections).toBe(0)
  expect(broker.lines.find(({ message }) => message.includes('redirects are not followed'))?.message).toContain(other.url)
})

test('TLS: the CA and the name of the server are looked at, and the broker shows its certificate', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'webhook-tls-'))
  const ca = await TestCa.create(folder)
  await ca.issue('server', 'localhost')
  await ca.issue('broker', 'broker', { use: 'client' })
  const file = (name: string) => join(folder, name)
  const read = (name: string) => readFileSync(file(name))
  const tls = { cert: read('server.crt'), key: read('server.key'), ca: read('ca.crt'), requestCert: true, rejectUnauthorized: true }
  const names: unknown[] = []
  const server = await webhookServer(
    (_request, response) => {
      names.push((response.socket as unknown as { getPeerCertificate(): { subject: { CN: string } } }).getPeerCertificate().subject.CN)
      return 200
    },
    { tls },
  )
  const ssl = { ca: file('ca.crt'), cert: file('broker.crt'), key: file('broker.key') }
  const good = await postingBroker({ url: server.url, filters: ['a'], ack: 'remote', ssl })
  await (await good.connect()).publishAsync('a', '1', { qos: 1 })
  expect(names).toEqual(['broker'])
  for (const [wrong, says] of [
    [{ cert: ssl.cert, key: ssl.key }, /self-signed|unable to|certificate/],
    [{ ...ssl, servername: 'elsewhere' }, /altnames|Hostname/],
    [{ ca: ssl.ca }, /certificate required|alert|ECONNRESET|hang up/i],
  ] as const) {
    const bad = await postingBroker({ url: server.url, filters: ['a'], ack: 'none', ssl: wrong })
    const client = await bad.connect()
    await client.publishAsync('a', 'secret', { qos: 1 })
    await eventually(() => bad.figure('failed_requests_total') > 1)
    expect(bad.lines.find(({ message }) => message.includes('takes no events'))?.message).toMatch(says)
    expect(bad.drops).toEqual([])
  }
  expect(names).toEqual(['broker'])
})

test('check says what is wrong with endpoints, and --connect whether their servers can be reached', async () => {
  const check = async (endpoint: object, connect = false) => {
    const object = {
      preset: 'test',
      webhooks: { endpoints: [{ name: 'x', filters: ['a'], url: 'http://127.0.0.1:1/', ...endpoint }] },
    } as Config
    return await examine(catalogue, await resolveConfig(catalogue, { object }), connect)
  }
  const wrong = { url: 'http://u:p@h/', filters: ['a/#/b'], ack: 'local', body: 'payload', events: ['session.ended'] }
  expect((await check(wrong)).problems).toEqual([
    expect.stringContaining('endpoints[0].url: holds a password'),
    expect.stringContaining('endpoints[0].filters[0]: "a/#/b" is no topic filter'),
    expect.stringContaining('endpoints[0].body: only messages have a payload'),
    expect.stringContaining('endpoints[0].ack: local needs a queue on disk; add the section diskQueue'),
  ])
  const problem = async (endpoint: object) => (await check(endpoint)).problems.join()
  expect(await problem({ secret: 's', secretFile: '/nowhere' })).toContain('several secrets')
  expect(await problem({ secretFile: '/nowhere' })).toContain('secretFile: /nowhere cannot be used')
  expect(await problem({ environmentVariable: 'NO_SUCH_SECRET' })).toContain('there is no NO_SUCH_SECRET in the environment')
  expect(await problem({ headers: { 'content-length': '1' } })).toContain("the broker's own")
  expect(await problem({ headers: { 'a b': '1' } })).toContain('is no header')
  expect(await problem({ ssl: { ca: '/nowhere' } })).toContain('/nowhere cannot be read')
  expect(await check({ filters: [] })).toMatchObject({ problems: [], lines: [expect.stringContaining('nothing goes to x')] })
  expect((await check({ url: 'http://example.com/' })).lines.join()).toContain('readable for whoever is on the way')
  expect(await check({})).toEqual({ problems: [], lines: [] })
  const server = await webhookServer()
  expect(await check({ url: server.url }, true)).toEqual({ problems: [], lines: [`x: 127.0.0.1:${server.port} can be reached`] })
  expect(server.requests).toEqual([])
  expect((await check({ url: `http://127.0.0.1:${await freePort()}/` }, true)).problems.join()).toContain('ECONNREFUSED')
})
