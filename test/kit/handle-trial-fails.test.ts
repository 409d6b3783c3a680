import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { tryHandles } from '../../plugins/kit/transports/handle-trial.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

// Goal: a Node in which handles work otherwise than here costs CPU, and no connection. Handles are changed before anybody has looked at them.

interface StreamWrap {
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}
const node = process as unknown as { binding(name: string): object }
const { binding } = node
node.binding = name => {
  const found = binding.call(process, name)
  if (name !== 'stream_wrap') return found
  // What a read has brought is looked for where something else stands.
  return { ...found, kReadBytesOrError: (found as StreamWrap).kLastWriteWasAsync }
}

describe.runIf(process.platform === 'linux')("where a trial of Node's own handles fails", () => {
  test.each(['tcp', 'tls'] as const)('it says why: %s', async kind => {
    expect(await tryHandles(kind)).toMatch(/other bytes|in time/)
  })

  test('clients are served the documented way, and one line says so for all listeners', async () => {
    const { lines, plugin } = keptLog()
    const sockets = [{ port: 0 }, { port: 0 }]
    const { broker } = await startBroker({ log: false, plugins: [plugin], socket: sockets, websocket: { port: 0 } })
    const client = new TestClient(connect(broker.listeners.find(({ name }) => name === 'socket')!.port, '127.0.0.1'), 5)
    await client.connect({ clientId: 'one' })
    await client.subscribe('a', 1)
    client.sendPublish('a', 'x', { qos: 1 })
    expect((await client.receive()).payload.toString()).toBe('x')
    expect(broker.clientOf('one')!.transport.constructor.name).toBe('StreamTransport')
    const said = lines.filter(({ message }) => message.includes("Node's own handles"))
    expect(said).toEqual([
      expect.objectContaining({
        level: 'warn',
        message: expect.stringMatching(/^connections by TCP are read and written the documented way/),
      }),
    ])
  })
})
