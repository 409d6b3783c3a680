import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Broker } from '../../core/broker.ts'
import type { PeerCertificate } from '../../core/connection/transport.ts'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsInput, OptionsOf } from '../../core/options/options.ts'
import { type ClientEvent, ClientLines } from '../kit/client-lines.ts'
import type { ListenerAddress } from '../kit/listening/listener-addresses.ts'
import { RefusedLines } from '../kit/listening/refused-lines.ts'
import { CountedSeats } from '../kit/listening/seats.ts'
import { AddressList, isLoopback } from '../kit/network.ts'
import { checkOptions } from '../kit/options/validation.ts'
import { usesHandles } from '../kit/transports/handle-trial.ts'
import { attachOptions } from './attach-options.ts'
import { behind, forwardedFor, shownOf, type Trusts } from './forwarded-for.ts'
import { pathOf, whyRefused } from './upgrade.ts'
import { refusalOf } from './upgrade-lines.ts'
import { takeUpgrades } from './upgrade-sharing.ts'
import { compressed, payloadMaxOf, plain, requestOf, type Upgrader } from './upgrader.ts'
import type { WebSocketConnection } from './websocket-connection.ts'

/** How a broker is attached to a server of somebody else's. */
export type AttachOptions = OptionsInput<typeof attachOptions>

/** A broker at a server of somebody else's. */
export interface Attachment {
  /** Takes no more connections from there; those that are open go on. The server is left as it was. */
  detach(): void
}

/** What an attachment is told by whoever makes it. */
export interface Attaching {
  readonly broker: Broker
  /** What the certificate of a client says, where the server asked for one. */
  certificateOf(socket: TLSSocket): PeerCertificate | undefined
  /** The server listens, and clients can connect. */
  listening(address: ListenerAddress): void
}

/**
 * Takes MQTT over WebSocket from an HTTP server that somebody else has made, at one or more of its paths. Rejects with an `OperatorError`: `ERR_CONFIG`, `ERR_ATTACH`, and
 * `ERR_UNGUARDED` where the server is not on loopback while anybody may connect; one that begins to listen later has its clients refused then, each with that reason.
 */
export async function attachServer(server: Server, given: AttachOptions, attaching: Attaching): Promise<Attachment> {
  const { broker } = attaching
  const options = checkOptions(attachOptions, given, 'attach') as OptionsOf<typeof attachOptions>
  const { maxConnections, origins, compression, trustedProxies } = options
  const proxies = new AddressList(trustedProxies, 'attach.trustedProxies')
  const trusts: Trusts | null = trustedProxies.length === 0 ? null : address => proxies.has(address)
  const allowAnonymous = options.allowAnonymous ?? undefined
  const paths = [options.path].flat()
  const listed = origins === null ? null : [origins].flat()
  const secure = 'setSecureContext' in server
  const handles = await usesHandles(secure ? 'tls' : 'tcp', options.sharedRead && !compression, broker.log)
  // Neither name is one of the config's sections.
  const seats = new CountedSeats(maxConnections, new RefusedLines(broker, 'attach'))
  const lines = new ClientLines(broker.clock, broker.log)
  const common = { name: 'websocket', secure, seats, allowAnonymous }
  const payloadMax = options.maxPayload ?? payloadMaxOf(broker)
  const take = compression ? taker(compressed(payloadMax, common)) : taker(plain(payloadMax, common, handles))

  const isOpen = (): boolean => broker.unguarded(allowAnonymous) && !isOnLoopback(server)
  if (server.listening && isOpen()) throw unguarded(server)
  const release = takeUpgrades(server, paths, take)
  const onListening = (): void => {
    if (isOpen()) broker.report(unguarded(server))
    attaching.listening(placeOf(server, secure))
    broker.log.info(`${secure ? 'wss' : 'ws'} at ${paths.join(' and ')} of the server on ${hostOf(server)}`)
  }
  if (server.listening) onListening()
  else server.on('listening', onListening)
  return {
    detach() {
      server.off('listening', onListening)
      release()
      lines.flush()
    },
  }

  function taker<T extends WebSocketConnection>({ make, upgrade }: Upgrader<T>) {
    return (request: IncomingMessage, socket: Socket, head: Buffer): void => {
      socket.on('error', () => {})
      const address = socket.remoteAddress ?? ''
      const certificate = secure ? attaching.certificateOf(socket as TLSSocket) : undefined
      const admitsAnybody = allowAnonymous ?? broker.settings.allowAnonymous ?? !broker.hooks.onAuthenticate.isUsed()
      // A browser shows a certificate for whatever page asks.
      const pages = { listed, secretWanted: certificate === undefined && !admitsAnybody, option: 'attach.origins' }
      const forwarded = trusts === null ? null : forwardedFor(request, socket.remoteAddress, trusts)
      const isRefused = forwarded !== null && 'answer' in forwarded
      const why = isRefused ? forwarded : whyRefused(request, { paths, pages })
      if (why !== null) {
        broker.counters.upgradesRefused += 1
        lines.say(refusalOf(why), address, shownOf(why, request))
        socket.end(why.answer, () => socket.destroy())
        return
      }
      if (broker.unguarded(allowAnonymous) && !isFromLoopback(server, socket)) {
        broker.counters.upgradesRefused += 1
        lines.say(unguardedClient, address, pathOf(request))
        socket.end(unguardedAnswer, () => socket.destroy())
        return
      }
      const transport = make(socket)
      if (forwarded !== null && !isRefused) behind(transport, forwarded.address)
      // Nobody has asked onAccept about it.
      transport.acceptedAs = undefined
      transport.peerCertificate = certificate
      transport.request = requestOf(request)
      upgrade({ request, socket, head, transport, events: () => broker.accept(transport) })
    }
  }
}

const cure = "have the server listen on '127.0.0.1', add an authentication plugin, or say allowAnonymous: true"
const unguardedClient: ClientEvent = {
  level: 'warn',
  text: `request for a WebSocket refused: anybody could connect; ${cure}`,
  who: 'address',
  about: 'path',
}
const unguardedText = 'The operator of this broker has not said who may connect.\n'
const unguardedAnswer = `HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${unguardedText.length}\r\n\r\n${unguardedText}`

function unguarded(server: Server): OperatorError {
  return new OperatorError('ERR_UNGUARDED', `attach: anybody could connect, for the server is on ${hostOf(server)}; ${cure}`)
}

/** A pipe or a Unix socket has no other machine at its end. */
function isOnLoopback(server: Server): boolean {
  const address = server.address()
  return address === null || typeof address === 'string' || isLoopback(address.address)
}

/** The same for a server that does not listen by itself: whoever gives it its connections has listened. */
function isFromLoopback(server: Server, { localAddress }: Socket): boolean {
  return server.address() === null ? localAddress === undefined || isLoopback(localAddress) : isOnLoopback(server)
}

function hostOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') return address ?? 'no port'
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${host}:${address.port}`
}

function placeOf(server: Server, secure: boolean): ListenerAddress {
  const address = server.address()
  const { address: host, port } = address === null || typeof address === 'string' ? { address: address ?? '', port: 0 } : address
  return { name: 'attach', protocol: secure ? 'wss' : 'ws', host, port }
}
