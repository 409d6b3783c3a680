import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** One event, as the server got it. */
export interface PostedEvent {
  readonly id: string
  readonly event: string
  readonly time: number
  readonly node: string
  readonly clientId: string
  readonly [field: string]: unknown
}

/** One request, as the server got it. */
export interface PostedRequest {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** What the body says, where it is JSON. */
  readonly events: readonly PostedEvent[]
}

export interface WebhookServer {
  readonly url: string
  readonly port: number
  readonly requests: PostedRequest[]
  /** Connections that it has seen. */
  readonly connections: number
  /** All events of requests that were answered with 2xx, in the order in which they came. */
  readonly taken: readonly PostedEvent[]
  close(): Promise<void>
}

/** Answers a request; what it says of it: a status, or it writes to the response by itself. */
export type Answers = (request: PostedRequest, response: ServerResponse) => number | undefined

/** A real HTTP server, or HTTPS, that answers as a test says, until that test has finished. */
export async function webhookServer(
  answers: Answers = () => 200,
  { tls, port = 0 }: { tls?: ServerOptions; port?: number } = {},
): Promise<WebhookServer> {
  const requests: PostedRequest[] = []
  const taken: PostedEvent[] = []
  let connections = 0
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url: path, headers } = request
      const body = Buffer.concat(chunks)
      const events = headers['content-type'] === 'application/json' ? (JSON.parse(body.toString()) as PostedEvent[]) : []
      const posted = { method, path, headers, body, events }
      requests.push(posted)
      const status = answers(posted, response)
      if (status === undefined) return
      if (status >= 200 && status < 300) taken.push(...events)
      response.writeHead(status).end()
    })
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.on(tls === undefined ? 'connection' : 'secureConnection', () => void (connections += 1))
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  const close = (): Promise<void> =>
    new Promise(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  onTestFinished(close)
  const at = (server.address() as AddressInfo).port
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${at}/intake`,
    port: at,
    requests,
    taken,
    get connections() {
      return connections
    },
    close,
  }
}

/** A server that speaks as a test says, on the bare socket: `answer` is called with each request that has come whole, and which it is. */
export async function lyingServer(
  answer: (socket: Socket, number: number, body: string) => void,
): Promise<{ url: string; port: number; requests: () => number }> {
  let requests = 0
  const sockets = new Set<Socket>()
  const server = createTcpServer(socket => {
    sockets.add(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      for (;;) {
        const head = text.indexOf('\r\n\r\n')
        if (head === -1) return
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
        if (text.length < head + 4 + length) return
        const body = text.slice(head + 4, head + 4 + length)
        text = text.slice(head + 4 + length)
        requests += 1
        answer(socket, requests, body)
      }
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(
    () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  )
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/`, port, requests: () => requests }
}
