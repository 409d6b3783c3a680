import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { TestClient } from './client.ts'

/** A client on a real socket of loopback, on which nothing has been said yet. */
export async function socketClient(port: number, version: 3 | 4 | 5 = 5, host = '127.0.0.1'): Promise<TestClient> {
  const socket = connect(port, host)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return new TestClient(socket, version)
}
