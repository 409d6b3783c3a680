import type { Server } from 'node:http'
import { HttpRoutes } from '../../core/listening/http-routes.ts'
import { ListenerTls } from '../../core/listening/listener-tls.ts'
import { closeServer, openListener } from '../../core/listening/open-server.ts'
import { Seats } from '../../core/listening/seats.ts'
import { definePlugin } from '../../core/plugin.ts'
import { websocketOptions } from './options.ts'
import { createWebSocketServer } from './server.ts'

/** MQTT over WebSocket, and over WebSocket with TLS; other plugins serve HTTP on the same ports by the service `http`. */
export const websocket = definePlugin({
  name: 'websocket',
  options: websocketOptions,
  provides: ['http'],
  apply(context, options) {
    const { broker, services } = context
    // Several listeners have their routes in common.
    let routes = services.find('http')
    if (routes === undefined) services.provide('http', (routes = new HttpRoutes()), 'websocket')
    const tls = new ListenerTls(context, options.tls)
    const door = { broker, routes, options, seats: new Seats(options.maxConnections) }
    let servers: readonly Server[] = []
    return {
      start: () => tls.start(),
      async listen() {
        const { contexts } = tls
        const place = { name: 'websocket', at: context.at, host: options.host, port: options.port, allowAnonymous: options.allowAnonymous }
        const opened = await openListener(broker, place, contexts === null ? 'ws' : 'wss', () => createWebSocketServer(door, contexts))
        servers = opened.servers as readonly Server[]
        return [opened.line]
      },
      reread: () => tls.reread(),
      async stop() {
        tls.stop()
        await Promise.all(servers.map(closeServer))
        for (const server of servers) server.closeAllConnections()
      },
    }
  },
})
