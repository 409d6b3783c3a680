import { isIP, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Broker } from '../../core/broker.ts'
import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import { OperatorError } from '../../core/errors.ts'
import { isLoopback } from '../../plugins/kit/network.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'

/** What a stream that a program hands over is taken for. */
export interface AcceptOptions {
  /** What is spoken below MQTT, for logs and metrics. Default: `tls` or `tcp` for a socket, else `stream`. */
  readonly protocol?: string
  /** The listener's name, for logs. Default: `program`. */
  readonly listener?: string
  /** The client's address. Default: the socket's own; none for another stream, which is taken for one of this process. */
  readonly remoteAddress?: string
  /** The client's port. Default: the socket's own, else 0. */
  readonly remotePort?: number
  /** Lets in clients on whom no authentication plugin has an opinion. Default: as the root's `allowAnonymous` says. */
  readonly allowAnonymous?: boolean
}

/** Takes a stream: whatever speaks MQTT over it is a client. `false`: it was refused, and is closed. */
export function acceptStream(broker: Broker, stream: Duplex, options: AcceptOptions): boolean {
  if (stream.readableObjectMode || stream.writableObjectMode || stream.readableEncoding !== null)
    throw new TypeError('accept: MQTT is bytes; hand in a stream without objectMode and without setEncoding')
  // Nobody would be told of its end.
  if (stream.destroyed || stream.readableEnded) {
    stream.destroy()
    return false
  }
  const transport = transportOf(stream, options)
  const events = acceptTransport(broker, transport)
  if (events === null) stream.on('error', () => {})
  else transport.listen(events)
  return events !== null
}

/** Takes a transport of a program's own, by the rule for who may connect. Null: refused, and closed. */
export function acceptTransport(broker: Broker, transport: Transport): TransportEvents | null {
  const { remoteAddress, allowAnonymous } = transport
  if (!isElsewhere(remoteAddress) || !broker.unguarded(allowAnonymous)) return broker.accept(transport)
  broker.counters.connections += 1
  broker.counters.connectionsRefused += 1
  const cure = 'listen on 127.0.0.1, add an authentication plugin, or say allowAnonymous: true'
  broker.report(new OperatorError('ERR_UNGUARDED', `accept: anybody could connect, and ${remoteAddress} is another machine; ${cure}`))
  transport.destroy()
  return null
}

/** An address of another machine. A name in its place, or none, is of this process. */
function isElsewhere(address: string): boolean {
  return isIP(address) !== 0 && !isLoopback(address)
}

function transportOf(stream: Duplex, { protocol, listener = 'program', remoteAddress, remotePort, allowAnonymous }: AcceptOptions) {
  if (!(stream instanceof Socket))
    return new StreamTransport(stream, { protocol: protocol ?? 'stream', listener, remoteAddress, remotePort, allowAnonymous })
  const encrypts = 'encrypted' in stream
  stream.setNoDelay(true)
  return new StreamTransport(stream, {
    protocol: protocol ?? (encrypts ? 'tls' : 'tcp'),
    listener,
    remoteAddress: remoteAddress ?? stream.remoteAddress,
    remotePort: remotePort ?? stream.remotePort,
    takesBytes: !encrypts,
    allowAnonymous,
  })
}
