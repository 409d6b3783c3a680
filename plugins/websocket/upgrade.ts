import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type PageRule, whyForeign } from './origins.ts'

/** The sub-protocols that a client may ask for, MQTT's own name first [MQTT-6.0.0-3]. */
const protocols = ['mqtt', 'mqttv3.1']
// RFC 6455, section 1.3.
const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The path of a request, without its query. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  const end = url.search(/[?#]/)
  return end === -1 ? url : url.slice(0, end)
}

/** The sub-protocol that the broker speaks of those that a client asks for [MQTT-6.0.0-4]; `undefined` where it asks for none of them. */
export function protocolOf({ headers }: IncomingMessage): string | undefined {
  const asked = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  return protocols.find(name => asked.includes(name))
}

/** Why a request does not become a WebSocket, and the answer that says so. */
export interface UpgradeRefusal {
  /** What is wrong and the cure, for the client and the log. */
  readonly text: string
  /** What of the request the log shows with it. */
  readonly about: 'path' | 'origin' | 'forwardedFor'
  /** The whole answer. */
  readonly answer: string
}

/** Why a request must not become a WebSocket; `null` where it may. */
export function whyRefused(
  request: IncomingMessage,
  { paths, pages }: { readonly paths: readonly string[]; readonly pages: PageRule },
): UpgradeRefusal | null {
  const { headers, method } = request
  if (!paths.includes(pathOf(request))) return refusal('404 Not Found', `MQTT is at ${paths.join(', ')} here`)
  const key = headers['sec-websocket-key'] ?? ''
  const isUpgrade = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && /^[+/0-9a-z]{22}==$/i.test(key)
  if (!isUpgrade) return refusal('400 Bad Request', 'this is no request for a WebSocket (RFC 6455)')
  // What comes behind the request is MQTT.
  if ((headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined)
    return refusal('400 Bad Request', 'a request for a WebSocket has no body')
  if (headers['sec-websocket-version'] !== '13') {
    return refusal('426 Upgrade Required', 'version 13 of WebSocket is spoken here', 'path', ['Sec-WebSocket-Version: 13'])
  }
  const foreign = whyForeign(headers.origin, pages)
  if (foreign !== null) return refusal('403 Forbidden', foreign, 'origin')
  if (protocolOf(request) === undefined) {
    return refusal('400 Bad Request', `ask for one of the sub-protocols ${protocols.join(', ')} (Sec-WebSocket-Protocol)`)
  }
  return null
}

/** The answer that makes a WebSocket of a connection. */
export function acceptance(request: IncomingMessage): string {
  const proof = createHash('sha1').update(`${request.headers['sec-websocket-key']}${guid}`).digest('base64')
  const headers = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${proof}`]
  return `HTTP/1.1 101 Switching Protocols\r\n${headers.join('\r\n')}\r\nSec-WebSocket-Protocol: ${protocolOf(request)}\r\n\r\n`
}

/** The answer that refuses a request, and what the log shows with it. */
export function refusal(
  status: string,
  text: string,
  about: UpgradeRefusal['about'] = 'path',
  more: readonly string[] = [],
): UpgradeRefusal {
  const body = `${text}\n`
  const length = `Content-Length: ${Buffer.byteLength(body)}`
  const headers = ['Connection: close', 'Content-Type: text/plain; charset=utf-8', length, ...more]
  return { text, about, answer: `HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\n\r\n${body}` }
}
