import { createServer, type Server, Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import { tcpKeepAliveOf } from '../kit/listening/tcp-keep-alive.ts'
import { transportOver } from '../kit/transports/open-transport.ts'
import { RawTransport } from '../kit/transports/raw-transport.ts'
import { isTcpHandle, rawHandles, type StreamBinding, type TcpHandle } from '../kit/transports/stream-binding.ts'
import { StreamTransport } from '../kit/transports/stream-transport.ts'
import type { SocketListener } from './socket-listener.ts'

/** A server for plain TCP, which is yet to listen. */
export function createTcpServer(listener: SocketListener): Server {
  const { proxies } = listener
  const options = { noDelay: true, ...tcpKeepAliveOf(listener.broker) }
  // Only where there are proxies is anything looked at before MQTT begins.
  if (proxies !== null) return createServer(options, stream => proxies.admit(stream, peer => acceptBehind(listener, stream, peer)))
  const server = createServer(options, stream => accept(listener, stream))
  // A server has its handle once it listens.
  if (listener.handles) server.once('listening', () => acceptHandles(listener, server))
  return server
}

function acceptHandles(listener: SocketListener, server: Server): void {
  const raw = rawHandles(server)
  if (raw === null) return
  const { keepAlive, keepAliveInitialDelay } = tcpKeepAliveOf(listener.broker)
  const keepAliveSeconds = keepAlive ? keepAliveInitialDelay / 1000 : 0
  const tune = (handle: TcpHandle): void => {
    handle.setNoDelay(true)
    if (keepAliveSeconds > 0) handle.setKeepAlive(true, keepAliveSeconds)
  }
  // On Linux a connection has what the listening socket has: five system calls less for each.
  const inherits = process.platform === 'linux' && isTcpHandle(raw.handle)
  if (inherits) tune(raw.handle as object as TcpHandle)
  raw.handle.onconnection = (failed, handle) => {
    if (handle === undefined) return listener.broker.report(new Error(`accept ${getSystemErrorName(failed)}`))
    if (!isTcpHandle(handle)) return accept(listener, new Socket({ handle } as never))
    if (!inherits) tune(handle)
    acceptRaw(listener, handle, raw.binding)
  }
}

function acceptBehind(
  { broker, name, seats, allowAnonymous, handles, path }: SocketListener,
  socket: Socket,
  peer: ProxiedPeer | null,
): void {
  const address = path ?? undefined
  const options = { protocol: 'tcp', listener: name, seats, allowAnonymous, handles, encrypts: false, peer, address }
  const { transport, start } = transportOver(socket, options)
  const events = broker.accept(transport)
  if (events !== null) start(events)
}

function accept({ broker, name, seats, allowAnonymous, path }: SocketListener, socket: Socket): void {
  const { remoteAddress = path ?? '', remotePort = 0 } = socket
  const options = { protocol: 'tcp', listener: name, remoteAddress, remotePort, takesBytes: true, seats, allowAnonymous }
  const transport = new StreamTransport(socket, options)
  const events = broker.accept(transport)
  if (events === null) {
    socket.on('error', () => {})
    return
  }
  transport.listen(events)
}

function acceptRaw({ broker, name, seats, allowAnonymous }: SocketListener, handle: TcpHandle, binding: StreamBinding): void {
  const transport = new RawTransport(handle, binding, { protocol: 'tcp', listener: name, seats, allowAnonymous })
  const events = broker.accept(transport)
  if (events !== null) transport.start(events)
}
