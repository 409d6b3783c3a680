import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { RawTransport } from '../../plugins/kit/transports/raw-transport.ts'
import { rawHandles } from '../../plugins/kit/transports/stream-binding.ts'

/** Connects to a server that takes this one connection on loopback. */
export async function connectTo(server: Server): Promise<Socket> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const theirs = connect((server.address() as { port: number }).port, '127.0.0.1')
  onTestFinished(() => {
    theirs.destroy()
    server.close()
  })
  return theirs
}

/** A TCP connection whose accepted end is Node's own handle, not yet reading. */
export async function rawConnection(): Promise<{ transport: RawTransport; theirs: Socket }> {
  const server = createServer()
  const theirs = await connectTo(server)
  const raw = rawHandles(server)
  if (raw === null) throw new Error('this Node does not let connections go without net.Socket; the tests of that way mean Linux')
  return new Promise(resolve => {
    raw.handle.onconnection = (_failed, handle) => {
      const transport = new RawTransport(handle!, raw.binding, { protocol: 'tcp', listener: 'test' })
      onTestFinished(() => transport.destroy())
      resolve({ transport, theirs })
    }
  })
}
