import type { Server } from 'node:http'
import { definePlugin } from '../../core/plugin.ts'
import { ListenerTls } from '../kit/listening/listener-tls.ts'
import { closeServer, openListener } from '../kit/listening/open-server.ts'
import { CountedSeats } from '../kit/listening/seats.ts'
import { HttpRoutes } from '../kit/services/http-routes.ts'
import { websocketManifest } from './manifest.ts'
import { createWebSocketServer } from './server.ts'

/** MQTT over WebSocket, and over WebSocket with TLS; other plugins serve HTTP on the same ports by the service `http`. */
export const websocket = definePlugin(websocketManifest, (context, options) => {
  const { broker, services } = context
  // Several listeners have their routes in common.
  let routes = services.find('http')
  if (routes === undefined) services.provide('http', (routes = new HttpRoutes()), 'websocket')
  const tls = new ListenerTls(context, options.tls)
  const door = { broker, routes, options, seats: new CountedSeats(options.maxConnections) }
  let servers: readonly Server[] = []
  return {
    start: () => tls.start(),
    async listen() {
      const { certificates } = tls
      const place = { name: 'websocket', at: context.at, host: options.host, port: options.port, allowAnonymous: options.allowAnonymous }
      const opened = await openListener(broker, place, certificates === null ? 'ws' : 'wss', () =>
        createWebSocketServer(door, certificates),
      )
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
})
