import { createServer, type Server, type Socket } from 'node:net'
import type { Broker } from '../../core/broker.ts'
import { StreamTransport } from '../../core/connection/stream-transport.ts'
import { OperatorError } from '../../core/errors.ts'
import { readShared, type SharedRead } from './shared-read.ts'

/** Opens one TCP listener. `optional`: a second address that the machine may lack; null then. */
export async function openServer(
  broker: Broker,
  host: string,
  port: number,
  sharedRead: boolean,
  optional: boolean,
): Promise<Server | null> {
  const shared = sharedRead ? readShared() : null
  const server = createServer({ pauseOnConnect: shared !== null, noDelay: true }, stream => accept(broker, stream, shared))
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port, backlog: broker.settings.soBacklog }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return null
    throw cannotListen(host, port, cause as NodeJS.ErrnoException)
  }
  server.on('error', error => broker.report(error))
  return server
}

/** Takes no more connections; those that are open go on. */
export function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    // `close` waits for connections, which the broker ends by itself.
    server.unref()
    resolve()
  })
}

function accept(broker: Broker, accepted: Socket, shared: SharedRead | null): void {
  const { remoteAddress = '', remotePort = 0 } = accepted
  const adopted = shared?.adopt(accepted) ?? null
  const socket = adopted ?? accepted
  const transport = new StreamTransport(socket, { protocol: 'tcp', listener: 'socket', remoteAddress, remotePort, takesBytes: true })
  const events = broker.accept(transport)
  if (events === null) {
    socket.on('error', () => {})
    return
  }
  transport.listen(events, adopted !== null)
  if (adopted !== null) shared!.start(adopted, events)
  else socket.resume()
}

function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): OperatorError {
  switch (cause.code) {
    case 'EADDRINUSE':
      return new OperatorError(
        'ERR_PORT_IN_USE',
        `socket.port: ${port} is in use on ${host}; stop the program that has it, or choose another with --port`,
        {
          cause,
        },
      )
    case 'EACCES':
      return new OperatorError(
        'ERR_PORT_FORBIDDEN',
        `socket.port: ${port} needs more rights than this user has; choose one above 1023 with --port`,
        { cause },
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new OperatorError('ERR_HOST', `host: ${host} is not an address of this machine; set host or socket.host to one that is`, {
        cause,
      })
    default:
      return new OperatorError('ERR_LISTEN', `socket: cannot listen on ${host}:${port}: ${cause.message}`, { cause })
  }
}
