import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { definePlugin } from '../../core/plugin.ts'
import { openFiles } from '../kit/listening/open-files.ts'
import { closeServer, listenOn } from '../kit/listening/open-server.ts'
import { RefusedLines } from '../kit/listening/refused-lines.ts'
import { hostFault, keepShort, looksOften } from '../kit/listening/short-connections.ts'
import { verifyPlace } from '../kit/listening/verify-place.ts'
import type {} from '../kit/services/supervisor.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { Exposition } from './exposition.ts'
import { readiness } from './health.ts'
import { metricsManifest } from './manifest.ts'
import { metricsVerb, textOfWorkers } from './of-workers.ts'
import { dearest, mergePlugins, pluginsVerb } from './plugins-verb.ts'

const connectionsMax = 100

/** Numbers for Prometheus, and health for orchestrators, over HTTP on a port of its own. */
export const metrics = definePlugin(
  metricsManifest,
  ({ broker, services, at }, { host, hosts, port, path, node, ready, readyWhenStoreFull }) => {
    const exposition = new Exposition(broker, node)
    broker.verbs.add(
      defineVerb(broker, pluginsVerb, {
        run: (_broker, { limit }) => ({
          rows: dearest(
            [...exposition.tapTimes]
              .map(({ plugin, hook, calls, seconds }) => ({ plugin, hook, calls, seconds: Number(seconds.toFixed(6)) }))
              .filter(({ calls }) => calls > 0),
            limit,
          ),
        }),
        merge: mergePlugins,
      }),
    )
    if (broker.worker !== null) broker.verbs.add(defineVerb(broker, metricsVerb, { run: async () => ({ text: await exposition.text() }) }))
    let server: Server | undefined
    let isOpen = false

    const answer = async (url: string): Promise<{ status: number; type: string; text: string }> => {
      const plain = (status: number, text: string) => ({ status, type: 'text/plain; charset=utf-8', text: `${text}\n` })
      switch (url) {
        case path:
          return { status: 200, type: exposition.contentType, text: await textOfWorkers(broker, await exposition.text()) }
        case '/livez':
          return plain(200, 'alive')
        case '/readyz': {
          if (!isOpen) return plain(503, 'the broker is starting or stopping')
          const found = readiness(broker, ready, readyWhenStoreFull)
          return plain(found.ready ? 200 : 503, found.text)
        }
        default:
          return plain(404, `there are ${path}, /livez and /readyz`)
      }
    }

    const open = async (): Promise<void> => {
      const opened = createServer(looksOften, (request, response) => {
        const { method, url = '/' } = request
        // A page elsewhere that gives its own name this address would be of the same origin as what it reads here.
        const fault = hostFault(request.headers.host, hosts, host, 'metrics.hosts')
        if (fault !== null) {
          response.writeHead(421, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${fault}\n`)
          return
        }
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
      const refused = new RefusedLines(broker, at)
      opened.on('drop', () => refused.full(opened.maxConnections))
      opened.maxConnections = Math.min(connectionsMax, Math.floor(openFiles().reserve / 2))
      keepShort(opened, Math.floor(opened.maxConnections / 2))
      await listenOn(broker, opened, host, port, at)
      server = opened
    }

    const comesLater = services.find('supervisor')?.isFirst === false
    return {
      verify: () => verifyPlace(broker, host, port, at),
      // Opens before the listeners do, so that a start that takes long can be watched. A worker that comes to others, which serve, must not say for them that the broker starts.
      start: () => (comesLater ? undefined : open()),
      async listen() {
        if (comesLater) await open()
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
  },
)
