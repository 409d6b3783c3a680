import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ClientReader } from '../../plugins/mqtt-bridge/client-reader.ts'
import { RemoteLink } from '../../plugins/mqtt-bridge/remote-link.ts'
import { connectPacket } from '../../plugins/mqtt-bridge/session.ts'
import { ManualClock } from '../../presets/index.ts'
import { eventually } from '../support/eventually.ts'
import { bridgeTo, connected, connectTo, hear, side } from '../support/mqtt-bridge.ts'
import { defaultsOf } from './defaults.ts'

// Goal: a broker at the other end that is broken, or means harm, costs this one a connection, a line of its log and bounded memory; nothing it sends is believed beyond what MQTT allows.

const connack = '20 03 00 00 00'
const [connectType, subscribeType, publishType] = [1, 8, 3]

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replace(/ /g, ''), 'hex')
}

/** A packet with this first byte; its length is put before its body. */
function packet(first: number, ...body: readonly (Buffer | string)[]): Buffer {
  const whole = Buffer.concat(body.map(part => (typeof part === 'string' ? bytes(part) : part)))
  const head = [first]
  let left = whole.length
  do {
    head.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0))
    left >>>= 7
  } while (left > 0)
  return Buffer.concat([Buffer.from(head), whole])
}

function text(value: string | Buffer): Buffer {
  const content = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([content.length >>> 8, content.length & 0xff]), content])
}

/** What stands where the other broker is to be: it says what it is told to. `says`: what it answers to a packet of this type, the last one to come with `number` as its packet identifier. */
async function impostor(says: (socket: Socket, type: number, packetId: Buffer, connections: number) => void) {
  let connections = 0
  const server = createServer(socket => {
    connections += 1
    const number = connections
    socket.on('error', () => {})
    let before = Buffer.alloc(0)
    socket.on('data', chunk => {
      let rest = Buffer.concat([before, chunk])
      for (;;) {
        let [length, at] = [0, 1]
        while (at < rest.length) {
          length |= (rest[at]! & 0x7f) << (7 * (at - 1))
          if (rest[at++]! < 0x80) break
        }
        if (rest.length < at + length || rest.length < 2) break
        const type = rest[0]! >>> 4
        const idAt = type === publishType ? at + 2 + rest.readUInt16BE(at) : at
        if (type !== connectType || number === connections) says(socket, type, rest.subarray(idAt, idAt + 2), number)
        rest = rest.subarray(at + length)
      }
      before = Buffer.from(rest)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return {
    port: (server.address() as { port: number }).port,
    get connections() {
      return connections
    },
  }
}

/** One that lets in, grants what is asked for, and then says this. */
function afterSuback(...said: readonly (Buffer | string)[]) {
  return impostor((socket, type, packetId) => {
    if (type === connectType) socket.write(bytes(connack))
    if (type !== subscribeType) return
    socket.write(packet(0x90, packetId, '00 01'))
    for (const one of said) socket.write(typeof one === 'string' ? bytes(one) : one)
  })
}

const everythingIn = { topics: [{ filter: '#', direction: 'in' }] } as const

test.each<[string, Buffer | string]>([
  ['a topic name with a wildcard', packet(0x30, text('a/#'), '00', 'ff')],
  ['a topic name with U+0000', packet(0x30, text('a\0b'), '00', 'ff')],
  ['a topic name that is no UTF-8', packet(0x30, text(Buffer.from([0x61, 0xff])), '00', 'ff')],
  ['a PUBLISH without a topic name', packet(0x30, text(''), '00', 'ff')],
  ['a packet identifier 0', packet(0x32, text('a'), '00 00', '00', 'ff')],
  ['QoS 3', packet(0x36, text('a'), '00 01', '00', 'ff')],
  ['a second CONNACK', connack],
  ['a packet of type 15', 'f0 00'],
  ['a length of five bytes', '30 ff ff ff ff 01'],
  ['a packet of 200 MiB', '30 80 80 80 64'],
  ['a PUBLISH that ends within its topic name', '30 04 00 09 61 62'],
  ['properties that end too late', packet(0x30, text('a'), '7f 01')],
  ['a subscription identifier that does not end', packet(0x30, text('a'), '05 0b ff ff ff ff')],
])('%s costs the other broker its connection, and nothing of it is believed', async (_what, said) => {
  const remote = await afterSuback(said)
  const here = await side({ mqttBridge: bridgeTo(remote.port, everythingIn) })
  const heard = await here.hear('#')
  await eventually(() => remote.connections >= 3)
  const client = await here.connect()
  await client.publishAsync('end', '1')
  await eventually(() => heard.includes('end 1'))
  expect(heard).toEqual(['end 1'])
  expect(here.lines.some(({ message: line }) => line.includes('not connected to') && line.includes('it sent'))).toBe(true)
})

test.each([
  ['takes no message', '20 06 00 00 03 21 00 00', 'Receive Maximum 0'],
  ['takes no packet', '20 08 00 00 05 27 00 00 00 00', 'Maximum Packet Size 0'],
])('one that lets in and %s is not connected', async (_what, said, why) => {
  const remote = await impostor((socket, type) => void (type === connectType && socket.write(bytes(said))))
  const here = await side({ mqttBridge: bridgeTo(remote.port, { topics: [{ filter: 'a' }] }) })
  await eventually(() => here.lines.some(({ message: line }) => line.includes(why)))
  expect(here.figure('connects_total')).toBe(0)
})

test('SUBACK: what is refused is named, one that answers another number of filters is not believed, and one that never comes is not waited for', async () => {
  const topics = [
    { filter: 'a', direction: 'in' },
    { filter: 'b', direction: 'in' },
  ] as const
  const remote = await impostor((socket, type, packetId, connections) => {
    if (type === connectType) socket.write(bytes(connack))
    if (type === subscribeType && connections !== 2) socket.write(packet(0x90, packetId, connections === 1 ? '00 01' : '00 01 87'))
  })
  const here = await side({ mqttBridge: bridgeTo(remote.port, { topics: [...topics], connectTimeout: 300 }) })
  await eventually(() => here.lines.some(({ message: line }) => line.includes('refuses the subscription to b with')))
  const said = here.lines.map(({ message: line }) => line).filter(line => line.includes('not connected'))
  expect(said).toEqual([
    expect.stringContaining('it answers 2 subscriptions with 1 reason codes'),
    expect.stringContaining('it does not answer SUBSCRIBE'),
  ])
  expect(here.figure('connected')).toBe(1)
})

test('what the other broker says in words cannot write into a terminal, or fill the log', async () => {
  const words = `\u001b[2J${'x'.repeat(60_000)}`
  const properties = Buffer.concat([Buffer.from([0x1f]), text(words)])
  const length = Buffer.from([(properties.length & 0x7f) | 0x80, ((properties.length >> 7) & 0x7f) | 0x80, properties.length >> 14])
  const remote = await afterSuback(packet(0xe0, '8b', length, properties))
  const here = await side({ mqttBridge: bridgeTo(remote.port, everythingIn) })
  const find = () => here.lines.find(({ message: line }) => line.includes('it closed the connection with'))?.message
  await eventually(() => find() !== undefined)
  expect(find()).toContain('\\u001b[2Jxxx')
  expect(find()!.length).toBeLessThan(1000)
})

test('one that wants answers without end and reads none is broken off from', async () => {
  let sent = 0
  const stream = new Duplex({ read() {}, write: chunk => void (sent += chunk.length) })
  const clock = new ManualClock()
  const closed: string[] = []
  const connect = connectPacket(defaultsOf([]), { clientId: 'a', password: undefined, id: 'a', isPrivate: false, stateTopic: null })
  const options = { clock, answerMs: 1000, maximumPacketSize: 1_048_576 }
  const link: RemoteLink = new RemoteLink(stream, connect, options, {
    connack: () => {},
    packet: ({ type }) => {
      if (type === PacketType.Pubrel) link.send({ type: PacketType.Pubcomp, packetId: 1, reasonCode: 0, properties: undefined })
    },
    drained: () => {},
    closed: ({ message }) => void closed.push(message),
  })
  const flood = Buffer.concat(Array.from({ length: 50_000 }, () => bytes('62 02 00 01')))
  stream.push(bytes(connack))
  let asked = 0
  while (closed.length === 0) {
    stream.push(flood)
    asked += 50_000
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(0)
  }
  // A MiB is the link's own buffer; four bytes each for as many as there are packet identifiers.
  expect([closed, asked]).toEqual([['it does not read what it is answered'], 350_000])
  expect(sent).toBeLessThan(1_048_576)
})

test('a packet comes whole out of single bytes, whatever stands before it', () => {
  const topics: string[] = []
  const reader = new ClientReader(5, 16_777_216, read => {
    if ('topic' in read && 'payload' in read) topics.push(`${read.topic} ${read.payload.length} ${read.payload.at(-1)}`)
  })
  const large = packet(0x30, text('large'), '00', Buffer.alloc(200_000, 7))
  const small = packet(0x30, text('small'), '00', Buffer.alloc(3, 9))
  const all = Buffer.concat([small, large, small, large, large])
  reader.feed(all)
  for (const byte of all) reader.feed(Buffer.from([byte]))
  for (let at = 0; at < all.length; at += 65_521) reader.feed(all.subarray(at, at + 65_521))
  expect(topics).toEqual([1, 2, 3].flatMap(() => ['small 3 9', 'large 200000 7', 'small 3 9', 'large 200000 7', 'large 200000 7']))
})

test('exactly once: a message that this broker would close the connection on is refused by itself, and those behind it come', async () => {
  const there = await side({ mqtt: { maximumPacketSize: '8MiB', userPropertiesMax: 3000 } })
  const here = await side({
    mqtt: { topicLevelsMax: 5, overTopicMax: 'disconnect' },
    mqttBridge: bridgeTo(there.port, { topics: [{ filter: '#', direction: 'in', delivery: 'exactlyOnce', localPrefix: 'site/' }] }),
  })
  await connected(here, there)
  const heard = await here.hear('#')
  const client = await connectTo(there.port)
  const userProperties = { name: Array.from({ length: 1000 }, () => 'value') }
  await client.publishAsync('large', Buffer.alloc(3_000_000), { qos: 2 })
  await client.publishAsync('properties', '1', { qos: 2, properties: { userProperties } })
  await client.publishAsync('1/2/3/4/5', '1', { qos: 2 })
  await client.publishAsync('x'.repeat(65_533), '1', { qos: 2 })
  await client.publishAsync('end', '1', { qos: 2 })
  await eventually(() => heard.length > 0)
  expect(heard).toEqual(['site/end 1'])
  expect(here.drops.map(({ reason }) => reason)).toEqual(Array(4).fill('mqttBridgeRefused'))
  expect(here.figure('connects_total')).toBe(1)
})

test('exactly once: a message that is too large for the other broker by its properties is refused by itself, and those behind it go', async () => {
  const there = await side({ mqtt: { maximumPacketSize: 4096 } })
  const here = await side({
    diskQueue: false,
    mqttBridge: bridgeTo(there.port, { topics: [{ filter: '#', delivery: 'exactlyOnce', remotePrefix: 'site/' }] }),
  })
  await connected(here)
  const heard = await hear(there.port, '#')
  const client = await here.connect()
  const userProperties = { name: 'x'.repeat(5000) }
  await client.publishAsync('properties', '1', { qos: 2, properties: { userProperties } })
  await client.publishAsync('x'.repeat(65_533), '1', { qos: 2 })
  await client.publishAsync('end', '1', { qos: 2 })
  await eventually(() => heard.length > 0)
  expect(heard).toEqual(['site/end 1'])
  expect(here.figure('connects_total')).toBe(1)
})

test('whatever bytes come in place of packets, this broker goes on', async () => {
  // One byte after the other out of a simple sequence, the same in each run.
  let state = 25
  const random = (): number => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) >>> 8
  const remote = await impostor((socket, type, packetId) => {
    if (type === connectType) socket.write(bytes(connack))
    if (type !== subscribeType) return
    socket.write(packet(0x90, packetId, '00 01'))
    const body = Buffer.from(Array.from({ length: random() % 40 }, () => random() & 0xff))
    socket.end(packet(random() & 0xff, body))
  })
  const here = await side({ mqttBridge: bridgeTo(remote.port, { ...everythingIn, retryMin: 10, retryMax: 10 }) })
  const errors: unknown[] = []
  here.running.hooks.onError.tap('test', error => void errors.push(error))
  await eventually(() => remote.connections > 100)
  const heard = await here.hear('end')
  await (await here.connect()).publishAsync('end', '1', { qos: 2 })
  await eventually(() => heard.length === 1)
  expect(errors).toEqual([])
})
