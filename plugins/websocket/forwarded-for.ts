import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { pathOf, refusal, type UpgradeRefusal } from './upgrade.ts'
import type { WebSocketConnection } from './websocket-connection.ts'

// What proxies put in front of the broker's own hops; a longer list is nobody's way here.
const hopsMax = 50

/** Whether an address is one of a trusted proxy. */
export type Trusts = (address: string | undefined) => boolean

/** Where a request comes from that asks for a WebSocket: the client's address by `X-Forwarded-For`, a refusal, or `null`: the client came by itself. */
export function forwardedFor(
  { headers }: IncomingMessage,
  from: string | undefined,
  trusts: Trusts,
): { readonly address: string } | UpgradeRefusal | null {
  const header = headers['x-forwarded-for']
  if (!trusts(from)) {
    return header === undefined ? null : refusal('400 Bad Request', 'X-Forwarded-For is taken from trusted proxies only', 'forwardedFor')
  }
  if (header === undefined) return refusal('400 Bad Request', 'the proxy sends no X-Forwarded-For; have it do so', 'forwardedFor')
  const hops = [header].flat().join(',').split(',').slice(-hopsMax)
  // What stands before the last hop that is no proxy's was written by whoever wanted to.
  for (let i = hops.length - 1; i >= 0; i--) {
    const address = addressOf(hops[i]!.trim())
    if (address === null) return refusal('400 Bad Request', 'X-Forwarded-For names something that is no address', 'forwardedFor')
    if (i === 0 || !trusts(address)) return { address }
  }
  return null
}

/** The client has that address, and who spoke for it is its proxy. */
export function behind(transport: WebSocketConnection, address: string): void {
  transport.proxied = { by: transport.remoteAddress }
  transport.remoteAddress = address
  transport.remotePort = 0
}

/** What of a refused request the log shows. */
export function shownOf({ about }: UpgradeRefusal, request: IncomingMessage): string {
  const { origin = '', 'x-forwarded-for': forwarded = '' } = request.headers
  return about === 'origin' ? origin : about === 'forwardedFor' ? [forwarded].flat().join(', ') : pathOf(request)
}

/** Some proxies write a port behind the address. */
function addressOf(hop: string): string | null {
  const plain = hop.replace(/^\[([^\]]*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')
  return isIP(plain) === 0 ? null : plain
}
