import { EventEmitter } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { PageSessions } from '../../plugins/admin/page-sessions.ts'
import { openapiOf } from '../../plugins/kit/verbs/openapi.ts'
import { catalogue } from '../../presets/index.ts'
import { brokerVerbs } from '../../presets/shell/ask/known-verbs.ts'
import { runCli } from '../../presets/shell/cli.ts'
import type { ResolvedConfig } from '../../presets/shell/resolved-config.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { answerModule, answerTypes } from './answer-types.ts'

// The files of the page are those that the package ships.
beforeAllBuilt()

const actor = { name: 'ada', via: 'program', role: 'admin' }

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: Buffer
  readonly json: Record<string, unknown>
}

/** A broker that serves the page on a free port of loopback, and no file of tokens. */
async function started() {
  const kit = await startBroker({ admin: { socket: false, page: true, http: { port: 0 } } })
  const entrance = async (role: 'read' | 'operate' | 'admin' = 'read') => new URL((await kit.broker.operate(actor, 'page', { role })).url)
  const { port } = await entrance()
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: object): Promise<Answer> =>
    new Promise((done, failed) => {
      const asked = request(
        { host: '127.0.0.1', port, method, path, headers: { ...headers, ...(body ? json : {}) }, agent: false },
        async answer => {
          const chunks: Buffer[] = []
          for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
          const bytes = Buffer.concat(chunks)
          done({
            status: answer.statusCode!,
            headers: answer.headers,
            bytes,
            get json() {
              return JSON.parse(bytes.toString()) as Record<string, unknown>
            },
          })
        },
      )
      asked.on('error', failed)
      asked.end(body && JSON.stringify(body))
    })
  const enter = (url: URL): Promise<Answer> => ask('POST', '/v1/session', {}, { token: url.hash.replace('#enter=', '') })
  return { ...kit, port, entrance, ask, enter }
}

const json = { 'Content-Type': 'application/json' }
const bearer = (token: unknown): Record<string, string> => ({ Authorization: `Bearer ${String(token)}` })

test('the page is served to anybody, with a policy that lets nothing in from elsewhere and nothing inline', async () => {
  const { ask, port } = await started()
  const names = ['/', '/page.js', '/page.css', '/theme.js', '/icon.svg', '/inter.woff2', '/licences.txt']
  let bytes = 0
  for (const name of names) {
    const { status, headers, bytes: body } = await ask('GET', name, { 'Accept-Encoding': 'gzip, br' })
    expect([name, status, headers['x-content-type-options'], headers['x-frame-options']]).toEqual([name, 200, 'nosniff', 'DENY'])
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /)
    expect(headers['content-security-policy']).not.toContain('unsafe')
    bytes += body.length
    expect((await ask('GET', name, { 'If-None-Match': String(headers.etag) })).status).toBe(304)
    expect((await ask('HEAD', name)).bytes.length).toBe(0)
  }
  // All files together, as they are sent.
  expect(bytes).toBeLessThan(150_000)
  expect((await ask('GET', '/')).bytes.toString()).not.toMatch(/<script>|<style>|style=|onload=|https?:/)
  // No name outside of the table, and no other host's page.
  for (const path of ['/../package.json', '/%2e%2e/package.json', '/page', '/page.js/', '/constructor', '/.built'])
    expect([path, (await ask('GET', path)).status]).toEqual([path, 401])
  expect((await ask('POST', '/')).status).toBe(401)
  expect((await ask('GET', '/', { Host: `evil.example:${port}` })).status).toBe(421)
})

test('a token of an address is good once, for ten minutes, for the role that was asked for', async () => {
  const { ask, enter, entrance, advance } = await started()
  const url = await entrance('read')
  expect(url.pathname + url.search).toBe('/')
  const { status, json: entered } = await enter(url)
  expect([status, entered.name, entered.role]).toEqual([200, 'ada', 'read'])
  expect(await enter(url)).toMatchObject({ status: 401 })
  expect((await ask('GET', '/v1/whoami', bearer(entered.token))).json).toMatchObject({ name: 'ada', via: 'http', role: 'read' })
  expect((await ask('POST', '/v1/kick', bearer(entered.token), { id: 'a' })).status).toBe(403)
  // The token of the address is none of a session, and a name in front of it makes it none.
  const secret = url.hash.replace('#enter=', '')
  for (const token of [secret, `session.${secret}`, 'session.', `ada.${secret}`])
    expect((await ask('GET', '/v1/status', bearer(token))).status).toBe(401)

  const late = await entrance()
  await advance(10 * 60_000 + 1)
  expect((await enter(late)).status).toBe(401)
  // Of more than twenty the oldest goes.
  const first = await entrance()
  for (let i = 0; i < 20; i++) await entrance()
  expect((await enter(first)).status).toBe(401)
})

test('who is in makes no further ways in, which would outlive a token', async () => {
  const { ask, enter, entrance } = await started()
  const { token } = (await enter(await entrance('admin'))).json
  expect((await ask('POST', '/v1/page', bearer(token), {})).json).toMatchObject({ error: { code: 'ERR_ADMIN_PAGE' } })
})

test('a session ends when somebody signs out', async () => {
  const { ask, enter, entrance } = await started()
  const [a, b] = [(await enter(await entrance())).json.token, (await enter(await entrance())).json.token]
  const status = async (token: unknown) => (await ask('GET', '/v1/status', bearer(token))).status
  expect((await ask('DELETE', '/v1/session', bearer(a))).json).toEqual({ ended: true })
  expect([await status(a), await status(b)]).toEqual([401, 200])
})

test('a session ends eight hours after its last use, and of more than a hundred the one goes that was used longest ago', () => {
  const clock = new ManualClock()
  const sessions = new PageSessions(clock)
  const enter = (name: string): string => sessions.enter(sessions.offer({ name, role: 'read' }).token)!.token
  const token = enter('ada')
  for (let i = 0; i < 3; i++) {
    clock.advance(8 * 3_600_000)
    expect(sessions.find(token)).toMatchObject({ name: 'ada', role: 'read' })
  }
  const other = enter('bob')
  for (let i = 0; i < 98; i++) enter(`c${i}`)
  expect(sessions.find(token)).not.toBeNull()
  enter('one more')
  expect([sessions.find(token), sessions.find(other)]).toEqual([expect.anything(), null])
  clock.advance(8 * 3_600_000 + 1)
  expect(sessions.find(token)).toBeNull()
})

test('a page elsewhere cannot use up an address, and a form cannot be sent', async () => {
  const { ask, enter, entrance } = await started()
  const url = await entrance()
  const token = url.hash.replace('#enter=', '')
  expect((await ask('POST', '/v1/session', { Origin: 'https://evil.example' }, { token })).status).toBe(403)
  expect((await ask('POST', '/v1/session', { 'Content-Type': 'text/plain' })).status).toBe(415)
  expect((await ask('POST', '/v1/session', {}, { token: 'x'.repeat(2000) })).status).toBe(413)
  for (const body of [{}, { token: 7 }, { token: '' }]) expect((await ask('POST', '/v1/session', {}, body)).status).toBe(401)
  expect((await enter(url)).status).toBe(200)
})

test('--ui turns the page on, and prints its address where no log has it', async () => {
  const run = async (...argv: string[]) => {
    const out: string[] = []
    const signals = new EventEmitter()
    let config: ResolvedConfig | undefined
    const code = await runCli(
      catalogue,
      [...argv, '--ui', '--preset', 'test'],
      {},
      {
        folder: await folderWith(),
        out: line => void out.push(line),
        error: line => void out.push(line),
        async start(resolved) {
          config = resolved
          queueMicrotask(() => signals.emit('SIGTERM'))
          return { stop: async () => {}, entrance: async () => 'http://127.0.0.1:9465/#enter=once' }
        },
        signals,
        exit: () => {},
      },
    )
    return { code, config, text: out.join('\n') }
  }
  const { code, config, text } = await run('start')
  expect([code, config?.provenance.get('admin.page')]).toEqual([0, '--ui'])
  expect(text).toContain('The page, for whoever opens this first, within ten minutes:\nhttp://127.0.0.1:9465/#enter=once')
  expect((await run('check')).text).toMatch(/admin\.page +true +--ui/)
})

test('who asks for an address where there is no page is told how to have one', async () => {
  const { broker } = await startBroker({ admin: { socket: false } })
  await expect(broker.operate(actor, 'page')).rejects.toMatchObject({
    code: 'ERR_ADMIN_PAGE',
    message: expect.stringContaining('admin.page: true'),
  })
})

test('what came and went is kept in three rings of 200 rows: of rates the mean, of waits the longest, of what is there the last', async () => {
  const { broker, connect, advance } = await startBroker({ admin: { socket: false } })
  const client = await connect({ clientId: 'a' })
  for (let i = 0; i < 6; i++) client.publish('t', 'x')
  await advance(3000)
  const { rows, everyMs } = await broker.inspect('rates')
  expect(everyMs).toBe(3000)
  expect(rows).toMatchObject([{ received: 2, sent: 0, connections: 1, node: broker.verbs.node }])
  expect(rows[0]!.bytesIn).toBeGreaterThan(0)
  expect((await broker.inspect('rates', { since: rows[0]!.at })).rows).toEqual([])
  await advance(205 * 3000)
  expect((await broker.inspect('rates', { limit: 200 })).rows.length).toBe(200)
  const hour = await broker.inspect('rates', { span: '1h', limit: 200 })
  // Six publishes within the 18 seconds that make the first row.
  expect([hour.everyMs, hour.rows.length, hour.rows[0]!.received, hour.rows.at(-1)!.connections]).toEqual([18_000, 34, 0.3, 1])
  expect((await broker.inspect('rates', { span: '24h' })).rows.length).toBe(1)
})

test('subscriptions are listed by their filters, and retained messages a level at a time', async () => {
  const { broker, connect } = await startBroker({ admin: { socket: false } })
  const [a, b] = [await connect({ clientId: 'a' }), await connect({ clientId: 'b' })]
  await a.subscribe(['plant/#', 'site/+'], 1)
  await b.subscribe(['plant/#'], 0)
  const all = await broker.inspect('subscriptions')
  expect(all.rows.map(({ filter, id, qos, online }) => [filter, id, qos, online])).toEqual([
    ['plant/#', 'a', 1, true],
    ['plant/#', 'b', 0, true],
    ['site/+', 'a', 1, true],
  ])
  const page = await broker.inspect('subscriptions', { match: 'plant', limit: 1 })
  expect((await broker.inspect('subscriptions', { match: 'plant', after: page.next })).rows).toMatchObject([{ id: 'b' }])
  expect((await broker.inspect('subscriptions', { id: 'b' })).rows.length).toBe(1)

  for (const topic of ['plant', 'plant/1/state', 'plant/1/level', 'plant/2', '/x', 'site'])
    await broker.publish({ topic, payload: '1234', retain: true })
  const levels = async (prefix: string) =>
    (await broker.inspect('retained tree', { prefix })).rows.map(({ level, topic, messages, bytes, retained }) => [
      level,
      topic,
      messages,
      bytes,
      retained,
    ])
  expect(await levels('')).toEqual([
    ['', '', 1, 4, false],
    ['plant', 'plant', 4, 16, true],
    ['site', 'site', 1, 4, true],
  ])
  expect(await levels('plant')).toEqual([
    ['1', 'plant/1', 2, 8, false],
    ['2', 'plant/2', 1, 4, true],
  ])
  await expect(broker.inspect('retained tree', { prefix: 'plant/#' })).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
})

test('the config in force is shown as check shows it, without secrets, to whoever may operate', async () => {
  const { broker } = await startBroker({
    admin: { socket: false },
    brokerId: 'edge-1',
    authHttp: { url: 'http://user:hidden@127.0.0.1:1/auth' },
  })
  const { rows, preset, file, plugins } = await broker.inspect('config', { match: 'authHttp.url' })
  expect([preset, file, plugins.includes('admin')]).toEqual(['test', null, true])
  expect(rows).toEqual([{ path: 'authHttp.url', value: expect.stringContaining('***'), by: 'createBroker' }])
  expect(JSON.stringify(await broker.inspect('config'))).not.toContain('hidden')
  expect((await broker.inspect('config', { match: 'brokerId' })).rows).toMatchObject([{ value: 'edge-1' }])
})

test('docs/openapi.json has every verb, and what each answers as its type says: UPDATE_OPENAPI=1 writes it', async () => {
  const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
  const types = answerTypes()
  const asText = (rows: Readonly<Record<string, object>>) =>
    Object.fromEntries(Object.entries(rows).map(([name, schema]) => [name, JSON.stringify(schema)]))
  const known = { answers: asText(types.answers), schemas: asText(types.schemas) }
  const version = JSON.parse(await readFile(at('package.json'), 'utf8')).version as string
  const made = {
    'docs/openapi.json': `${JSON.stringify(openapiOf(brokerVerbs, version, known), null, 1)}\n`,
    'presets/shell/answer-schemas.ts': answerModule(types),
  }
  for (const [path, text] of Object.entries(made)) {
    if (process.env.UPDATE_OPENAPI === '1') await writeFile(at(path), text)
    expect(await readFile(at(path), 'utf8')).toBe(text)
  }
  // Every verb says what it answers.
  expect(brokerVerbs.filter(({ name }) => types.answers[name] === undefined).map(({ name }) => name)).toEqual([])
  const { broker } = await startBroker({ admin: { socket: false } })
  const { paths } = (await broker.inspect('openapi')) as { paths: Record<string, { get?: object; post?: object }> }
  for (const verb of broker.verbs) expect(paths[`/v1/${verb.name.replaceAll(' ', '/')}`]).toHaveProperty(verb.changes ? 'post' : 'get')
})
