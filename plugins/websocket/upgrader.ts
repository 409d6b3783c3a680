import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Broker } from '../../core/broker.ts'
import type { TransportEvents, TransportRequest } from '../../core/connection/transport.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import { transportOver } from '../kit/transports/open-transport.ts'
import { CompressedTransport } from './compressed-transport.ts'
import { FrameTransport } from './frame-transport.ts'
import { acceptance, protocolOf } from './upgrade.ts'
import type { WebSocketConnection, WebSocketOptions } from './websocket-connection.ts'

// A WebSocket that one side has closed is closed by the other within this.
const closeMs = 2000
// Above the packets' limit, for what else a client puts into the same message.
const besidesPacket = 65_536

/** The largest message of WebSocket that is taken where no option says it. */
export function payloadMaxOf({ settings }: Broker): number {
  return settings.mqtt.maximumPacketSize + besidesPacket
}

/** What of a request is kept until its client is admitted. */
export function requestOf({ url = '/', headers }: IncomingMessage): TransportRequest {
  return { url, headers }
}

/** A request for a WebSocket that nothing speaks against. */
export interface Upgrade<T> {
  readonly request: IncomingMessage
  readonly socket: Socket
  /** What came behind the request. */
  readonly head: Buffer
  /** What the connection has been since it was accepted. */
  readonly transport: T
  /** Hands the transport to the broker; `null`: it is not taken, and closed. */
  events(): TransportEvents | null
}

/** Makes WebSockets of connections, by one kind of transport. */
export interface Upgrader<T extends WebSocketConnection> {
  /** The transport of a connection that was just accepted. */
  make(accepted: Socket, peer?: ProxiedPeer | null): T
  /** Makes a WebSocket of it. */
  upgrade(upgrade: Upgrade<T>): void
}

/** WebSockets whose frames are read and written here. */
export function plain(payloadMax: number, options: WebSocketOptions, handles: boolean): Upgrader<FrameTransport> {
  return {
    make: (accepted, peer) => new FrameTransport(accepted, payloadMax, options, peer),
    upgrade({ request, socket, head, transport, events }) {
      const { secure, seats, allowAnonymous } = options
      socket.setNoDelay(true)
      const inner = transportOver(socket, { protocol: '', listener: '', seats, allowAnonymous, encrypts: secure, handles })
      transport.over(inner.transport)
      const told = events()
      if (told === null) return
      transport.listen(told)
      inner.transport.write(Buffer.from(acceptance(request)))
      if (head.length > 0) socket.unshift(head)
      inner.start(transport)
    },
  }
}

/** WebSockets of the package `ws`, which compresses. */
export function compressed(payloadMax: number, options: WebSocketOptions): Upgrader<CompressedTransport> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    autoPong: false,
    skipUTF8Validation: true,
    closeTimeout: closeMs,
    maxPayload: payloadMax,
    perMessageDeflate: deflate,
    // Whoever asks for neither has been refused before.
    handleProtocols: (_protocols, request) => protocolOf(request) ?? false,
  } as ConstructorParameters<typeof WebSocketServer>[0])
  return {
    make: (accepted, peer) => new CompressedTransport(accepted, options, peer),
    upgrade({ request, socket, head, transport, events }) {
      server.handleUpgrade(request, socket, head, webSocket => {
        webSocket.on('error', () => {})
        transport.over(webSocket, socket)
        const told = events()
        if (told !== null) transport.start(told)
      })
    },
  }
}

// Without what one message teaches for the next, which would cost each client 300 KiB more; and few at once, so that a thread is left.
const deflate = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 1024,
  concurrencyLimit: 4,
  zlibDeflateOptions: { level: 3, memLevel: 7 },
}
