import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { TestClient } from '../support/client.ts'

/** A client on a real socket, on which nothing has been said yet. */
export function openOn(port: number, version: 3 | 4 | 5): Promise<TestClient> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(new TestClient(socket, version)))
    socket.on('error', reject)
    onTestFinished(() => void socket.destroy())
  })
}
