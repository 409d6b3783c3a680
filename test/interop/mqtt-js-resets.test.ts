import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { startOnSocket } from './mosquitto.ts'
import { connect } from './mqtt-js.ts'

/**
 * Stands before a broker and breaks a connection off in the place of every so many packets of the types that it is told, so that the client never
 * gets them: `every` of 3 loses each third PUBREC or PUBCOMP.
 */
async function resettingProxy(target: number, types: readonly number[], every: number) {
  let seen = 0
  const proxy = { port: 0, resets: 0 }
  const server = createServer(client => {
    const broker = connectTcp(target, '127.0.0.1')
    const destroy = () => {
      client.destroy()
      broker.destroy()
    }
    for (const socket of [client, broker]) {
      socket.on('error', () => {})
      socket.on('close', destroy)
    }
    client.pipe(broker)
    const decoder = new PacketDecoder(
      {
        onPacket(packet) {
          if (client.destroyed) return
          seen += types.includes(packet.type) ? 1 : 0
          if (types.includes(packet.type) && seen % every === 0) {
            proxy.resets += 1
            // What came before is the client's.
            client.write(Buffer.alloc(0), destroy)
            client.end()
            client.destroySoon()
          } else if (!client.writableEnded) {
            client.write(encodePacket(packet, 5))
          }
        },
      },
      { maximumPacketSize: 1_048_576, receiver: 'client' },
    )
    decoder.version = 5
    broker.on('data', (chunk: Buffer) => decoder.feed(chunk, 0, chunk.length))
  })
  const open = new Set<Socket>()
  server.on('connection', socket => open.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy.port = (server.address() as { port: number }).port
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return proxy
}

const { Pubrec, Pubcomp } = PacketType

test.each([
  ['PUBREC', [Pubrec], 4],
  ['PUBCOMP', [Pubcomp], 3],
  ['PUBREC or PUBCOMP', [Pubrec, Pubcomp], 5],
])(
  'npm’s mqtt, whose connection breaks off in the place of a %s: no publish fails, and each is delivered once',
  async (_name, types, every) => {
    const broker = await startOnSocket()
    const reader = await connect(broker, { protocolVersion: 5 })
    await reader.client.subscribeAsync('a', { qos: 2 })
    const proxy = await resettingProxy(broker.port, types, every)
    const session = { clientId: 'writer', clean: false, properties: { sessionExpiryInterval: 3600 } }
    const writer = await connect(proxy, { protocolVersion: 5, reconnectPeriod: 1, ...session })
    const texts = Array.from({ length: 60 }, (_, i) => `${i}`)
    const failed: unknown[] = []
    for (let from = 0; from < texts.length; from += 5) {
      const batch = texts.slice(from, from + 5).map(text => writer.client.publishAsync('a', text, { qos: 2 }))
      for (const outcome of await Promise.allSettled(batch)) if (outcome.status === 'rejected') failed.push(String(outcome.reason))
    }
    expect(failed).toEqual([])
    expect(proxy.resets).toBeGreaterThan(5)
    expect((await reader.inbox.texts(60)).sort()).toEqual(texts.map(text => `a ${text}`).sort())
  },
)
