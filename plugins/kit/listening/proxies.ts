import type { Socket } from 'node:net'
import type { Broker } from '../../../core/broker.ts'
import type { PeerCertificate, Proxied } from '../../../core/connection/transport.ts'
import type { ClientEvent, ClientLines } from '../client-lines.ts'
import { AddressList } from '../network.ts'
import { type ProxyHeader, readProxyHeader } from './proxy-header.ts'

/** The client behind a trusted proxy. */
export interface ProxiedPeer {
  /** The client's address. */
  readonly remoteAddress: string
  /** The client's port; 0 where the proxy did not say it. */
  readonly remotePort: number
  /** What else the proxy said. */
  readonly proxied: Proxied
  /** The certificate that the client showed to the proxy. */
  readonly peerCertificate?: PeerCertificate | undefined
}

/** A connection whose proxy said nothing usable, or whose sender may not speak for others, for `ClientLines`: by the address that it came from, and why. */
export const proxyRefused: ClientEvent = { level: 'warn', text: 'connection refused: PROXY protocol', who: 'address', about: 'reason' }

// A proxy sends its header with the connection's first bytes.
const headerMsMax = 5000
// Connections of one listener whose header has not come: each is a proxy's, which sends it at once.
const waitingMax = 1000

/** What the connections of a listener behind proxies have in common. */
export interface ProxiesOptions {
  /** The broker that the listener is one of. */
  readonly broker: Broker
  /** Says which connections are refused, and why. */
  readonly lines: ClientLines
  /** The listener's option: addresses and networks. */
  readonly trusted: readonly string[]
  /** The option, for errors: `socket.trustedProxies`. */
  readonly at: string
}

/**
 * Reads the headers of the PROXY protocol (versions 1 and 2) with which trusted proxies begin their connections. A trusted proxy that sends none is refused. Whoever else
 * connects is a client that came by itself; a header from there is no MQTT, TLS or HTTP, and ends its connection. A connection that waits for its header has 5 s, or
 * `heartbeat` where that is shorter; there are at most 1000 of them.
 */
export class Proxies {
  readonly #broker: Broker
  readonly #lines: ClientLines
  readonly #trusted: AddressList
  #waiting: number

  constructor({ broker, lines, trusted, at }: ProxiesOptions) {
    this.#broker = broker
    this.#lines = lines
    this.#trusted = new AddressList(trusted, at)
    this.#waiting = 0
  }

  /** Whether that address is one of a trusted proxy; `undefined`: the other side of a Unix socket. */
  trusts(address: string | undefined): boolean {
    return this.#trusted.has(address)
  }

  /**
   * Reads the header of a new connection, where a trusted proxy has opened it, and hands the connection on: with the client behind the proxy, or `null` where the client
   * has come by itself or the proxy speaks for itself. What came behind the header is still to be read. A connection that is refused is closed, and not handed on.
   */
  admit(socket: Socket, then: (peer: ProxiedPeer | null) => void): void {
    const { remoteAddress } = socket
    if (!this.trusts(remoteAddress)) return then(null)
    const from = remoteAddress ?? 'unix'
    if (this.#waiting >= waitingMax) return this.#refuse(socket, from, `${waitingMax} connections wait for their headers already`)
    this.#waiting += 1
    const { clock, settings } = this.#broker
    let early: Buffer | null = null
    const end = (): void => {
      this.#waiting -= 1
      timer.cancel()
      socket.off('readable', read)
      socket.off('end', ended)
      socket.off('close', end)
    }
    const refuse = (reason: string): void => {
      end()
      this.#refuse(socket, from, reason)
    }
    const ended = (): void => refuse('it ended before its header was whole')
    const read = (): void => {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      early = early === null ? chunk : Buffer.concat([early, chunk])
      let header: ProxyHeader | null
      try {
        header = readProxyHeader(early)
      } catch (error) {
        return refuse((error as Error).message)
      }
      if (header === null) return
      end()
      if (early.length > header.size) socket.unshift(early.subarray(header.size))
      then(peerOf(header, from))
    }
    const timer = clock.after(Math.min(headerMsMax, settings.heartbeat), () => refuse('its header did not come in time'))
    socket.on('error', nothing)
    socket.on('end', ended)
    socket.on('close', end)
    socket.on('readable', read)
  }

  #refuse(socket: Socket, from: string, reason: string): void {
    this.#broker.counters.connectionsRefused += 1
    this.#lines.say(proxyRefused, from, reason)
    socket.destroy()
  }
}

function nothing(): void {}

function peerOf({ address, port, tls, certificate }: ProxyHeader, by: string): ProxiedPeer | null {
  if (address === null) return null
  return { remoteAddress: address, remotePort: port, proxied: { by, tls }, peerCertificate: certificate }
}
