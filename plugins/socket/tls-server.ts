import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createHandshakes, type TLSSocket } from 'node:tls'
import { certificateRefused, handshakeFailed } from '../kit/listening/handshake-lines.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import { tcpKeepAliveOf } from '../kit/listening/tcp-keep-alive.ts'
import type { ServerCertificates } from '../kit/services/tls.ts'
import { SecureTransport } from './secure-transport.ts'
import type { SocketListener } from './socket-listener.ts'

// The broker ends a handshake that takes too long; Node's own limit stands behind it.
const handshakeMsMax = 2 ** 31 - 1

/** A server for TLS, which is yet to listen: TCP in front, and behind it one that only shakes hands. */
export function createTlsServer(listener: SocketListener, contexts: ServerCertificates): Server {
  const { broker, lines, proxies, alpn } = listener
  // By address and port, which no two connections of one listener share: of a socket that is secure Node does not say which it was before.
  const pending = new Map<string, SecureTransport>()
  const options = {
    ...contexts.serverOptions(),
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
    handshakeTimeout: Math.min(broker.settings.heartbeat * 2, handshakeMsMax),
  }
  const handshakes = createHandshakes(options, socket => secured(socket))
  contexts.serve(handshakes)
  handshakes.on('tlsClientError', (error, socket) => {
    broker.counters.handshakesFailed += 1
    const transport = taken(socket)
    lines.say(handshakeFailed, transport?.remoteAddress ?? '', error.message)
    transport?.failed(error)
    socket.destroy()
  })

  function accepted(raw: Socket, peer: ProxiedPeer | null): void {
    const transport = new SecureTransport(raw, listener, peer)
    const events = broker.accept(transport)
    if (events === null) {
      raw.on('error', () => {})
      return
    }
    const key = keyOf(raw)
    pending.set(key, transport)
    raw.on('close', () => pending.delete(key))
    transport.start(events)
    handshakes.emit('connection', raw)
  }

  function taken(socket: TLSSocket): SecureTransport | undefined {
    const key = keyOf(socket)
    const transport = pending.get(key)
    pending.delete(key)
    return transport
  }

  function secured(socket: TLSSocket): void {
    const transport = taken(socket)
    if (transport === undefined) {
      socket.destroy()
      return
    }
    const { certificate, refused, pskIdentity, username } = contexts.judge(socket)
    if (refused !== undefined) {
      broker.counters.handshakesFailed += 1
      lines.say(certificateRefused, transport.remoteAddress, refused)
      transport.failed(new Error(refused))
      socket.destroy()
      return
    }
    transport.peerCertificate = certificate
    transport.pskIdentity = pskIdentity
    transport.username = certificate === undefined ? username : contexts.usernameOf(certificate)
    transport.secured(socket)
  }

  return createServer({ noDelay: true, ...tcpKeepAliveOf(broker) }, raw => {
    if (proxies === null) accepted(raw, null)
    else proxies.admit(raw, peer => accepted(raw, peer))
  })
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
