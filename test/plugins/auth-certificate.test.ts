import { duplexPair } from 'node:stream'
import { expect, test } from 'vitest'
import type { PeerCertificate } from '../../core/connection/transport.ts'
import { ReasonCode } from '../../core/reason.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import type { Config } from '../../presets/index.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'

// Goal: what the plugin makes of a certificate. That listeners check certificates is their own tests' to show.

const good: PeerCertificate = {
  subject: 'CN=meter-7,O=Example',
  commonName: 'meter-7',
  issuer: 'CN=Example CA',
  serialNumber: '01',
  fingerprint: '00'.repeat(32),
  validFrom: 0,
  validTo: Number.MAX_SAFE_INTEGER,
  verified: true,
}

async function connect(certificate: PeerCertificate | undefined, config: Config = { authCertificate: {} }, username = 'claimed') {
  const { running, broker, hooks } = await startBroker(config)
  hooks.onAuthenticate.tap('next', (_client, connect) => (connect.username === 'bob' ? {} : undefined))
  const [ours, theirs] = duplexPair()
  const transport = Object.assign(new StreamTransport(theirs, { protocol: 'tls', listener: 'test', remoteAddress: '192.0.2.1' }), {
    peerCertificate: certificate,
  })
  transport.listen(running.accept(transport)!)
  const client = new TestClient(ours, 5)
  const { reasonCode } = await client.connect({ version: 5, clientId: 'c', username })
  return { reasonCode, username: broker.clientOf('c')?.username }
}

test('the common name is the user name, whatever CONNECT says', async () => {
  expect(await connect(good)).toEqual({ reasonCode: 0, username: 'meter-7' })
})

test('or the subject, where it is told so', async () => {
  expect(await connect(good, { authCertificate: { username: 'subject' } })).toEqual({ reasonCode: 0, username: 'CN=meter-7,O=Example' })
})

test.each([
  ['none', undefined],
  ['one that was not verified', { ...good, verified: false }],
  ['one without a common name', { ...good, commonName: undefined }],
  ['one with an empty common name', { ...good, commonName: '' }],
])('a client with %s is refused', async (_name, certificate) => {
  expect(await connect(certificate)).toEqual({ reasonCode: ReasonCode.NotAuthorized, username: undefined })
  expect(await connect(certificate, { authCertificate: {}, allowAnonymous: true })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
})

test('a client without one is left to the next plugin where none is required; a bad one never is let in by it', async () => {
  const optional: Config = { authCertificate: { required: false } }
  expect(await connect(undefined, optional, 'bob')).toEqual({ reasonCode: 0, username: 'bob' })
  expect(await connect(undefined, optional, 'carol')).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
  expect(await connect({ ...good, commonName: undefined }, optional, 'bob')).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
})
