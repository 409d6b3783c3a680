import { createServer, type Server, type Socket } from 'node:net'
import type { Broker } from '../../core/broker.ts'
import { StreamTransport } from '../../core/connection/stream-transport.ts'
import type { Seats } from '../../core/listening/seats.ts'
import { readShared, type SharedRead } from './shared-read.ts'

/** What all connections of one listener have in common. */
export interface Door {
  readonly broker: Broker
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
}

/** A server for plain TCP, which is yet to listen. */
export function createTcpServer(door: Door, sharedRead: boolean): Server {
  const shared = sharedRead ? readShared() : null
  return createServer({ pauseOnConnect: shared !== null, noDelay: true }, stream => accept(door, stream, shared))
}

function accept({ broker, seats, allowAnonymous }: Door, accepted: Socket, shared: SharedRead | null): void {
  const { remoteAddress = '', remotePort = 0 } = accepted
  const adopted = shared?.adopt(accepted) ?? null
  const socket = adopted ?? accepted
  const options = { protocol: 'tcp', listener: 'socket', remoteAddress, remotePort, takesBytes: true, seats, allowAnonymous }
  const transport = new StreamTransport(socket, options)
  const events = broker.accept(transport)
  if (events === null) {
    socket.on('error', () => {})
    return
  }
  transport.listen(events, adopted !== null)
  if (adopted !== null) shared!.start(adopted, events)
  else socket.resume()
}
