import { connect as connectTcp } from 'node:net'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createWebSocketStream, WebSocket } from 'ws'
import { tryHandles } from '../../plugins/kit/transports/handle-trial.ts'
import { RawTransport } from '../../plugins/kit/transports/raw-transport.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { TestClient } from '../support/client.ts'
import { secure, startTlsBroker } from '../transports/tls-broker.ts'

afterEach(() => vi.restoreAllMocks())

describe.runIf(process.platform === 'linux')("Node's own handles", () => {
  test('pass their trial here, by TCP and by TLS', async () => {
    expect([await tryHandles('tcp'), await tryHandles('tls')]).toEqual([null, null])
  })

  for (const way of ['tcp', 'tls', 'ws', 'wss'] as const) {
    test.each([true, false])(`are used for ${way} as its option sharedRead says: %s`, async sharedRead => {
      const starts = vi.spyOn(RawTransport.prototype, 'start')
      const client = await clientBy(way, sharedRead)
      await client.connect({ clientId: 'one' })
      await client.subscribe('a', 1)
      const payload = Buffer.alloc(300_000, 'p')
      client.sendPublish('a', payload, { qos: 1 })
      expect((await client.receive()).payload.equals(payload)).toBe(true)
      // The trial has its own.
      const others = starts.mock.contexts.filter(transport => (transport as RawTransport).listener !== 'trial')
      expect(others).toHaveLength(sharedRead ? 1 : 0)
    })
  }
})

async function clientBy(way: 'tcp' | 'tls' | 'ws' | 'wss', sharedRead: boolean): Promise<TestClient> {
  const listeners = { socket: { port: 0, sharedRead }, websocket: { port: 0, sharedRead } }
  if (way === 'tcp') return new TestClient(connectTcp((await startOnSocket(listeners)).port!, '127.0.0.1'), 5)
  if (way === 'ws') return overWebSocket(`ws://127.0.0.1:${(await startOnSocket({ ...listeners, socket: false })).port}/mqtt`)
  const broker = await startTlsBroker(listeners)
  if (way === 'tls') return new TestClient(await secure(broker), 5)
  return overWebSocket(`wss://localhost:${broker.port('websocket')}/mqtt`, broker.ca.cert)
}

async function overWebSocket(url: string, ca?: string): Promise<TestClient> {
  const socket = new WebSocket(url, 'mqtt', ca === undefined ? {} : { ca })
  onTestFinished(() => socket.terminate())
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return new TestClient(createWebSocketStream(socket), 5)
}
