import { createHmac, KeyObject, sign as signBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { exportJWK } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { candidates, keysOfJson } from '../../plugins/auth-jwt/keys.ts'
import { verifyToken } from '../../plugins/auth-jwt/verify-token.ts'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker, type TestBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { publicJwk, publicPem, type SigningKey, sign, signingKey, startKeyServer } from '../support/issuer.ts'
import { keptLog } from '../support/log.ts'

// Goal: who has a good token of the issuer gets in, with the name and rights that it says and for as long as it is good; nobody else does, however the token is forged.
// Method: a real HTTPS server publishes the keys; the time is the test's.

const { BadUserNameOrPassword, NotAuthorized, ServerUnavailable } = ReasonCode

let key: SigningKey
let rsa: SigningKey
beforeAll(async () => {
  key = await signingKey('k1')
  rsa = await signingKey('r1', 'RS256')
})

type Options = NonNullable<Exclude<Config['authJwt'], boolean>>

async function start(options: Options = {}, config: Config = {}) {
  const server = await startKeyServer(key, rsa)
  const authJwt = { jwks: server.url, ca: server.ca.path('ca.crt'), issuer: 'https://issuer.example', audience: 'broker', ...options }
  const broker = await startBroker({ authJwt, ...config })
  return { ...broker, server }
}

const wall = ({ clock }: TestBroker) => clock.moment().wall

let clients = 0
/** What CONNACK says to a client with that token as its password. */
async function code(broker: TestBroker, password: string, version: 4 | 5 = 5): Promise<number> {
  const client = broker.open(version)
  client.send(connectPacket({ version, clientId: `c${++clients}`, username: 'whoever', password }))
  return ((await client.next(PacketType.Connack)) as { reasonCode: number }).reasonCode
}

describe('a good token', () => {
  test.each([4, 5] as const)('lets its user in under the name that it says (protocol level %i)', async version => {
    const broker = await start()
    const password = await sign(key, wall(broker))
    const client = await broker.connect({ version, clientId: 'c', username: 'whoever', password })
    expect(client.heard[0]).toMatchObject({ reasonCode: 0 })
    expect(broker.broker.clientOf('c')?.username).toBe('alice')
    expect(broker.broker.clientOf('c')?.rights).toBeNull()
  })

  test.each(['RS256', 'PS384', 'ES384', 'ES512', 'EdDSA'])('may be signed by %s', async alg => {
    const other = await signingKey('other', alg)
    const broker = await start()
    await broker.server.publish(key, other)
    await broker.advance(30_000)
    expect(await code(broker, await sign(other, wall(broker)))).toBe(0)
  })

  test('gives rights by templates, and those are all that its client has', async () => {
    const broker = await start({ publish: ['devices/{sub}/#', '{mqtt.pub[]}', 'teams/{teams}/chat'], subscribe: ['{scope[]}'] })
    const claims = { mqtt: { pub: ['lights/+'] }, teams: ['red', 'blue'], scope: 'a/# b' }
    const client = await broker.connect({ version: 5, clientId: 'c', password: await sign(key, wall(broker), claims) })
    expect(broker.broker.clientOf('c')?.rights).toEqual({
      authorizedPub: ['devices/alice/#', 'lights/+', 'teams/red/chat', 'teams/blue/chat'],
      authorizedSub: ['a/#', 'b'],
    })
    expect(await client.publish('devices/alice/state', '', { qos: 1 })).toMatchObject({ reasonCode: 0x10 })
    expect(await client.publish('devices/bob/state', '', { qos: 1 })).toMatchObject({ reasonCode: NotAuthorized })
  })

  test('without the claims of a template grants nothing by it', async () => {
    const broker = await start({ publish: ['{acl.pub[]}', 'x/{nobody}/y'] })
    await broker.connect({ version: 5, clientId: 'c', password: await sign(key, wall(broker)) })
    expect(broker.broker.clientOf('c')?.rights).toEqual({ authorizedPub: [] })
  })

  test('may have a user name made of several claims, one with a URL in its name, one within another', async () => {
    const broker = await start({ username: '{https://a.example/org}:{realm.id}' })
    const claims = { 'https://a.example/org': 'acme', realm: { id: 7 } }
    await broker.connect({ version: 5, clientId: 'c', password: await sign(key, wall(broker), claims) })
    expect(broker.broker.clientOf('c')?.username).toBe('acme:7')
  })
})

describe('no other token does', () => {
  const b64 = (value: object | string): string =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
  const claims = (now: number) => ({ sub: 'alice', iss: 'https://issuer.example', aud: 'broker', exp: now / 1000 + 60 })
  const seconds = (now: number) => Math.floor(now / 1000)

  /** Each attack, and what it is made of. */
  const attacks: Record<string, (now: number) => Promise<string> | string> = {
    'without a signature, alg none': now => `${b64({ alg: 'none' })}.${b64(claims(now))}.`,
    'alg None, nOnE': now => `${b64({ alg: 'nOnE', kid: 'k1' })}.${b64(claims(now))}.`,
    'alg none with a good signature behind it': async now =>
      `${b64({ alg: 'none' })}.${(await sign(key, now)).split('.').slice(1).join('.')}`,
    'HMAC with the public key in PEM': async now => hmac(await publicPem(rsa), { alg: 'HS256', kid: 'r1' }, claims(now)),
    'HMAC with the public key in JSON': async now => hmac(JSON.stringify(await publicJwk(rsa)), { alg: 'HS256', kid: 'r1' }, claims(now)),
    'HMAC with its modulus': async now =>
      hmac(Buffer.from((await publicJwk(rsa)).n!, 'base64url'), { alg: 'HS512', kid: 'r1' }, claims(now)),
    'another key under the same name': async now => sign({ ...(await signingKey('k1')), kid: 'k1' }, now),
    'another key that the header brings along (jwk)': async now => {
      const own = await signingKey('mine')
      return sign(own, now, {}, { jwk: await exportJWK(own.publicKey) })
    },
    'another key that the header says where to find (jku, x5u)': async now => {
      const own = await signingKey('mine')
      return sign(own, now, {}, { jku: 'https://evil.example/jwks.json', x5u: 'https://evil.example/x.pem' })
    },
    'a key name that is a path': async now => sign({ ...(await signingKey()), kid: '../../../../dev/null' }, now),
    'a key name that is no text': async now => `${b64({ alg: 'ES256', kid: { toString: 'k1' } })}.${b64(claims(now))}.AAAA`,
    'the algorithm of another kind of key': async now => {
      const [, payload, signature] = (await sign(rsa, now)).split('.')
      return `${b64({ alg: 'ES256', kid: 'r1' })}.${payload}.${signature}`
    },
    'claims changed behind the signature': async now => {
      const [header, , signature] = (await sign(key, now)).split('.')
      return `${header}.${b64({ ...claims(now), sub: 'admin' })}.${signature}`
    },
    'the signature cut off': async now => (await sign(key, now)).replace(/[^.]+$/, ''),
    'an ECDSA signature of zeros': now =>
      `${b64({ alg: 'ES256', kid: 'k1' })}.${b64(claims(now))}.${Buffer.alloc(64).toString('base64url')}`,
    'a crit header that nobody knows': now => raw({ alg: 'ES256', kid: 'k1', crit: ['exp2'], exp2: 1 }, b64(claims(now))),
    'with half of a surrogate pair in its name': now =>
      raw({ alg: 'ES256', kid: 'k1' }, b64(JSON.stringify({ ...claims(now), sub: '\ud800' }))),
    'a payload that is not encoded (b64)': now =>
      raw({ alg: 'ES256', kid: 'k1', crit: ['b64'], b64: false }, JSON.stringify(claims(now)).replaceAll('.', ' ')),
    'claims that are a list': () => raw({ alg: 'ES256', kid: 'k1' }, b64('[1]')),
    'claims that are no JSON': () => raw({ alg: 'ES256', kid: 'k1' }, b64('{"sub":"alice"')),
    'an encrypted token': () => `${b64({ alg: 'dir', enc: 'A128GCM' })}..AAAA.AAAA.AAAA`,
    expired: now => sign(key, now, { exp: seconds(now) - 31 }),
    'without an end': now => sign(key, now, { exp: undefined }),
    'with an end that is text': now => sign(key, now, { exp: String(seconds(now) + 60) }),
    'not valid yet': now => sign(key, now, { nbf: seconds(now) + 31 }),
    'of another issuer': now => sign(key, now, { iss: 'https://other.example' }),
    'of no issuer': now => sign(key, now, { iss: undefined }),
    'for another audience': now => sign(key, now, { aud: ['web', 'mail'] }),
    'for no audience': now => sign(key, now, { aud: undefined }),
    'without a user': now => sign(key, now, { sub: undefined }),
    'with an empty user': now => sign(key, now, { sub: '' }),
    'with a list of users': now => sign(key, now, { sub: ['alice', 'admin'] }),
    'with a user that ends early': now => sign(key, now, { sub: 'admin\0' }),
    'longer than any token': now => sign(key, now, { pad: 'x'.repeat(17_000) }),
    'no token': () => 'open sesame',
    'bytes that are no text': () => Buffer.from([0xff, 0xfe, 0x2e, 0x2e]).toString('latin1'),
  }

  /** Signed by the right key, whatever it is that is signed. */
  function raw(header: object, payload: string): string {
    const text = `${b64(header)}.${payload}`
    const signature = signBytes('sha256', Buffer.from(text), { key: KeyObject.from(key.privateKey as never), dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }

  test('what the test signs by hand is a good token where nothing is wrong with it', async () => {
    const broker = await start()
    expect(await code(broker, raw({ alg: 'ES256', kid: 'k1' }, b64(claims(wall(broker)))))).toBe(0)
  })

  test('a token with any one letter changed', async () => {
    const now = 1_800_000_000_000
    const good = await sign(key, now)
    const keys = keysOfJson(JSON.stringify(await publicJwk(key))).keys
    const terms = { algorithms: ['ES256'], issuer: null, audience: null, leewayMs: 0 }
    const verify = (token: string) => verifyToken(token, wish => candidates(keys, wish), terms, now)
    expect(await verify(good)).toMatchObject({ payload: { sub: 'alice' } })
    // Of the last letter two bits are not used.
    for (let at = 0; at < good.length - 1; at++) {
      const changed = `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`
      expect(await verify(changed), `letter ${at}`).toHaveProperty('refused')
    }
  })

  function hmac(secret: string | Buffer, header: object, payload: object): string {
    const text = `${b64(header)}.${b64(payload)}`
    const hash = (header as { alg: string }).alg === 'HS512' ? 'sha512' : 'sha256'
    return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`
  }

  test.each(Object.entries(attacks))('%s', async (_name, forge) => {
    const broker = await start()
    // The same without the fault gets in.
    expect(await code(broker, await sign(key, wall(broker)))).toBe(0)
    const forged = await forge(wall(broker))
    expect(await code(broker, forged)).toBe(BadUserNameOrPassword)
    expect(await code(broker, forged, 4)).toBe(4)
    // Nothing of it is taken for a fault of the broker's own.
    expect(broker.broker.counters).toMatchObject({ authFailed: 2, tapErrors: 0 })
  })

  test.each([
    ['a claim with a wildcard', { sub: '+' }],
    ['a claim with a slash', { sub: 'bob/state' }],
    ['a claim with #', { sub: '#' }],
    ['a list with what is no filter', { acl: ['a/#/b'] }],
    ['a list with what is no text', { acl: [{}] }],
  ])('%s widens no right: the token is refused', async (_name, claims) => {
    const broker = await start({ publish: ['devices/{sub}/#', '{acl[]}'] })
    expect(await code(broker, await sign(key, wall(broker), claims))).toBe(BadUserNameOrPassword)
  })

  test('one is refused whose algorithm is good, but none that the config names', async () => {
    const broker = await start({ algorithms: ['ES256'] })
    expect(await code(broker, await sign(key, wall(broker)))).toBe(0)
    expect(await code(broker, await sign(rsa, wall(broker)))).toBe(BadUserNameOrPassword)
  })

  test('guesses are slowed as those of passwords are', async () => {
    const broker = await start()
    for (let i = 0; i < 10; i++) expect(await code(broker, 'no token')).toBe(BadUserNameOrPassword)
    const slowed = broker.open(5)
    slowed.send(connectPacket({ version: 5, clientId: 'slowed', username: 'whoever', password: await sign(key, wall(broker)) }))
    await broker.advance(999)
    expect(slowed.heard).toEqual([])
    await broker.advance(1)
    expect(await slowed.next(PacketType.Connack)).toMatchObject({ reasonCode: 0 })
  })
})

describe('time', () => {
  test('30 s of difference between the clocks do no harm, at either end', async () => {
    const broker = await start()
    const now = wall(broker)
    expect(await code(broker, await sign(key, now, { exp: now / 1000 - 29 }))).toBe(0)
    expect(await code(broker, await sign(key, now, { nbf: now / 1000 + 29 }))).toBe(0)
    const strict = await start({ leeway: 0 })
    expect(await code(strict, await sign(key, now, { exp: now / 1000 - 1 }))).toBe(BadUserNameOrPassword)
  })

  test('the end of the token, and the leeway, is the end of the connection: 0x87, with a line', async () => {
    const { lines, plugin } = keptLog()
    const broker = await start({}, { log: false, plugins: [plugin] } as Config)
    const client = await broker.connect({ version: 5, clientId: 'c', password: await sign(key, wall(broker)) })
    await broker.advance(89_000)
    expect(client.isClosed).toBe(false)
    await broker.advance(1000)
    await client.closed
    expect(client.heard.at(-1)).toMatchObject({ type: PacketType.Disconnect, reasonCode: NotAuthorized })
    expect(
      lines.some(
        ({ fields, message }) => fields.clientId === 'c' && JSON.stringify([fields, message]).includes('the admission has expired'),
      ),
    ).toBe(true)
  })

  test("a wall clock that is set moves a token's end with it", async () => {
    const broker = await start()
    const early = await broker.connect({ version: 5, clientId: 'early', password: await sign(key, wall(broker)) })
    broker.clock.step(3_600_000)
    await broker.advance(1000)
    await early.closed
    // Set back: what was issued an hour later by that clock is not valid yet; what is running goes on until its end has come again.
    const late = await broker.connect({ version: 5, clientId: 'late', password: await sign(key, wall(broker)) })
    const token = await sign(key, wall(broker), { nbf: wall(broker) / 1000 })
    broker.clock.step(-3_600_000)
    await broker.advance(100_000)
    expect(late.isClosed).toBe(false)
    expect(await code(broker, token)).toBe(BadUserNameOrPassword)
    await broker.advance(3_600_000)
    await late.closed
  })

  test('an end beyond all time is no end', async () => {
    const broker = await start()
    const client = await broker.connect({ version: 5, clientId: 'c', password: await sign(key, wall(broker), { exp: 1e300 }) })
    await broker.advance(1000)
    expect(client.isClosed).toBe(false)
  })
})

describe('AUTH', () => {
  const auth = (token: string) => ({ authenticationMethod: 'jwt', authenticationData: Buffer.from(token) })

  test('a client that brings its next token before the first has expired stays, by the rights of the new one', async () => {
    const broker = await start({ publish: ['{pub[]}'] })
    const properties = auth(await sign(key, wall(broker), { pub: ['a'] }))
    const client = await broker.connect({ version: 5, clientId: 'c', properties })
    expect(client.heard[0]).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'jwt' } })
    await broker.advance(59_000)
    client.send({
      type: PacketType.Auth,
      reasonCode: ReasonCode.ReAuthenticate,
      properties: auth(await sign(key, wall(broker), { pub: ['b'] })),
    })
    expect(await client.next(PacketType.Auth)).toMatchObject({ reasonCode: 0 })
    await broker.advance(60_000)
    expect(client.isClosed).toBe(false)
    expect(await client.publish('a', '', { qos: 1 })).toMatchObject({ reasonCode: NotAuthorized })
    expect(await client.publish('b', '', { qos: 1 })).toMatchObject({ reasonCode: 0x10 })
    await broker.advance(31_000)
    await client.closed
  })

  test.each([
    ['a bad one', { exp: 1 }, NotAuthorized],
    ["another user's", { sub: 'bob' }, NotAuthorized],
  ])('%s ends the connection', async (_name, claims, reasonCode) => {
    const broker = await start()
    const client = await broker.connect({ version: 5, clientId: 'c', properties: auth(await sign(key, wall(broker))) })
    client.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: auth(await sign(key, wall(broker), claims)) })
    await client.closed
    expect(client.heard.at(-1)).toMatchObject({ type: PacketType.Disconnect, reasonCode })
  })

  test('no token, and another method, is refused', async () => {
    const broker = await start({ method: 'token' })
    for (const [properties, reasonCode] of [
      [{ authenticationMethod: 'token' }, BadUserNameOrPassword],
      [auth(await sign(key, wall(broker))), ReasonCode.BadAuthenticationMethod],
    ] as const) {
      const client = broker.open(5)
      client.send(connectPacket({ version: 5, clientId: 'c', properties }))
      expect(await client.next(PacketType.Connack)).toMatchObject({ reasonCode })
    }
  })
})

describe('beside others', () => {
  test('what is no token is left to the plugin behind it, where that is said', async () => {
    const own = {
      name: 'own',
      apply: ({ hooks }: never | { hooks: TestBroker['hooks'] }) => void hooks.onAuthenticate.tap('own', () => true),
    }
    const broker = await start({ notTokens: 'pass' }, { plugins: [own] } as Config)
    expect(await code(broker, 'a password')).toBe(0)
    expect(await code(broker, await sign(key, wall(broker), { exp: 1 }))).toBe(BadUserNameOrPassword)
  })

  test('a user name counts as a token only where it is one', async () => {
    const own = {
      name: 'own',
      apply: ({ hooks }: never | { hooks: TestBroker['hooks'] }) => void hooks.onAuthenticate.tap('own', () => true),
    }
    const broker = await start({ from: ['username'] }, { plugins: [own] } as Config)
    for (const username of ['eyes.of.tigers', 'eyJ.x.y', 'a.b.c']) {
      const client = broker.open(5)
      client.send(connectPacket({ version: 5, clientId: username, username, password: 'p' }))
      expect(await client.next(PacketType.Connack)).toMatchObject({ reasonCode: 0 })
      expect(broker.broker.clientOf(username)?.username).toBe(username)
    }
  })

  test('a client without anything is left to others, and there are none', async () => {
    const broker = await start()
    const client = broker.open(5)
    client.send(connectPacket({ version: 5, clientId: 'c' }))
    expect(await client.next(PacketType.Connack)).toMatchObject({ reasonCode: NotAuthorized })
  })
})

describe('secrets and files', () => {
  const secret = 'x'.repeat(32)
  const hs = (now: number, by = secret) =>
    sign({ alg: 'HS256', kid: undefined, privateKey: new TextEncoder().encode(by) as never, publicKey: null as never }, now)

  test('a secret: HMAC by it alone', async () => {
    const broker = await startBroker({ authJwt: { secret } })
    expect(await code(broker, await hs(wall(broker)))).toBe(0)
    expect(await code(broker, await hs(wall(broker), 'y'.repeat(32)))).toBe(BadUserNameOrPassword)
    expect(await code(broker, await sign(key, wall(broker)))).toBe(BadUserNameOrPassword)
  })

  test('a file of a secret, in base64, and another one that takes its place', async () => {
    const folder = await folderWith({ secret: `${Buffer.from(secret).toString('base64')}\n` })
    const broker = await startBroker({ authJwt: { secretFile: `${folder}/secret`, encoding: 'base64', checkFileEvery: '1s' } })
    expect(await code(broker, await hs(wall(broker)))).toBe(0)
    await writeFile(`${folder}/secret`, Buffer.from('z'.repeat(33)).toString('base64'))
    await broker.running.reread()
    expect(await code(broker, await hs(wall(broker)))).toBe(BadUserNameOrPassword)
    expect(await code(broker, await hs(wall(broker), 'z'.repeat(33)))).toBe(0)
  })

  test('a file of public keys: PEM, several, or JSON', async () => {
    const pem = `${await publicPem(rsa)}\n${await publicPem(key)}`
    const json = JSON.stringify(await publicJwk(key))
    const folder = await folderWith({ 'keys.pem': pem, 'key.json': json })
    const byPem = await startBroker({ authJwt: { keyFile: `${folder}/keys.pem` } })
    expect([await code(byPem, await sign(rsa, wall(byPem))), await code(byPem, await sign(key, wall(byPem)))]).toEqual([0, 0])
    expect(await code(byPem, await sign(await signingKey('k1'), wall(byPem)))).toBe(BadUserNameOrPassword)
    const byJson = await startBroker({ authJwt: { keyFile: `${folder}/key.json` } })
    expect(await code(byJson, await sign(key, wall(byJson)))).toBe(0)
  })

  test.each([
    [{}, /says nowhere which keys count; name one of jwks, keyFile, secretFile, secret/],
    [{ secret, jwks: 'https://a.example/' }, /names jwks and secret; name one/],
    [{ secret: 'short' }, /authJwt\.secret: the secret has 5 bytes, and HS256 needs 32/],
    [{ secret, algorithms: ['RS256'] }, /RS256 goes with public keys/],
    [{ jwks: 'https://a.example/', algorithms: ['HS256'] }, /HS256 goes with a secret, and the keys here are public/],
    [{ jwks: 'https://a.example/', algorithms: ['none'] }, /authJwt\.algorithms/],
    [{ jwks: 'file:///etc/passwd' }, /authJwt\.jwks/],
    [{ secret, username: '{a[]}' }, /authJwt\.username/],
    [{ secret, publish: ['a/{b'] }, /authJwt\.publish\[0\]: braces come in pairs/],
    [{ secret, publish: ['a/{b[]}'] }, /stands alone/],
    [{ jwks: 'https://a.example/', timeout: '5s' }, /authJwt\.timeout: .* not shorter than mqtt\.verdictTimeout/],
    [{ jwks: 'https://a.example/', staleFor: '1m' }, /authJwt\.staleFor/],
    [{ keyFile: 'nowhere.pem' }, /authJwt\.keyFile: there is no file/],
  ] as const)('%j is refused at start', async (authJwt, problem) => {
    await expect(startBroker({ authJwt } as never)).rejects.toThrow(problem)
  })

  test('a private key, a weak one, and no key in a file are refused with the cure', async () => {
    const { generateKeyPairSync } = await import('node:crypto')
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const files = {
      private: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      weak: publicKey.export({ type: 'spki', format: 'pem' }) as string,
      none: 'hello',
      secret: JSON.stringify({ keys: [{ kty: 'oct', k: 'aaaa' }] }),
    }
    const folder = await folderWith(files)
    const problem = (name: string) => startBroker({ authJwt: { keyFile: `${folder}/${name}` } }).catch((error: Error) => error.message)
    expect(await problem('private')).toMatch(/it holds a private key: .*openssl pkey -pubout/)
    expect(await problem('weak')).toMatch(/RSA of 2048 bits or more/)
    expect(await problem('none')).toMatch(/there is no key in it/)
    expect(await problem('secret')).toMatch(/none of its keys can be used/)
  })
})

test('an outage is no refusal: nobody is to blame where the keys have never been read', async () => {
  const broker = await startBroker({ authJwt: { jwks: 'https://127.0.0.1:1/', audience: 'broker' } })
  expect(await code(broker, await sign(key, wall(broker)))).toBe(ServerUnavailable)
  expect(broker.broker.counters.authFailed).toBe(0)
})
