import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Broker } from '../../core/broker.ts'
import type { HttpRoutes } from '../kit/services/http-routes.ts'

/** What an answer to a request depends on. */
export interface Asked {
  readonly broker: Broker
  readonly routes: HttpRoutes
  readonly path: string
  /** Where MQTT is; the first is the one that is said. */
  readonly mqttPaths: readonly string[]
}

/** Answers a request that is no upgrade: by whoever serves the path, else by saying what is here. */
export function answer(request: IncomingMessage, response: ServerResponse, asked: Asked): void {
  const handler = asked.routes.find(asked.path)
  if (handler === undefined) return explain(request, response, asked)
  try {
    const done = handler(request, response)
    if (done instanceof Promise) done.catch(error => failed(error, response, asked))
  } catch (error) {
    failed(error, response, asked)
  }
}

function explain(request: IncomingMessage, response: ServerResponse, { path, mqttPaths }: Asked): void {
  const mqttPath = mqttPaths[0]!
  if (path !== '/' && mqttPaths.includes(path)) {
    response.setHeader('Upgrade', 'websocket')
    say(response, 426, `This is MQTT over WebSocket: connect with an MQTT client, to ws${secure(request)}://${hostOf(request)}${path}`)
  } else if (path === '/') {
    say(response, 200, `mqttx-broker, an MQTT broker. MQTT over WebSocket is at ws${secure(request)}://${hostOf(request)}${mqttPath}`)
  } else {
    say(response, 404, `Nothing is here. MQTT over WebSocket is at ${mqttPath}`)
  }
}

function secure({ socket }: IncomingMessage): string {
  return 'encrypted' in socket ? 's' : ''
}

// Whatever a client calls itself is not to come back as more than a host.
function hostOf({ headers, socket }: IncomingMessage): string {
  const { host = '' } = headers
  return /^[\w.:[\]-]+$/.test(host) ? host : `${socket.localAddress}:${socket.localPort}`
}

function failed(error: unknown, response: ServerResponse, { broker, path }: Asked): void {
  const text = error instanceof Error ? error.message : String(error)
  broker.report(new Error(`http: ${path} failed: ${text}`, { cause: error }))
  if (response.headersSent) response.destroy()
  else say(response, 500, 'This did not work; the log of the broker says why.')
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' })
  response.end(`${text}\n`)
}
