import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createTestBroker } from '../../presets/testing/index.ts'
import { TestClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'

const ways: Record<string, (socket: Socket) => void> = {
  'answers with noise': socket => void socket.on('data', () => socket.write(Buffer.alloc(500, 0xa5))),
  'announces two gigabytes': socket => void socket.on('data', () => socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]))),
  'answers with a length below nothing': socket =>
    void socket.on('data', () => socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))),
  'speaks HTTP': socket => void socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n')),
  'hangs up': socket => void socket.destroy(),
  'hangs up in the middle of an answer': socket =>
    void socket.once('data', () => {
      socket.write(Buffer.from([0, 0, 1, 0, 0, 0, 0, 1, 0]))
      socket.destroy()
    }),
}

test.each(Object.entries(ways))(
  'a server that speaks no Kafka, hangs up or never ends harms the bridge alone: it %s',
  async (_what, behave) => {
    let asked = 0
    const open = new Set<Socket>()
    const server = createServer(socket => {
      asked += 1
      open.add(socket)
      socket.on('close', () => open.delete(socket))
      socket.on('error', () => {})
      socket.on('data', () => {})
      behave(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      for (const socket of open) socket.destroy()
      server.close()
    })
    const { port } = server.address() as { port: number }
    const kit = await createTestBroker(
      {
        memory: true,
        messageBridge: { brokers: [`127.0.0.1:${port}`], topics: [{ filter: 't', to: 't', ack: 'none' }], stopTimeout: '100ms' },
      } as never,
      { clock: 'real' },
    )
    const errors: Error[] = []
    kit.running.hooks.onError.tap('test', error => void errors.push(error))
    const client = new TestClient(kit.stream('test'), 5)
    await client.connect({ version: 5 })
    await client.subscribe('t')
    for (let i = 0; i < 20; i++) await client.publish('t', String(i), { qos: 1 })
    await eventually(() => asked >= 2)
    const before = client.heard.length
    await client.publish('t', 'still served', { qos: 1 })
    expect(client.heard.slice(before).some(packet => 'payload' in packet && String(packet.payload) === 'still served')).toBe(true)
    expect(errors).toEqual([])
    await kit.stop()
  },
  90_000,
)
