import type { Server } from 'node:http'
import { definePlugin } from '../../core/plugin.ts'
import { ClientLines } from '../kit/client-lines.ts'
import { ListenerTls, tlsAtPath } from '../kit/listening/listener-tls.ts'
import { closeServer, openListener, pathOf, verifyListener } from '../kit/listening/open-server.ts'
import { Proxies } from '../kit/listening/proxies.ts'
import { RefusedLines } from '../kit/listening/refused-lines.ts'
import { CountedSeats } from '../kit/listening/seats.ts'
import { HttpRoutes } from '../kit/services/http-routes.ts'
import { usesHandles } from '../kit/transports/handle-trial.ts'
import { websocketManifest } from './manifest.ts'
import { createWebSocketServer } from './websocket-server.ts'

/** MQTT over WebSocket, and over WebSocket with TLS; other plugins serve HTTP on the same ports by the service `http`. */
export const websocket = definePlugin(websocketManifest, (context, options) => {
  const { broker, services, log, at } = context
  const { socketPath, trustedProxies } = options
  // Several listeners have their routes in common.
  let routes = services.find('http')
  if (routes === undefined) services.provide('http', (routes = new HttpRoutes()), 'websocket')
  const tls = new ListenerTls(context, tlsAtPath(options.tls, socketPath, at))
  const refused = new RefusedLines(broker, at)
  const seats = new CountedSeats(options.maxConnections, refused)
  const lines = new ClientLines(context.clock, log)
  let servers: Server[] = []
  const { host, port, allowAnonymous, socketMode: mode } = options
  let place = { name: 'websocket', at, host, port, allowAnonymous, path: socketPath, mode }
  const proxies = trustedProxies.length === 0 ? null : new Proxies({ broker, lines, trusted: trustedProxies, at: `${at}.trustedProxies` })
  const path = socketPath === null ? null : pathOf(broker, socketPath)
  return {
    async verify() {
      await tls.verify()
      verifyListener(broker, place)
    },
    start: () => tls.start(),
    async listen() {
      const { certificates } = tls
      const isPlain = certificates === null
      const handles = await usesHandles(isPlain ? 'tcp' : 'tls', options.sharedRead && !options.compression, log)
      const listener = { broker, at, routes, options, seats, refused, proxies, path, lines, handles }
      const opened = await openListener(broker, place, isPlain ? 'ws' : 'wss', () => createWebSocketServer(listener, certificates))
      servers = [...opened.servers] as Server[]
      place = { ...place, port: opened.port }
      return [opened.line]
    },
    async unlisten() {
      // Those that are WebSocket connections by now go on.
      for (const server of servers) server.closeIdleConnections()
      await Promise.all(servers.splice(0).map(closeServer))
    },
    reread: () => tls.reread(),
    async stop() {
      tls.stop()
      lines.flush()
      await Promise.all(servers.map(closeServer))
      for (const server of servers) server.closeAllConnections()
    },
  }
})
