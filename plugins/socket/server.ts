import { createServer, type Server, type Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { Broker } from '../../core/broker.ts'
import { StreamTransport } from '../../core/connection/stream-transport.ts'
import { OperatorError } from '../../core/errors.ts'
import { RawTransport } from './raw-transport.ts'
import { rawHandles, type StreamBinding, type TcpHandle } from './stream-binding.ts'

/** Opens one TCP listener. `optional`: a second address that the machine may lack; null then. */
export async function openServer(
  broker: Broker,
  host: string,
  port: number,
  sharedRead: boolean,
  optional: boolean,
): Promise<Server | null> {
  const server = createServer({ noDelay: true }, stream => accept(broker, stream))
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
  const raw = sharedRead ? rawHandles(server) : null
  if (raw !== null) {
    raw.handle.onconnection = (failed, handle) => {
      if (handle === undefined) broker.report(new Error(`accept ${getSystemErrorName(failed)}`))
      else acceptRaw(broker, handle, raw.binding)
    }
  }
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

function accept(broker: Broker, socket: Socket): void {
  const { remoteAddress = '', remotePort = 0 } = socket
  const transport = new StreamTransport(socket, { protocol: 'tcp', listener: 'socket', remoteAddress, remotePort, takesBytes: true })
  const events = broker.accept(transport)
  if (events === null) {
    socket.on('error', () => {})
    return
  }
  transport.listen(events)
}

function acceptRaw(broker: Broker, handle: TcpHandle, binding: StreamBinding): void {
  handle.setNoDelay(true)
  const transport = new RawTransport(handle, binding, 'socket')
  const events = broker.accept(transport)
  if (events !== null) transport.start(events)
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
