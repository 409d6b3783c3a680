import { beforeAll, describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker, type TestBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { type KeyServer, publicJwk, type SigningKey, sign, signingKey, startKeyServer } from '../support/issuer.ts'
import { keptLog } from '../support/log.ts'
import { TestCa } from '../support/test-ca.ts'

// Goal: keys are taken up and forgotten as the issuer says, its server is asked seldom whatever clients send, and while it is away known keys go on.
// Method: a real HTTPS server that rotates, lies, hangs and goes away; the time is the test's.

const { BadUserNameOrPassword, ServerUnavailable } = ReasonCode

let [a, b, c]: SigningKey[] = []
beforeAll(async () => {
  ;[a, b, c] = await Promise.all([signingKey('a'), signingKey('b'), signingKey('c')])
})

type Options = NonNullable<Exclude<Config['authJwt'], boolean>>

async function start(server: KeyServer, options: Options = {}, config: Config = {}) {
  const { lines, plugin } = keptLog()
  const authJwt = { jwks: server.url, ca: server.ca.path('ca.crt'), audience: 'broker', ...options }
  const broker = await startBroker({ authJwt, log: false, plugins: [plugin], ...config } as Config)
  const texts = () => lines.filter(({ message }) => message.startsWith('authJwt')).map(({ level, message }) => `${level}: ${message}`)
  const figure = (name: string) =>
    Object.fromEntries(
      [...broker.broker.figures]
        .find(one => one.name === name)!
        .read()
        .map(({ value, labels }) => [labels?.result ?? '', value]),
    )
  return { ...broker, texts, figure }
}

let clients = 0
async function code(broker: TestBroker, key: SigningKey): Promise<number> {
  const client = broker.open(5)
  const password = await sign(key, broker.clock.moment().wall)
  client.send(connectPacket({ version: 5, clientId: `c${++clients}`, username: `u${clients}`, password }))
  return ((await client.next(PacketType.Connack)) as { reasonCode: number }).reasonCode
}

/** Lets time pass until the keys have been asked for once more. */
async function refreshed(server: KeyServer, broker: TestBroker, ms: number): Promise<void> {
  const { asked } = server
  const before = figureSum(broker)
  await broker.advance(ms)
  await eventually(() => server.asked > asked && figureSum(broker) > before)
}

const figureSum = ({ broker }: TestBroker): number =>
  [...broker.figures]
    .find(one => one.name === 'auth_jwt_jwks_reads_total')!
    .read()
    .reduce((sum, { value }) => sum + value, 0)

describe('rotation', () => {
  test('a new key counts at its first token, an old one until the next look at which it is gone', async () => {
    const server = await startKeyServer(a!)
    const broker = await start(server)
    expect(await code(broker, a!)).toBe(0)
    expect(server.asked).toBe(1)
    await server.publish(a!, b!)
    await broker.advance(30_000)
    expect(await code(broker, b!)).toBe(0)
    expect(server.asked).toBe(2)
    await server.publish(b!)
    expect(await code(broker, a!)).toBe(0)
    await refreshed(server, broker, 600_000)
    expect(await code(broker, a!)).toBe(BadUserNameOrPassword)
    expect(await code(broker, b!)).toBe(0)
    expect(broker.figure('auth_jwt_keys')).toEqual({ '': 1 })
  })

  test('keys without a name are tried one after the other, and a new one among them is looked for', async () => {
    const [unnamed, next] = await Promise.all([signingKey(), signingKey()])
    const server = await startKeyServer(unnamed, await signingKey())
    const broker = await start(server)
    expect(await code(broker, unnamed)).toBe(0)
    await server.publish(unnamed, next)
    await broker.advance(30_000)
    expect(await code(broker, { ...next, kid: 'new' })).toBe(0)
  })

  test('a key set without keys lets nobody in: it is an answer', async () => {
    const server = await startKeyServer(a!)
    const broker = await start(server)
    await server.publish()
    await refreshed(server, broker, 600_000)
    expect(await code(broker, a!)).toBe(BadUserNameOrPassword)
  })

  test('secrets, keys for encryption, weak ones and private parts in a key set do not count', async () => {
    const server = await startKeyServer(a!)
    const own = await publicJwk(a!)
    const keys = [
      { kty: 'oct', k: Buffer.from('x'.repeat(32)).toString('base64url'), kid: 'a', alg: 'HS256' },
      { ...(await publicJwk(b!)), use: 'enc' },
      { ...(await publicJwk(c!)), alg: 'HS256' },
      { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
      { kty: 'EC' },
      'nonsense',
      { ...own, d: own.x },
    ]
    server.answer(response => response.end(JSON.stringify({ keys })))
    const broker = await start(server)
    expect(broker.figure('auth_jwt_keys')).toEqual({ '': 1 })
    expect(await code(broker, a!)).toBe(0)
    expect(await code(broker, b!)).toBe(BadUserNameOrPassword)
  })
})

test('tokens of unknown keys ask the server once in 30 s, however many they are', async () => {
  const server = await startKeyServer(a!)
  const broker = await start(server)
  const unknown = async (count: number) => {
    const keys = Array.from({ length: count }, (_, index) => ({ ...b!, kid: `made-up-${index}` }))
    expect(await Promise.all(keys.map(key => code(broker, key)))).toEqual(keys.map(() => BadUserNameOrPassword))
  }
  await unknown(20)
  expect(server.asked).toBe(1)
  expect(broker.figure('auth_jwt_misses_unasked_total')).toEqual({ '': 20 })
  await broker.advance(30_000)
  await unknown(20)
  expect(server.asked).toBe(2)
  // Those whose key is known notice nothing.
  expect(await code(broker, a!)).toBe(0)
})

describe('while the server is away', () => {
  test('known keys go on for staleFor, an unknown one is nobody to blame for, and it is said once', async () => {
    const server = await startKeyServer(a!)
    // The test's time goes faster than any server answers.
    const broker = await start(server, { staleFor: '1h', timeout: '20m' }, { mqtt: { verdictTimeout: '30m' } })
    await server.close()
    const failures = () => broker.figure('auth_jwt_jwks_reads_total').failed!
    await broker.advance(600_000)
    await eventually(() => failures() === 1)
    expect(await code(broker, a!)).toBe(0)
    expect(await code(broker, b!)).toBe(ServerUnavailable)
    expect(broker.broker.counters.authFailed).toBe(0)
    expect(broker.texts().at(-1)).toMatch(
      /^warn: authJwt\.jwks: the keys at https:\/\/localhost:\d+\/\.well-known\/jwks\.json cannot be read \(.*ECONNREFUSED.*\); the 1 known ones go on$/,
    )
    await broker.advance(3_000_001)
    expect(await code(broker, a!)).toBe(ServerUnavailable)
    expect(broker.texts().some(text => /^error: .*could not be read for 1h \(authJwt\.staleFor\), and count no more/.test(text))).toBe(true)
    await server.open()
    await refreshed(server, broker, 30_000)
    expect(await code(broker, a!)).toBe(0)
    expect(broker.texts().some(text => /^info: .*can be read again, after \d+ s$/.test(text))).toBe(true)
  })

  test('at the start, clients are told to come again, and get in when it is there', async () => {
    const server = await startKeyServer(a!)
    await server.close()
    const broker = await start(server)
    expect(await code(broker, a!)).toBe(ServerUnavailable)
    await server.open()
    await refreshed(server, broker, 2000)
    expect(await code(broker, a!)).toBe(0)
  })
})

describe('a server that does not say keys', () => {
  const wrong: Record<string, Parameters<KeyServer['answer']>[0]> = {
    'status 500': response => void response.writeHead(500).end('oops'),
    'status 404': response => void response.writeHead(404).end(),
    'status 302': response => void response.writeHead(302, { location: 'https://evil.example/jwks.json' }).end(),
    'it is no JSON': response => void response.end('<html>'),
    'it is no key set': response => void response.end('{"issuer":"x"}'),
    'and 100 are read at most': response => void response.end(JSON.stringify({ keys: new Array(101).fill({}) })),
    'longer than 256 KiB': response => void response.end(`{"keys":[],"pad":"${'x'.repeat(300_000)}"}`),
    'breaks off': response => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"keys":[')
      setImmediate(() => response.destroy())
    },
    'hang up': response => void response.destroy(),
  }

  test.each(Object.entries(wrong))('%s: the known ones go on', async (name, answer) => {
    const server = await startKeyServer(a!)
    const broker = await start(server)
    server.answer(answer)
    await refreshed(server, broker, 600_000)
    expect(await code(broker, a!)).toBe(0)
    const said = broker.texts().at(-1)
    expect(said).toMatch(/^warn: .*the 1 known ones go on$/)
    if (name !== 'hang up') expect(said).toContain(name)
    expect(said).not.toMatch(/html|oops|evil/)
  })

  test('one that hangs has 3 s, and no more connections than one', async () => {
    const server = await startKeyServer(a!)
    const broker = await start(server)
    server.answer(() => {})
    await broker.advance(600_000)
    await eventually(() => server.asked === 2)
    const waiting = code(broker, b!)
    await broker.advance(2999)
    expect(broker.figure('auth_jwt_jwks_reads_total').failed).toBe(0)
    await broker.advance(1)
    expect(await waiting).toBe(ServerUnavailable)
    expect(server.asked).toBe(2)
  })

  test('a broker that stops waits for none', async () => {
    const server = await startKeyServer(a!)
    const broker = await start(server)
    const gone = new Promise<void>(resolve => server.answer(response => void response.on('close', resolve)))
    await broker.advance(600_000)
    await eventually(() => server.asked === 2)
    await broker.running.stop()
    await gone
    expect(broker.texts().filter(text => text.startsWith('warn'))).toEqual([])
  })

  test('one whose certificate is of another CA is not believed', async () => {
    const server = await startKeyServer(a!)
    const other = await TestCa.create(await folderWith())
    const broker = await start(server, { ca: other.path('ca.crt') })
    expect(await code(broker, a!)).toBe(ServerUnavailable)
    expect(broker.texts().at(-1)).toMatch(/cannot be read \(.*(certificate|signature).*\); nobody is let in by a token$/)
  })
})

test('check --connect asks for the keys', async () => {
  const { catalogue } = await import('../../presets/index.ts')
  const { runCli } = await import('../../presets/shell/cli.ts')
  const server = await startKeyServer(a!, b!)
  const config = { preset: 'test', authJwt: { jwks: server.url, ca: server.ca.path('ca.crt') } }
  const folder = await folderWith({ 'mqttx.config.json': JSON.stringify(config) })
  const run = async () => {
    const out: string[] = []
    const errors: string[] = []
    const io = {
      folder,
      out: (line: string) => out.push(line),
      error: (line: string) => errors.push(line),
      exit() {},
      signals: { on() {}, off() {} },
      start: async () => Promise.reject(new Error()),
    }
    const exit = await runCli(catalogue, ['check', '--connect'], {}, io as never)
    return { exit, out: out.join('\n'), errors: errors.join('\n') }
  }
  const good = await run()
  expect(good).toMatchObject({ exit: 0, errors: '' })
  expect(good.out).toMatch(/authJwt: 2 keys at https:\/\/localhost/)
  expect(good.out).toMatch(/^warning: authJwt\.audience: /m)
  await server.close()
  expect(await run()).toMatchObject({ exit: 1, errors: expect.stringMatching(/authJwt\.jwks: the keys at .* cannot be read: /) })
})

test('the way to keys over http off loopback is warned of', async () => {
  const { catalogue } = await import('../../presets/index.ts')
  const { runCli } = await import('../../presets/shell/cli.ts')
  const folder = await folderWith({
    'mqttx.config.json': '{"preset": "test", "authJwt": {"jwks": "http://keys.example/jwks", "audience": "b"}}',
  })
  const out: string[] = []
  await runCli(catalogue, ['check'], {}, {
    folder,
    out: (line: string) => out.push(line),
    error() {},
    exit() {},
    signals: { on() {}, off() {} },
  } as never)
  expect(out.join('\n')).toMatch(/^warning: authJwt\.jwks: whoever is on the way to keys\.example can put keys of their own/m)
})
