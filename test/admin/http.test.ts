import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TokenCheck } from '../../plugins/admin/token-check.ts'
import { token } from '../../plugins/admin/token-command.ts'
import { parseTokens } from '../../plugins/admin/token-file.ts'
import { defineVerb } from '../../plugins/kit/verbs/define-verb.ts'
import { knownVerbs } from '../../presets/shell/ask/known-verbs.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'
import { TestCa } from '../support/test-ca.ts'

/** Makes a token as the command does. */
async function made(folder: string, name: string, role: string): Promise<string> {
  const lines: string[] = []
  expect(await token(['tokens', name, '--role', role], { folder, out: line => void lines.push(line) })).toBe(0)
  return lines[0]!
}

let cached: Promise<{ text: string; tokens: { read: string; operate: string; admin: string } }> | undefined

/** A token of each role, and the text of their file: once for all tests, because each costs a quarter of a second. */
function tokensOnce() {
  cached ??= (async () => {
    const folder = await folderWith()
    const tokens = {
      read: await made(folder, 'reader', 'read'),
      operate: await made(folder, 'op', 'operate'),
      admin: await made(folder, 'root', 'admin'),
    }
    return { text: await readFile(join(folder, 'tokens'), 'utf8'), tokens }
  })()
  return cached
}

/** A broker with the routes on a free port of loopback, and a token of each role. */
async function started({ socket = false } = {}) {
  const { text, tokens } = await tokensOnce()
  const folder = await folderWith({ tokens: text })
  await chmod(join(folder, 'tokens'), 0o600)
  const { lines, plugin } = keptLog()
  const kit = await startBroker({
    log: false,
    plugins: [plugin],
    admin: { socket: socket ? join(folder, 'admin.sock') : false, http: { port: 0, tokens: join(folder, 'tokens') } },
  })
  const port = Number(/:(\d+)\/v1/.exec(lines.find(({ message }) => message.startsWith('admin at'))!.message)![1])
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body = ''): Promise<{ status: number; text: string }> =>
    new Promise((done, failed) => {
      const asked = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, answer => {
        let text = ''
        // What is told as it happens has no end.
        if (answer.headers['content-type'] !== 'application/json') {
          done({ status: answer.statusCode!, text })
          answer.destroy()
          return
        }
        answer.setEncoding('utf8').on('data', chunk => (text += chunk))
        answer.on('end', () => done({ status: answer.statusCode!, text }))
      })
      asked.on('error', failed)
      asked.end(body)
    })
  return { ...kit, folder, tokens, lines, ask, port }
}

const bearer = (given: string): Record<string, string> => ({ Authorization: `Bearer ${given}` })
const json = { 'Content-Type': 'application/json' }

test('a token is printed once, and its file holds only what it is checked by, for its owner alone', async () => {
  const folder = await folderWith()
  const secret = await made(folder, 'grafana', 'read')
  expect(secret).toMatch(/^grafana\.[\w-]{43}$/)
  const text = await readFile(join(folder, 'tokens'), 'utf8')
  expect(text).toMatch(/^grafana:read:\$scrypt\$/)
  expect(text).not.toContain(secret.split('.')[1])
  expect((await stat(join(folder, 'tokens'))).mode & 0o777).toBe(0o600)
  expect(await made(folder, 'grafana', 'operate')).not.toBe(secret)
  expect([...parseTokens(await readFile(join(folder, 'tokens'), 'utf8'), 'tokens').values()].map(({ name, role }) => [name, role])).toEqual(
    [['grafana', 'operate']],
  )
  const io = { folder, out: () => {} }
  expect(await token(['tokens', 'grafana', '--delete'], io)).toBe(0)
  for (const wrong of [
    ['tokens'],
    ['tokens', 'a'],
    ['tokens', 'a b', '--role', 'read'],
    ['tokens', 'a', '--role', 'king'],
    ['tokens', 'a', '--rolle=read'],
  ])
    await expect(token(wrong, io)).rejects.toMatchObject({ code: 'ERR_ARGUMENTS' })
  await expect(token(['tokens', 'grafana', '--delete'], io)).rejects.toMatchObject({ code: 'ERR_TOKEN_FILE' })
  expect(() => parseTokens('alice:king:$scrypt$', 'tokens')).toThrow('tokens:1: not a line NAME:ROLE')
})

test('who may do what: each role and each verb over HTTP, over the socket, and nobody without a token', async () => {
  const { ask, tokens, broker, folder } = await started({ socket: true })
  // Verbs that other plugins bring, or the command `start`: their declarations are what is asked for the role.
  const brought = [...knownVerbs].filter(({ name }) => broker.verbs.find(name) === undefined)
  for (const { takes, ...declaration } of brought) {
    const { node: _node, ...own } = takes as Record<string, never>
    broker.verbs.add(defineVerb(broker, { ...declaration, yes: undefined as never, takes: own }, { run: () => ({}) }))
  }
  const needs = { read: ['read', 'operate', 'admin'], operate: ['operate', 'admin'], admin: ['admin'] } as const
  const overSocket = (method: string, path: string, body: string): Promise<number> =>
    new Promise((done, failed) => {
      const asked = request(
        { socketPath: join(folder, 'admin.sock'), method, path, headers: body === '' ? {} : json, agent: false },
        answer => {
          done(answer.statusCode!)
          answer.destroy()
        },
      )
      asked.on('error', failed)
      asked.end(body)
    })
  for (const { name, changes, role } of knownVerbs) {
    const path = `/v1/${name.replaceAll(' ', '/')}`
    const [method, body] = changes ? ['POST', '{}'] : ['GET', '']
    const call = (headers: Record<string, string>) => ask(method!, path, body === '' ? headers : { ...headers, ...json }, body)
    expect([name, (await call({})).status]).toEqual([name, 401])
    const may: string[] = []
    for (const [holder, given] of Object.entries(tokens)) {
      const { status } = await call(bearer(given))
      // 400 and 415: it was let, and lacks an argument, or lines.
      expect([name, [200, 400, 403, 415].includes(status)]).toEqual([name, true])
      if (status !== 403) may.push(holder)
    }
    expect([name, may]).toEqual([name, [...needs[role]]])
    // Whoever can open the socket is the broker's own user, and may do all; asking alone changes nothing there either.
    expect([name, [200, 400, 415].includes(await overSocket(method!, path, body!))]).toEqual([name, true])
    if (changes) expect([name, await overSocket('GET', path, '')]).toEqual([name, 405])
    if (changes) expect([name, (await ask('GET', path, bearer(tokens.admin))).status]).toEqual([name, 405])
  }
  // No verb that changes something, and none that shows what a client says, is for `read`; what cannot be undone is for `admin`.
  const wrong = knownVerbs.filter(
    ({ name, changes, role }) => (changes && role === 'read') || (/end-session|queue clear|import/.test(name) && role !== 'admin'),
  )
  expect(wrong.map(({ name }) => name)).toEqual([])
}, 120_000)

test('a change is logged with who did it and from where; no token and no payload is in the log', async () => {
  const { ask, tokens, connect, lines, broker } = await started()
  const victim = await connect({ clientId: 'victim' })
  expect((await ask('POST', '/v1/kick', { ...bearer(tokens.operate), ...json }, '{"id":"victim"}')).text).toBe('{"count":1}\n')
  await victim.closed
  expect(lines.find(({ message }) => message === 'an operator has changed something')?.fields).toMatchObject({
    actor: 'op',
    via: 'http',
    address: '127.0.0.1',
    verb: 'kick',
    target: 'id=victim',
  })
  expect((await broker.inspect('audit')).rows).toMatchObject([{ actor: 'op', via: 'http' }])
  for (const given of Object.values(tokens)) expect(JSON.stringify(lines)).not.toContain(given.split('.')[1])
})

test('DNS rebinding: a request for another name is not answered, whatever token it has', async () => {
  const { ask, tokens, port } = await started()
  for (const host of ['evil.example', `evil.example:${port}`, '10.0.0.1']) {
    const { status, text } = await ask('GET', '/v1/status', { ...bearer(tokens.admin), Host: host })
    expect([host, status]).toEqual([host, 421])
    expect(text).not.toContain('uptimeMs')
  }
  expect((await ask('GET', '/v1/status', { ...bearer(tokens.read), Host: `localhost:${port}` })).status).toBe(200)
})

test('CSRF: a page of another origin changes nothing, and a form cannot be sent', async () => {
  const { ask, tokens, connect, port } = await started()
  const client = await connect({ clientId: 'a' })
  const kick = (headers: Record<string, string>, body = '{"id":"a"}') =>
    ask('POST', '/v1/kick', { ...bearer(tokens.admin), ...headers }, body)
  expect((await kick({ ...json, Origin: 'https://evil.example' })).status).toBe(403)
  expect((await kick({ ...json, Origin: 'null' })).status).toBe(403)
  expect((await kick({ 'Content-Type': 'text/plain' })).status).toBe(415)
  expect((await kick({ 'Content-Type': 'application/x-www-form-urlencoded' }, 'id=a')).status).toBe(415)
  // The question of a browser before it sends JSON across origins is not answered with a yes.
  const preflight = await ask('OPTIONS', '/v1/kick', { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' })
  expect(preflight.status).toBe(403)
  expect((await ask('GET', '/v1/kick?id=a', bearer(tokens.admin))).status).toBe(405)
  expect(client.isClosed).toBe(false)
  expect((await kick({ ...json, Origin: `http://127.0.0.1:${port}` })).status).toBe(200)
})

test('path traversal leads nowhere: a route is a name in a table', async () => {
  const { ask, tokens } = await started()
  for (const path of [
    '/../../etc/passwd',
    '/v1/../tokens',
    '/v1/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/v1/..%5c..%5ctokens',
    '/v1/status/..',
    '//etc/passwd',
    '/v1/constructor',
    '/v1/__proto__',
  ])
    expect([path, (await ask('GET', path, bearer(tokens.admin))).status]).toEqual([path, 404])
})

test('guessing: ten wrong tokens, then one a second is looked at; whoever was right before is not slowed', async () => {
  const clock = new ManualClock()
  const tokens = new TokenCheck(clock)
  const { text, tokens: known } = await tokensOnce()
  const right = known.read
  tokens.entries = parseTokens(text, 'tokens')
  expect(await tokens.check(right, '10.0.0.1')).toMatchObject({ name: 'reader', role: 'read' })
  for (let i = 0; i < 10; i++) expect(await tokens.check(`reader.guess${i}`, '10.0.0.1')).toBe('wrong')
  expect(await tokens.check('reader.more', '10.0.0.1')).toBe('slowed')
  expect(await tokens.check(`nobody.${right}`, '::ffff:10.0.0.1')).toBe('slowed')
  expect(await tokens.check(right, '10.0.0.1')).toMatchObject({ name: 'reader' })
  expect(await tokens.check('reader.other', '10.0.0.2')).toBe('wrong')
  clock.advance(1000)
  expect([await tokens.check('reader.a', '10.0.0.1'), await tokens.check('reader.b', '10.0.0.1')]).toEqual(['wrong', 'slowed'])
  clock.advance(60_000)
  expect(await tokens.check('reader.c', '10.0.0.1')).toBe('wrong')
  // What is remembered of guesses is bounded.
  for (let i = 0; i < 10_100; i++) await tokens.check('x'.repeat(300), `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  expect(tokens.size).toBe(10_000)
  // A token that is taken out of the file counts no more.
  tokens.entries = new Map()
  expect(await tokens.check(right, '10.9.9.9')).toBe('wrong')
})

test('guessing over HTTP: the eleventh wrong token of an address is not looked at, and says when to come again; a right one that was shown before goes on', async () => {
  const { ask, tokens, lines } = await started()
  expect((await ask('GET', '/v1/status', bearer(tokens.read))).status).toBe(200)
  // So long that nobody computes anything for it: what is tested is the pace, which is the same for all.
  const guess = (i: number) => ask('GET', '/v1/status', bearer(`reader.${'x'.repeat(300)}${i}`))
  for (let i = 0; i < 10; i++) expect((await guess(i)).status).toBe(401)
  const slowed = await ask('GET', '/v1/status', bearer('reader.guess'))
  expect([slowed.status, slowed.text.includes('ERR_ADMIN_SLOWED')]).toEqual([429, true])
  expect((await ask('GET', '/v1/status', bearer(tokens.read))).status).toBe(200)
  expect(JSON.stringify(lines)).not.toContain('xxxxxxxx')
})

test('it does not start open: no tokens, an empty file, or no TLS where others can reach it', async () => {
  const folder = await folderWith({ empty: '# no tokens\n', tokens: (await tokensOnce()).text })
  const start = (http: object) => startBroker({ admin: { socket: false, http: { port: 0, ...http } } })
  await expect(start({})).rejects.toMatchObject({ code: 'ERR_ADMIN_OPEN', message: expect.stringContaining('it asks for no token') })
  await expect(start({ tokens: join(folder, 'empty') })).rejects.toMatchObject({ code: 'ERR_ADMIN_OPEN' })
  await expect(start({ tokens: join(folder, 'none') })).rejects.toMatchObject({ code: 'ERR_FILE' })
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com'])
    await expect(start({ tokens: join(folder, 'tokens'), host })).rejects.toMatchObject({ code: 'ERR_ADMIN_OPEN' })
})

test('with TLS it may be reached by others, and speaks nothing else', async () => {
  const folder = await folderWith()
  const ca = await TestCa.create(folder)
  await ca.issue('server', 'localhost')
  const { text, tokens } = await tokensOnce()
  await writeFile(join(folder, 'tokens'), text)
  const { lines, plugin } = keptLog()
  const tls = { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') }
  await startBroker({
    log: false,
    plugins: [plugin],
    admin: { socket: false, http: { port: 0, host: '0.0.0.0', tokens: join(folder, 'tokens'), tls } },
  })
  const line = lines.find(({ message }) => message.startsWith('admin at https://'))!.message
  const port = Number(/:(\d+)\/v1/.exec(line)![1])
  const status = await new Promise((done, failed) => {
    const options = {
      host: '127.0.0.1',
      port,
      path: '/v1/status',
      ca: ca.cert,
      servername: 'localhost',
      headers: bearer(tokens.read),
      agent: false,
    }
    secureRequest(options, answer => done(answer.resume().statusCode))
      .on('error', failed)
      .end()
  })
  expect(status).toBe(200)
})
