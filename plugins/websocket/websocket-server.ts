import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Broker } from '../../core/broker.ts'
import type { Seats } from '../../core/connection/transport.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import type { ClientLines } from '../kit/client-lines.ts'
import { openFiles } from '../kit/listening/open-files.ts'
import type { ProxiedPeer, Proxies } from '../kit/listening/proxies.ts'
import type { RefusedLines } from '../kit/listening/refused-lines.ts'
import { tcpKeepAliveOf } from '../kit/listening/tcp-keep-alive.ts'
import type { HttpRoutes } from '../kit/services/http-routes.ts'
import type { ServerCertificates } from '../kit/services/tls.ts'
import { ClientCertificates } from './client-certificates.ts'
import { behind, forwardedFor, shownOf } from './forwarded-for.ts'
import { answer } from './http-answers.ts'
import { HttpSockets } from './http-sockets.ts'
import type { websocketManifest } from './manifest.ts'
import { pathOf, whyRefused } from './upgrade.ts'
import { refusalOf } from './upgrade-lines.ts'
import { compressed, payloadMaxOf, plain, requestOf, type Upgrader } from './upgrader.ts'
import type { WebSocketConnection } from './websocket-connection.ts'

/** What all connections of one listener have in common. */
export interface WebSocketListener {
  readonly broker: Broker
  /** Where its options stand, `websocket[1]`. */
  readonly at: string
  readonly routes: HttpRoutes
  readonly options: OptionsOf<typeof websocketManifest.options>
  readonly seats: Seats
  /** Says what is refused. */
  readonly lines: ClientLines
  readonly refused: RefusedLines
  /** Trusted proxies; `null`: there are none. */
  readonly proxies: Proxies | null
  /** The path of the Unix socket or named pipe; `null`: clients come by TCP. */
  readonly path: string | null
  /** Connections go by Node's own handles; not where `ws` compresses. */
  readonly handles: boolean
}

// Nothing that an MQTT client says in its headers is longer.
const headerBytesMax = 8192
// Headers come within this, whatever `heartbeat` leaves for CONNECT.
const headersMsMax = 10_000

/** An HTTP server that turns requests for the path into MQTT over WebSocket, and hands all others to the routes. It is yet to listen. */
export function createWebSocketServer(listener: WebSocketListener, contexts: ServerCertificates | null): Server {
  const { broker, options, at, routes, seats, refused, proxies } = listener
  const paths = [options.path].flat()
  const listed = options.origins === null ? null : [options.origins].flat()
  const { heartbeat } = broker.settings
  // The time to CONNECT begins when MQTT does; a request that does not come to its end has as long, its headers less.
  const headersTimeout = Math.min(headersMsMax, heartbeat)
  const limits: ServerOptions = {
    headersTimeout,
    requestTimeout: heartbeat,
    connectionsCheckingInterval: Math.ceil(headersTimeout / 2),
    maxHeaderSize: headerBytesMax,
    ...tcpKeepAliveOf(broker),
  }
  const certificates = contexts === null ? null : new ClientCertificates(broker, contexts, listener.lines)
  const server =
    contexts === null
      ? createServer(limits)
      : createSecureServer({ ...contexts.serverOptions(), ...limits, ALPNProtocols: ['http/1.1'], handshakeTimeout: heartbeat })
  if (contexts !== null) contexts.serve(server as Server as never)
  certificates?.watch(server)
  if (options.maxConnections !== null) server.maxConnections = options.maxConnections
  server.on('drop', () => {
    broker.counters.connectionsRefused += 1
    refused.full(server.maxConnections)
  })
  const payloadMax = options.maxPayload ?? payloadMaxOf(broker)
  const path = listener.path ?? undefined
  const common = { name: options.name, secure: contexts !== null, seats, allowAnonymous: options.allowAnonymous ?? undefined, path }
  if (options.compression) takeConnections(compressed(payloadMax, common))
  else takeConnections(plain(payloadMax, common, listener.handles))
  // Proxies say whose a connection is by its first bytes, or by a header of the request.
  const peers = new WeakMap<Socket, ProxiedPeer>()
  const forwarding = options.proxyProtocol ? null : proxies
  const trusts = (address: string | undefined): boolean => forwarding?.trusts(address) === true
  if (proxies !== null && forwarding === null) admitBehind(server, proxies, peers)
  server.on('request', (request, response) => {
    answer(request, response, { broker, routes, path: pathOf(request), mqttPaths: paths })
  })
  return server

  function takeConnections<T extends WebSocketConnection>({ make, upgrade }: Upgrader<T>): void {
    const sockets = new HttpSockets({ broker, routes, max: options.httpConnectionsMax, at, atPath: listener.path !== null, make })
    server.on('connection', (socket: Socket) => {
      const files = openFiles()
      if (files.hasRoom(files.reserve / 4)) {
        return sockets.accept(socket, server, peers.get(socket) ?? null, trusts(socket.remoteAddress))
      }
      broker.counters.connectionsRefused += 1
      broker.counters.limited.openFiles += 1
      refused.noFiles(socket.remoteAddress)
      socket.destroy()
    })

    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => {})
      const peerCertificate = certificates?.of(socket as TLSSocket)
      // A browser shows a certificate for whatever page asks, as it reaches loopback for it.
      const secretWanted = peerCertificate === undefined && !admitsAnybody(listener)
      const forwarded = forwarding === null ? null : forwardedFor(request, socket.remoteAddress, trusts)
      const isRefused = forwarded !== null && 'answer' in forwarded
      const why = isRefused ? forwarded : whyRefused(request, { paths, pages: { listed, secretWanted, option: 'websocket.origins' } })
      if (why !== null) {
        broker.counters.upgradesRefused += 1
        listener.lines.say(refusalOf(why), socket.remoteAddress ?? '', shownOf(why, request))
        socket.end(why.answer, () => socket.destroy())
        return
      }
      const transport = sockets.find(socket)
      if (transport === undefined) return void socket.destroy()
      if (forwarded !== null && !isRefused) behind(transport, forwarded.address)
      if (peerCertificate !== undefined) transport.peerCertificate = peerCertificate
      transport.pskIdentity = certificates?.judged(socket as TLSSocket)?.pskIdentity
      transport.username =
        peerCertificate === undefined ? certificates?.judged(socket as TLSSocket)?.username : contexts?.usernameOf(peerCertificate)
      transport.request = requestOf(request)
      upgrade({ request, socket, head, transport, events: () => sockets.handOver(transport) })
    })
  }
}

/** Every connection first shows whose it is: only then the HTTP server, and whoever else waits for connections, is told of it. */
function admitBehind(server: Server, proxies: Proxies, peers: WeakMap<Socket, ProxiedPeer>): void {
  const told = server.listeners('connection') as ((this: Server, socket: Socket) => void)[]
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) =>
    proxies.admit(socket, peer => {
      if (peer !== null) peers.set(socket, peer)
      for (const listener of told) listener.call(server, socket)
    }),
  )
}

/** A client comes in without showing who it is. Asked for each connection: taps may come and go. */
function admitsAnybody({ broker, options }: WebSocketListener): boolean {
  const allowed = options.allowAnonymous ?? broker.settings.allowAnonymous
  return allowed ?? !broker.hooks.onAuthenticate.isUsed()
}
