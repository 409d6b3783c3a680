import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createTestBroker } from 'mqttx-broker/testing'
import { dismissed, tokensOf } from './jwt.ts'

const issuer = 'https://login.example'
let privateKey: CryptoKey
let keySet = ''
const server = createServer((_request, response) => response.end(keySet))
const jwks = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

before(async () => {
  const pair = await generateKeyPair('ES256')
  privateKey = pair.privateKey
  keySet = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: '1', alg: 'ES256' }] })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
after(() => void server.close())

const start = () => createTestBroker({ ...tokensOf(issuer, jwks()), plugins: [dismissed({ users: ['mallory'] })] })

function token(now: number, claims = {}, key = privateKey): Promise<string> {
  const seconds = now / 1000
  const payload = { sub: 'alice', aud: 'broker', iss: issuer, exp: seconds + 60, mqtt: { pub: ['lights/#'] }, ...claims }
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: '1' }).sign(key)
}

test('a token lets its user in, with its rights, for as long as it is good', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const now = broker.running.broker.clock.now()
  const client = await broker.client('a', { password: await token(now) })
  assert.equal(broker.running.broker.clientOf('a')?.username, 'alice')
  assert.equal(await client.publish('lights/1', 'on', { qos: 1 }), 0x10)
  assert.equal(await client.publish('doors/1', 'open', { qos: 1 }), 0x87)
  // The token's minute, and 30 s by which clocks may differ.
  await broker.advance(91_000)
  assert.equal(client.closed, true)
})

test('no other token does: expired, for somebody else, by somebody else', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const now = broker.running.broker.clock.now()
  const { privateKey: other } = await generateKeyPair('ES256')
  const wrong = [token(now, { exp: now / 1000 - 31 }), token(now, { aud: 'another' }), token(now, {}, other), 'no token']
  for (const one of wrong) await assert.rejects(broker.client('b', { password: await one }), /0x86/)
  await assert.rejects(broker.client('c'), /0x87/)
})

test('a user who has been dismissed does not come in by a token that is still good', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const now = broker.running.broker.clock.now()
  await assert.rejects(broker.client('m', { password: await token(now, { sub: 'mallory' }) }), /0x8a/)
})

test('where the keys cannot be read the client is told to come again', async t => {
  const broker = await createTestBroker(tokensOf(issuer, 'http://127.0.0.1:1/'))
  t.after(() => broker.stop())
  await assert.rejects(broker.client('d', { password: await token(broker.running.broker.clock.now()) }), /0x88/)
})
