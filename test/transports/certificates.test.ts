import { execFile } from 'node:child_process'
import { chmod, copyFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import { createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { TestCa } from '../support/test-ca.ts'

const run = promisify(execFile)
let ca: TestCa

beforeEach(async () => {
  ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
})

const server = () => ({ cert: ca.path('server.crt'), key: ca.path('server.key') })

/** What keeps a broker with these options from starting. */
async function refusal(ssl: Record<string, unknown>): Promise<OperatorError> {
  try {
    const broker = await createBroker({ preset: 'test', log: { level: 'silent' }, socket: { port: 0 }, ssl } as never).start()
    await broker.stop()
  } catch (error) {
    if (error instanceof OperatorError) return error
    throw error
  }
  throw new Error('it started')
}

interface Case {
  readonly options: () => Record<string, unknown> | Promise<Record<string, unknown>>
  readonly code: string
  readonly line: RegExp
}

const cases: Record<string, Case> = {
  'no certificate at all': { options: () => ({}), code: 'ERR_TLS_OPTIONS', line: /^ssl: no certificate is named; / },
  'a certificate without its key': {
    options: () => ({ cert: ca.path('server.crt') }),
    code: 'ERR_TLS_OPTIONS',
    line: /^ssl\.key: required beside ssl\.cert; name /,
  },
  'a file that is not there': {
    options: () => ({ ...server(), cert: ca.path('nowhere.crt') }),
    code: 'ERR_TLS_FILE',
    line: /^ssl\.cert: there is no file .*nowhere\.crt; /,
  },
  'a folder in place of a file': {
    options: () => ({ ...server(), cert: ca.folder }),
    code: 'ERR_TLS_FILE',
    line: /^ssl\.cert: .*folder.*; /,
  },
  'a file that is no PEM': {
    async options() {
      await writeFile(ca.path('x.crt'), 'my notes')
      return { ...server(), cert: ca.path('x.crt') }
    },
    code: 'ERR_TLS_FILE',
    line: /^ssl\.cert: .*x\.crt holds no certificate in PEM; /,
  },
  'the key where the certificate should be': {
    options: () => ({ ...server(), cert: ca.path('server.key') }),
    code: 'ERR_TLS_FILE',
    line: /^ssl\.cert: .*server\.key holds no certificate in PEM; /,
  },
  'a damaged certificate': {
    async options() {
      await writeFile(ca.path('x.crt'), ca.cert.replace(/\n(.{30})/, `\n${'A'.repeat(30)}`))
      return { ...server(), cert: ca.path('x.crt') }
    },
    code: 'ERR_TLS_FILE',
    line: /^ssl\.cert: a certificate in .*x\.crt is damaged; /,
  },
  'an expired certificate': {
    async options() {
      await ca.issue('old', 'localhost', { from: -20, to: -1 })
      return { cert: ca.path('old.crt'), key: ca.path('old.key') }
    },
    code: 'ERR_TLS_EXPIRED',
    line: /^ssl\.cert: .*old\.crt.* expired on .*; renew it/,
  },
  'a certificate that is not yet valid': {
    async options() {
      await ca.issue('early', 'localhost', { from: 2, to: 10 })
      return { cert: ca.path('early.crt'), key: ca.path('early.key') }
    },
    code: 'ERR_TLS_NOT_YET_VALID',
    line: /^ssl\.cert: .*is valid from .* only; /,
  },
  'a key of another certificate': {
    async options() {
      await ca.issue('other', 'localhost')
      return { ...server(), key: ca.path('other.key') }
    },
    code: 'ERR_TLS_MISMATCH',
    line: /^ssl\.key: the key in .*other\.key does not fit the certificate; /,
  },
  'an RSA key of 1024 bits': {
    async options() {
      await run('openssl', [
        ...'req -x509 -newkey rsa:1024 -nodes -days 5 -subj /CN=localhost -keyout'.split(' '),
        ca.path('w.key'),
        '-out',
        ca.path('w.crt'),
      ])
      return { cert: ca.path('w.crt'), key: ca.path('w.key') }
    },
    code: 'ERR_TLS_WEAK',
    line: /^ssl\.cert: .* is weak: its RSA key has 1024 bits; have it issued anew/,
  },
  'a signature with SHA-1': {
    async options() {
      const args = 'req -x509 -newkey rsa:2048 -sha1 -nodes -days 5 -subj /CN=localhost -keyout'.split(' ')
      await run('openssl', [...args, ca.path('w.key'), '-out', ca.path('w.crt')])
      return { cert: ca.path('w.crt'), key: ca.path('w.key') }
    },
    code: 'ERR_TLS_WEAK',
    line: /^ssl\.cert: .* is weak: it is signed with SHA-1; /,
  },
  'an encrypted key without its password': {
    async options() {
      await encryptKey()
      return { ...server(), key: ca.path('locked.key') }
    },
    code: 'ERR_TLS_KEY',
    line: /^ssl\.passphrase: required, for the key in .*locked\.key is encrypted; /,
  },
  'an encrypted key with a wrong password': {
    async options() {
      await encryptKey()
      return { ...server(), key: ca.path('locked.key'), passphrase: 'wrong' }
    },
    code: 'ERR_TLS_KEY',
    line: /^ssl\.passphrase: does not open the key in .*locked\.key; /,
  },
  'a keystore and PEM': {
    options: () => ({ ...server(), keyStoreLocation: 'x.p12' }),
    code: 'ERR_TLS_OPTIONS',
    line: /^ssl: give keyStoreLocation, or cert and key, not both/,
  },
  'a keystore with a wrong password': {
    async options() {
      await keyStore('k.p12')
      return { keyStoreLocation: ca.path('k.p12'), keyStorePassword: 'wrong' }
    },
    code: 'ERR_TLS_KEYSTORE',
    line: /^ssl\.keyStorePassword: does not open .*k\.p12; correct it$/,
  },
  'a keystore without its password': {
    async options() {
      await keyStore('k.p12')
      return { keyStoreLocation: ca.path('k.p12') }
    },
    code: 'ERR_TLS_KEYSTORE',
    line: /^ssl\.keyStorePassword: required, for .*k\.p12 has one; /,
  },
  'a keystore of the old kind (RC2)': {
    async options() {
      await keyStore('k.p12', '-legacy')
      return { keyStoreLocation: ca.path('k.p12'), keyStorePassword: 'secret' }
    },
    code: 'ERR_TLS_KEYSTORE',
    line: /^ssl\.keyStoreLocation: .*k\.p12 is encrypted the old way .*; write it anew: openssl pkcs12 -legacy/,
  },
  "a keystore of Java's own kind": {
    async options() {
      await writeFile(ca.path('k.jks'), Buffer.from('feedfeed00000002', 'hex'))
      return { keyStoreLocation: ca.path('k.jks'), keyStorePassword: 'secret' }
    },
    code: 'ERR_TLS_KEYSTORE',
    line: /^ssl\.keyStoreLocation: .*k\.jks is a Java keystore \(JKS\); convert it .*: keytool /,
  },
  'a file that is no keystore': {
    async options() {
      await writeFile(ca.path('k.p12'), 'my notes')
      return { keyStoreLocation: ca.path('k.p12'), keyStorePassword: 'secret' }
    },
    code: 'ERR_TLS_KEYSTORE',
    line: /^ssl\.keyStoreLocation: .*k\.p12 is no PKCS12 keystore, or damaged/,
  },
  'clientAuth without a CA': {
    options: () => ({ ...server(), clientAuth: true }),
    code: 'ERR_TLS_CLIENT_AUTH',
    line: /^ssl\.clientAuth: nobody could vouch for clients; name their CA's certificate: ssl\.ca$/,
  },
  'a user name from certificates that nobody is asked for': {
    options: () => ({ ...server(), usernameFrom: 'commonName' }),
    code: 'ERR_TLS_CLIENT_AUTH',
    line: /^ssl\.usernameFrom: clients are not asked for a certificate; say ssl\.clientAuth: true$/,
  },
  'ciphers that nobody knows': {
    options: () => ({ ...server(), ciphers: 'ROT13' }),
    code: 'ERR_TLS_CIPHERS',
    line: /^ssl\.ciphers: OpenSSL knows none of them; /,
  },
  'a further certificate that is wrong, by its place in the list': {
    options: () => ({ ...server(), certificates: [{ cert: ca.path('nowhere.crt'), key: ca.path('server.key') }] }),
    code: 'ERR_TLS_FILE',
    line: /^ssl\.certificates\[0\]\.cert: there is no file .*nowhere\.crt; /,
  },
}

test.each(Object.entries(cases))('%s is one line with its cure', async (_what, { options, code, line }) => {
  const error = await refusal(await options())
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(line)])
  expect(error.message).not.toContain('\n')
  expect(error.message).not.toMatch(/wrong(?!ly)\b.*password|secret/)
})

test('a file that cannot be read is one line with its cure', async () => {
  await chmod(ca.path('server.key'), 0)
  await chmod(ca.folder, 0o755)
  // Nothing is forbidden to root, so root becomes nobody for a moment; this file has a process of its own.
  if (process.getuid?.() === 0) {
    process.seteuid!(65_534)
    onTestFinished(() => process.seteuid!(0))
  }
  const error = await refusal(server())
  expect(error.message).toMatch(/^ssl\.key: .*server\.key .*(read|permission).*; /)
})

test('a listener that asks for TLS where there is no certificate is one line', async () => {
  const start = createBroker({ preset: 'test', log: { level: 'silent' }, socket: { port: 0, tls: true } }).start()
  await expect(start).rejects.toMatchObject({
    code: 'ERR_TLS_OPTIONS',
    message: expect.stringMatching(/^socket\.tls: there is no certificate; add ssl/),
  })
})

test('a chain in one file is sent whole', async () => {
  const chain = ca.path('chain.crt')
  await copyFile(ca.path('server.crt'), chain)
  await writeFile(chain, ca.cert, { flag: 'a' })
  const broker = await createBroker({
    preset: 'test',
    log: { level: 'silent' },
    socket: { port: 0 },
    ssl: { cert: chain, key: ca.path('server.key') },
  }).start()
  onTestFinished(() => broker.stop())
  const { stdout } = await run('sh', ['-c', `openssl s_client -connect 127.0.0.1:${broker.port} -showcerts </dev/null 2>/dev/null`])
  expect(stdout.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
})

async function encryptKey(): Promise<void> {
  await run('openssl', ['pkcs8', '-topk8', '-in', ca.path('server.key'), '-out', ca.path('locked.key'), '-passout', 'pass:secret'])
}

async function keyStore(file: string, ...more: string[]): Promise<void> {
  const from = ['-in', ca.path('server.crt'), '-inkey', ca.path('server.key')]
  await run('openssl', ['pkcs12', '-export', ...from, '-out', ca.path(file), '-passout', 'pass:secret', ...more])
}
