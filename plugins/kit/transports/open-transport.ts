import type { Socket } from 'node:net'
import type { Seats, Transport, TransportEvents } from '../../../core/connection/transport.ts'
import type { ProxiedPeer } from '../listening/proxies.ts'
import { RawTransport } from './raw-transport.ts'
import { lentHandle } from './stream-binding.ts'
import { StreamTransport } from './stream-transport.ts'

/** What a transport says of itself, and how it is made. */
export interface SocketTransportOptions {
  /** What is spoken: `tcp`, `tls`, `ws`, `wss`. */
  readonly protocol: string
  /** The listener's name, for logs and settings: `socket`. */
  readonly listener: string
  /** The listener's places, one for each connection; `undefined`: there is no limit. */
  readonly seats: Seats
  /** Whether clients on whom no plugin has an opinion are let in here; `undefined`: as `allowAnonymous` at the root says. */
  readonly allowAnonymous: boolean | undefined
  /** A TLS socket whose handshake is done. */
  readonly encrypts: boolean
  /** Goes by the socket's handle where it has one: what `usesHandles` said. */
  readonly handles: boolean
  /** The client behind a trusted proxy, in place of whom the socket is connected with; `null`: there is no proxy. */
  readonly peer?: ProxiedPeer | null
  /** What stands for the address where there is none: the path of a Unix socket. */
  readonly address?: string | undefined
}

/**
 * A socket that somebody else has opened, an HTTP server or a TLS handshake, as a transport: on its handle where Node allows it,
 * for what a stream costs besides is more than all the rest of a message (TLS, 20 messages a turn: 1.25 µs each over the stream).
 */
export function transportOver(
  socket: Socket,
  options: SocketTransportOptions,
): { transport: Transport; start(events: TransportEvents): void } {
  const lent = options.handles ? lentHandle(socket) : null
  if (lent !== null) {
    const transport = new RawTransport(lent.handle, lent.binding, { ...options, lender: socket })
    return {
      transport,
      start(events) {
        // Bytes that the stream had read before; there are none where nobody listened.
        const early = socket.read() as Buffer | null
        transport.start(events)
        if (early !== null) events.onData(early, 0, early.length)
      },
    }
  }
  const { remoteAddress = options.address ?? '', remotePort = 0 } = socket
  const transport = new StreamTransport(socket, { ...options, remoteAddress, remotePort, takesBytes: !options.encrypts, ...options.peer })
  return { transport, start: events => transport.listen(events) }
}
