import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { definePlugin } from '../../core/plugin.ts'
import { closeServer, listenOn } from '../kit/listening/open-server.ts'
import { Exposition } from './exposition.ts'
import { readiness } from './health.ts'
import { metricsManifest } from './manifest.ts'

/** Numbers for Prometheus, and health for orchestrators, over HTTP on a port of its own. */
export const metrics = definePlugin(metricsManifest, ({ broker, at }, { host, port, path, node }) => {
  const exposition = new Exposition(broker, node)
  let server: Server | undefined
  let isOpen = false

  const answer = async (url: string): Promise<{ status: number; type: string; text: string }> => {
    const plain = (status: number, text: string) => ({ status, type: 'text/plain; charset=utf-8', text: `${text}\n` })
    switch (url) {
      case path:
        return { status: 200, type: exposition.contentType, text: await exposition.text() }
      case '/livez':
        return plain(200, 'alive')
      case '/readyz': {
        const why = isOpen ? readiness(broker) : 'the broker is starting or stopping'
        return why === null ? plain(200, 'ready') : plain(503, why)
      }
      default:
        return plain(404, `there are ${path}, /livez and /readyz`)
    }
  }

  return {
    // Opens before the listeners do, so that a start that takes long can be watched.
    async start() {
      const opened = createServer((request, response) => {
        const { method, url = '/' } = request
        if (method !== 'GET' && method !== 'HEAD') {
          response.writeHead(405, { Allow: 'GET, HEAD' }).end()
          return
        }
        answer(url.split('?')[0]!).then(
          ({ status, type, text }) => {
            response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
            response.end(method === 'HEAD' ? undefined : text)
          },
          error => {
            broker.report(new Error(`metrics: ${url} failed: ${(error as Error).message}`, { cause: error }))
            response.writeHead(500).end()
          },
        )
      })
      // Whoever holds connections open does not take the place of others for long.
      opened.headersTimeout = 5000
      opened.requestTimeout = 5000
      opened.maxConnections = 100
      await listenOn(broker, opened, host, port, at)
      server = opened
    },
    listen() {
      isOpen = true
      const { address, port: bound } = server!.address() as AddressInfo
      return [`metrics at http://${address.includes(':') ? `[${address}]` : address}:${bound}${path}`]
    },
    async stop() {
      isOpen = false
      server?.closeAllConnections()
      if (server !== undefined) await closeServer(server)
      exposition.stop()
    },
  }
})
