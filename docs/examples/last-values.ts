// The last message of each topic, retained or not, for programs that speak HTTP: `GET /last/sensors/1` answers one,
// `GET /last/?filter=sensors/%23` lists what matches. Beside MQTT over WebSocket, on the same port; who asks shows a token. What is longest ago goes first
// where `bytesMax` is reached.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { definePlugin, isTopicFilter, matches, Stage } from 'mqttx-broker'

interface Last {
  readonly payload: Buffer
  readonly contentType: string | undefined
  readonly at: number
  readonly bytes: number
}

// Objects and strings around each value, roughly.
const overhead = 200
// So many at most in one answer.
const listMax = 1000

/** Serves the last message of each topic over HTTP. */
export const lastValues = definePlugin({
  name: 'lastValues',
  requires: ['http'],
  options: {
    /** Who asks sends it as `Authorization: Bearer TOKEN`. Give it by the environment: `MQTTX_LAST_VALUES__TOKEN`. */
    token: { type: 'string', required: true, minLength: 16 },
    /** Topic filters of what is kept. */
    filters: { type: 'list', items: { type: 'string' }, default: ['#'] },
    /** How many bytes all values together may take. */
    bytesMax: { type: 'bytes', default: '64MiB' },
  },
  apply({ hooks, services, clock }, { token, filters, bytesMax }) {
    // In the order of their coming: the one that is longest ago is the first.
    const values = new Map<string, Last>()
    let bytes = 0

    function forget(topic: string): void {
      bytes -= values.get(topic)?.bytes ?? 0
      values.delete(topic)
    }

    hooks.onRoute.tap({ name: 'lastValues', stage: Stage.Observe }, ({ topic, payload, properties }) => {
      if (topic.startsWith('$') || !filters.some(filter => matches(filter, topic))) return
      forget(topic)
      const size = payload.length + topic.length * 2 + overhead
      if (size > bytesMax) return
      // A copy of its own size: the payload may be a part of a larger buffer.
      values.set(topic, { payload: Buffer.from(payload), contentType: properties?.contentType, at: clock.now(), bytes: size })
      bytes += size
      for (const oldest of values.keys()) {
        if (bytes <= bytesMax) break
        forget(oldest)
      }
    })

    const expected = Buffer.from(`Bearer ${token}`)
    function isAllowed({ headers: { authorization = '' } }: IncomingMessage): boolean {
      const given = Buffer.from(authorization)
      return given.length === expected.length && timingSafeEqual(given, expected)
    }

    function answer(request: IncomingMessage, response: ServerResponse): void {
      if (!isAllowed(request))
        return send(response, 401, { error: 'show the token: Authorization: Bearer …' }, { 'www-authenticate': 'Bearer' })
      if (request.method !== 'GET') return send(response, 405, { error: 'GET only' }, { allow: 'GET' })
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
      const topic = decoded(pathname.slice('/last/'.length))
      if (topic === null) return send(response, 400, { error: 'the topic name is no UTF-8' })
      if (topic === '') return list(response, searchParams.get('filter') ?? '#')
      const last = values.get(topic)
      return last === undefined ? send(response, 404, { error: `nothing has come for ${topic}` }) : send(response, 200, shown(topic, last))
    }

    function list(response: ServerResponse, filter: string): void {
      if (!isTopicFilter(filter)) return send(response, 400, { error: 'filter is no topic filter' })
      const found: object[] = []
      let more = false
      for (const [topic, last] of values) {
        if (!matches(filter, topic)) continue
        if ((more = found.length === listMax)) break
        found.push(shown(topic, last))
      }
      return send(response, 200, { values: found, more })
    }

    let remove: (() => void) | undefined
    return {
      start: () => void (remove = services.get('http').handle('/last/', answer)),
      stop: () => remove?.(),
    }
  },
})

const shown = (topic: string, { payload, contentType, at }: Last): object => ({
  topic,
  payload: payload.toString('base64'),
  contentType,
  at: new Date(at).toISOString(),
})

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

// Always JSON, never what a publisher calls it: a browser must not take a payload for a page.
function send(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    ...headers,
  })
  response.end(JSON.stringify(body))
}
