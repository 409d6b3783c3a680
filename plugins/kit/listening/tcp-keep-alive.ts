import type { Broker } from '../../../core/broker.ts'

const usualMs = 300_000

/** What Node's servers are told, so that the system asks silent clients whether they are still there: on every connection that they accept. */
export interface TcpKeepAlive {
  /** Whether the system asks. */
  readonly keepAlive: boolean
  /** Milliseconds of silence before it asks first; the system counts in seconds. */
  readonly keepAliveInitialDelay: number
}

/** The broker's `tcpKeepAlive` as Node's servers take it. */
export function tcpKeepAliveOf({ settings: { tcpKeepAlive } }: Broker): TcpKeepAlive {
  const ms = tcpKeepAlive === true ? usualMs : Number(tcpKeepAlive)
  // A part of a second would be none, which the system does not take.
  return { keepAlive: ms > 0, keepAliveInitialDelay: Math.ceil(ms / 1000) * 1000 }
}
