import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Clock } from '../../core/time/clock.ts'

export interface AuthServiceOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly concurrent: number
  readonly clock: Clock
}

/** What the service said. */
export interface ServiceAnswer {
  readonly status: number
  readonly body: string
}

// Rights of a client are some kilobytes; a body without an end must not fill the memory.
const bodyMax = 1024 * 1024

/** The HTTP service at one address, over connections that stay open. */
export class AuthService {
  readonly #url: URL
  readonly #headers: Readonly<Record<string, string>>
  readonly #agent: HttpAgent
  readonly #request: typeof httpRequest
  readonly #clock: Clock

  constructor({ url, headers, concurrent, clock }: AuthServiceOptions) {
    this.#url = new URL(url)
    this.#headers = headers
    this.#clock = clock
    const secure = this.#url.protocol === 'https:'
    const options = { keepAlive: true, maxSockets: concurrent, maxFreeSockets: concurrent }
    this.#agent = secure ? new HttpsAgent(options) : new HttpAgent(options)
    this.#request = secure ? (httpsRequest as typeof httpRequest) : httpRequest
  }

  /** Asks; rejects where there is no answer, or not within the time. */
  async ask(question: string, timeoutMs: number): Promise<ServiceAnswer> {
    const body = Buffer.from(question)
    const until = this.#clock.now() + timeoutMs
    try {
      return await this.#once(body, timeoutMs)
    } catch (error) {
      // The service may close a connection that has idled just when it is used again. Asking twice does no harm.
      if (!(error instanceof IdleClosedError)) throw error
      return await this.#once(body, until - this.#clock.now())
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #once(body: Buffer, timeoutMs: number): Promise<ServiceAnswer> {
    return new Promise((resolve, reject) => {
      const headers = { ...this.#headers, 'content-type': 'application/json', accept: 'application/json', 'content-length': body.length }
      const request = this.#request(this.#url, { method: 'POST', agent: this.#agent, headers })
      const timer = this.#clock.after(timeoutMs, () => request.destroy(new Error('no answer in time')))
      const end = (finish: () => void): void => {
        timer.cancel()
        finish()
      }
      request.on('error', error => end(() => reject(isIdleClose(request, error) ? new IdleClosedError() : error)))
      request.on('response', response => {
        if (response.statusCode !== 200) {
          // What it says besides does not matter, but its connection is free again only behind it.
          const late = this.#clock.after(timeoutMs, () => request.destroy())
          response.on('close', () => late.cancel())
          response.on('error', () => {})
          response.resume()
          return end(() => resolve({ status: response.statusCode ?? 0, body: '' }))
        }
        collect(response, request).then(
          text => end(() => resolve({ status: response.statusCode ?? 0, body: text })),
          error => end(() => reject(error)),
        )
      })
      request.end(body)
    })
  }
}

class IdleClosedError extends Error {}

function isIdleClose(request: ClientRequest, error: NodeJS.ErrnoException): boolean {
  return request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

async function collect(response: IncomingMessage, request: ClientRequest): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    size += (chunk as Buffer).length
    if (size > bodyMax) {
      request.destroy()
      throw new Error('the answer is longer than 1 MiB')
    }
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}
