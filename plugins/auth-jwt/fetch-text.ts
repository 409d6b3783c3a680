import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Clock } from '../../core/time/clock.ts'

/** How a text is got from a URL. */
export interface FetchOptions {
  readonly clock: Clock
  readonly timeoutMs: number
  /** Bytes that the answer may have. */
  readonly bytesMax: number
  /** The CAs that the server is judged by; `undefined`: those that Node believes. */
  readonly ca: Buffer | undefined
  /** Ends the wait. */
  readonly signal: AbortSignal
}

/**
 * The body of an answer with status 200. Rejects with what is wrong: nobody there, another status (a redirection too: who answers is who was named), too late, too long.
 * Each has a connection of its own: minutes lie between them.
 */
export function fetchText(url: URL, { clock, timeoutMs, bytesMax, ca, signal }: FetchOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:'
    const headers = { accept: 'application/json', 'accept-encoding': 'identity', connection: 'close' }
    const options = { headers, agent: false, signal, ...(ca === undefined ? {} : { ca }) }
    const request = secure ? httpsRequest(url, options) : httpRequest(url, options)
    const timer = clock.after(timeoutMs, () => fail(new Error('no answer in time')))
    const fail = (error: Error): void => {
      timer.cancel()
      reject(error)
      request.destroy()
    }
    request.on('error', fail)
    request.on('response', response => {
      response.on('error', () => fail(new Error('the answer breaks off')))
      if (response.statusCode !== 200) return fail(new Error(`status ${response.statusCode}`))
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > bytesMax) fail(new Error(`the answer is longer than ${bytesMax / 1024} KiB`))
        else chunks.push(chunk)
      })
      response.on('end', () => {
        timer.cancel()
        resolve(Buffer.concat(chunks).toString('utf8'))
      })
    })
    request.end()
  })
}
