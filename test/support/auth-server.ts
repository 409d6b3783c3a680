import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** One question, as the service got it. */
export interface Question {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

export interface AuthServer {
  readonly url: string
  readonly port: number
  readonly questions: Question[]
  /** Connections that it has seen. */
  readonly connections: () => number
  /** Waits until so many questions have come. */
  asked(count: number): Promise<void>
  /** Takes no more connections, and closes those that are open. */
  close(): Promise<void>
}

/** A real HTTP server that answers as a test says, until that test has finished. */
export async function startAuthServer(answer: (response: ServerResponse, question: Question) => void): Promise<AuthServer> {
  const server = await serveAuth(answer)
  onTestFinished(server.close)
  return server
}

/** The same; whoever starts it closes it. */
export async function serveAuth(answer: (response: ServerResponse, question: Question) => void): Promise<AuthServer> {
  const questions: Question[] = []
  let connections = 0
  let changed = (): void => {}
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url: path, headers } = request
      const question = { method, path, headers, text: Buffer.concat(chunks).toString('utf8') }
      questions.push(question)
      changed()
      answer(response, question)
    })
  })
  server.on('connection', () => {
    connections += 1
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const close = (): Promise<void> =>
    new Promise(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mqtt/auth`,
    port,
    questions,
    connections: () => connections,
    async asked(count) {
      while (questions.length < count) {
        await new Promise<void>(resolve => {
          changed = resolve
        })
      }
    },
    close,
  }
}

/** Answers with a status and a body. */
export function says(status: number, body = ''): (response: ServerResponse) => void {
  return response => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body)
  }
}
