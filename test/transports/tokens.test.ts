import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { duplexPair } from 'node:stream'
import mqtt from 'mqtt'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import type { Config, TransportRequest } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Mosquitto, startOnSocket } from '../interop/mosquitto.ts'
import { Command } from '../process/command.ts'
import { connectPacket, TestClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { publicPem, type SigningKey, sign, signingKey } from '../support/issuer.ts'

// Goal: a token is found where real clients can put it, over real sockets, and stands in nothing that the broker shows.

const built = beforeAllBuilt()

let key: SigningKey
let folder = ''
beforeAll(async () => {
  key = await signingKey()
})

type Options = NonNullable<Exclude<Config['authJwt'], boolean>>

async function start(options: Options, config: Config = {}): Promise<RunningBroker> {
  folder = await folderWith({ 'key.pem': await publicPem(key) })
  const authJwt = { keyFile: `${folder}/key.pem`, audience: 'broker', ...options }
  return startOnSocket({ authJwt, websocket: { port: 0 }, ...config } as Config)
}

const token = (claims: object = {}) => sign(key, Date.now(), claims)

function wsUrl({ broker }: RunningBroker, rest = ''): string {
  return `ws://127.0.0.1:${broker.listeners.find(({ name }) => name === 'websocket')!.port}/mqtt${rest}`
}

/** The user name under which a client over WebSocket gets in; what refuses it is thrown. */
async function userOf(
  broker: RunningBroker,
  rest: string,
  headers: Record<string, string>,
  options: mqtt.IClientOptions = {},
): Promise<string | null> {
  const clientId = `c${Math.random()}`
  const client = await mqtt.connectAsync(wsUrl(broker, rest), {
    protocolVersion: 5,
    clientId,
    reconnectPeriod: 0,
    wsOptions: { headers },
    ...options,
  })
  onTestFinished(() => void client.end(true))
  const { username, transport } = broker.broker.clientOf(clientId)!
  expect(transport.request).toBeUndefined()
  return username
}

test.each([false, true])(
  'in the header, a cookie, the query of a request for a WebSocket, in the order that the config says; compression %s',
  async compression => {
    const broker = await start({ from: ['header', 'cookie', 'query', 'password'] }, { websocket: { port: 0, compression } })
    const [alice, bob, carol, dora] = await Promise.all(['alice', 'bob', 'carol', 'dora'].map(sub => token({ sub })))
    expect(await userOf(broker, '', { authorization: `Bearer ${alice}` })).toBe('alice')
    expect(await userOf(broker, '', { cookie: `theme=dark; token=${bob}; x=y` })).toBe('bob')
    expect(await userOf(broker, `?a=b&token=${carol}`, {})).toBe('carol')
    expect(await userOf(broker, '', {}, { username: 'u', password: dora! })).toBe('dora')
    expect(await userOf(broker, `?token=${carol}`, { authorization: `Bearer ${alice}`, cookie: `token=${bob}` })).toBe('alice')
    // What is no token hides none.
    expect(await userOf(broker, `?token=${carol}`, { authorization: 'Basic YTpi' })).toBe('carol')
    await expect(userOf(broker, '', { authorization: 'Basic YTpi' })).rejects.toThrow(/Bad username or password|Bad User Name/i)
    await expect(userOf(broker, '', { 'x-token': alice! })).rejects.toThrow(/Not authorized/i)
  },
)

test('nowhere else than where the config says', async () => {
  const broker = await start({ from: ['header'], header: 'X-Token' })
  const alice = await token()
  expect(await userOf(broker, '', { 'x-token': alice })).toBe('alice')
  for (const [rest, headers] of [
    ['', { authorization: `Bearer ${alice}` }],
    ['', { cookie: `token=${alice}` }],
    [`?token=${alice}`, {}],
  ] as const)
    await expect(userOf(broker, rest, headers as never, { username: 'u', password: alice })).rejects.toThrow(/Not authorized/i)
})

test('a cookie counts for pages of the same host and those that are listed, for a browser sends it for any page', async () => {
  const broker = await start({ from: ['cookie'], cookieOrigins: ['https://app.example'] })
  const cookie = `token=${await token()}`
  const own = new URL(wsUrl(broker)).host
  for (const origin of [`http://${own}`, 'https://app.example']) expect(await userOf(broker, '', { cookie, origin })).toBe('alice')
  for (const origin of ['https://evil.example', 'null', `http://${own}.evil.example`])
    await expect(userOf(broker, '', { cookie, origin })).rejects.toThrow(/Not authorized/i)
})

test('MQTT 5 clients may have it in the request, and bring the next one by AUTH', async () => {
  const broker = await start({ from: ['query'] })
  const first = await token()
  const socket = new WebSocket(wsUrl(broker, `?token=${first}`), 'mqtt')
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  const said = async (packet: Packet): Promise<Buffer> => {
    socket.send(encodePacket(packet, 5))
    return ((await once(socket, 'message')) as [Buffer])[0]
  }
  const connack = await said(connectPacket({ version: 5, clientId: 'w', properties: { authenticationMethod: 'jwt' } }))
  expect([connack[0], connack[3]]).toEqual([0x20, 0])
  expect(broker.broker.clientOf('w')?.username).toBe('alice')
  const renewal = {
    authenticationMethod: 'jwt',
    authenticationData: Buffer.from(await token({ exp: Math.floor(Date.now() / 1000) + 600 })),
  }
  const auth = await said({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: renewal })
  expect(auth[0]).toBe(0xf0)
})

test('in the request to a server of the program, which the broker is attached to', async () => {
  const broker = await start({ from: ['query'] })
  const server = createServer()
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await broker.attach(server, { path: '/live', origins: '*' })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = await mqtt.connectAsync(`ws://127.0.0.1:${port}/live?token=${await token()}`, { clientId: 'attached', reconnectPeriod: 0 })
  onTestFinished(() => void client.end(true))
  expect(broker.broker.clientOf('attached')?.username).toBe('alice')
})

test("in the request that a stranger's transport says it began with", async () => {
  const broker = await start({ from: ['header'] })
  const [ours, theirs] = duplexPair()
  const transport = Object.assign(new StreamTransport(theirs, { protocol: 'quic', listener: 'mine', remoteAddress: '192.0.2.1' }), {
    request: { url: '/', headers: { authorization: `bearer ${await token()}` } } as TransportRequest | undefined,
  })
  transport.listen(broker.accept(transport)!)
  const client = new TestClient(ours, 5)
  expect(await client.connect({ version: 5, clientId: 'strange' })).toMatchObject({ reasonCode: 0 })
  expect(broker.broker.clientOf('strange')?.username).toBe('alice')
  expect(transport.request).toBeUndefined()
})

test('mosquitto_pub brings it as its password, or as its user name', async () => {
  const broker = await start({ from: ['password', 'username'] })
  const good = await token()
  const received: string[] = []
  broker.hooks.onPublish.tap('test', (publisher, message) => {
    received.push(`${publisher.username} ${message.topic}`)
    return undefined
  })
  for (const args of [
    ['-u', 'whoever', '-P', good],
    ['-u', good],
    ['-V', 'mqttv5', '-u', good],
  ]) {
    const client = new Mosquitto('mosquitto_pub', broker, [...args, '-q', '1', '-t', 'a', '-m', 'x'])
    expect(await client.ended()).toBe(0)
  }
  expect(received).toEqual(['alice a', 'alice a', 'alice a'])
  const expired = await token({ exp: 1 })
  const refused = new Mosquitto('mosquitto_pub', broker, ['-u', 'x', '-P', expired, '-t', 'a', '-m', 'x'])
  expect(await refused.ended()).not.toBe(0)
})

test('no token stands in a log line, a trace, the tail or what is recorded, wherever it came', async () => {
  await start({})
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const good = await Promise.all(names.map(sub => token({ sub })))
  const bad = await Promise.all(names.map(sub => token({ sub, exp: 1 })))
  const config = {
    preset: 'test',
    socket: { port: 0 },
    websocket: { port: 0 },
    log: { level: 'trace', format: 'json' },
    admin: { socket: `${folder}/admin.sock` },
    dropLog: true,
    authJwt: { keyFile: 'key.pem', from: ['password', 'username', 'header', 'cookie', 'query'] },
    plugins: ['./spy.mjs'],
  }
  const files = {
    'mqttx.config.json': JSON.stringify(config),
    'key.pem': await readFile(`${folder}/key.pem`, 'utf8'),
    'spy.mjs': `export default { name: 'spy', apply({ hooks, log }) {
      hooks.onPacketReceived.tap('spy', (client, packet) => log.info({ packet, username: client.username }, 'spied'))
      hooks.onDisconnect.tapPromise('spy', async (client, reason) => log.info({ username: client.username, reason }, 'gone'))
    } }`,
  }
  const place = await folderWith(files)
  const broker = new Command(built.path('presets/bin.js'), place, [])
  await broker.line(/ready/)
  const listening = async (name: string) => Number((await broker.line(new RegExp(`${name} listening on [^"]*:(\\d+)`)))[1])
  const [tcp, ws] = [await listening('tcp'), await listening('ws')]
  const watch = new Command(built.path('presets/bin.js'), place, ['trace', 'x', '--for', '20s', '--socket', `${folder}/admin.sock`])
  const tail = new Command(built.path('presets/bin.js'), place, ['tail', '#', '--for', '20s', '--socket', `${folder}/admin.sock`])

  const visit = async (url: string, options: mqtt.IClientOptions): Promise<boolean> => {
    const client = mqtt.connect(url, { clientId: 'x', reconnectPeriod: 0, protocolVersion: 5, ...options })
    client.on('error', () => {})
    const came = await new Promise<boolean>(resolve => client.once('connect', () => resolve(true)).once('close', () => resolve(false)))
    if (came) await client.publishAsync('news', 'x', { qos: 1 })
    await client.endAsync(true)
    return came
  }
  const visits = (tokens: string[]) => [
    () => visit(`mqtt://127.0.0.1:${tcp}`, { username: 'u', password: tokens[0]! }),
    () => visit(`mqtt://127.0.0.1:${tcp}`, { username: tokens[1]! }),
    () => visit(`ws://127.0.0.1:${ws}/mqtt`, { wsOptions: { headers: { authorization: `Bearer ${tokens[2]}` } } }),
    () => visit(`ws://127.0.0.1:${ws}/mqtt`, { wsOptions: { headers: { cookie: `token=${tokens[3]}` } } }),
    () => visit(`ws://127.0.0.1:${ws}/mqtt?token=${tokens[4]}`, {}),
    () => visit(`mqtt://127.0.0.1:${tcp}`, { properties: { authenticationMethod: 'jwt', authenticationData: Buffer.from(tokens[5]!) } }),
  ]
  // Those who look are there when they see somebody.
  await eventually(async () => (await visits(good)[0]!()) && tail.out.join().includes('news') && watch.out.join().includes('CONNECT'))
  for (const one of visits(good)) expect(await one()).toBe(true)
  for (const one of visits(bad)) expect(await one()).toBe(false)
  // At a path that there is not.
  await visit(`ws://127.0.0.1:${ws}/nowhere?token=${good[4]}`, {})
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  await Promise.all([watch.ended(), tail.ended()])
  const said = [...broker.out, ...broker.errors, ...watch.out, ...watch.errors, ...tail.out].join('\n')
  expect(said).toContain('spied')
  for (const one of [...good, ...bad]) for (const part of one.split('.').slice(1)) expect(said).not.toContain(part)
})
