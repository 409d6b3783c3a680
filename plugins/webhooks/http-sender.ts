import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import { clientTls } from '../kit/client-tls.ts'
import type { LaneSender } from '../kit/lane-delivery.ts'
import { TargetAwayError } from '../kit/services/bridge-target.ts'
import type { WebhookItem } from './event-parcel.ts'
import { requestOf, type WebhookRequest } from './request.ts'
import type { EndpointOptions } from './rules.ts'
import { secretsOf, signatureOf } from './signature.ts'
import { type HttpAnswer, verdictOf } from './verdict.ts'

// What a server says besides its status is for the log alone.
const bodyMax = 65_536
const textMax = 300
// Errors of connecting, after which nothing of the request has left.
const unconnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ETIMEDOUT',
  'ENETDOWN',
])

/**
 * Posts the events of one lane, a request at a time, over one connection that stays open. By Node's own client: it follows no redirect and asks no proxy by itself, takes
 * certificates as files, and is there already; `fetch` takes certificates only with the package `undici` beside it.
 */
export class HttpSender implements LaneSender<WebhookItem> {
  readonly #options: EndpointOptions
  readonly #at: string
  readonly #clock: Clock
  readonly #locate: (file: string) => string
  readonly #url: URL
  readonly #isSecure: boolean
  readonly #agent: HttpAgent
  #tls: ReturnType<typeof clientTls>
  #request: ClientRequest | null
  // Bytes that had been read of a connection when its last answer was through.
  readonly #readBefore: WeakMap<Socket, number>

  /** `at`: where the endpoint stands in the config. */
  constructor(options: EndpointOptions, at: string, clock: Clock, locate: (file: string) => string) {
    this.#options = options
    this.#at = at
    this.#clock = clock
    this.#locate = locate
    this.#url = new URL(options.url)
    this.#isSecure = this.#url.protocol === 'https:'
    const agent = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 }
    this.#agent = this.#isSecure ? new HttpsAgent(agent) : new HttpAgent(agent)
    this.#tls = {}
    this.#request = null
    this.#readBefore = new WeakMap()
  }

  async send(items: readonly WebhookItem[]): Promise<void> {
    const request = await this.#prepared(items)
    let answer: HttpAnswer
    try {
      answer = await this.#once(request)
    } catch (error) {
      if (!(error instanceof IdleClosedError)) throw this.#awayOf(error as NodeJS.ErrnoException)
      // The server has closed a connection that had idled just when it was used again.
      answer = await this.#once(request).catch(again => Promise.reject(this.#awayOf(again as NodeJS.ErrnoException)))
    }
    const { retryStatuses, retryAfterMax } = this.#options
    const verdict = verdictOf(answer, items.length, { retryStatuses, retryAfterMax, wall: this.#clock.moment().wall })
    if (verdict !== null) throw verdict
  }

  async close(): Promise<void> {
    this.#request?.destroy()
    this.#agent.destroy()
  }

  /** The request, signed. Files that cannot be read just now are an outage: they may be in the middle of being replaced. */
  async #prepared(items: readonly WebhookItem[]): Promise<WebhookRequest> {
    const request = requestOf(items, this.#options.headers)
    const { headers, body } = request
    try {
      const secrets = await secretsOf(this.#options, this.#at, this.#locate)
      const timestamp = Math.floor(this.#clock.moment().wall / 1000)
      headers['webhook-timestamp'] = String(timestamp)
      if (secrets.length > 0) headers['webhook-signature'] = signatureOf(secrets, request.id, timestamp, body)
      if (this.#isSecure && Object.keys(this.#agent.freeSockets).length === 0)
        this.#tls = clientTls(`${this.#at}.ssl`, this.#options.ssl, this.#locate)
    } catch (cause) {
      if (!(cause instanceof OperatorError)) throw cause
      throw new TargetAwayError(cause.message, { cause })
    }
    return request
  }

  #awayOf(error: NodeJS.ErrnoException): TargetAwayError {
    const { code, message } = error
    const text = code === undefined || message.includes(code) ? message : `${message} (${code})`
    // Where something of the request had left, it may be this request that the server stumbles over.
    const partly = !unconnected.has(code ?? '') && !isTlsError(code)
    return new TargetAwayError(`no answer: ${text}; start it, or correct ${isTlsError(code) ? 'ssl' : 'url'}`, { cause: error, partly })
  }

  /** One request and its whole answer, within the time. */
  #once({ headers, body }: WebhookRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const { method, timeout } = this.#options
      const options = { method, headers: { ...headers, 'content-length': body.length }, agent: this.#agent, ...this.#tls }
      const request = this.#isSecure ? httpsRequest(this.#url, options) : httpRequest(this.#url, options)
      this.#request = request
      let isOver = false
      const timer = this.#clock.after(timeout, () => fail(new Error(`nothing within ${timeout / 1000} s`)))
      const end = (): boolean => {
        if (isOver) return false
        isOver = true
        this.#request = null
        timer.cancel()
        return true
      }
      const fail = (error: Error): void => {
        if (!end()) return
        reject(isIdleClose(request, error) ? new IdleClosedError() : error)
        request.destroy()
      }
      request.on('error', fail)
      // An answer that came before the question is to none of ours: it must not be taken for one.
      request.on('socket', socket => {
        const before = this.#readBefore.get(socket)
        if (before !== undefined && before !== socket.bytesRead) fail(new Error('it sends more than one answer to a request'))
      })
      request.on('upgrade', (_response, socket) => {
        socket.destroy()
        fail(new Error('it wants to speak another protocol'))
      })
      request.on('response', response => {
        const { socket } = response
        readBody(response, fail, (text, isWhole) => {
          if (!end()) return
          if (isWhole) this.#readBefore.set(socket, socket.bytesRead)
          // What follows is of no interest, however long it is.
          else request.destroy()
          resolve({
            status: response.statusCode ?? 0,
            retryAfter: response.headers['retry-after'],
            location: response.headers.location,
            text,
          })
        })
      })
      request.end(body)
    })
  }
}

/** Reads an answer to its end, or so far as anybody would want to. `done`: its beginning, and whether it is at its end. */
function readBody(response: IncomingMessage, failed: (error: Error) => void, done: (text: string, isWhole: boolean) => void): void {
  let text = ''
  let size = 0
  response.on('error', () => failed(new Error('the answer breaks off')))
  response.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (text.length < textMax) text += chunk.toString('latin1', 0, textMax)
    if (size > bodyMax) done(text, false)
  })
  response.on('end', () => {
    if (response.complete) done(text, true)
    else failed(new Error('the answer breaks off'))
  })
  response.on('close', () => failed(new Error('the answer breaks off')))
}

class IdleClosedError extends Error {}

function isIdleClose(request: ClientRequest, error: NodeJS.ErrnoException): boolean {
  return request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

function isTlsError(code: string | undefined): boolean {
  return code !== undefined && /CERT|^ERR_TLS|^ERR_SSL|^ERR_OSSL|ISSUER|SIGNATURE|^EPROTO$/.test(code)
}
