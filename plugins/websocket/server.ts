import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Broker } from '../../core/broker.ts'
import type { OptionsOf } from '../../core/config/options.ts'
import type { HttpRoutes } from '../../core/listening/http-routes.ts'
import type { Seats } from '../../core/listening/seats.ts'
import type { TlsContexts } from '../../core/tls/tls-contexts.ts'
import { ClientCertificates } from './client-certificates.ts'
import { answer } from './http-answers.ts'
import type { websocketOptions } from './options.ts'
import { WebSocketTransport } from './transport.ts'
import { pathOf, whyRefused } from './upgrade.ts'

/** What all connections of one listener have in common. */
export interface WebSocketDoor {
  readonly broker: Broker
  readonly routes: HttpRoutes
  readonly options: OptionsOf<typeof websocketOptions>
  readonly seats: Seats
}

// Nothing that an MQTT client says in its headers is longer.
const headerBytesMax = 8192
// A WebSocket that one side has closed is closed by the other within this.
const closeMs = 2000
// Above the packets' limit, for what else a client puts into the same message.
const besidesPacket = 65_536
const checkMsMax = 30_000

/** An HTTP server that turns requests for the path into MQTT over WebSocket, and hands all others to the routes. It is yet to listen. */
export function createWebSocketServer(door: WebSocketDoor, contexts: TlsContexts | null): Server {
  const { broker, options, seats } = door
  const { heartbeat, mqtt } = broker.settings
  // The time to CONNECT begins when MQTT does; a request that does not come to its end has as long.
  const limits: ServerOptions = {
    headersTimeout: heartbeat,
    requestTimeout: heartbeat,
    connectionsCheckingInterval: Math.min(checkMsMax, Math.ceil(heartbeat / 2)),
    maxHeaderSize: headerBytesMax,
  }
  const certificates = contexts === null ? null : new ClientCertificates(broker, contexts)
  const server =
    contexts === null
      ? createServer(limits)
      : createSecureServer({ ...contexts.serverOptions(), ...limits, ALPNProtocols: ['http/1.1'], handshakeTimeout: heartbeat })
  if (contexts !== null) contexts.serve(server as Server as never)
  certificates?.watch(server)
  if (options.maxConnections !== null) server.maxConnections = options.maxConnections
  server.on('drop', () => {
    broker.counters.connectionsRefused += 1
  })

  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    autoPong: false,
    skipUTF8Validation: true,
    closeTimeout: closeMs,
    maxPayload: options.maxPayload ?? mqtt.maximumPacketSize + besidesPacket,
    perMessageDeflate: options.compression ? deflate : false,
    // Whoever asks for neither has been refused before.
    handleProtocols: protocols => (protocols.has('mqtt') ? 'mqtt' : 'mqttv3.1'), // [MQTT-6.0.0-4]
  } as ConstructorParameters<typeof WebSocketServer>[0])

  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const refused = whyRefused(request, options)
    if (refused !== null) {
      socket.on('error', () => {})
      socket.end(refused)
      return
    }
    webSockets.handleUpgrade(request, socket, head, webSocket => accept(webSocket, socket))
  })
  server.on('request', (request, response) => {
    answer(request, response, { broker, routes: door.routes, path: pathOf(request), mqttPath: options.path })
  })

  function accept(webSocket: WebSocket, socket: Socket): void {
    const peerCertificate = certificates?.of(socket as TLSSocket)
    const transport = new WebSocketTransport(webSocket, {
      socket,
      secure: contexts !== null,
      remoteAddress: socket.remoteAddress ?? '',
      remotePort: socket.remotePort ?? 0,
      seats,
      allowAnonymous: options.allowAnonymous ?? undefined,
      peerCertificate,
      username: peerCertificate === undefined ? undefined : contexts?.usernameOf(peerCertificate),
    })
    webSocket.on('error', () => {})
    const events = broker.accept(transport)
    if (events !== null) transport.start(events)
  }

  return server
}

// Without what one message teaches for the next, which would cost each client 300 KiB more; and few at once, so that a thread is left.
const deflate = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 1024,
  concurrencyLimit: 4,
  zlibDeflateOptions: { level: 3, memLevel: 7 },
}
