import type { Server } from 'node:net'
import { ListenerTls } from '../../core/listening/listener-tls.ts'
import { closeServer, openListener } from '../../core/listening/open-server.ts'
import { Seats } from '../../core/listening/seats.ts'
import { definePlugin } from '../../core/plugin.ts'
import { socketOptions } from './options.ts'
import { createTcpServer, type Door } from './server.ts'
import { createTlsServer } from './tls-server.ts'

/** MQTT over TCP, and over TLS. */
export const socket = definePlugin({
  name: 'socket',
  options: socketOptions,
  apply(context, { port, host, tls: tlsOption, maxConnections, allowAnonymous, sharedRead }) {
    const { broker } = context
    const tls = new ListenerTls(context, tlsOption)
    const door: Door = { broker, seats: new Seats(maxConnections), allowAnonymous: allowAnonymous ?? undefined }
    let servers: readonly Server[] = []
    return {
      start: () => tls.start(),
      async listen() {
        const { contexts } = tls
        const place = { name: 'socket', at: context.at, host, port, allowAnonymous }
        const create = () => (contexts === null ? createTcpServer(door, sharedRead) : createTlsServer(door, contexts))
        const opened = await openListener(broker, place, contexts === null ? 'tcp' : 'tls', create)
        servers = opened.servers
        return [opened.line]
      },
      reread: () => tls.reread(),
      async stop() {
        tls.stop()
        await Promise.all(servers.map(closeServer))
      },
    }
  },
})
