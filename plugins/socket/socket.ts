import type { Server } from 'node:net'
import { definePlugin } from '../../core/plugin.ts'
import { ListenerTls } from '../kit/listening/listener-tls.ts'
import { closeServer, openListener } from '../kit/listening/open-server.ts'
import { CountedSeats } from '../kit/listening/seats.ts'
import { socketManifest } from './manifest.ts'
import { createTcpServer, type Door } from './server.ts'
import { createTlsServer } from './tls-server.ts'

/** MQTT over TCP, and over TLS. */
export const socket = definePlugin(
  socketManifest,
  (context, { port, host, tls: tlsOption, maxConnections, allowAnonymous, sharedRead }) => {
    const { broker } = context
    const tls = new ListenerTls(context, tlsOption)
    const door: Door = { broker, seats: new CountedSeats(maxConnections), allowAnonymous: allowAnonymous ?? undefined }
    let servers: readonly Server[] = []
    return {
      start: () => tls.start(),
      async listen() {
        const { certificates } = tls
        const place = { name: 'socket', at: context.at, host, port, allowAnonymous }
        const create = () => (certificates === null ? createTcpServer(door, sharedRead) : createTlsServer(door, certificates))
        const opened = await openListener(broker, place, certificates === null ? 'tcp' : 'tls', create)
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
)
