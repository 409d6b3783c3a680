import { createServer, type Server, type Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { Broker } from '../../core/broker.ts'
import type { Seats } from '../../core/connection/transport.ts'
import { RawTransport } from '../kit/transports/raw-transport.ts'
import { rawHandles, type StreamBinding, type TcpHandle } from '../kit/transports/stream-binding.ts'
import { StreamTransport } from '../kit/transports/stream-transport.ts'

/** What all connections of one listener have in common. */
export interface Door {
  readonly broker: Broker
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
}

/** A server for plain TCP, which is yet to listen. */
export function createTcpServer(door: Door, sharedRead: boolean): Server {
  const server = createServer({ noDelay: true }, stream => accept(door, stream))
  // A server has its handle once it listens.
  if (sharedRead) server.once('listening', () => acceptHandles(door, server))
  return server
}

function acceptHandles(door: Door, server: Server): void {
  const raw = rawHandles(server)
  if (raw === null) return
  raw.handle.onconnection = (failed, handle) => {
    if (handle === undefined) door.broker.report(new Error(`accept ${getSystemErrorName(failed)}`))
    else acceptRaw(door, handle, raw.binding)
  }
}

function accept({ broker, seats, allowAnonymous }: Door, socket: Socket): void {
  const { remoteAddress = '', remotePort = 0 } = socket
  const options = { protocol: 'tcp', listener: 'socket', remoteAddress, remotePort, takesBytes: true, seats, allowAnonymous }
  const transport = new StreamTransport(socket, options)
  const events = broker.accept(transport)
  if (events === null) {
    socket.on('error', () => {})
    return
  }
  transport.listen(events)
}

function acceptRaw({ broker, seats, allowAnonymous }: Door, handle: TcpHandle, binding: StreamBinding): void {
  handle.setNoDelay(true)
  const transport = new RawTransport(handle, binding, { protocol: 'tcp', listener: 'socket', seats, allowAnonymous })
  const events = broker.accept(transport)
  if (events !== null) transport.start(events)
}
