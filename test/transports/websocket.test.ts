import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectTcp, Socket } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import * as ws from 'ws'
import WebSocket, { createWebSocketStream } from 'ws'
import type { Transport } from '../../core/connection/transport.ts'
import { FrameReader } from '../../plugins/websocket/frame-reader.ts'
import { FrameTransport } from '../../plugins/websocket/frame-transport.ts'
import { type Config, definePlugin } from '../../presets/index.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { connect as connectMqttJs } from '../interop/mqtt-js.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

async function startWs(config: Config = {}) {
  return startOnSocket({ socket: false, websocket: { port: 0 }, ...config })
}

type Running = Awaited<ReturnType<typeof startWs>>

/** A WebSocket of the package `ws` to the broker, not yet open. */
function webSocket(
  broker: Running,
  protocols: string | string[] = 'mqtt',
  options: WebSocket.ClientOptions = {},
  path = '/mqtt',
): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${broker.port}${path}`, protocols, options)
  socket.on('error', () => {})
  onTestFinished(() => socket.terminate())
  return socket
}

async function client(broker: Running, version: 3 | 4 | 5 = 5, options: WebSocket.ClientOptions = {}): Promise<TestClient> {
  const socket = webSocket(broker, version === 3 ? 'mqttv3.1' : 'mqtt', options)
  await once(socket, 'open')
  return new TestClient(createWebSocketStream(socket), version)
}

/** The status by which an upgrade is refused, and what is said with it. */
async function refusal(socket: WebSocket): Promise<{ status: number; text: string }> {
  const [, response] = await once(socket, 'unexpected-response')
  let text = ''
  for await (const chunk of response) text += chunk
  return { status: response.statusCode, text }
}

// CONNECT of 3.1.1 with the client id `ws`, and PINGREQ.
const connect = Buffer.from('100e00044d5154540402003c00027773', 'hex')
const pingreq = Buffer.from('c000', 'hex')

/** Waits until the broker has closed, and returns the code that it gave. */
async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = await once(socket, 'close')
  return code
}

async function bytes(socket: WebSocket, count: number): Promise<string> {
  let all = Buffer.alloc(0)
  await new Promise<void>(resolve => {
    socket.on('message', (data: Buffer, isBinary) => {
      expect(isBinary).toBe(true)
      all = Buffer.concat([all, data])
      if (all.length >= count) resolve()
    })
  })
  return all.toString('hex')
}

test.each([3, 4, 5] as const)('a client of version %i by its sub-protocol: messages of all sizes both ways', async version => {
  const broker = await startWs()
  const subscriber = await client(broker, version)
  await subscriber.connect({ clientId: 'subscriber', version })
  await subscriber.subscribe('a', 1)
  const publisher = await client(broker, version)
  await publisher.connect({ clientId: 'publisher', version })
  // Around where a frame's length takes more bytes.
  for (const size of [0, 100, 118, 125, 126, 65_500, 65_536, 70_000, 1_000_000]) {
    await publisher.publish('a', Buffer.alloc(size, size % 251), { qos: 1 })
    const message = await subscriber.receive()
    expect([message.payload.length, message.payload.every(byte => byte === size % 251)]).toEqual([size, true])
  }
})

test('the sub-protocol is the one that was asked for, mqtt first [MQTT-6.0.0-4] [MQTT3-6.0.0-4]', async () => {
  const broker = await startWs()
  const agreed = async (protocols: string | string[]) => {
    const socket = webSocket(broker, protocols)
    await once(socket, 'open')
    return socket.protocol
  }
  expect(await agreed('mqtt')).toBe('mqtt')
  expect(await agreed('mqttv3.1')).toBe('mqttv3.1')
  expect(await agreed(['chat', 'mqttv3.1', 'mqtt'])).toBe('mqtt')
})

test('a client that offers no sub-protocol of MQTT is refused, and told what to ask for [MQTT-6.0.0-3] [MQTT3-6.0.0-3]', async () => {
  const broker = await startWs()
  for (const protocols of [[], ['chat'], ['MQTTX']]) {
    const { status, text } = await refusal(webSocket(broker, protocols))
    expect(status).toBe(400)
    expect(text).toContain('mqtt, mqttv3.1')
  }
})

test('a text message closes the connection [MQTT-6.0.0-1] [MQTT3-6.0.0-1]', async () => {
  const broker = await startWs()
  const socket = webSocket(broker)
  await once(socket, 'open')
  socket.send(connect.toString('latin1'))
  expect(await closeCode(socket)).toBe(1003)
  expect(broker.broker.counters.connected).toBe(0)
})

test('packets begin and end anywhere in messages: several in one, one in many [MQTT-6.0.0-2] [MQTT3-6.0.0-2]', async () => {
  const broker = await startWs()
  const together = webSocket(broker)
  await once(together, 'open')
  together.send(Buffer.concat([connect, pingreq, pingreq]))
  expect(await bytes(together, 8)).toBe('20020000d000d000')
  const apart = webSocket(broker)
  await once(apart, 'open')
  for (const byte of Buffer.concat([connect, pingreq])) apart.send(Buffer.from([byte]))
  expect(await bytes(apart, 6)).toBe('20020000d000')
  const fragments = webSocket(broker)
  await once(fragments, 'open')
  fragments.send(connect.subarray(0, 5), { fin: false })
  fragments.send(Buffer.alloc(0), { fin: false })
  fragments.ping()
  fragments.send(connect.subarray(5), { fin: true })
  expect(await bytes(fragments, 4)).toBe('20020000')
})

// Paho's clients for C, C++ and Rust read one packet of each message, and see the others only when more comes.
test.each([false, true])('each packet is a message of its own, of all types and sizes (compression: %s)', async compression => {
  const broker = await startWs({ websocket: { port: 0, compression } })
  const socket = webSocket(broker, 'mqtt', { perMessageDeflate: compression })
  const messages = new PacketMessages(socket)
  await once(socket, 'open')
  const ping = Array.from({ length: 50 }, () => pingreq)
  socket.send(Buffer.concat([connect, ...ping]))
  expect(await messages.take(51)).toEqual([4, ...ping.map(() => 2)])
  // SUBSCRIBE to `a` at QoS 1, answered by SUBACK; then PUBACK and PUBLISH of one turn, as the sizes of packets and of frames grow.
  socket.send(Buffer.from('8206000100016101', 'hex'))
  expect(await messages.take(1)).toEqual([5])
  const sizes = [0, 1, 100, 118, 119, 125, 126, 2040, 2048, 2049, 16_383, 65_520, 65_536, 70_000, 300_000]
  socket.send(Buffer.concat(sizes.map((size, i) => publishAtQoS1(i + 1, size))))
  const whole = sizes.map((size, i) => publishAtQoS1(i + 1, size).length)
  expect((await messages.take(2 * sizes.length)).sort((a, b) => a - b)).toEqual([...sizes.map(() => 4), ...whole].sort((a, b) => a - b))
})

test('what a turn has to say leaves in one write to the socket, however many messages it is', async () => {
  const packets = Array.from({ length: 300 }, (_, i) => publishAtQoS1(i + 1, i % 200))
  const turn = Buffer.concat(packets)
  const inner = new RecordingTransport()
  new FrameTransport({} as Socket, 1024, {} as never).over(inner).write(turn)
  expect(inner.writes.length).toBe(1)
  new FrameTransport({} as Socket, 1024, {} as never).over(inner).writeMany([turn.subarray(0, 3000), turn.subarray(3000)])
  expect(inner.writes.length).toBe(2)
  const large = [...packets, publishAtQoS1(400, 200_000), ...packets]
  new FrameTransport({} as Socket, 1024, {} as never).over(inner).writeMany([Buffer.concat(large)])
  expect(inner.writes.length).toBe(3)
  expect((await received([inner.writes[2]!], false)).bytes.map(({ length }) => length)).toEqual(large.map(({ length }) => length))
})

test('with compression on, what is not compressed leaves in one write a turn, too', async () => {
  const broker = await startWs({ websocket: { port: 0, compression: true } })
  const socket = webSocket(broker, 'mqtt', { perMessageDeflate: true })
  const messages = new PacketMessages(socket)
  await once(socket, 'open')
  const writes = new Promise<number>(resolve => {
    let count = 0
    const original = Socket.prototype._writev!
    onTestFinished(() => {
      Socket.prototype._writev = original
    })
    Socket.prototype._writev = function (this: Socket, chunks, done) {
      // Of the two ends in this process only the broker's corks 51 messages.
      if (chunks.length >= 50) resolve((count += 1))
      return original.call(this, chunks, done)
    }
  })
  socket.send(Buffer.concat([connect, ...Array.from({ length: 50 }, () => pingreq)]))
  expect(await messages.take(51)).toHaveLength(51)
  expect(await writes).toBe(1)
})

test('packets of any size in buffers cut anywhere: each becomes one message, and no byte is lost', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 8, arbitrary: fc.nat(300) }, fc.nat(5000), fc.integer({ min: 60_000, max: 90_000 })), {
        minLength: 1,
        maxLength: 40,
      }),
      fc.array(fc.nat(40), { maxLength: 6 }),
      async (sizes, cuts) => {
        const packets = sizes.map((size, i) => publishAtQoS1(i + 1, size))
        // A buffer ends between packets, or behind the head of one.
        const buffers: Buffer[] = []
        let run: Buffer[] = []
        for (const [i, packet] of packets.entries()) {
          const head = cuts.includes(i) ? Math.min(20, packet.length) : packet.length
          run.push(packet.subarray(0, head))
          if (!cuts.includes(i)) continue
          buffers.push(Buffer.concat(run))
          run = head < packet.length ? [packet.subarray(head)] : []
        }
        if (run.length > 0) buffers.push(Buffer.concat(run))
        const inner = new RecordingTransport()
        const transport = new FrameTransport({} as Socket, 1024, {} as never).over(inner)
        if (buffers.length === 1) transport.write(buffers[0]!)
        else transport.writeMany(buffers)
        const { bytes } = await received([inner.writes[0]!], false)
        expect(inner.writes.length).toBe(1)
        expect(bytes.length).toBe(packets.length)
        expect(Buffer.concat(bytes).equals(Buffer.concat(packets))).toBe(true)
      },
    ),
    { numRuns: 100 },
  )
})

/** PUBLISH to `a` at QoS 1. */
function publishAtQoS1(packetId: number, size: number): Buffer {
  const body = Buffer.alloc(5 + size, 'x')
  body.set([0, 1, 0x61, packetId >>> 8, packetId & 0xff])
  const length: number[] = []
  for (let left = body.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left)
    if (left < 128) break
  }
  return Buffer.concat([Buffer.from([0x32, ...length]), body])
}

/** Keeps what the inner transport of a WebSocket was given, a write each. */
class RecordingTransport implements Transport {
  readonly protocol = 'test'
  readonly listener = 'test'
  readonly remoteAddress = ''
  readonly remotePort = 0
  readonly writes: Buffer[] = []
  readonly bufferedBytes = 0

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  write(bytes: Buffer): boolean {
    this.writes.push(Buffer.from(bytes))
    return true
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }
}

/** Sizes of the messages of a WebSocket. */
class PacketMessages {
  readonly #sizes: number[] = []
  #wake: () => void = () => {}

  constructor(socket: WebSocket) {
    socket.on('message', (bytes: Buffer) => {
      this.#sizes.push(bytes.length)
      this.#wake()
    })
  }

  async take(count: number): Promise<number[]> {
    while (this.#sizes.length < count) await new Promise<void>(resolve => (this.#wake = resolve))
    return this.#sizes.splice(0, count)
  }
}

test('a ping is answered with what it held, and a close with its code', async () => {
  const broker = await startWs()
  const socket = webSocket(broker)
  await once(socket, 'open')
  socket.ping('are you there')
  const [pong] = await once(socket, 'pong')
  expect(String(pong)).toBe('are you there')
  socket.close(1001)
  expect(await closeCode(socket)).toBe(1001)
})

test.each([
  ['a frame that is not masked', '8202c000', 1002],
  ['a reserved bit', 'c28000000000', 1002],
  ['an unknown kind of frame', '838000000000', 1002],
  ['a continuation of nothing', '808000000000', 1002],
  ['a message within a message', '028000000000828000000000', 1002],
  ['a ping in pieces', '098000000000', 1002],
  ['a ping that is too long', '89fe007e00000000', 1002],
  ['a message larger than a client may send', '82ff00000000100000000000000000', 1009],
  ['a message of 2^63 bytes', '82ff800000000000000000000000', 1009],
  ['a close of one byte', '88810000000003', 1002],
  ['a text message', '818000000000', 1003],
])('%s closes that connection, and others notice nothing', async (_what, hex, code) => {
  const broker = await startWs()
  const other = await client(broker)
  await other.connect({ clientId: 'other' })
  const bad = await rawWebSocket(broker)
  bad.write(Buffer.from(hex, 'hex'))
  const said: Buffer[] = []
  bad.on('data', (chunk: Buffer) => said.push(chunk))
  await once(bad, 'close')
  expect(Buffer.concat(said).subarray(0, 4).toString('hex')).toBe(`8802${code.toString(16).padStart(4, '0')}`)
  await other.subscribe('a')
  await other.publish('a', 'x', { qos: 1 })
  expect(other.isClosed).toBe(false)
})

test('a client that floods pings and reads nothing gets a bounded number of pongs', async () => {
  const broker = await startWs()
  const accepted = new Promise<{ bufferedBytes: number }>(resolve => {
    broker.hooks.onAccept.tap('test', transport => void resolve(transport as never))
  })
  const flooding = await rawWebSocket(broker)
  flooding.pause()
  const transport = await accepted
  const pings = Buffer.concat(Array.from({ length: 500 }, () => Buffer.from(`89fd00000000${'00'.repeat(125)}`, 'hex')))
  let most = 0
  for (let i = 0; i < 200; i++) {
    if (!flooding.write(pings)) await once(flooding, 'drain')
    most = Math.max(most, transport.bufferedBytes)
  }
  expect(most).toBeLessThan(64 * 1024)
})

test('what a plain GET is told: where MQTT is', async () => {
  const broker = await startWs()
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${broker.port}${path}`)
    return `${response.status} ${await response.text()}`
  }
  expect(await get('/')).toBe(`200 mqttx-broker, an MQTT broker. MQTT over WebSocket is at ws://127.0.0.1:${broker.port}/mqtt\n`)
  expect(await get('/mqtt')).toBe(`426 This is MQTT over WebSocket: connect with an MQTT client, to ws://127.0.0.1:${broker.port}/mqtt\n`)
  expect(await get('/other')).toBe('404 Nothing is here. MQTT over WebSocket is at /mqtt\n')
})

test('a host header is not echoed as it came', async () => {
  const broker = await startWs()
  const asked = request({ port: broker.port, host: '127.0.0.1', path: '/', headers: { host: '<script>' } }).end()
  const [response] = await once(asked, 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  expect(text).not.toContain('<script>')
})

test('another plugin serves HTTP on the same port; what it throws is a 500 and a line in the log', async () => {
  const pages = definePlugin({
    name: 'pages',
    requires: ['http'],
    apply({ services }) {
      const routes = services.get('http')
      routes.handle('/hello', (_request, response) => void response.end('hello'))
      routes.handle('/docs/', (request, response) => void response.end(`docs ${request.url}`))
      routes.handle('/broken', () => {
        throw new Error('not today')
      })
      routes.handle('/late', async () => {
        throw new Error('later')
      })
    },
  })
  const broker = await startWs({ plugins: [pages()] })
  const errors: string[] = []
  broker.hooks.onError.tap('test', error => void errors.push(error.message))
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${broker.port}${path}`)
    return `${response.status} ${await response.text()}`
  }
  expect(await get('/hello')).toBe('200 hello')
  expect(await get('/docs/a/b?c')).toBe('200 docs /docs/a/b?c')
  expect(await get('/broken')).toMatch(/^500 /)
  expect(await get('/late')).toMatch(/^500 /)
  expect(errors).toEqual(['http: /broken failed: not today', 'http: /late failed: later'])
})

test('origins: pages elsewhere are refused; programs, which name none, are not', async () => {
  const broker = await startWs({ websocket: { port: 0, origins: ['https://example.com'] } })
  const { status } = await refusal(webSocket(broker, 'mqtt', { origin: 'https://evil.example' }))
  expect(status).toBe(403)
  await once(webSocket(broker, 'mqtt', { origin: 'https://example.com' }), 'open')
  await once(webSocket(broker), 'open')
})

test('another path, another version of WebSocket, and no key are refused with what is wrong', async () => {
  const broker = await startWs({ websocket: { port: 0, path: '/broker' } })
  expect(await refusal(webSocket(broker, 'mqtt', {}, '/mqtt'))).toEqual({ status: 404, text: 'MQTT is at /broker here\n' })
  expect((await refusal(webSocket(broker, 'mqtt', { protocolVersion: 8 }, '/broker'))).status).toBe(426)
  await once(webSocket(broker, 'mqtt', {}, '/broker?token=1'), 'open')
})

test('an address without a path is served, as MQTT.js has it, and so is each path of a list', async () => {
  const broker = await startWs()
  const { client } = await connectMqttJs(broker, { protocol: 'ws', port: broker.port, host: '127.0.0.1' })
  expect(client.connected).toBe(true)
  const other = await startWs({ websocket: { port: 0, path: ['/one', '/two/three'] } })
  for (const path of ['/one', '/two/three']) await once(webSocket(other, 'mqtt', {}, path), 'open')
  const { status, text } = await refusal(webSocket(other, 'mqtt', {}, '/'))
  expect({ status, text }).toEqual({ status: 404, text: 'MQTT is at /one, /two/three here\n' })
})

test('a page at / and MQTT at / do not get into each other’s way', async () => {
  const page = definePlugin({
    name: 'page',
    requires: ['http'],
    apply({ services }) {
      services.get('http').handle('/', (_request, response) => void response.end('a page'))
    },
  })
  const broker = await startWs({ plugins: [page()] })
  expect(await (await fetch(`http://127.0.0.1:${broker.port}/`)).text()).toBe('a page')
  await once(webSocket(broker, 'mqtt', {}, '/'), 'open')
})

test('a refused request is a line with address, path and cure, however often it comes, and a counter', async () => {
  const { lines, plugin } = keptLog()
  const broker = await startWs({ log: false, plugins: [plugin] })
  for (let i = 0; i < 5; i++) await refusal(webSocket(broker, 'mqtt', {}, '/mqtt2?token=secret'))
  await refusal(webSocket(broker, 'chat'))
  await refusal(webSocket(broker, 'mqtt', { protocolVersion: 8 }))
  expect(broker.broker.counters.upgradesRefused).toBe(7)
  const said = lines.filter(({ message }) => message.startsWith('request for a WebSocket refused'))
  expect(said.map(({ level, fields: { path, count }, message }) => `${level} ${path} ${count} ${message.split(': ')[1]}`)).toEqual([
    'info /mqtt2 1 MQTT is at /mqtt, / here',
    'info /mqtt 1 ask for one of the sub-protocols mqtt, mqttv3.1 (Sec-WebSocket-Protocol)',
    'info /mqtt 1 version 13 of WebSocket is spoken here',
  ])
  expect(said[0]!.fields.address).toMatch(/127\.0\.0\.1$/)
  expect(JSON.stringify(lines)).not.toContain('secret')
})

test('compression is off by default, and on by option: what is compressed is bounded by what it becomes', async () => {
  const offered = { perMessageDeflate: true }
  const plain = webSocket(await startWs(), 'mqtt', offered)
  await once(plain, 'open')
  expect(plain.extensions).toBe('')

  const broker = await startWs({ websocket: { port: 0, compression: true, maxPayload: '100KiB' } })
  const socket = webSocket(broker, 'mqtt', { ...offered, maxPayload: 2 ** 24 })
  await once(socket, 'open')
  expect(socket.extensions).toContain('permessage-deflate')
  const talking = new TestClient(createWebSocketStream(socket), 5)
  await talking.connect({ clientId: 'c' })
  await talking.subscribe('a')
  talking.sendPublish('a', Buffer.alloc(50_000, 'a'))
  expect((await talking.receive()).payload.length).toBe(50_000)
  // A few hundred bytes on the wire, 10 MiB when opened.
  const bomb = webSocket(broker, 'mqtt', offered)
  await once(bomb, 'open')
  bomb.send(Buffer.concat([connect, Buffer.alloc(10 * 1024 * 1024)]), { compress: true })
  expect(await closeCode(bomb)).toBe(1009)
})

test('a client that goes without a close frame is seen, and its will is sent', async () => {
  const broker = await startWs()
  const watcher = await client(broker)
  await watcher.connect({ clientId: 'watcher' })
  await watcher.subscribe('will')
  const socket = webSocket(broker)
  await once(socket, 'open')
  const dying = new TestClient(createWebSocketStream(socket), 5)
  await dying.connect({ clientId: 'dying', will: { topic: 'will', payload: Buffer.from('gone') } })
  socket.terminate()
  expect(String((await watcher.receive()).payload)).toBe('gone')
})

test('a reader that has stopped costs a bounded amount, and is served again when it reads', async () => {
  const broker = await startWs({ mqtt: { writeBufferMax: '256KiB' } })
  const reader = await client(broker)
  await reader.connect({ clientId: 'reader' })
  await reader.subscribe('a')
  reader.stream.pause()
  const publisher = await client(broker)
  await publisher.connect({ clientId: 'publisher' })
  let dropped = 0
  broker.hooks.onDrop.tap('test', (_clientId, _message, reason) => {
    if (reason === 'slowReader') dropped += 1
  })
  for (let i = 0; i < 4000 && dropped === 0; i++) await publisher.publish('a', Buffer.alloc(65_536), { qos: i % 50 === 49 ? 1 : 0 })
  expect(dropped).toBeGreaterThan(0)
  reader.stream.resume()
  await reader.subscribe('last')
  expect(reader.isClosed).toBe(false)
})

test('MQTT.js over ws: QoS 0, 1 and 2, retained, and a session that comes back', async () => {
  const broker = await startWs()
  const options = { protocol: 'ws', port: broker.port, host: '127.0.0.1', path: '/mqtt', clientId: 'js' } as const
  const first = await connectMqttJs(broker, { ...options, clean: false })
  await first.client.subscribeAsync('a', { qos: 2 })
  for (const qos of [0, 1, 2] as const) await first.client.publishAsync('a', String(qos), { qos })
  expect(await first.inbox.texts(3)).toEqual(['a 0', 'a 1', 'a 2'])
  await first.client.endAsync()
  const other = await connectMqttJs(broker, { ...options, clientId: 'other' })
  await other.client.publishAsync('a', 'meanwhile', { qos: 1, retain: true })
  const again = await connectMqttJs(broker, { ...options, clean: false })
  expect(again.sessionPresent).toBe(true)
  expect(await again.inbox.texts(1)).toEqual(['a meanwhile'])
})

test('maxConnections counts what is no WebSocket yet too, and a place becomes free', async () => {
  const broker = await startWs({ websocket: { port: 0, maxConnections: 1 } })
  const first = await client(broker)
  await first.connect({ clientId: 'first' })
  const second = webSocket(broker)
  const refused = await new Promise(resolve => {
    second.on('error', () => resolve(true))
    second.on('open', () => resolve(false))
  })
  expect(refused).toBe(true)
  const left = new Promise<void>(resolve => {
    broker.hooks.onClosed.tap('test', () => void resolve())
  })
  first.stream.destroy()
  await left
  const third = await client(broker)
  expect((await third.connect({ clientId: 'third' })).reasonCode).toBe(0)
})

test('a request that never comes to its end is ended', async () => {
  const broker = await startWs({ heartbeat: '200ms' })
  const slow = connectTcp(broker.port, '127.0.0.1')
  onTestFinished(() => void slow.destroy())
  slow.write('GET /mqtt HTTP/1.1\r\nHost: x\r\n')
  slow.resume()
  await once(slow, 'close')
})

test('headers above 8 KiB are refused', async () => {
  const broker = await startWs()
  const asked = request({ port: broker.port, host: '127.0.0.1', path: '/', headers: { long: 'x'.repeat(10_000) } }).end()
  const [response] = await once(asked, 'response')
  expect(response.statusCode).toBe(431)
})

// What a client of the package `ws` writes, cut anywhere, is read as what it sent.
test('frames of any size, kind and cut are read as the package ws wrote them, and as it reads them', async () => {
  const message = fc.record({
    pieces: fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 4 }),
    large: fc.option(fc.integer({ min: 60_000, max: 70_000 }), { freq: 8 }),
    control: fc.option(fc.constantFrom('ping', 'pong')),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { minLength: 1, maxLength: 5 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 400 })),
      async (messages, cuts) => {
        const wire = await written(
          messages.map(({ pieces, large, control }) => ({
            pieces: large === null ? pieces : [...pieces, new Uint8Array(large).fill(7)],
            control,
          })),
        )
        const read = { bytes: [] as Buffer[], controls: [] as string[], violations: [] as string[] }
        const reader = new FrameReader(
          {
            ended: false,
            onBytes: (chunk, start, end) => void read.bytes.push(Buffer.from(chunk.subarray(start, end))),
            onControl: (opcode, payload) => void read.controls.push(`${opcode} ${payload}`),
            onViolation: (code, text) => void read.violations.push(`${code} ${text}`),
          },
          2 ** 24,
        )
        const pieces: Buffer[] = []
        for (let at = 0; at < wire.length; ) {
          const end = Math.min(wire.length, at + cuts.next().value)
          pieces.push(Buffer.from(wire.subarray(at, end)))
          at = end
        }
        const reference = await received(pieces.map(piece => Buffer.from(piece)))
        for (const piece of pieces) reader.feed(piece, 0, piece.length)
        expect(read.violations).toEqual([])
        expect(Buffer.concat(read.bytes).equals(Buffer.concat(reference.bytes))).toBe(true)
        expect(read.controls).toEqual(reference.controls)
      },
    ),
    { numRuns: 150 },
  )
})

interface Outgoing {
  readonly pieces: readonly Uint8Array[]
  readonly control: 'ping' | 'pong' | null
}

// The package exports its parts, and its types leave them out.
const partsOfWs = ws as unknown as {
  Sender: new (socket: unknown) => WsSender
  Receiver: new (options: object) => NodeJS.WritableStream
}

async function written(messages: readonly Outgoing[]): Promise<Buffer> {
  const parts: Buffer[] = []
  const sink = {
    cork() {},
    uncork() {},
    write(bytes: Buffer, done?: () => void) {
      parts.push(Buffer.from(bytes))
      done?.()
      return true
    },
  }
  const sender = new partsOfWs.Sender(sink)
  for (const { pieces, control } of messages) {
    pieces.forEach((piece, index) => {
      sender.send(Buffer.from(piece), { binary: true, mask: true, compress: false, fin: index === pieces.length - 1 })
      if (control !== null && index === 0) sender[control](Buffer.from('x'), true)
    })
  }
  return Buffer.concat(parts)
}

interface WsSender {
  send(data: Buffer, options: { binary: boolean; mask: boolean; compress: boolean; fin: boolean }): void
  ping(data: Buffer, mask: boolean): void
  pong(data: Buffer, mask: boolean): void
}

async function received(pieces: readonly Buffer[], isServer = true): Promise<{ bytes: Buffer[]; controls: string[] }> {
  const read = { bytes: [] as Buffer[], controls: [] as string[] }
  const receiver = new partsOfWs.Receiver({ isServer, maxPayload: 2 ** 24 })
  receiver.on('message', (data: Buffer) => void read.bytes.push(Buffer.from(data)))
  receiver.on('ping', (data: Buffer) => void read.controls.push(`9 ${data}`))
  receiver.on('pong', (data: Buffer) => void read.controls.push(`10 ${data}`))
  for (const piece of pieces) receiver.write(piece as never)
  await new Promise<void>(resolve => receiver.end(resolve))
  return read
}

/** A connection that has become a WebSocket by hand, to say what no library says. */
async function rawWebSocket(broker: Running) {
  const socket = connectTcp(broker.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  const headers = ['Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Protocol: mqtt']
  socket.write(`GET /mqtt HTTP/1.1\r\n${headers.join('\r\n')}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`)
  const [head] = await once(socket, 'data')
  expect(String(head)).toMatch(/^HTTP\/1\.1 101 /)
  return socket
}
