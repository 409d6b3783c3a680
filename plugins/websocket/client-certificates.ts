import type { Server } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Broker } from '../../core/broker.ts'
import type { PeerCertificate } from '../../core/connection/transport.ts'
import type { ClientLines } from '../kit/client-lines.ts'
import { certificateRefused, handshakeFailed } from '../kit/listening/handshake-lines.ts'
import type { Judged, ServerCertificates } from '../kit/services/tls.ts'

/** Judges the certificates of those who come by HTTPS, once for each connection, before any request is read. */
export class ClientCertificates {
  readonly #broker: Broker
  readonly #lines: ClientLines
  readonly #contexts: ServerCertificates
  readonly #known = new WeakMap<TLSSocket, Judged>()

  constructor(broker: Broker, contexts: ServerCertificates, lines: ClientLines) {
    this.#broker = broker
    this.#lines = lines
    this.#contexts = contexts
  }

  watch(server: Server): void {
    server.on('secureConnection', (socket: TLSSocket) => this.#judge(socket))
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      this.#broker.counters.handshakesFailed += 1
      this.#lines.say(handshakeFailed, socket.remoteAddress ?? '', error.message)
      socket.destroy()
    })
  }

  /** What the certificate of a connection says, if it showed one. */
  of(socket: TLSSocket): PeerCertificate | undefined {
    return this.#known.get(socket)?.certificate
  }

  /** Who a connection has shown to be. */
  judged(socket: TLSSocket): Judged | undefined {
    return this.#known.get(socket)
  }

  #judge(socket: TLSSocket): void {
    const judged = this.#contexts.judge(socket)
    this.#known.set(socket, judged)
    const { refused } = judged
    if (refused === undefined) return
    this.#broker.counters.handshakesFailed += 1
    this.#lines.say(certificateRefused, socket.remoteAddress ?? '', refused)
    socket.destroy()
  }
}
