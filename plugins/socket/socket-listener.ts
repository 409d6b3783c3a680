import type { Broker } from '../../core/broker.ts'
import type { Seats } from '../../core/connection/transport.ts'
import type { ClientLines } from '../kit/client-lines.ts'
import type { Proxies } from '../kit/listening/proxies.ts'

/** What all connections of one listener have in common. */
export interface SocketListener {
  readonly broker: Broker
  /** What options call it that hold for some listeners only. */
  readonly name: string
  readonly seats: Seats
  /** Says what is refused. */
  readonly lines: ClientLines
  readonly allowAnonymous: boolean | undefined
  /** Trusted proxies, whose connections begin with a header; `null`: there are none. */
  readonly proxies: Proxies | null
  /** The path of the Unix socket or named pipe, which stands for the address of clients; `null`: they come by TCP. */
  readonly path: string | null
  /** The names that are agreed on by ALPN. */
  readonly alpn: readonly string[]
  /** They go by Node's own handles. */
  readonly handles: boolean
}
