import type { Socket } from 'node:net'
import { PacketType } from '../../core/protocol/constants.ts'
import type { AckPacket, Properties } from '../../core/protocol/packets.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { connectBytes } from '../conformance/connect-bytes.ts'
import { invalidCases } from '../protocol/invalid-cases.ts'
import { type ConnectOptions, connectPacket } from '../support/client.ts'
import { type Attack, bytes, closed, end, guest, publishCodes, times } from './target.ts'

const publishBytes = (topic: string, payload: number, qos: 0 | 1 | 2 = 0, packetId = 0): Buffer =>
  encodePacket(
    { type: PacketType.Publish, topic, payload: Buffer.alloc(payload), qos, retain: false, dup: false, packetId, properties: undefined },
    5,
  )

/** Writes for as long as the broker reads, at most so many times; says whether it stopped reading. */
async function stuff(socket: Socket, chunk: Buffer, count: number): Promise<boolean> {
  for (let i = 0; i < count; i++) {
    if (socket.destroyed) return false
    if (socket.write(chunk)) continue
    const drained = await new Promise<boolean>(resolve => {
      const stuck = setTimeout(() => resolve(false), 400)
      socket.once('drain', () => {
        clearTimeout(stuck)
        resolve(true)
      })
    })
    if (!drained) return true
  }
  return false
}

const garbage = (seed: number): Buffer => {
  let state = seed * 2_654_435_761 + 1
  return Buffer.from(
    Array.from({ length: 300 }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state >>> 24
    }),
  )
}

export const attacksOnProtocol: readonly Attack[] = [
  {
    name: 'every packet of the table of invalid ones, whole and a byte at a time',
    happens: `${invalidCases.length * 2} closed`,
    async run(target) {
      const ends = await times(invalidCases.length * 2, async i => {
        const { bytes: hex, version, first } = invalidCases[i >> 1]!
        const client = first ? await target.open(version) : await guest(target, { version })
        if (i % 2 === 0) client.sendBytes(hex)
        else for (const byte of bytes(hex)) client.stream.write(Buffer.from([byte]))
        return client.closed
      })
      return `${ends.length} closed`
    },
  },
  {
    name: 'bytes that are nothing: noise, HTTP, a TLS handshake',
    happens: '302 closed',
    async run(target) {
      const strangers = ['GET / HTTP/1.1\r\nHost: broker\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03']
      const ends = await times(300 + strangers.length, async i => {
        const socket = await target.socket()
        // A first packet of 128 KiB may still come; whoever announces one and falls silent is closed by `heartbeat`.
        socket.write(i < 300 ? garbage(i) : Buffer.from(strangers[i - 300]!, 'latin1'))
        return closed(socket)
      })
      return `${ends.length} closed`
    },
  },
  {
    name: 'CONNECT a byte at a time and never whole (slow loris), and connections that say nothing',
    happens: '600 closed by heartbeat',
    async run(target) {
      const before = Date.now()
      const ends = await times(600, async i => {
        const socket = await target.socket()
        if (i % 2 === 0) {
          const connect = bytes(connectBytes({ clientId: `loris-${i}` }))
          for (let at = 0; at < connect.length - 1 && at < 8; at++) socket.write(connect.subarray(at, at + 1))
        }
        return closed(socket)
      })
      return `${ends.length} closed${Date.now() - before >= 1900 ? ' by heartbeat' : ' at once'}`
    },
  },
  {
    name: 'a length of 256 MiB, announced in CONNECT and in PUBLISH',
    happens: { first: 'closed', later: '0x95' },
    leaves: 20,
    async run(target) {
      const ends = await times(200, async i => {
        if (i < 100) {
          const socket = await target.socket()
          socket.write(bytes('10 ff ff ff 7f  0004 4d515454 05'))
          await closed(socket)
          return 'closed'
        }
        const client = await guest(target)
        client.sendBytes('30 ff ff ff 7f  0001 61')
        return end(client)
      })
      return { first: [...new Set(ends.slice(0, 100))].join(), later: [...new Set(ends.slice(100))].join() }
    },
  },
  {
    name: 'topics and filters of thousands of levels',
    happens: { publish: [0x90, 0x90], subscribe: [0x8f, 0x8f, 0x8f], will: 'not sent' },
    async run(target) {
      const client = await guest(target)
      const deep = ['guest/'.repeat(5000), '/'.repeat(60_000)]
      const publish = await publishCodes(client, deep)
      const subscribe = await client.subscribe(['+/'.repeat(30_000), `${'guest/'.repeat(5000)}#`, '/'.repeat(60_000)])
      const dying = await guest(target, { will: { topic: deep[0]!.slice(0, -1) } })
      dying.drop()
      await dying.closed
      return { publish, subscribe, will: (await client.rest()).length === 0 ? 'not sent' : 'sent' }
    },
  },
  {
    name: '60,000 filters of one client, and messages that hundreds of them match',
    happens: { granted: 10_000, refused: '0x97', copies: 1 },
    leaves: 150,
    async run(target) {
      const client = await guest(target, { clientId: 'bomber' })
      let granted = 0
      const refused = new Set<number>()
      for (let packet = 0; packet < 20; packet++) {
        const filters = Array.from({ length: 3000 }, (_, i) => `guest/${'+/'.repeat(i % 100)}${packet * 30 + Math.floor(i / 100)}/#`)
        for (const code of await client.subscribe(filters)) {
          if (code === 0) granted += 1
          else refused.add(code)
        }
      }
      await client.publish(`guest/${Array.from({ length: 100 }, (_, i) => i % 10).join('/')}`, 'x', { qos: 1 })
      return {
        granted,
        refused: [...refused].map(code => `0x${code.toString(16)}`).join(),
        copies: client.heard.filter(({ type }) => type === PacketType.Publish).length,
      }
    },
  },
  {
    name: '8,192 filters of one client that all match, and 60 publishes to new topics in one write',
    happens: { heard: 60 },
    leaves: 120,
    async run(target) {
      const levels = 13
      const filters = Array.from(
        { length: 2 ** levels },
        (_, i) => `guest/${Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/')}/+`,
      )
      const client = await guest(target)
      await client.subscribe(filters)
      const publisher = await guest(target)
      const topic = `guest/${'x/'.repeat(levels)}`
      publisher.stream.write(Buffer.concat(Array.from({ length: 60 }, (_, i) => publishBytes(`${topic}${i}`, 1))))
      let heard = 0
      for (; heard < 60; heard++) await client.next(PacketType.Publish)
      return { heard }
    },
  },
  {
    name: 'topic aliases: 0, too high, unknown; and each allowed one set again and again to 60 KB',
    happens: ['0x94', '0x94', '0x82', 'served'],
    // Caches of topics have bounds of their own, of tens of mebibytes.
    leaves: 120,
    async run(target) {
      const results: string[] = []
      for (const alias of [0, 65_535, 7]) {
        const client = await guest(target)
        client.sendBytes(`30 07  0000  03 23 ${alias.toString(16).padStart(4, '0')}  68`)
        results.push(await end(client))
      }
      const client = await guest(target)
      for (let i = 0; i < 640; i++) client.sendPublish(`guest/${i}${'x'.repeat(60_000)}`, '', { properties: { topicAlias: (i % 32) + 1 } })
      await client.rest()
      return [...results, 'served']
    },
  },
  {
    name: 'QoS 2 messages that are never released',
    happens: { kept: 1000, end: '0x93' },
    async run(target) {
      const client = await guest(target)
      for (let packetId = 1; packetId <= 1001; packetId++) client.sendPublish('guest/x', 'x', { qos: 2, packetId })
      const ended = await end(client)
      return { kept: client.heard.filter(({ type }) => type === PacketType.Pubrec).length, end: ended }
    },
  },
  {
    name: '60,000 PUBREC, PUBREL and PUBCOMP for messages that there are none of',
    happens: { pubrel: 0x92, pubcomp: 0x92, still: 'served' },
    async run(target) {
      const client = await guest(target)
      for (const type of [PacketType.Pubrec, PacketType.Pubrel, PacketType.Pubcomp])
        for (let packetId = 1; packetId <= 20_000; packetId++) client.ack(type, packetId)
      await client.rest()
      const answers = (type: number) => client.heard.filter(packet => packet.type === type) as AckPacket[]
      const [pubrel, pubcomp] = [answers(PacketType.Pubrel), answers(PacketType.Pubcomp)]
      if (pubrel.length !== 20_000 || pubcomp.length !== 20_000) throw new Error(`${pubrel.length} ${pubcomp.length}`)
      return { pubrel: pubrel[7]!.reasonCode, pubcomp: pubcomp[7]!.reasonCode, still: 'served' }
    },
  },
  {
    name: 'questions whose answers are never read: pings, PUBREL, QoS 1',
    happens: ['not read any further', 'not read any further', 'not read any further'],
    leaves: 60,
    async run(target) {
      const pings = Buffer.alloc(65_536, bytes('c000'))
      const pubrels = Buffer.alloc(65_536, bytes('62020007'))
      const publishes = Buffer.concat(Array.from({ length: 1000 }, (_, i) => publishBytes('guest/x', 10, 1, i + 1)))
      return times(3, async i => {
        const socket = await target.socket()
        socket.write(encodePacket(connectPacket({ version: 5, username: 'guest', password: 'guest' }), 5))
        const stopped = await stuff(socket, [pings, pubrels, publishes][i]!, 1500)
        return stopped ? 'not read any further' : 'read'
      })
    },
  },
  {
    name: 'messages that are never read: 24 MiB for a reader at QoS 0 and for one at QoS 1',
    happens: 'their publisher is served',
    leaves: 120,
    async run(target) {
      const sockets = await times(2, async qos => {
        const socket = await target.socket()
        socket.write(encodePacket(connectPacket({ version: 5, username: 'guest', password: 'guest' }), 5))
        socket.write(bytes(`82 0d  0001  00  0007 ${Buffer.from('guest/#').toString('hex')}  0${qos}`))
        return socket
      })
      const client = await guest(target)
      for (let i = 0; i < 24; i++) await client.publish('guest/x', Buffer.alloc(1_048_576), { qos: 1 })
      for (const socket of sockets) socket.destroy()
      return 'their publisher is served'
    },
  },
  {
    name: 'a mebibyte of user properties: in CONNECT, in a will, in a PUBLISH to oneself',
    happens: { connect: ['closed'], will: ['closed'], publish: 0 },
    leaves: 150,
    async run(target) {
      const userProperties: [string, string][] = Array.from({ length: 16 }, (_, i) => [`${i}`, 'x'.repeat(65_000)])
      const ended = (options: ConnectOptions) =>
        times(30, async () => {
          const client = await target.open(5)
          client.send(connectPacket({ version: 5, username: 'guest', password: 'guest', ...options }))
          return end(client)
        })
      const [connect, will] = await Promise.all([
        ended({ properties: { userProperties } }),
        ended({ will: { topic: 'guest/w', properties: { userProperties } } }),
      ])
      const client = await guest(target)
      await client.subscribe('guest/x')
      let publish = 0
      for (let i = 0; i < 30; i++) publish += (await client.publish('guest/x', '', { qos: 1, properties: { userProperties } }))!.reasonCode
      return { connect: [...new Set(connect)], will: [...new Set(will)], publish }
    },
  },
  {
    name: 'user properties of no letter by the ten thousand: in CONNECT, in PUBLISH, in SUBSCRIBE; and CONNECT packets of which the last byte never comes',
    happens: { connect: [0x97], publish: ['0x97'], subscribe: ['0x97'], halves: 'kept by their bytes' },
    leaves: 60,
    async run(target) {
      const many = (count: number): Properties => ({ userProperties: Array.from({ length: count }, () => ['', '']) })
      const connect = await times(30, async () => (await target.connect({ properties: many(20_000) })).connack.reasonCode)
      const [publish, subscribe] = await Promise.all([
        times(10, async () => {
          const client = await guest(target)
          client.sendPublish('guest/x', '', { properties: many(100_000) })
          return end(client)
        }),
        times(10, async () => {
          const client = await guest(target)
          const subscription = { filter: 'guest/x', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
          client.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [subscription], properties: many(100_000) })
          return end(client)
        }),
      ])
      const whole = encodePacket(connectPacket({ version: 5, username: 'guest', password: 'guest', properties: many(26_000) }), 5)
      const before = target.memory.now
      await times(200, async () => {
        const socket = await target.socket()
        await new Promise(resolve => socket.write(whole.subarray(0, whole.length - 1), resolve))
      })
      // The broker has read all of it when it answers who asks behind them.
      await (await guest(target)).rest()
      const grown = target.memory.now - before
      return {
        connect: [...new Set(connect)],
        publish: [...new Set(publish)],
        subscribe: [...new Set(subscribe)],
        halves: grown < 100 ? 'kept by their bytes' : `they weigh ${grown} MiB`,
      }
    },
  },
  {
    name: 'an exchange of AUTH packets that never ends, though each challenge is answered at once',
    happens: '20 closed by heartbeat',
    async run(target) {
      const properties = { authenticationMethod: 'endless' }
      const ends = await times(20, async () => {
        const client = await target.open(5, '127.0.0.78')
        client.send(connectPacket({ version: 5, properties }))
        for (let step = 0; ; step++) {
          const next = await Promise.race([client.next(PacketType.Auth).catch(() => null), client.closed.then(() => null)])
          if (next === null) return step
          client.send({ type: PacketType.Auth, reasonCode: 0x18, properties })
        }
      })
      return ends.every(steps => steps > 0) ? `${ends.length} closed by heartbeat` : `closed after ${ends} steps`
    },
  },
  {
    name: 'HTTP that becomes no WebSocket: silent connections, requests without end, headers without end, an upgrade with a body',
    happens: { silent: 300, bounded: true, requests: 8, headers: 'closed', body: 'HTTP/1.1 400 Bad Request' },
    async run(target) {
      const port = await target.portOf('ws')
      const ask = async (text: string): Promise<string> => {
        const socket = await target.socket('127.0.0.1', port)
        let heard = ''
        socket.on('data', chunk => {
          heard += String(chunk)
        })
        socket.write(text)
        await closed(socket)
        return heard
      }
      const silent = await times(300, async () => closed(await target.socket('127.0.0.1', port)))
      const bounded = target.log.some(({ msg }) => /^websocket.httpConnectionsMax: 100 connections are no WebSocket yet/.test(msg))
      const upgrade =
        'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n'
      const [requests, body, headers] = await Promise.all([
        ask('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20)),
        ask(`${upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 5\r\n\r\nhello`),
        ask(`GET / HTTP/1.1\r\nHost: x\r\n${'x: y\r\n'.repeat(10)}`),
      ])
      return {
        silent: silent.length,
        bounded,
        requests: requests.match(/HTTP\/1\.1 200/g)?.length ?? 0,
        headers: /408|^$/.test(headers) ? 'closed' : headers,
        body: body.split('\r\n')[0],
      }
    },
  },
  {
    name: 'shared groups by the thousand that all match what one client publishes in one write',
    happens: { granted: 1000, refused: '0x97', heard: 20_000 },
    leaves: 60,
    async run(target) {
      const client = await guest(target)
      const codes = await client.subscribe(Array.from({ length: 1200 }, (_, i) => `$share/group-${i}/guest/shared/#`))
      const publisher = await guest(target)
      publisher.stream.write(Buffer.concat(Array.from({ length: 20 }, () => publishBytes('guest/shared/x', 1))))
      let heard = 0
      for (; heard < 20_000; heard++) await client.next(PacketType.Publish)
      const refused = new Set(codes.filter(code => code >= 0x80).map(code => `0x${code.toString(16)}`))
      return { granted: codes.filter(code => code === 0).length, refused: [...refused].join(), heard }
    },
  },
  {
    name: 'connections that are reset in the middle of anything',
    happens: '400 reset',
    async run(target) {
      const connect = encodePacket(connectPacket({ version: 5, username: 'guest', password: 'guest' }), 5)
      const parts = [connect.subarray(0, 5), connect, Buffer.concat([connect, publishBytes('guest/x', 70_000, 1, 1).subarray(0, 40_000)])]
      await times(400, async i => {
        const socket = await target.socket()
        await new Promise(resolve => socket.write(parts[i % parts.length]!, resolve))
        socket.resetAndDestroy()
      })
      return '400 reset'
    },
  },
]
