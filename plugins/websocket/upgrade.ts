import type { IncomingMessage } from 'node:http'

/** Sub-protocols, MQTT's own name first [MQTT-6.0.0-3]. */
const protocols = ['mqtt', 'mqttv3.1']

/** The path of a request, without its query. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  const end = url.search(/[?#]/)
  return end === -1 ? url : url.slice(0, end)
}

/** Why a request must not become a WebSocket: the whole answer, `null` where it may. */
export function whyRefused(
  request: IncomingMessage,
  options: { readonly path: string; readonly origins: readonly string[] | null },
): string | null {
  const { headers } = request
  if (pathOf(request) !== options.path) return response('404 Not Found', `MQTT is at ${options.path} here`)
  const origin = headers.origin ?? headers['sec-websocket-origin']
  if (options.origins !== null && origin !== undefined && !options.origins.includes(String(origin))) {
    return response('403 Forbidden', 'pages of this origin may not connect: websocket.origins')
  }
  const asked = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  if (!asked.some(name => protocols.includes(name))) {
    return response('400 Bad Request', `ask for one of the sub-protocols ${protocols.join(', ')} (Sec-WebSocket-Protocol)`)
  }
  return null
}

function response(status: string, text: string): string {
  const body = `${text}\n`
  const headers = ['Connection: close', 'Content-Type: text/plain; charset=utf-8', `Content-Length: ${Buffer.byteLength(body)}`]
  return `HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\n\r\n${body}`
}
