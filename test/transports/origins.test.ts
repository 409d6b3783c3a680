import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { type Config, definePlugin } from '../../presets/index.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { keptLog } from '../support/log.ts'
import { startTlsBroker } from './tls-broker.ts'

/** Writes a request for a WebSocket with these headers beside the necessary ones, and returns the answer's first line. */
async function upgrade(socket: Duplex, ...headers: string[]): Promise<string> {
  onTestFinished(() => void socket.destroy())
  const own = headers.some(header => header.startsWith('Host:')) ? [] : ['Host: localhost']
  const needed = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Protocol: mqtt']
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  socket.write(['GET /mqtt HTTP/1.1', ...own, ...needed, key, ...headers, '', ''].join('\r\n'))
  const [chunk] = await once(socket, 'data')
  return chunk.toString('latin1').split('\r\n', 1)[0]
}

const accepted = 'HTTP/1.1 101 Switching Protocols'
const forbidden = 'HTTP/1.1 403 Forbidden'
const here = [
  'http://localhost',
  'http://localhost:3000',
  'https://127.0.0.1:8443',
  'http://[::1]:5173',
  'HTTP://LOCALHOST:1',
  'capacitor://localhost',
]
const elsewhere = [
  'https://evil.example',
  // What a sandboxed frame and a file name themselves.
  'null',
  '',
  // Names that hold one of this machine's.
  'http://localhost.evil.example',
  'http://evil.example:80/localhost',
  'http://127.0.0.1.evil.example',
  'http://localhost@evil.example',
  'http://evil.example#@localhost',
  'http://10.0.0.1',
  'http://[::2]',
  'localhost',
  'http://localhost, https://evil.example',
]

/** What each origin is answered by a listener, in the order of the origins. */
async function answers(config: Config, origins: readonly string[]): Promise<string[]> {
  const broker = await startOnSocket({ socket: false, websocket: { port: 0 }, ...config })
  const lines: string[] = []
  for (const origin of origins) lines.push(await upgrade(connect(broker.port, '127.0.0.1'), `Origin: ${origin}`))
  return lines
}

const someone = definePlugin({ name: 'someone', apply: ({ hooks }) => hooks.onAuthenticate.tap('someone', () => undefined) })
const all = [...here, ...elsewhere]
const onlyHere = [...here.map(() => accepted), ...elsewhere.map(() => forbidden)]
const everywhere = all.map(() => accepted)

test.each<[string, Config]>([
  ['nobody authenticates', {}],
  ['anybody may connect, and it is said', { allowAnonymous: true }],
  ['whoever has no password may connect as well', { allowAnonymous: true, plugins: [someone()] }],
  ['this listener lets in anybody', { websocket: { port: 0, allowAnonymous: true }, plugins: [someone()] }],
  ['messages are compressed', { websocket: { port: 0, compression: true } }],
])('pages of this machine alone may connect: %s', async (_why, config) => {
  expect(await answers(config, all)).toEqual(onlyHere)
})

test.each<[string, Config]>([
  ['clients are authenticated', { plugins: [someone()] }],
  [
    'clients are authenticated, at this listener at least',
    { plugins: [someone()], allowAnonymous: true, websocket: { port: 0, allowAnonymous: false } },
  ],
  ["origins: '*'", { websocket: { port: 0, origins: '*' } }],
  ["origins: ['*']", { websocket: { port: 0, origins: ['https://a.example', '*'] } }],
])('pages of everywhere may connect: %s', async (_why, config) => {
  expect(await answers(config, all)).toEqual(everywhere)
})

test('origins that are listed are those that may connect, whoever authenticates', async () => {
  for (const config of [{}, { plugins: [someone()] }]) {
    const listed = { ...config, websocket: { port: 0, origins: 'https://a.example' } }
    expect(await answers(listed, ['https://a.example', 'http://localhost', 'https://evil.example'])).toEqual([
      accepted,
      forbidden,
      forbidden,
    ])
  }
})

test('a program, which names no origin, may connect; Host is not asked, be it the page’s own name or none of this machine’s', async () => {
  const broker = await startOnSocket({ socket: false, websocket: { port: 0 } })
  const dial = () => connect(broker.port, '127.0.0.1')
  expect(await upgrade(dial())).toBe(accepted)
  expect(await upgrade(dial(), 'Host: broker.example:8083')).toBe(accepted)
  // The name of the page has been pointed at this machine.
  const rebound = [`Host: evil.example:${broker.port}`, `Origin: http://evil.example:${broker.port}`]
  expect(await upgrade(dial(), ...rebound)).toBe(forbidden)
  expect(await upgrade(dial(), 'Host: evil.example', 'Origin: http://localhost:3000')).toBe(accepted)
})

test('a client certificate, which a browser shows for any page, opens to no page elsewhere, a password beside it or not', async () => {
  for (const config of [{ authCertificate: {} }, { plugins: [someone()] }]) {
    const tls = await startTlsBroker(
      { socket: false, websocket: { port: 0 }, ssl: { clientAuth: 'optional' }, ...config },
      undefined,
      async ca => {
        await ca.client('meter', 'meter-7')
        return {}
      },
    )
    const shown = { cert: await readFile(tls.ca.path('meter.crt')), key: await readFile(tls.ca.path('meter.key')) }
    const dial = (certificate = {}) =>
      connectTls({ port: tls.port('websocket'), host: '127.0.0.1', servername: 'localhost', ca: tls.ca.cert, ...certificate })
    expect(await upgrade(dial(shown), 'Origin: https://evil.example')).toBe(forbidden)
    expect(await upgrade(dial(shown), 'Origin: https://localhost:8083')).toBe(accepted)
    expect(await upgrade(dial(shown))).toBe(accepted)
    // It has no certificate, so it needs what a page has to know.
    expect(await upgrade(dial(), 'Origin: https://evil.example')).toBe(accepted)
  }
})

test('the line of a refused page has its origin and the option that lets it in', async () => {
  const { lines, plugin } = keptLog()
  const broker = await startOnSocket({ socket: false, websocket: { port: 0 }, log: false, plugins: [plugin] })
  expect(await upgrade(connect(broker.port, '127.0.0.1'), 'Origin: https://evil.example')).toBe(forbidden)
  const said = lines.find(({ fields }) => fields.origin === 'https://evil.example')
  expect(said?.message).toMatch(/list others in websocket\.origins/)
  expect(broker.broker.counters.upgradesRefused).toBe(1)
})
