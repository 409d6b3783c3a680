import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { MosquittoServer } from '../support/mosquitto-server.ts'
import { type BridgeConnectionInput, bridgeTo, connected, type Side, side } from '../support/mqtt-bridge.ts'
import { TestCa } from '../support/test-ca.ts'

// Goal: a bridge over TLS believes whom its CA vouches for under the name by which it is reached, shows its own certificate, says what is wrong with the cure, and takes up renewed files.

let ca: TestCa
let other: TestCa

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-bridge-tls-'))
  ca = await TestCa.create(folder)
  other = await TestCa.create(folder, 'other')
  await ca.issue('server', 'broker')
  await ca.issue('elsewhere', 'broker', { names: ['elsewhere.example'] })
  await ca.issue('expired', 'broker', { from: -20, to: -1 })
  await ca.issue('early', 'broker', { from: 1 })
  await ca.client('own', 'plant-7')
  await ca.client('own-expired', 'plant-7', { from: -20, to: -1 })
  await other.client('own-other', 'plant-7')
})

afterAll(() => rm(ca.folder, { recursive: true }))

type Ssl = NonNullable<BridgeConnectionInput['ssl']>

/** What a bridge says of TLS: files by their names in the folder of the CA. */
function ssl({ ca: authority = 'ca', cert, ...rest }: Omit<Ssl, 'key'> = {}): Ssl {
  const own = cert === undefined ? {} : { cert: ca.path(`${cert}.crt`), key: ca.path(`${cert}.key`) }
  return { enable: true, ca: ca.path(`${authority}.crt`), ...own, ...rest }
}

const kinds = {
  async mosquitto(certificate: string, clientAuth: boolean) {
    const { port } = await MosquittoServer.start([
      `cafile ${ca.path('ca.crt')}`,
      `certfile ${ca.path(`${certificate}.crt`)}`,
      `keyfile ${ca.path(`${certificate}.key`)}`,
      ...(clientAuth ? ['require_certificate true', 'use_identity_as_username true'] : []),
    ])
    return port
  },
  // Ours does not start with a certificate that has expired, so mosquitto alone shows those.
  async ourselves(certificate: string, clientAuth: boolean) {
    const { running } = await side({
      socket: { port: 0, tls: true },
      ssl: {
        cert: ca.path(`${certificate}.crt`),
        key: ca.path(`${certificate}.key`),
        ...(clientAuth ? { ca: ca.path('ca.crt'), clientAuth: true, usernameFrom: 'commonName' } : {}),
      },
    })
    return running.port
  },
}

function bridge(port: number, connection: Partial<BridgeConnectionInput>): Config {
  return { mqttBridge: bridgeTo(port, { topics: [{ filter: '#', direction: 'both', remotePrefix: 'there/' }], ...connection }) }
}

async function carries(here: Side): Promise<void> {
  await connected(here)
  const client = await here.connect()
  await client.publishAsync('a', '1', { qos: 2 })
  await eventually(() => here.figure('sent_messages_total') === 1)
}

function linesOf(here: Side): string[] {
  return here.lines.map(({ message }) => message).filter(line => line.includes('not connected to'))
}

test.each(['mosquitto', 'ourselves'] as const)('the CA and the name are right: it carries (%s)', async kind => {
  const here = await side(bridge(await kinds[kind]('server', false), { ssl: ssl() }))
  await carries(here)
  expect(linesOf(here)).toEqual([])
})

test.each(['mosquitto', 'ourselves'] as const)('the other broker asks for a certificate, and gets the own one (%s)', async kind => {
  const here = await side(bridge(await kinds[kind]('server', true), { ssl: ssl({ cert: 'own' }) }))
  await carries(here)
})

type Case = readonly [what: string, kind: keyof typeof kinds, certificate: string, clientAuth: boolean, ssl: Omit<Ssl, 'key'>, said: RegExp]

test.each<Case>([
  ['another CA', 'mosquitto', 'server', false, { ca: 'other' }, /connections\[0\]\.ssl\.ca/],
  ['another CA', 'ourselves', 'server', false, { ca: 'other' }, /connections\[0\]\.ssl\.ca/],
  ['a certificate for another name', 'mosquitto', 'elsewhere', false, {}, /certificate's altnames.*ssl\.servername/],
  ['a certificate for another name', 'ourselves', 'elsewhere', false, {}, /certificate's altnames.*ssl\.servername/],
  ['a certificate that has expired', 'mosquitto', 'expired', false, {}, /expired; its certificate.*renewed/],
  ['a certificate that is not valid yet', 'mosquitto', 'early', false, {}, /not yet valid; set the clocks/],
  ['no certificate of its own', 'mosquitto', 'server', true, {}, /set mqttBridge\.connections\[0\]\.ssl\.cert and key/],
  ['no certificate of its own', 'ourselves', 'server', true, {}, /set mqttBridge\.connections\[0\]\.ssl\.cert and key/],
  ['an own certificate that has expired', 'mosquitto', 'server', true, { cert: 'own-expired' }, /whether that has expired/],
  ['an own certificate that has expired', 'ourselves', 'server', true, { cert: 'own-expired' }, /whether that has expired/],
  ['an own certificate from another CA', 'mosquitto', 'server', true, { cert: 'own-other' }, /whether it knows the CA of/],
  ['an own certificate from another CA', 'ourselves', 'server', true, { cert: 'own-other' }, /whether it knows the CA of/],
])('%s is refused, and said with the cure (%s)', async (_what, kind, certificate, clientAuth, options, said) => {
  const here = await side(bridge(await kinds[kind](certificate, clientAuth), { ssl: ssl(options) }))
  await eventually(() => linesOf(here).length > 0)
  expect(linesOf(here)[0]).toMatch(said)
  expect(here.figure('connected')).toBe(0)
  expect(here.figure('connects_total')).toBe(0)
})

test('a port without TLS is told from one with a wrong certificate', async () => {
  const there = await side()
  const here = await side(bridge(there.port, { ssl: ssl() }))
  await eventually(() => linesOf(here).length > 0)
  expect(linesOf(here)[0]).toMatch(/there may be no TLS at this port/)
})

test('servername says the name that counts, and checkName: false that none does; the CA counts in both', async () => {
  const port = await kinds.mosquitto('elsewhere', false)
  await carries(await side(bridge(port, { ssl: ssl({ servername: 'elsewhere.example' }) })))
  await carries(await side(bridge(port, { ssl: ssl(), checkName: false, clientId: 'second' })))
  const wrong = await side(bridge(port, { ssl: ssl({ ca: 'other' }), checkName: false, clientId: 'third' }))
  await eventually(() => linesOf(wrong).length > 0)
  expect(linesOf(wrong)[0]).toMatch(/ssl\.ca/)
})

test('an own certificate that is renewed while the bridge is connected is shown after SIGHUP; a broken one is not taken up, and nothing is lost', async () => {
  const folder = await folderWith()
  const own = { cert: `${folder}/own.crt`, key: `${folder}/own.key` }
  const put = async (name: string): Promise<void> => {
    await copyFile(ca.path(`${name}.crt`), own.cert)
    await copyFile(ca.path(`${name}.key`), own.key)
  }
  await ca.client('own-new', 'plant-8')
  await put('own')
  const there = await side({
    socket: { port: 0, tls: true },
    // The new one has another name, by which the test tells them apart.
    mqtt: { clientIdOwner: 'anyone' },
    ssl: { cert: ca.path('server.crt'), key: ca.path('server.key'), ca: ca.path('ca.crt'), clientAuth: true, usernameFrom: 'commonName' },
  })
  const names = (): (string | null)[] => [...there.running.broker.clients].map(({ username }) => username)
  const here = await side(bridge(there.port, { ssl: { enable: true, ca: ca.path('ca.crt'), ...own } }))
  await connected(here)
  await eventually(() => names().join() === 'plant-7')
  // Nothing has changed, so nothing happens.
  await here.running.reread()
  expect(here.figure('connects_total')).toBe(1)
  await writeFile(own.cert, 'no certificate')
  await here.running.reread()
  expect(
    here.lines.some(({ level, message }) => level === 'error' && message.includes('its files have changed and are not taken up')),
  ).toBe(true)
  expect([here.figure('connects_total'), here.figure('connected')]).toEqual([1, 1])
  await put('own-new')
  const client = await here.connect()
  const publishing = Promise.all(Array.from({ length: 100 }, (_, i) => client.publishAsync('a', String(i), { qos: 1 })))
  await here.running.reread()
  await eventually(() => here.figure('connects_total') === 2 && names().join() === 'plant-8')
  await publishing
  await eventually(() => here.figure('waiting_messages') === 0)
  expect(here.figure('sent_messages_total')).toBe(100)
})
