import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import { clientTls } from '../kit/client-tls.ts'
import type { EndpointOptions } from './rules.ts'

/** Looks whether the server of an endpoint can be reached, TLS included, and asks it nothing: a request would be an event. Resolves to a line, rejects with the cure. */
export async function probeEndpoint(options: EndpointOptions, at: string, clock: Clock, locate: (file: string) => string): Promise<string> {
  const { url, name, ssl, timeout } = options
  const { protocol, hostname, port } = new URL(url)
  const isSecure = protocol === 'https:'
  const host = hostname.replace(/^\[|\]$/g, '')
  const place = { host, port: Number(port || (isSecure ? 443 : 80)) }
  let socket: Socket | undefined
  try {
    return await new Promise<string>((resolve, reject) => {
      const timer = clock.after(timeout, () => reject(new Error('it does not answer')))
      const end = (finish: () => void): void => {
        timer.cancel()
        finish()
      }
      const reached = (): void => end(() => resolve(`${name}: ${place.host}:${place.port} can be reached`))
      socket = isSecure
        ? connectTls({ servername: host, ...place, ...clientTls(`${at}.ssl`, ssl, locate) }, reached)
        : connectTcp(place, reached)
      socket.on('error', error => end(() => reject(error)))
    })
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause
    const { message } = cause as Error
    throw new OperatorError('ERR_WEBHOOK', `${at}.url: ${place.host}:${place.port}: ${message}; start it, or correct url or ssl`, { cause })
  } finally {
    socket?.destroy()
  }
}
